"""The contract of all cameras: one parameter for each scheme."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import cv2
import numpy as np
import pytest

from edge.cameras.open import FrameRing
from edge.clock import VirtualClock
from edge.plugins import CAMERAS
from tests.edge.cameras.camera_contract import CameraCase, CameraContract


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


def test_no_camera_is_left_out():
    # That of ROS 2 is held to the contract where ROS is: tests/ros2/test_camera.py.
    assert {case.scheme for case in CASES} | {"ros2"} == set(CAMERAS.built_in)
