"""The camera `file://PATH`: a video or a folder of pictures, played as if a camera had seen it."""

import math
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
PICTURES_RATE_HZ = 2.0  # slow enough for the model to answer about every picture of a folder
SLOWEST_RATE_HZ = 10.0  # a picture that stays longer is delivered again with a new stamp, as by a camera
UNKNOWN_VIDEO_RATE_HZ = 30.0
HINT = "--camera file://PATH takes a video or a folder of pictures"

Images = Generator[Image, None, None]


class EndOfFrames(EdgeError):
    """Every frame of the file has been played: the normal end of a run on a file."""

    exit_code = 0


class FileCamera(Closing):
    """Plays a path at its own rate from the first call of `latest`; frames that come too late are skipped.

    Stamps are the moments at which a camera would have taken the frames.
    """

    def __init__(self, path: Path, clock: Clock, rate_hz: float | None = None, name: str = "front") -> None:
        """Open the path. Raises HardwareMissing if it holds nothing that can be played."""
        self.name = name
        self._path = path
        self._clock = clock
        own_rate_hz, self._images = _open(path)
        self.rate_hz = rate_hz or own_rate_hz
        self._image = next(self._images, None)
        if self._image is None:
            raise HardwareMissing(f"camera: {path} holds no frame that can be read", hint="is it cut short?")
        self._times_shown = math.ceil(SLOWEST_RATE_HZ / self.rate_hz)
        self._start_ns: int | None = None
        self._index = 0

    def latest(self, max_age_s: float) -> Frame:
        """Return the frame of this moment. Raises EndOfFrames after the last one."""
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
        return require_fresh(frame, now_ns, max_age_s)

    def close(self) -> None:
        """Close the file."""
        self._images.close()


def open_address(address: str, clock: Clock, name: str = "front") -> FileCamera:
    """Open `file://PATH`. Raises UsageError without a path, HardwareMissing if nothing there plays."""
    path = address.removeprefix("file://")
    if not path:
        raise UsageError("camera address 'file://' lacks a path", HINT)
    return FileCamera(Path(path).expanduser(), clock, name=name)


def _open(path: Path) -> tuple[float, Images]:
    """Return the rate and the images of a folder, a picture or a video."""
    if not path.exists():
        raise HardwareMissing(f"camera: there is no {path}", HINT)
    paths = sorted(path.iterdir()) if path.is_dir() else [path]
    pictures = [each for each in paths if each.suffix.lower() in PICTURE_SUFFIXES]
    if pictures:
        return PICTURES_RATE_HZ, _pictures(pictures)
    if path.is_dir():
        raise HardwareMissing(
            f"camera: no pictures in {path}", hint=f"they end in {' '.join(PICTURE_SUFFIXES)}"
        )
    capture = cv2.VideoCapture(str(path))
    if not capture.isOpened():
        raise HardwareMissing(
            f"camera: {path} is not a video that OpenCV can read", hint="an .mp4 with H.264 is"
        )
    rate_hz = capture.get(cv2.CAP_PROP_FPS)
    return rate_hz if math.isfinite(rate_hz) and rate_hz > 0 else UNKNOWN_VIDEO_RATE_HZ, _video(capture)


def _pictures(paths: list[Path]) -> Images:
    for path in paths:
        # imread fails on some paths that the system can open.
        image = cv2.imdecode(np.frombuffer(path.read_bytes(), np.uint8), cv2.IMREAD_COLOR)
        if image is None:
            raise HardwareMissing(f"camera: {path} can't be read as a picture", hint="remove or replace it")
        yield _rgb(image)


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
