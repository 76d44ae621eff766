"""The camera `v4l2:///dev/v4l/by-id/NAME`: a USB camera, through GStreamer or else through OpenCV.

Names in /dev/v4l/by-id stay the same when the camera is plugged in again; /dev/video0 does not.
"""

import os
import stat
from ctypes.util import find_library
from dataclasses import replace
from pathlib import Path

from edge.address import Address
from edge.cameras.gstreamer.camera import StreamCamera
from edge.cameras.gstreamer.faults import VIDEO_GROUP
from edge.cameras.gstreamer.job import START_LIMIT_S, StreamJob
from edge.cameras.gstreamer.pipelines import QUEUE
from edge.cameras.view import MOST_PIXELS, take_view
from edge.clock import Clock
from edge.errors import HardwareMissing

_FORMATS = {"mjpg": ("image/jpeg", "MJPG"), "yuyv": ("video/x-raw,format=YUY2", "YUYV")}
_LIST = "`ls -l /dev/v4l/by-id/` lists the cameras that are plugged in"


def job_of(text: str) -> StreamJob:
    """Return what an address asks for. Raises UsageError if it is malformed."""
    address = Address(text, "camera", "such as v4l2:///dev/v4l/by-id/NAME?width=1280&height=720&fps=30")
    path = address.place
    if not path.startswith("/") or any(sign in '"\\' or not sign.isprintable() for sign in path):
        raise address.error(f"{path[:40]!r} is not the path of a device")
    width = address.whole("width", 1280, 16, MOST_PIXELS)
    height = address.whole("height", 720, 16, MOST_PIXELS)
    rate_hz = address.whole("fps", 30, 1, 240)
    form = address.choice("format", "mjpg", tuple(_FORMATS))
    view, limit_s = take_view(address), address.number("timeout", START_LIMIT_S, 1, 120)
    address.finish()
    caps, fourcc = _FORMATS[form]
    job = StreamJob(
        "v4l2",
        text,
        path,
        view,
        limit_s,
        "opencv",
        source_size=(height, width),
        rate_hz=rate_hz,
        fourcc=fourcc,
    )
    if find_library("gstreamer-1.0") is None:
        return job
    # A JPEG that waited is dropped before it costs its decoding.
    decoded = f" ! {QUEUE} ! jpegdec" if form == "mjpg" else ""
    source = f'v4l2src device="{path}" do-timestamp=true ! {caps},width={width},height={height}'
    return replace(job, source=f"{source},framerate={rate_hz}/1{decoded}", engine="gstreamer")


def open_address(text: str, clock: Clock, name: str = "front") -> StreamCamera:
    """Open a device. Raises UsageError for a malformed address, HardwareMissing if it can't be used."""
    job = job_of(text)
    check_device(Address(text, "camera", "").place, name)
    return StreamCamera(job, clock, name)


def check_device(path: str, name: str) -> None:
    """Check that a device is there and may be opened. Raises HardwareMissing."""
    try:
        mode = Path(path).stat().st_mode
    except OSError as error:
        raise HardwareMissing(
            f"camera {name!r}: there is no device {path}: {error.strerror}", _LIST
        ) from error
    if not stat.S_ISCHR(mode):
        raise HardwareMissing(f"camera {name!r}: {path} is not a device", _LIST)
    if not os.access(path, os.R_OK | os.W_OK):
        raise HardwareMissing(f"camera {name!r}: no permission for {path}", VIDEO_GROUP)
