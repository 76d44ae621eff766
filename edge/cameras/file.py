"""The camera `file://PATH`: a video, played as if a camera had seen it, or pictures, shown one by one.

`file://PATH?rate=2` plays either at so many images a second; `file://PATH?every=15` shows one image in 15,
one by one, of a video too. Either goes with the options of `take_view`, such as `flip=180`.
"""

import math
from collections.abc import Callable, Generator
from dataclasses import dataclass
from pathlib import Path

from edge.address import Address
from edge.cameras.recordings.pictures import (
    HINT,
    Shown,
    check_pictures,
    find_pictures,
    one_by_one,
    read_picture,
)
from edge.cameras.recordings.video import CONVERT, TimedImage, Video
from edge.cameras.slot import require_fresh
from edge.cameras.view import ImageView, take_view
from edge.clock import Clock
from edge.errors import EdgeError, HardwareMissing, UsageError
from edge.interfaces import Closing
from edge.records import Frame, Image

__all__ = ["EndOfFrames", "FileCamera", "PictureCamera", "find_pictures", "one_by_one", "open_address"]

SLOWEST_RATE_HZ = 10.0  # an image that stays longer is delivered again with a new stamp, as by a camera
SHOWN_AGAIN_NS = 33_333_333  # so often a picture that waits for its answer is delivered
RATES_HZ = (0.01, 240.0)
MOST_EVERY = 100_000
EXAMPLE = "such as file://PATH?rate=2, in images a second, or file://PATH?every=15, one in 15 of them"
_TOO_SLOW = "this machine was too slow to play it: close what else uses it"

Timed = Generator[TimedImage, None, None]
Note = Callable[[], str]
_UNCHANGED = ImageView()


class EndOfFrames(EdgeError):
    """Every frame of the file has been played: the normal end of a run on a file."""

    exit_code = 0


