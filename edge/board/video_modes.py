"""The modes that a V4L2 device offers: pixel formats, sizes and rates, as the kernel answers."""

import fcntl
import os
import struct
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

_VIDIOC_QUERYCAP = 0x80685600
_VIDIOC_ENUM_FMT = 0xC0405602
_VIDIOC_ENUM_FRAMESIZES = 0xC02C564A
_VIDIOC_ENUM_FRAMEINTERVALS = 0xC034564B
_CAPABILITY = "16s32s32sIII12x"  # driver, card, bus, version, capabilities, those of this node
_DESCRIPTION = "III32sII12x"  # index, type, flags, description, pixel format, bus code
_SIZE = "III6I8x"  # index, pixel format, kind; width, height; or of each least, most, step
_INTERVAL = "IIIII6I8x"  # index, pixel format, width, height, kind; a fraction; or least, most, step
_CAPTURE = 0x1
_CAPTURE_BUFFERS = 1
_DISCRETE = 1
_MOST = 64  # entries of one list; drivers have far fewer
_USUAL_SIZES = ((1920, 1080), (1280, 720), (640, 480), (320, 240))  # tried where a device takes any size


@dataclass(frozen=True, slots=True)
class VideoMode:
    """One pixel format and size, with the rates at which a device offers it."""

    code: str  # "MJPG", "YUYV"
    width: int
    height: int
    rates_hz: tuple[float, ...]  # the highest first; empty if the device does not tell


def read_formats(device: Path) -> tuple[str, ...] | None:
    """Return the pixel formats of a device, none if it takes no pictures; None if it can't be asked."""
    try:
        with _opened(device) as handle:
            return tuple(_text(code) for code in _formats(handle))
    except OSError:
        return None


def read_modes(device: Path) -> list[VideoMode]:
    """Return the modes of a device; none if it can't be asked. Another program may stream from it."""
    try:
        with _opened(device) as handle:
            return [
                VideoMode(
                    _text(code), width, height, tuple(sorted(_rates(handle, code, width, height))[::-1])
                )
                for code in _formats(handle)
                for width, height in _sizes(handle, code)
            ]
    except OSError:
        return []


@contextmanager
def _opened(device: Path) -> Generator[int, None, None]:
    handle = os.open(device, os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        yield handle
    finally:
        os.close(handle)


def _formats(handle: int) -> list[int]:
    answer = fcntl.ioctl(handle, _VIDIOC_QUERYCAP, bytes(struct.calcsize(_CAPABILITY)))
    if not struct.unpack(_CAPABILITY, answer)[5] & _CAPTURE:
        return []
    answers = _listed(handle, _VIDIOC_ENUM_FMT, _DESCRIPTION, _CAPTURE_BUFFERS, 0, b"", 0, 0)
    return [answer[4] for answer in answers]


def _sizes(handle: int, code: int) -> Iterator[tuple[int, int]]:
    for answer in _listed(handle, _VIDIOC_ENUM_FRAMESIZES, _SIZE, code, *[0] * 7):
        if answer[2] == _DISCRETE:
            yield answer[3], answer[4]
            continue
        least_width, most_width, across, least_height, most_height, down = answer[3:]
        for width, height in _USUAL_SIZES:
            fits = least_width <= width <= most_width and least_height <= height <= most_height
            if fits and (width - least_width) % (across or 1) == (height - least_height) % (down or 1) == 0:
                yield width, height
        return  # a range is the whole list


def _rates(handle: int, code: int, width: int, height: int) -> Iterator[float]:
    """Yield frames a second; of a range of intervals that of the shortest."""
    for answer in _listed(handle, _VIDIOC_ENUM_FRAMEINTERVALS, _INTERVAL, code, width, height, *[0] * 7):
        numerator, denominator = answer[5], answer[6]  # seconds from frame to frame
        if numerator:
            yield denominator / numerator
        if answer[4] != _DISCRETE:
            return


def _listed(handle: int, request: int, form: str, *question: int | bytes) -> Iterator[tuple[int, ...]]:
    """Ask for one entry after the other, until the device has no more."""
    for index in range(_MOST):
        try:
            answer = fcntl.ioctl(handle, request, struct.pack(form, index, *question))
        except OSError:  # EINVAL ends a list, ENOTTY says that there is none
            return
        yield struct.unpack(form, answer)


def _text(code: int) -> str:
    return code.to_bytes(4, "little").decode("ascii", "replace").strip()
