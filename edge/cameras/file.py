"""The camera `file://PATH`: a video, played as if a camera had seen it, or pictures, shown one by one.

`file://PATH?rate=2` plays either at so many images a second; `file://PATH?every=15` shows one image in 15,
one by one, of a video too.
"""

import contextlib
import difflib
import math
import os
import re
from collections.abc import Generator
from pathlib import Path

import cv2
import numpy as np

from edge.cameras.slot import require_fresh
from edge.clock import Clock
from edge.errors import EdgeError, HardwareMissing, UsageError
from edge.interfaces import Closing
from edge.records import Frame, Image

PICTURE_SUFFIXES = (".bmp", ".jpeg", ".jpg", ".png", ".tif", ".tiff", ".webp")
SLOWEST_RATE_HZ = 10.0  # an image that stays longer is delivered again with a new stamp, as by a camera
SHOWN_AGAIN_NS = 33_333_333  # so often a picture that waits for its answer is delivered
UNKNOWN_VIDEO_RATE_HZ = 30.0
RATES_HZ = (0.01, 240.0)
MOST_EVERY = 100_000
HINT = "--camera file://PATH takes a video, a picture or a folder of pictures"
CONVERT = "is it cut short, or AV1? `ffmpeg -i IN -c:v libx264 OUT.mp4` writes one that can be read"
_TOO_SLOW = "this machine was too slow to play it: close what else uses it"
_OPTIONS = re.compile(r"\?(\w+=[^/]*)\Z")

Images = Generator[Image, None, None]
Shown = Generator[tuple[str, Image], None, None]  # what people may call an image, and the image


class EndOfFrames(EdgeError):
    """Every frame of the file has been played: the normal end of a run on a file."""

    exit_code = 0


class FileCamera(Closing):
    """Plays a path at a rate from the first call of `latest`; frames that come too late are skipped.

    Stamps are the moments at which a camera would have taken the frames.
    """

    def __init__(self, path: Path, clock: Clock, rate_hz: float | None = None, name: str = "front") -> None:
        """Open a video or pictures; without `rate_hz` at the video's own rate.

        Raises HardwareMissing if it holds nothing that can be played, UsageError for pictures without a rate.
        """
        self.name = name
        self._path = path
        self._clock = clock
        pictures = find_pictures(path)
        own_rate_hz, self._images = (None, _read_all(pictures)) if pictures else _open_video(path)
        self.rate_hz = rate_hz or own_rate_hz
        if self.rate_hz is None:
            raise UsageError(f"camera: the pictures of {path} have no rate of their own", "give one: ?rate=2")
        self._image = next(self._images, None)
        if self._image is None:
            raise HardwareMissing(f"camera: {path} holds no frame that OpenCV can read", CONVERT)
        self._times_shown = math.ceil(SLOWEST_RATE_HZ / self.rate_hz)
        self._start_ns: int | None = None
        self._index = 0

    def latest(self, max_age_s: float) -> Frame:
        """Return the frame of this moment. Raises EndOfFrames after the last one."""
        assert self.rate_hz is not None  # the constructor has refused it
        now_ns = self._clock.now_ns()
        if self._start_ns is None:
            self._start_ns = now_ns
        period_ns = int(1e9 / (self.rate_hz * self._times_shown))
        seq = (now_ns - self._start_ns) // period_ns
        while self._image is not None and self._index < seq // self._times_shown:
            self._image = next(self._images, None)
            self._index += 1
        if self._image is None:
            raise EndOfFrames(f"every frame of {self._path} has been played")
        frame = Frame(self._image, self._start_ns + seq * period_ns, seq, self.name)
        return require_fresh(frame, now_ns, max_age_s, _TOO_SLOW)

    def close(self) -> None:
        """Close the file."""
        self._images.close()


class PictureCamera(Closing):
    """Shows each image until the policy has answered about it, however long that takes.

    Meanwhile it delivers the image again and again, each time as if it had just been taken.
    """

    def __init__(self, shown: Shown, clock: Clock, name: str = "front") -> None:
        """Show the first image. Raises HardwareMissing if it can't be read, or if there is none."""
        self.name = name
        self._clock = clock
        self._shown = shown
        self._count = 0
        self._seq = -1
        self.answered()
        if self._now is None:
            raise HardwareMissing("camera: no frame that OpenCV can read", CONVERT)

    def answered(self) -> None:
        """Show the next image from now on. Raises HardwareMissing if it can't be read."""
        self._now = next(self._shown, None)
        self._count += self._now is not None
        self._frame: Frame | None = None

    def latest(self, max_age_s: float) -> Frame:
        """Return the image, taken just now. Raises EndOfFrames after the last one."""
        if self._now is None:
            raise EndOfFrames(f"every picture has been shown ({self._count})")
        now_ns = self._clock.now_ns()
        if self._frame is None or now_ns - self._frame.stamp_ns >= SHOWN_AGAIN_NS:
            self._seq += 1
            source, image = self._now
            self._frame = Frame(image, now_ns, self._seq, self.name, source)
        return require_fresh(self._frame, now_ns, max_age_s, _TOO_SLOW)

    def close(self) -> None:
        """Close the file."""
        self._shown.close()


