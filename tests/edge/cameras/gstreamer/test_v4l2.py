"""USB cameras: what is checked before, and OpenCV where there is no GStreamer."""

import os
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

from edge.cameras import v4l2
from edge.cameras.gstreamer.faults import fault_of
from edge.cameras.gstreamer.library import StreamEnded, StreamFailed
from edge.cameras.gstreamer.sources import OpenCvSource
from edge.errors import HardwareMissing

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
