"""Cameras: what is plugged in, and a picture of each to look at."""

import contextlib
import time
from collections import Counter
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import cv2

from edge.address import without_password
from edge.board.tree import Tree
from edge.cameras.open import EndOfFrames, open_camera
from edge.clock import MonotonicClock
from edge.doctor.check import Check, absent, fail, ok, warn
from edge.doctor.v4l2 import VideoDevice, video_devices
from edge.errors import EdgeError, StaleFrame
from edge.files import write_whole
from edge.interfaces import AwaitsAnswers, Camera, SuggestsFaster
from edge.plugins import CAMERAS
from edge.records import Frame

FIRST_FRAME_S = 4.0
COUNT_S = 0.7
SLOWEST_S = 2.0  # a second frame is waited for so long
LEAST_RATE_HZ = 8.0  # below it most frames are older than a policy may use
_POLL_S = 0.003
_V4L2 = "v4l2"
_FASTER = "take a smaller picture or format=mjpg, give it more light, or a USB bus of its own"
_LOOK = "look at it: is it upside down (option flip=180), are red and blue swapped?"


def check_cameras(tree: Tree, cameras: Mapping[str, str], pictures: Path) -> list[Check]:
    """Look at the devices, and take a picture with each of `cameras`, by name and address.

    Without any, each V4L2 device is tried. Pictures go to the folder `pictures` as NAME.png.
    """
    devices = video_devices(tree)
    checks = [*(_device(each) for each in devices), *_shared_buses(devices)]
    if not devices:
        hint = (
            "plug it in; a CSI camera on a Jetson needs its overlay: sudo /opt/nvidia/jetson-io/jetson-io.py"
        )
        checks.append(absent("cameras", "no V4L2 device", hint))
    if not cameras and tree.live and _V4L2 in CAMERAS.names():
        cameras = {each.name.rpartition("/")[2]: f"{_V4L2}://{each.stable or each.name}" for each in devices}
    if not cameras:
        return checks
    with ThreadPoolExecutor(len(cameras)) as pool:
        taken = [pool.submit(_picture, name, address, pictures) for name, address in cameras.items()]
    return checks + [each.result() for each in taken]


def _device(device: VideoDevice) -> Check:
    words = [device.card, *filter(None, [device.stable, device.bus])]
    if device.formats is None:
        return ok(device.name, ", ".join(words))
    words.append(f"formats {' '.join(device.formats)}")
    return ok(device.name, ", ".join(words))


def _shared_buses(devices: list[VideoDevice]) -> list[Check]:
    """Warn of buses that carry several cameras: two streams of raw pictures fill one of 480 Mbit/s."""
    buses = Counter(device.bus for device in devices if device.bus)
    return [
        warn(
            "USB bus",
            f"{count} cameras share {bus}: raw pictures (YUYV) of two fill it",
            "plug one into another bus (lsusb -t shows them), or take format=mjpg",
        )
        for bus, count in buses.items()
        if count > 1 and " at 480 " in bus
    ]


def _picture(name: str, address: str, pictures: Path) -> Check:
    """Take a picture with one camera and count its frames."""
    label = f"camera {name}"
    try:
        camera: Camera = open_camera(address, MonotonicClock(), name)
        try:
            frame = _first(camera)
            rate_hz = None if isinstance(camera, AwaitsAnswers) else _rate_hz(camera, frame)
            faster = camera.faster(rate_hz) if rate_hz and isinstance(camera, SuggestsFaster) else _FASTER
        finally:
            camera.close()
        path = _save(frame, pictures / f"{name}.png")
    except EdgeError as error:
        return fail(
            label, error.message, error.hint or f"vla-edge doctor --camera {name}={without_password(address)}"
        )
    height, width = frame.image.shape[:2]
    found = (
        f"{width}x{height}" + ("" if rate_hz is None else f" at {rate_hz:.0f} Hz") + f", picture in {path}"
    )
    if rate_hz is not None and rate_hz < LEAST_RATE_HZ:
        return warn(
            label,
            f"{found}; a drive needs {LEAST_RATE_HZ:.0f} Hz or more",
            faster,
        )
    return ok(label, found, _LOOK)


def _first(camera: Camera) -> Frame:
    """Wait for a frame. Raises StaleFrame if none comes in time."""
    deadline_s = time.monotonic() + FIRST_FRAME_S
    while True:
        try:
            return camera.latest(1.0)
        except StaleFrame:
            if time.monotonic() > deadline_s:
                raise
            time.sleep(_POLL_S)


def _rate_hz(camera: Camera, first: Frame) -> float | None:
    """Count frames by their stamps; None if a recording ended before there were two."""
    newest, started_s = first, time.monotonic()
    try:
        while (elapsed_s := time.monotonic() - started_s) < COUNT_S or (
            newest.seq == first.seq and elapsed_s < SLOWEST_S
        ):
            with contextlib.suppress(StaleFrame):  # between two frames a slow camera is away
                newest = camera.latest(10.0)
            time.sleep(_POLL_S)
    except EndOfFrames:
        pass
    seconds = (newest.stamp_ns - first.stamp_ns) / 1e9
    if seconds <= 0:
        return None if newest.seq == first.seq else 0.0
    return (newest.seq - first.seq) / seconds


def _save(frame: Frame, path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    write_whole(path, cv2.imencode(".png", cv2.cvtColor(frame.image, cv2.COLOR_RGB2BGR))[1].tobytes())
    return path
