"""USB cameras: what is checked before, and OpenCV where there is no GStreamer."""

import os
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

from edge.cameras import v4l2
from edge.cameras.gstreamer.faults import fault_of
from edge.cameras.gstreamer.functions import StreamEnded, StreamFailed
from edge.cameras.gstreamer.sources import OpenCvSource
from edge.errors import HardwareMissing
from tests.edge.board.pretended_v4l2 import USB_CAMERA, Offer, plugged_in

PATH = "/dev/v4l/by-id/usb-Maker_Camera-video-index0"


def test_without_gstreamer_opencv_is_asked_for_the_same(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(v4l2, "find_library", lambda name: None)
    job = v4l2.job_of(f"v4l2://{PATH}?width=640&height=480&fps=15&format=yuyv")
    assert (job.engine, job.source, job.source_size, job.rate_hz, job.fourcc) == (
        "opencv",
        PATH,
        (480, 640),
        15,
        "YUYV",
    )


def test_opencv_s_images_are_rgb_and_fit_the_view(tmp_path: Path):
    path = tmp_path / "clip.avi"
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"MJPG"), 30, (1280, 720))
    image = np.zeros((720, 1280, 3), np.uint8)
    image[:360, :640] = (0, 0, 255)  # red in OpenCV's order, at the top left
    for _ in range(3):
        writer.write(image)
    writer.release()
    job = v4l2.job_of(f"v4l2://{PATH}?flip=180")
    job = replace(job, source=str(path), rate_hz=0, fourcc="", source_size=None)
    source = OpenCvSource(job, cv2.CAP_FFMPEG)
    found = source.pull(1.0)
    assert found is not None and found.image.shape == (360, 640, 3) and found.source_size == (720, 1280)
    red = found.image[-20, -20].astype(int)
    assert red[0] > 200 and red[1:].max() < 60
    with pytest.raises(StreamEnded):
        for _ in range(3):
            source.pull(1.0)
    source.close()


def test_a_device_that_is_not_there_not_one_or_not_allowed_is_told_apart(monkeypatch: pytest.MonkeyPatch):
    with pytest.raises(HardwareMissing, match="no device /dev/nosuch") as caught:
        v4l2.check_device("/dev/nosuch", "front")
    assert "/dev/v4l/by-id/" in caught.value.hint
    with pytest.raises(HardwareMissing, match="not a device"):
        v4l2.check_device("/etc/hostname", "front")
    monkeypatch.setattr(os, "access", lambda *_: False)
    with pytest.raises(HardwareMissing, match="'front': no permission for /dev/null") as caught:
        v4l2.check_device("/dev/null", "front")
    assert "usermod -aG video" in caught.value.hint


@pytest.mark.parametrize(
    ("domain", "code", "text", "words", "hint"),
    [
        ("gst-resource-error-quark", 4, "Device '/dev/video0' is busy", "busy", "fuser"),
        ("gst-resource-error-quark", 3, "Cannot identify device", "not there", "by-id"),
        ("gst-resource-error-quark", 7, "Permission denied", "no permission", "usermod"),
        ("gst-stream-error-quark", 1, "Internal data stream error.", "not-negotiated", "--list-formats-ext"),
        (
            "library",
            0,
            "libgstreamer-1.0.so.0",
            "not installed",
            "sudo apt install gstreamer1.0",
        ),
        ("opencv", 0, "OpenCV does not open /dev/video0", "does not open", "fuser"),
        ("gst_parse_error", 1, 'no element "v4l2src"', "lacks the element v4l2src", "plugins-good"),
        (
            "size",
            0,
            "its images changed from 9 x 9 to 6 x 4",
            "changed from",
            "set the camera's size",
        ),
    ],
)
def test_what_a_device_says_is_told_with_what_to_do(domain: str, code: int, text: str, words: str, hint: str):
    detail = "file.c(1): loop ():\nstreaming stopped, reason not-negotiated (-4)" * ("stream" in domain)
    report = {"kind": "failed", "domain": domain, "code": code, "text": text, "detail": detail}
    fault = fault_of(report, v4l2.job_of(f"v4l2://{PATH}"), "front")
    assert isinstance(fault, HardwareMissing)
    assert words in fault.message and "'front'" in fault.message and hint in fault.hint


def test_opencv_says_which_device_it_can_t_open():
    with pytest.raises(StreamFailed, match="/dev/nosuch"):
        OpenCvSource(replace(v4l2.job_of(f"v4l2://{PATH}"), source="/dev/nosuch"))


def suggested(options: str, rate_hz: float, offers: list[Offer] = USB_CAMERA) -> str:
    """What a device with these offers says when its camera gives so few frames."""
    camera = object.__new__(v4l2.UsbCamera)  # there is no device that could be opened
    camera._job = replace(v4l2.job_of(f"v4l2://{PATH}{options}"), shown=f"v4l2:///dev/null{options}")
    with plugged_in(offers):
        return camera.faster(rate_hz)


def test_raw_pictures_that_fill_the_bus_are_told_which_formats_would_do():
    """Field case 15: the same size compressed comes first, and the other options stay."""
    hint = suggested("?width=1280&height=720&fps=10&format=yuyv&flip=180", 3.2)
    best, second, third = hint.partition(" would do")[0].split(" or ")
    assert best == "v4l2:///dev/null?flip=180&format=mjpg&width=1280&height=720&fps=30"
    assert "format=mjpg&width=640&height=480&fps=30" in second and "format=mjpg&width=320" in third
    for address in (best, second, third):
        assert v4l2.job_of(address).view.flip == "180"


def test_a_raw_size_is_offered_only_if_what_came_through_carries_it():
    """At 1280x720, 3.2 frames a second are 5.9 MB/s: enough for 320x240, too little for 640x480."""
    raw = USB_CAMERA[:1]
    hint = suggested("?width=1280&height=720&format=yuyv&fps=10", 3.2, raw)
    assert "width=320&height=240&fps=30 would do" in hint and "640" not in hint
    assert "width=640&height=480" in suggested("?width=1280&height=720&format=yuyv&fps=10", 4.5, raw)


def test_compressed_pictures_that_come_slowly_are_told_to_be_smaller_or_lit():
    hint = suggested("", 4.0)
    assert "width=640&height=480" in hint and "1920" not in hint and "1280" not in hint
    assert "format=yuyv" not in hint and "light" in hint
    assert "no faster format" in suggested("?width=320&height=240", 4.0)
    assert "no faster format" in suggested("", 4.0, [])
