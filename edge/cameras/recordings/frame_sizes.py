"""The sizes of a video's frames, by its packets: OpenCV squeezes what comes later into the first size.

Known are H.264, HEVC and motion JPEG, whose packets say when the size changes.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np

from edge.errors import HardwareMissing

_START_CODE = b"\0\0\1"
_JPEG_START = b"\xff\xd8"
_HEVC_TAGS = (b"hevc", b"hvc1", b"hev1", b"h265", b"x265")
_H264_SLICES, _H264_SPS = range(1, 6), 7  # types of NAL units
_HEVC_SLICES, _HEVC_SPS = range(32), 33
_H264_WITH_CHROMA = (100, 110, 122, 244, 44, 83, 86, 118, 128, 138, 139, 134, 135)  # profiles
_JPEG_NO_SIZE = (0xC4, 0xC8, 0xCC)  # markers among those of frames that are none
_SPLIT = "cut it there: `ffmpeg -i {path} -t {at_s:.2f} OUT`; or record it anew in one size"


class FrameSize(NamedTuple):
    """Height and width of a frame, pixels."""

    height: int
    width: int

    def __str__(self) -> str:
        return f"{self.width}x{self.height}"


def check_one_size(path: Path) -> None:
    """Check that all frames of a video have one size. Raises HardwareMissing with the first that differs."""
    capture = cv2.VideoCapture(str(path), cv2.CAP_FFMPEG, [cv2.CAP_PROP_FORMAT, -1])  # packets, not decoded
    try:
        tag = int(capture.get(cv2.CAP_PROP_FOURCC)) & 0xFFFFFFFF
        hevc = tag.to_bytes(4, "little").lower() in _HEVC_TAGS
        first, count, rate_hz = None, 0, capture.get(cv2.CAP_PROP_FPS)
        while capture.grab():
            count += 1
            found, packet = capture.retrieve()
            size = size_in(np.asarray(packet, np.uint8).tobytes(), hevc) if found else None
            first = first or size
            if size is not None and size != first:
                at_s = (count - 1) / rate_hz if rate_hz > 0 else 0.0
                raise HardwareMissing(
                    f"camera: {path} changes its size from {first} to {size} at frame {count}",
                    _SPLIT.format(path=path, at_s=at_s),
                )
    finally:
        capture.release()


def size_in(packet: bytes, hevc: bool) -> FrameSize | None:
    """Return the size that a packet states for itself and what follows; None if it states none."""
    try:
        if packet.startswith(_JPEG_START):
            return _size_in_jpeg(packet)
        return _size_in_units(packet, hevc)
    except (IndexError, ValueError):  # it is cut short or damaged: its decoder will tell
        return None


def _size_in_jpeg(packet: bytes) -> FrameSize | None:
    at = 2
    while packet[at] == 0xFF:
        marker = packet[at + 1]
        if 0xC0 <= marker <= 0xCF and marker not in _JPEG_NO_SIZE:
            height, width = packet[at + 5 : at + 7], packet[at + 7 : at + 9]
            return FrameSize(int.from_bytes(height, "big"), int.from_bytes(width, "big"))
        at += 2 + int.from_bytes(packet[at + 2 : at + 4], "big")
    return None


def _size_in_units(packet: bytes, hevc: bool) -> FrameSize | None:
    slices, wanted = (_HEVC_SLICES, _HEVC_SPS) if hevc else (_H264_SLICES, _H264_SPS)
    for unit in _units(packet):
        kind = unit[0] >> 1 & 63 if hevc else unit[0] & 31
        if kind == wanted:
            bits = Bits(unit[2 if hevc else 1 :].replace(b"\0\0\3", b"\0\0"))
            return _size_in_hevc(bits) if hevc else _size_in_h264(bits)
        if kind in slices:  # what states a size stands before the first slice
            return None
    return None


def _units(packet: bytes) -> Iterator[bytes]:
    """Yield the NAL units of a packet, without their start codes."""
    at = packet.find(_START_CODE)
    while at >= 0:
        end = packet.find(_START_CODE, at + 3)
        yield packet[at + 3 : end if end >= 0 else len(packet)]
        at = end


class Bits:
    """Bits from the highest of the first byte on. Raises IndexError behind the last one."""

    def __init__(self, content: bytes) -> None:
        self._content = content
        self._at = 0

    def take(self, count: int) -> int:
        """Return the next bits as a number."""
        value = 0
        for at in range(self._at, self._at + count):
            value = value << 1 | self._content[at // 8] >> 7 - at % 8 & 1
        self._at += count
        return value

    def number(self) -> int:
        """Return an Exp-Golomb number, ue(v). Raises ValueError if it is too long."""
        zeros = 0
        while not self.take(1):
            zeros += 1
            if zeros > 32:
                raise ValueError("not an Exp-Golomb number")
        return (1 << zeros) - 1 + self.take(zeros)

    def signed(self) -> int:
        """Return a signed Exp-Golomb number, se(v)."""
        number = self.number()
        return (number + 1) // 2 if number % 2 else -number // 2


def _size_in_h264(bits: Bits) -> FrameSize:
    """Read a sequence parameter set of H.264 (7.3.2.1.1) up to its size."""
    profile = bits.take(8)
    bits.take(16)
    bits.number()
    chroma = bits.number() if profile in _H264_WITH_CHROMA else 1
    if profile in _H264_WITH_CHROMA:
        _skip_h264_chroma(bits, chroma)
    bits.number()
    _skip_h264_order(bits)
    bits.number()
    bits.take(1)
    width, height = (bits.number() + 1) * 16, (bits.number() + 1) * 16
    by_frame = bits.take(1)
    bits.take(2 - by_frame)
    height *= 2 - by_frame
    across, down = (2 if chroma in (1, 2) else 1), (2 if chroma == 1 else 1) * (2 - by_frame)
    return _cropped(bits, height, width, down, across)


def _skip_h264_chroma(bits: Bits, chroma: int) -> None:
    if chroma == 3:
        bits.take(1)
    bits.number()
    bits.number()
    bits.take(1)
    if not bits.take(1):
        return
    for index in range(12 if chroma == 3 else 8):  # scaling lists
        last = following = 8
        for _ in range((16 if index < 6 else 64) * bits.take(1)):
            if following:
                following = (last + bits.signed()) % 256
            last = following or last


def _skip_h264_order(bits: Bits) -> None:
    kind = bits.number()
    if kind == 0:
        bits.number()
    elif kind == 1:
        bits.take(1)
        bits.signed()
        bits.signed()
        for _ in range(min(bits.number(), 255)):
            bits.signed()


def _size_in_hevc(bits: Bits) -> FrameSize:
    """Read a sequence parameter set of HEVC (7.3.2.2) up to its size."""
    bits.take(4)
    layers = bits.take(3)
    bits.take(1 + 96)
    present = [(bits.take(1), bits.take(1)) for _ in range(layers)]
    bits.take(2 * (8 - layers) if layers else 0)
    for profile, level in present:
        bits.take(88 * profile + 8 * level)
    bits.number()
    chroma = bits.number()
    if chroma == 3:
        bits.take(1)
    width, height = bits.number(), bits.number()
    across, down = (2 if chroma in (1, 2) else 1), (2 if chroma == 1 else 1)
    return _cropped(bits, height, width, down, across)


def _cropped(bits: Bits, height: int, width: int, down: int, across: int) -> FrameSize:
    """Take what is cut off at the borders, in units of `down` rows and `across` columns, from a size."""
    if not bits.take(1):
        return FrameSize(height, width)
    left, right, top, bottom = (bits.number() for _ in range(4))
    return FrameSize(height - down * (top + bottom), width - across * (left + right))