class FileCamera(Closing):
    """Plays a path from the first call of `latest`; frames that come too late are skipped.

    Stamps are the moments at which a camera would have taken the frames.
    """

    plays_recording = True

    def __init__(
        self,
        path: Path,
        clock: Clock,
        rate_hz: float | None = None,
        name: str = "front",
        view: ImageView = _UNCHANGED,
    ) -> None:
        """Open a video or pictures; without `rate_hz` a video is played by the times of its frames.

        Raises HardwareMissing if something in it can't be played, UsageError for pictures without a rate.
        """
        self.name = name
        self._clock = clock
        self._view = view
        self._recording = _open(path, rate_hz)
        self.rate_hz = self._recording.rate_hz
        self._images = self._recording.images
        self._seq = 0  # number of the first delivery of the image that is shown
        self._start_ns: int | None = None
        self._duration_s = 1 / self.rate_hz
        self._next = next(self._images, None)
        if self._next is None:
            raise HardwareMissing(f"camera: {path} holds no frame that OpenCV can read", CONVERT)
        self._show_next()

    def latest(self, max_age_s: float) -> Frame:
        """Return the frame of this moment. Raises EndOfFrames after the last one."""
        now_ns = self._clock.now_ns()
        if self._start_ns is None:
            self._start_ns = now_ns
        elapsed_ns = now_ns - self._start_ns
        while self._shown is not None and elapsed_ns >= round((self._shown.at_s + self._duration_s) * 1e9):
            self._seq += self._times
            self._show_next()
        if self._shown is None:
            raise EndOfFrames(self._recording.played())
        if self._image is None:
            self._image = self._view.apply(self._shown.image)
        at_ns, period_ns = round(self._shown.at_s * 1e9), round(self._duration_s / self._times * 1e9)
        again = min((elapsed_ns - at_ns) // period_ns, self._times - 1)
        stamp_ns = self._start_ns + at_ns + again * period_ns
        frame = Frame(self._image, stamp_ns, self._seq + again, self.name)
        return require_fresh(frame, now_ns, max_age_s, _TOO_SLOW)

    def close(self) -> None:
        """Close the file."""
        self._images.close()

    def _show_next(self) -> None:
        """Show the next image until the one after it is due, the last one as long as the one before it."""
        self._shown, self._next = self._next, next(self._images, None)
        self._image: Image | None = None  # what is made of it by the view
        if self._shown is not None and self._next is not None:
            self._duration_s = self._next.at_s - self._shown.at_s
        self._times = max(1, math.ceil(self._duration_s * SLOWEST_RATE_HZ - 1e-6))  # that it is delivered


class PictureCamera(Closing):
    """Shows each image until the policy has answered about it, however long that takes.

    Meanwhile it delivers the image again and again, each time as if it had just been taken.
    """

    plays_recording = True

    def __init__(
        self, shown: Shown, clock: Clock, name: str = "front", view: ImageView = _UNCHANGED, note: Note = str
    ) -> None:
        """Show the first image. `note` tells in the end what people should know; empty: nothing.

        Raises HardwareMissing if the image can't be read, or if there is none.
        """
        self.name = name
        self._clock = clock
        self._shown = shown
        self._view = view
        self._note = note
        self._count = 0
        self._seq = -1
        self.answered()
        if self._now is None:
            raise HardwareMissing("camera: no frame that OpenCV can read", CONVERT)

    def answered(self) -> None:
        """Show the next image from now on. Raises HardwareMissing if it can't be read."""
        now = next(self._shown, None)
        self._now = None if now is None else (now[0], self._view.apply(now[1]))
        self._count += self._now is not None
        self._frame: Frame | None = None

    def latest(self, max_age_s: float) -> Frame:
        """Return the image, taken just now. Raises EndOfFrames after the last one."""
        if self._now is None:
            note = self._note()
            raise EndOfFrames(f"every picture has been shown ({self._count}){'; ' * bool(note)}{note}")
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
    """Open `file://PATH`, `file://PATH?rate=HZ` or `file://PATH?every=N`, with options of `take_view`.

    Raises UsageError for an address without a path and for other options, HardwareMissing if something there
    can't be read.
    """
    parts = Address(address, "camera", EXAMPLE)
    rate_hz = parts.number("rate", 0.0, *RATES_HZ) or None
    every = parts.whole("every", 0, 1, MOST_EVERY)
    view = take_view(parts)
    parts.finish()
    if not parts.place:
        raise UsageError(f"camera address {address!r} lacks a path", HINT)
    if rate_hz and every:
        raise parts.error("rate and every don't go together")
    path = Path(parts.place).expanduser()
    pictures = find_pictures(path)
    if rate_hz or not (pictures or every):
        return FileCamera(path, clock, rate_hz, name, view)
    if pictures:
        pictures = pictures[:: every or 1]
        check_pictures(pictures)
        return PictureCamera(one_by_one(pictures), clock, name, view)
    video = Video(path)
    return PictureCamera(_one_in(every, video), clock, name, view, video.trouble)


@dataclass(frozen=True, slots=True)
class _Recording:
    """What a `FileCamera` plays."""

    rate_hz: float
    images: Timed
    played: Note  # what was played, once it is over


def _open(path: Path, rate_hz: float | None) -> _Recording:
    if pictures := find_pictures(path):
        if rate_hz is None:
            raise UsageError(f"camera: the pictures of {path} have no rate of their own", "give one: ?rate=2")
        check_pictures(pictures)
        images = (TimedImage(i / rate_hz, read_picture(each)) for i, each in enumerate(pictures))
        return _Recording(rate_hz, images, lambda: f"every frame of {path} has been played")
    video = Video(path)
    return _Recording(rate_hz or video.rate_hz, _at_rate(video, rate_hz), video.played)


def _at_rate(video: Video, rate_hz: float | None) -> Timed:
    """Yield a video's frames at a rate, or by their own times."""
    with video:
        for index, timed in enumerate(video.images()):
            yield timed if rate_hz is None else timed._replace(at_s=index / rate_hz)


def _one_in(every: int, video: Video) -> Shown:
    """Yield one image of a video in `every`, each with its time in the video."""
    with video:
        for index, timed in enumerate(video.images()):
            if index % every == 0:
                yield f"{timed.at_s:.1f} s", timed.image
