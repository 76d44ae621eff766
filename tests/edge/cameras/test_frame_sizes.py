"""Videos whose frames change their size in the middle: field case 14."""

from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.cameras.open import open_camera
from edge.cameras.recordings.frame_sizes import Bits, FrameSize, size_in
from edge.clock import VirtualClock
from edge.errors import HardwareMissing

WIDE, TALL, ODD = FrameSize(240, 320), FrameSize(320, 240), FrameSize(268, 482)
FRAMES = 12


def segment(path: Path, codec: str, size: FrameSize, options: dict[str, str]) -> bytes:
    """Return a transport stream of a codec, which any other may follow."""
    with av.open(str(path), "w", format="mpegts") as container:
        stream = container.add_stream(codec, rate=30)
        stream.width, stream.height, stream.pix_fmt = size.width, size.height, "yuv420p"
        stream.options = {"g": "4", "bf": "0", "x265-params": "log-level=none", **options}
        for index in range(FRAMES):
            image = np.full((*size, 3), 10 * index, np.uint8)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(image, format="rgb24")))
        container.mux(stream.encode(None))
    return path.read_bytes()


def write_jpegs(path: Path, sizes: list[FrameSize]) -> Path:
    """Write a motion JPEG video (AVI) whose frames have these sizes."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("mjpeg", rate=30)
        stream.width, stream.height, stream.pix_fmt = sizes[0].width, sizes[0].height, "yuvj420p"
        for index, size in enumerate(sizes):
            packet = av.Packet(cv2.imencode(".jpg", np.full((*size, 3), 9 * index, np.uint8))[1].tobytes())
            packet.stream, packet.pts, packet.dts = stream, index, index
            packet.time_base = Fraction(1, 30)
            container.mux(packet)
    return path


VIDEOS = [
    ("libx264", {}),
    ("libx264", {"profile": "baseline"}),
    ("libx264", {"flags": "+ildct+ilme", "x264-params": "interlaced=1"}),
    ("libx265", {}),
]


@pytest.mark.parametrize(("codec", "options"), VIDEOS, ids=lambda value: str(value)[:60])
@pytest.mark.parametrize("later", [TALL, ODD], ids=str)
def test_a_video_that_changes_its_size_is_refused_with_both_sizes_and_the_frame(
    tmp_path: Path, codec: str, options: dict[str, str], later: FrameSize
):
    """482 x 268 is not a whole number of blocks: what is cut off at the borders counts."""
    path = tmp_path / "both.ts"
    first = segment(tmp_path / "1.ts", codec, WIDE, options)
    path.write_bytes(first + segment(tmp_path / "2.ts", codec, later, options))
    with pytest.raises(HardwareMissing) as caught:
        open_camera(f"file://{path}", VirtualClock())
    assert f"{path} changes its size from {WIDE} to {later} at frame {FRAMES + 1}" in caught.value.message
    assert f"ffmpeg -i {path} -t 0.40 " in caught.value.hint and caught.value.exit_code == 5


@pytest.mark.parametrize(("codec", "options"), VIDEOS, ids=lambda value: str(value)[:60])
def test_a_video_of_one_size_that_says_so_again_and_again_is_played(
    tmp_path: Path, codec: str, options: dict[str, str]
):
    path = tmp_path / "one.ts"
    path.write_bytes(segment(path, codec, ODD, options) * 2)
    with open_camera(f"file://{path}", VirtualClock()) as camera:
        assert camera.latest(1.0).image.shape == (*ODD, 3)


@pytest.mark.parametrize("every", ["", "?every=2"])
def test_a_motion_jpeg_of_two_sizes_is_refused_also_one_by_one(tmp_path: Path, every: str):
    path = write_jpegs(tmp_path / "two.avi", [WIDE] * 5 + [TALL] * 5)
    with pytest.raises(HardwareMissing, match="from 320x240 to 240x320 at frame 6"):
        open_camera(f"file://{path}{every}", VirtualClock())
    path = write_jpegs(tmp_path / "one.avi", [WIDE] * 10)
    with open_camera(f"file://{path}{every}", VirtualClock()) as camera:
        assert camera.latest(1.0).image.shape == (*WIDE, 3)


@given(
    st.binary(max_size=60),
    st.sampled_from([b"", b"\0\0\1\x67", b"\0\0\1\x42\1", b"\xff\xd8\xff"]),
    st.booleans(),
)
def test_whatever_a_packet_holds_it_has_a_size_or_none(content: bytes, head: bytes, hevc: bool):
    size = size_in(head + content, hevc)
    assert size is None or isinstance(size, FrameSize)


def exp_golomb(number: int) -> str:
    code = f"{number + 1:b}"
    return "0" * (len(code) - 1) + code


@given(st.lists(st.integers(-(2**15), 2**15)))
def test_numbers_are_read_as_they_are_written(numbers: list[int]):
    codes = [exp_golomb(2 * number - 1 if number > 0 else -2 * number) for number in numbers]
    text = "".join(codes) + "1"
    content = int(text.ljust(-(-len(text) // 8) * 8, "0"), 2).to_bytes(-(-len(text) // 8), "big")
    bits = Bits(content)
    assert [bits.signed() for _ in numbers] == numbers and bits.take(1) == 1
