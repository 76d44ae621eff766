"""The camera `v4l2:///dev/v4l/by-id/NAME`: a USB camera, through GStreamer or else through OpenCV.

Names in /dev/v4l/by-id stay the same when the camera is plugged in again; /dev/video0 does not.
"""

import os
import stat
from ctypes.util import find_library
from dataclasses import replace
from pathlib import Path

from edge.address import Address, split_options
from edge.board.video_modes import VideoMode, read_modes
from edge.cameras.gstreamer.camera import StreamCamera
from edge.cameras.gstreamer.faults import VIDEO_GROUP
from edge.cameras.gstreamer.job import START_LIMIT_S, StreamJob
from edge.cameras.view import MOST_PIXELS, take_view
from edge.clock import Clock
from edge.errors import HardwareMissing

_FORMATS = {"mjpg": ("image/jpeg", "MJPG"), "yuyv": ("video/x-raw,format=YUY2", "YUYV")}
_MODE_OPTIONS = ("width", "height", "fps", "format")
_MOST_SUGGESTED = 3
_YUYV_BYTES = 2  # a pixel
ENOUGH_HZ = 10  # a slower mode would be too near to the least rate of a drive
_LIGHT = "in little light a long exposure slows any format down"
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
    source = f'v4l2src device="{path}" do-timestamp=true ! {caps},width={width},height={height}'
    source += f",framerate={rate_hz}/1"
    return replace(job, source=source, engine="gstreamer", jpeg=form == "mjpg")


class UsbCamera(StreamCamera):
    """The frames of a V4L2 device."""

    _modes: list[VideoMode] | None = None  # once they were asked for

    def faster(self, rate_hz: float) -> str:
        """Return which of the device's modes would do in place of the present one, as addresses."""
        address = self._job.shown
        if self._modes is None:
            self._modes = read_modes(Path(Address(address, "camera", "").place))
        modes = modes_that_do(self._modes, self._job, rate_hz)
        if not modes:
            return f"it has no faster format: give it a USB bus of its own, and light: {_LIGHT}"
        return f"{' or '.join(address_of(address, mode) for mode in modes)} would do; {_LIGHT}"


def modes_that_do(modes: list[VideoMode], job: StreamJob, rate_hz: float) -> list[VideoMode]:
    """Return the modes, best first, that can be expected to be fast enough where the job's gives `rate_hz`.

    A size of raw images counts only if its least rate takes no more of the bus than what came through.
    """
    assert job.source_size is not None
    pixels = job.source_size[0] * job.source_size[1]
    raw = job.fourcc == "YUYV"

    def does(mode: VideoMode) -> bool:
        if not mode.rates_hz or mode.rates_hz[0] < ENOUGH_HZ:
            return False
        if mode.code == "MJPG":
            return raw or mode.width * mode.height < pixels
        came_bytes_s = rate_hz * pixels * _YUYV_BYTES if raw else 0.0
        return mode.code == "YUYV" and mode.width * mode.height * _YUYV_BYTES * ENOUGH_HZ <= came_bytes_s

    def order(mode: VideoMode) -> tuple[bool, int]:  # as it is seen now, else the next smaller
        size = mode.width * mode.height
        return mode.code != "MJPG", abs(size - pixels) if size <= pixels else size

    return sorted(filter(does, modes), key=order)[:_MOST_SUGGESTED]


def address_of(address: str, mode: VideoMode) -> str:
    """Return an address with another mode, and its other options as they are."""
    rest = split_options(address, _MODE_OPTIONS)[0]
    form = next(name for name, (_, code) in _FORMATS.items() if code == mode.code)
    rate_hz = int(min(30.0, mode.rates_hz[0]))
    options = f"format={form}&width={mode.width}&height={mode.height}&fps={rate_hz}"
    return f"{rest}{'&' if '?' in rest else '?'}{options}"


def open_address(text: str, clock: Clock, name: str = "front") -> UsbCamera:
    """Open a device. Raises UsageError for a malformed address, HardwareMissing if it can't be used."""
    job = job_of(text)
    check_device(Address(text, "camera", "").place, name)
    return UsbCamera(job, clock, name)


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
