"""What stands in for cameras: GStreamer's test pictures, and a real RTSP server in its own process."""

import subprocess
import sys
import time
from contextlib import AbstractContextManager
from ctypes.util import find_library
from pathlib import Path

import pytest

from benchmarks.cameras.serving import SYSTEM_PYTHON, serving
from edge.errors import CameraAway
from edge.interfaces import Camera
from edge.records import Frame

_TRY = "import gi; gi.require_version('GstRtspServer', '1.0'); from gi.repository import GstRtspServer"
LIVE = "gst://videotestsrc is-live=true pattern=ball ! video/x-raw,width=64,height=48,framerate=30/1"

needs_gstreamer = pytest.mark.skipif(
    find_library("gstreamer-1.0") is None, reason="GStreamer is not installed: `scripts/setup dev`"
)


def _serves() -> bool:
    if not Path(SYSTEM_PYTHON).exists():
        return False
    return subprocess.run([SYSTEM_PYTHON, "-c", _TRY], capture_output=True).returncode == 0


needs_rtsp_server = pytest.mark.skipif(
    not _serves(), reason="the system's Python lacks gst-rtsp-server: `scripts/setup dev`"
)


def rtsp_server(*options: str) -> AbstractContextManager[str]:
    """Serve a small camera; gives its host and port."""
    return serving("--width", "320", "--height", "240", *options)


def frame_of(camera: Camera, after_seq: int = -1, patience_s: float = 30.0) -> Frame:
    """Wait for a frame with a higher number, however slow this machine is."""
    deadline_s = time.monotonic() + patience_s
    while True:
        try:
            if (frame := camera.latest(10.0)).seq > after_seq:
                return frame
        except CameraAway:
            pass
        assert time.monotonic() < deadline_s, "no frame came"
        time.sleep(0.005)


def python(code: str) -> list[str]:
    """Return the command that runs a text as Python."""
    return [sys.executable, "-c", code]
