"""A V4L2 device at the boundary of its ioctls: answers in the layout of linux/videodev2.h, by ctypes."""

import ctypes
import errno
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from edge.board import video_modes

U32 = ctypes.c_uint32


class Capability(ctypes.Structure):
    _fields_ = [
        ("driver", ctypes.c_char * 16),
        ("card", ctypes.c_char * 32),
        ("bus_info", ctypes.c_char * 32),
        ("version", U32),
        ("capabilities", U32),
        ("device_caps", U32),
        ("reserved", U32 * 3),
    ]


class Description(ctypes.Structure):
    _fields_ = [
        ("index", U32),
        ("type", U32),
        ("flags", U32),
        ("description", ctypes.c_char * 32),
        ("pixelformat", U32),
        ("mbus_code", U32),
        ("reserved", U32 * 3),
    ]


class SizeAnswer(ctypes.Structure):
    _fields_ = [
        ("index", U32),
        ("pixel_format", U32),
        ("type", U32),
        ("sides", U32 * 6),
        ("reserved", U32 * 2),
    ]


class IntervalAnswer(ctypes.Structure):
    _fields_ = [
        ("index", U32),
        ("pixel_format", U32),
        ("width", U32),
        ("height", U32),
        ("type", U32),
        ("parts", U32 * 6),
        ("reserved", U32 * 2),
    ]


@dataclass(frozen=True)
class Offer:
    """A format with its sizes; each has its intervals, as (numerator, denominator) in seconds."""

    code: bytes
    sizes: dict[tuple[int, ...], list[tuple[int, ...]]]  # six numbers: a range of sizes; six: of intervals


RATES = [(1, 30), (1, 24), (1, 15), (1, 10), (2, 15), (1, 5)]
# Some of what a USB camera of 2 megapixels (a C920) offers, as `v4l2-ctl --list-formats-ext` lists it.
USB_CAMERA = [
    Offer(
        b"YUYV",
        {
            (640, 480): RATES,
            (320, 240): RATES,
            (1280, 720): [(1, 10), (2, 15), (1, 5)],
            (1920, 1080): [(1, 5)],
        },
    ),
    Offer(b"MJPG", {(640, 480): RATES, (320, 240): RATES, (1280, 720): RATES, (1920, 1080): RATES}),
]


class PretendedDevice:
    """Answers as the kernel does: one entry for each index, then EINVAL."""

    def __init__(self, offers: list[Offer], caps: int = 0x1) -> None:
        self._offers, self._caps = offers, caps

    def ioctl(self, handle: int, request: int, question: bytes) -> bytes:
        kinds = {0: Capability, 2: Description, 74: SizeAnswer, 75: IntervalAnswer}
        assert request >> 8 & 0xFF == ord("V")
        kind = kinds[request & 0xFF]
        assert request >> 16 & 0x3FFF == ctypes.sizeof(kind) == len(question)
        answer = kind.from_buffer_copy(question)
        if isinstance(answer, Capability):
            answer.device_caps = self._caps
            return bytes(answer)
        if isinstance(answer, Description):
            assert answer.type == 1
            answer.pixelformat = int.from_bytes(self._at(self._offers, answer.index).code, "little")
            return bytes(answer)
        offer = next(o for o in self._offers if int.from_bytes(o.code, "little") == answer.pixel_format)
        if isinstance(answer, SizeAnswer):
            values = self._at(list(offer.sizes), answer.index)
            answer.sides[: len(values)] = values
        else:
            intervals = offer.sizes.get((answer.width, answer.height)) or next(iter(offer.sizes.values()))
            values = self._at(intervals, answer.index)
            answer.parts[: len(values)] = values
        answer.type = 1 if len(values) == 2 else 3
        return bytes(answer)

    @staticmethod
    def _at(entries: list, index: int):
        if index >= len(entries):
            raise OSError(errno.EINVAL, "Invalid argument")
        return entries[index]


@contextmanager
def plugged_in(offers: list[Offer], caps: int = 0x1) -> Iterator[Path]:
    """Put a device with these offers in place of what the kernel answers; gives a path that can be opened."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(video_modes.fcntl, "ioctl", PretendedDevice(offers, caps).ioctl)
        yield Path("/dev/null")