def open_address(address: str, clock: Clock, name: str = "front") -> FileCamera | PictureCamera:
    """Open `file://PATH`, `file://PATH?rate=HZ` or `file://PATH?every=N`.

    Raises UsageError for an address without a path and for other options, HardwareMissing if nothing there
    can be read.
    """
    text = address.removeprefix("file://")
    options = _OPTIONS.search(text)
    rate_hz, every = (None, None) if options is None else _option(address, options[1])
    text = text if options is None else text[: options.start()]
    if not text:
        raise UsageError(f"camera address {address!r} lacks a path", HINT)
    path = Path(text).expanduser()
    pictures = find_pictures(path)
    if rate_hz is None and (pictures or every):
        shown = one_by_one(pictures[:: every or 1]) if pictures else _one_in(every or 1, *_open_video(path))
        return PictureCamera(shown, clock, name)
    return FileCamera(path, clock, rate_hz, name)


def one_by_one(pictures: list[Path]) -> Shown:
    """Yield the pictures, each with the name of its file. Raises HardwareMissing if one can't be read."""
    for path in pictures:
        yield path.name, _read(path)


def find_pictures(path: Path) -> list[Path]:
    """Return the pictures of a folder in the order of their names and numbers, or a picture itself.

    Empty if the path is another file. Raises HardwareMissing if nothing is there, if it may not be read, and
    for a folder without pictures.
    """
    try:
        if not path.exists():
            raise HardwareMissing(f"camera: there is no {path}{_from_here(path)}", _near(path) or HINT)
        paths = list(path.iterdir()) if path.is_dir() else [path]
    except OSError as error:
        hint = f"`ls -ld {path}` shows who may read it"
        raise HardwareMissing(f"camera: {path} can't be read: {error.strerror}", hint) from error
    pictures = [each for each in paths if _is_picture(each)]
    if path.is_dir() and not pictures:
        raise HardwareMissing(
            f"camera: no pictures in {path}",
            f"their names end in {' '.join(PICTURE_SUFFIXES)}; a video is named itself: file://{path}/NAME",
        )
    for each in pictures or paths:
        if not os.access(each, os.R_OK):
            raise HardwareMissing(f"camera: no permission to read {each}", f"`chmod a+r {each}` gives it")
    return sorted(pictures, key=_in_order)


def _is_picture(path: Path) -> bool:
    return path.suffix.lower() in PICTURE_SUFFIXES and not path.name.startswith(".")


def _in_order(path: Path) -> list[str | int]:
    """Return a key that sorts 2.png before 10.png."""
    parts = re.split(r"([0-9]+)", path.name)
    return [int(part) if index % 2 else part for index, part in enumerate(parts)]


def _from_here(path: Path) -> str:
    return "" if path.is_absolute() else f" in {Path.cwd()}"


def _near(path: Path) -> str:
    """Return a hint with the name that is nearest to a missing path's; empty if none is near."""
    if not path.parent.is_dir():
        return ""
    names = [each.name for each in path.parent.iterdir()]
    near = difflib.get_close_matches(path.name, names, n=1, cutoff=0.6)
    return f"did you mean file://{path.parent / near[0]}?" if near else ""


def _option(address: str, option: str) -> tuple[float | None, int | None]:
    """Return the rate in Hz and the step between images, of which one is given. Raises UsageError."""
    key, _, value = option.partition("=")
    shown = f"camera address {address[:200]!r}"
    hint = "such as file://PATH?rate=2, in images a second, or file://PATH?every=15, one in 15 of them"
    if key == "every":
        if not (value.isascii() and value.isdigit() and len(value) < 9 and 0 < int(value) <= MOST_EVERY):
            raise UsageError(f"{shown}: every {value!r} is not a whole number from 1 to {MOST_EVERY}", hint)
        return None, int(value)
    if key != "rate":
        raise UsageError(f"{shown}: there is no option {key!r}, only rate and every", hint)
    try:
        rate_hz = float(value)
    except ValueError:
        rate_hz = math.nan
    low, high = RATES_HZ
    if not low <= rate_hz <= high:
        raise UsageError(f"{shown}: rate {value!r} is not a number from {low:g} to {high:g}", hint)
    return rate_hz, None


def _one_in(every: int, rate_hz: float, images: Images) -> Shown:
    """Yield one image of a video in `every`, each with its time in the video."""
    with contextlib.closing(images):
        for index, image in enumerate(images):
            if index % every == 0:
                yield f"{index / rate_hz:.1f} s", image


def _open_video(path: Path) -> tuple[float, Images]:
    """Return the rate and the images of a video."""
    capture = cv2.VideoCapture(str(path))
    if not capture.isOpened():
        raise HardwareMissing(f"camera: {path} is not a video that OpenCV can read", CONVERT)
    rate_hz = capture.get(cv2.CAP_PROP_FPS)
    return rate_hz if math.isfinite(rate_hz) and rate_hz > 0 else UNKNOWN_VIDEO_RATE_HZ, _video(capture)


def _read_all(paths: list[Path]) -> Images:
    for path in paths:
        yield _read(path)


def _read(path: Path) -> Image:
    try:
        content = path.read_bytes()
    except OSError as error:
        raise HardwareMissing(f"camera: {path} can't be read: {error.strerror}", HINT) from error
    # imread fails on some paths that the system can open.
    image = cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_COLOR) if content else None
    if image is None:
        raise HardwareMissing(f"camera: {path} can't be read as a picture", hint="remove or replace it")
    return _rgb(image)


def _video(capture: cv2.VideoCapture) -> Images:
    try:
        while True:
            got, image = capture.read()
            if not got:
                return
            yield _rgb(image)
    finally:
        capture.release()


def _rgb(image: cv2.typing.MatLike) -> Image:
    return np.asarray(cv2.cvtColor(image, cv2.COLOR_BGR2RGB), np.uint8)
