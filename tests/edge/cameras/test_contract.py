"""The contract of all cameras: one parameter for each scheme."""

import os
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import cv2
import numpy as np
import pytest

from edge.cameras import csi, v4l2
from edge.cameras.gstreamer.job import StreamJob
from edge.cameras.open import FrameRing
from edge.clock import VirtualClock
from edge.plugins import CAMERAS
from tests.edge.cameras.camera_contract import CameraCase, CameraContract, LiveCameraContract, LiveCase
from tests.edge.cameras.gstreamer.peers import LIVE, needs_gstreamer, needs_rtsp_server, rtsp_server


class Folder:
    """A folder of pictures, each a little brighter, played at a rate: the camera moves on with the clock."""

    def __init__(self, folder: Path) -> None:
        for index in range(10):
            cv2.imwrite(str(folder / f"{index}.png"), np.full((8, 8, 3), 20 * index, np.uint8))
        self.address = f"file://{folder}?rate=2"

    def expose(self) -> None:
        """Do nothing: a file shows its own frames."""


class Ring:
    """A ring in shared memory that the test writes into."""

    def __init__(self, ring: FrameRing, name: str, clock: VirtualClock) -> None:
        self.address = f"shm://{name}"
        self._ring = ring
        self._clock = clock

    def expose(self) -> None:
        image = np.full((8, 8, 3), 20 * self._ring.written, np.uint8)
        self._ring.write(image, self._clock.now_ns())


@contextmanager
def folder(tmp_path: Path, clock: VirtualClock) -> Iterator[Folder]:
    yield Folder(tmp_path)


@contextmanager
def ring(tmp_path: Path, clock: VirtualClock) -> Iterator[Ring]:
    name = f"vla-edge-contract-{os.getpid()}"
    with FrameRing.create(name, 8, 8) as made:
        yield Ring(made, name, clock)


CASES = [
    CameraCase(
        "file",
        folder,
        ("file://", "file:///dev?rate=x", "file:///dev?rat=1"),
        ("file:///nonexistent", "file:///dev/null"),
        100,
    ),
    CameraCase(
        "shm", ring, ("shm://", "shm://../etc", "shm://a\0b", "shm://.x"), ("shm://no-such-ring",), 33
    ),
]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.scheme)
class TestCamera(CameraContract):
    """All cameras that are built in."""


@dataclass(frozen=True)
class Live:
    """A source that shows moving pictures by itself."""

    address: str


@contextmanager
def pipeline(tmp_path: Path) -> Iterator[Live]:
    yield Live(LIVE)


@contextmanager
def network(tmp_path: Path) -> Iterator[Live]:
    with rtsp_server() as host:
        yield Live(f"rtsp://{host}/mjpeg")


def on_hardware(address: str, module: object) -> Callable[[Path], AbstractContextManager[Live]]:
    """Put GStreamer's test pictures in place of a device that is not here; all else is the camera's own."""

    @contextmanager
    def opened(tmp_path: Path) -> Iterator[Live]:
        def job_of(text: str) -> StreamJob:
            source = LIVE.removeprefix("gst://")
            return replace(real(text), source=source, engine="gstreamer", hardware=False, jpeg=False)

        with pytest.MonkeyPatch.context() as patch:
            real = module.job_of  # type: ignore[attr-defined]
            patch.setattr(module, "job_of", job_of)
            patch.setattr(v4l2, "check_device", lambda *_: None)
            yield Live(address)

    return opened


LIVE_CASES = [
    LiveCase(
        "gst",
        pipeline,
        ("gst://", "gst://nosuch", "gst://videotestsrc?flip=left", "gst://a\0b"),
        ("gst://filesrc location=/nonexistent ! decodebin", "gst://nvarguscamerasrc"),
    ),
    LiveCase(
        "csi",
        on_hardware("csi://0?flip=180", csi),
        ("csi://", "csi://-1", "csi://16", "csi://0?width=0", "csi://0?fps=x", "csi://0?exposure=1"),
        ("csi://0",),
    ),
    LiveCase(
        "v4l2",
        on_hardware("v4l2:///dev/video0", v4l2),
        ("v4l2://", "v4l2://video0", "v4l2:///dev/video0?format=h264", "v4l2:///dev/video0?fps=0"),
        ("v4l2:///dev/v4l/by-id/nosuch", "v4l2:///dev/null", "v4l2:///etc/hostname"),
    ),
    LiveCase(
        "rtsp",
        network,
        ("rtsp://", "rtsp://h:port/", "rtsp://h/x?transport=carrier", "rtsp://h/a b", 'rtsp://h/"'),
        ("rtsp://127.0.0.1:1/x", "rtsp://nosuch.invalid/x"),
    ),
]


@needs_gstreamer
@needs_rtsp_server
@pytest.mark.parametrize("case", LIVE_CASES, ids=lambda case: case.scheme)
class TestLiveCamera(LiveCameraContract):
    """All cameras that are built in and run in real time."""


def test_no_camera_is_left_out():
    # That of ROS 2 is held to the contract where ROS is: tests/ros2/test_camera.py.
    assert {case.scheme for case in [*CASES, *LIVE_CASES]} | {"ros2"} == set(CAMERAS.built_in)
