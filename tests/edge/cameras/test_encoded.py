"""Encoded pictures whose headers lie, and rings of frames whose headers do."""

import os
import struct
import zlib
from types import SimpleNamespace

import numpy as np
import pytest

from edge.cameras.recordings.encoded import decode_picture
from edge.cameras.ros2.images import DamagedImage, compressed_image
from edge.cameras.shm import SHARED_MEMORY, FrameRing
from edge.errors import HardwareMissing

_IHDR = b"IHDR" + struct.pack(">IIBBBBB", 60_000, 60_000, 8, 2, 0, 0, 0)
HUGE_PNG = b"\x89PNG\r\n\x1a\n" + struct.pack(">I", 13) + _IHDR + struct.pack(">I", zlib.crc32(_IHDR))


def test_a_picture_that_tells_of_more_pixels_than_there_may_be_is_not_decoded():
    assert decode_picture(HUGE_PNG) is None
    assert decode_picture(b"") is None
    with pytest.raises(DamagedImage):
        compressed_image(SimpleNamespace(format="png", data=HUGE_PNG))


@pytest.mark.parametrize(
    ("word", "value"), [(1, 0), (2, 0), (3, 0), (1, 2**63), (2, 10**9), (3, 5), (3, 3), (3, 2**62)]
)
def test_a_ring_whose_header_does_not_fit_its_memory_is_refused(word: int, value: int):
    name = f"vla-edge-test-{os.getpid()}-{word}-{value}"
    with FrameRing.create(name, 8, 8) as ring:
        ring.write(np.zeros((8, 8, 3), np.uint8), 1)
        with (SHARED_MEMORY / name).open("r+b") as file:
            file.seek(8 * word)
            file.write(value.to_bytes(8, "little"))
        with pytest.raises(HardwareMissing, match="bytes, not"):
            FrameRing.attach(name)
