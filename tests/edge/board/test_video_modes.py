"""What a V4L2 device offers, as its ioctls tell."""

from pathlib import Path

import pytest

from edge.board.video_modes import VideoMode, read_formats, read_modes
from tests.edge.board.pretended_v4l2 import RATES, USB_CAMERA, Offer, plugged_in


def test_every_format_size_and_rate_of_a_usb_camera_is_read():
    with plugged_in(USB_CAMERA) as device:
        modes = read_modes(device)
        assert read_formats(device) == ("YUYV", "MJPG")
    assert len(modes) == 8
    assert VideoMode("YUYV", 1280, 720, (10.0, 7.5, 5.0)) in modes
    assert VideoMode("MJPG", 1920, 1080, (30.0, 24.0, 15.0, 10.0, 7.5, 5.0)) in modes


def test_of_ranges_the_usual_sizes_and_the_highest_rate_are_told():
    """A sensor that takes any size from 640 to 1920, and any interval from 1/60 s to 1 s."""
    ranges = {(640, 1920, 16, 480, 1080, 8): [(1, 60, 1, 1, 1, 60)]}
    with plugged_in([Offer(b"UYVY", ranges)]) as device:
        modes = read_modes(device)
    assert modes == [
        VideoMode("UYVY", 1920, 1080, (60.0,)),
        VideoMode("UYVY", 1280, 720, (60.0,)),
        VideoMode("UYVY", 640, 480, (60.0,)),
    ]


def test_a_device_that_tells_no_rates_or_takes_no_pictures_is_told_so():
    with plugged_in([Offer(b"MJPG", {(640, 480): []})]) as device:
        assert read_modes(device) == [VideoMode("MJPG", 640, 480, ())]
    with plugged_in([Offer(b"MJPG", {(640, 480): RATES})], caps=0x2) as device:
        assert read_modes(device) == [] and read_formats(device) == ()


@pytest.mark.parametrize("path", ["/dev/nosuch", "/dev/null", "/etc/hostname"])
def test_what_is_not_a_video_device_has_no_modes(path: str):
    before = len(list(Path("/proc/self/fd").iterdir()))
    assert read_modes(Path(path)) == [] and read_formats(Path(path)) is None
    assert len(list(Path("/proc/self/fd").iterdir())) == before
