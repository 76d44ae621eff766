"""The camera `ros2://` against nodes of ROS 2 in this process; its own child listens to them."""

import contextlib
import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import psutil
import pytest

from edge.cameras.open import open_camera
from edge.clock import MonotonicClock
from edge.errors import HardwareMissing, StaleFrame, UsageError
from tests.edge.cameras.camera_contract import MS, PATIENT_S, CameraCase, CameraContract, FrameSource
from tests.ros2.topics import CameraNode, grey, image_message, jpeg_message
from tests.waiting import alive, until


class LiveClock(MonotonicClock):
    """The clock of a camera that nobody can hold up: time is passed by waiting."""

    def advance(self, delta_ns: int) -> None:
        time.sleep(delta_ns / 1e9)


@contextlib.contextmanager
def camera_node(**options: str) -> Iterator[CameraNode]:
    node = CameraNode(**options)
    try:
        yield node
    finally:
        node.close()


@contextlib.contextmanager
def repeating(folder: Path, clock: LiveClock) -> Iterator[CameraNode]:
    with camera_node() as node:
        yield node.repeat(lambda count: image_message(grey(count)))


CASE = CameraCase(
    "ros2",
    repeating,  # pyright: ignore[reportArgumentType]
    (
        "ros2://",
        "ros2://camera/image_raw",
        "ros2:///camera//image",
        "ros2:///camera/image_raw?domain=-1",
        "ros2:///camera/image_raw?qos=sensor",
        "ros2:///camera/image_raw?type=depth",
        "ros2:///camera/image_raw?stamp=none",
        "ros2:///camera/image_raw?flip=90",
        "ros2:///camera/image_raw?rate=30",
    ),
    ("ros2:///nothing?timeout_s=0.5",),
    period_ms=5,
)


@pytest.mark.parametrize("case", [CASE], ids=["ros2"])
class TestRosCamera(CameraContract):
    """The contract of all cameras, with a clock that runs by itself."""

    @pytest.fixture
    def clock(self) -> LiveClock:  # pyright: ignore[reportIncompatibleMethodOverride]
        return LiveClock()

    def test_a_frame_is_an_rgb_image_with_the_time_of_its_capture(
        self,
        source: FrameSource,
        clock: LiveClock,  # pyright: ignore[reportIncompatibleMethodOverride]
    ):
        with open_camera(source.address, clock) as camera:
            before_ns = clock.now_ns()
            source.expose()
            frame = camera.latest(PATIENT_S)
        assert frame.image.dtype == np.uint8 and frame.image.shape == (8, 8, 3)
        # The wall clock, of which its header is, and the monotonic one are read one after the other.
        assert before_ns - MS <= frame.stamp_ns <= clock.now_ns()

    def test_an_old_frame_is_refused_with_its_age_and_the_limit(
        self,
        source: FrameSource,
        clock: LiveClock,  # pyright: ignore[reportIncompatibleMethodOverride]
    ):
        with open_camera(source.address, clock) as camera:
            source.expose()
            assert camera.latest(PATIENT_S)
            clock.advance(15 * MS)
            with pytest.raises(StaleFrame, match=r"front.* \d+ ms old \(limit 10 ms\)") as caught:
                camera.latest(0.010)
        assert caught.value.exit_code == 4 and "ros2 topic hz" in caught.value.hint


def halves() -> np.ndarray:
    """An image whose left is red and whose right is blue, (8, 12, 3)."""
    image = np.zeros((8, 12, 3), np.uint8)
    image[:, :6], image[:, 6:] = (250, 0, 0), (0, 0, 250)
    return image


def newest(address: str) -> np.ndarray:
    with open_camera(address, MonotonicClock()) as camera:
        return camera.latest(PATIENT_S).image


def test_colours_and_the_view_are_right_and_its_size_holds():
    with camera_node() as node:
        node.repeat(lambda _: image_message(halves()[:, :, ::-1], "bgr8"))
        assert (newest(node.address) == halves()).all()
        assert (newest(f"{node.address}&flip=180") == halves()[::-1, ::-1]).all()
        assert newest(f"{node.address}&rotate=90&out=4x6").shape == (6, 4, 3)


def test_a_compressed_topic_is_known_by_its_type():
    with camera_node(topic="/camera/compressed") as node:
        node.repeat(lambda _: jpeg_message(np.repeat(np.repeat(halves(), 8, 0), 8, 1)))
        image = newest(node.address).astype(int)
        assert image.shape == (64, 96, 3)
        assert abs(image[32, 8] - (250, 0, 0)).max() < 30 and abs(image[32, 88] - (0, 0, 250)).max() < 30
        with pytest.raises(HardwareMissing, match=r"carries sensor_msgs/msg/CompressedImage, not .*/Image"):
            newest(f"{node.address}&type=image&timeout_s=3")


def test_a_best_effort_publisher_serves_no_reliable_listener():
    with camera_node(quality="best_effort") as node:
        node.repeat(lambda _: image_message(halves()))
        assert newest(node.address.replace("reliable", "best_effort")).shape == (8, 12, 3)
        with pytest.raises(HardwareMissing, match="best effort") as caught:
            newest(node.address)
        assert "qos" in caught.value.hint


@pytest.mark.parametrize(
    ("ahead_ms", "said"),
    [(100, r"(9\d|100) ms ahead of"), (-18_000, "18 s behind"), (-1_700_000_000_000, "behind")],
)
def test_stamps_of_another_clock_are_named_before_anything_moves_2(ahead_ms: int, said: str):
    with camera_node() as node:
        node.ahead_ns = ahead_ms * MS
        node.repeat(lambda _: image_message(halves()))
        with pytest.raises(HardwareMissing, match=said) as caught:
            newest(node.address)
        assert "stamp=arrival" in caught.value.hint
        assert newest(f"{node.address}&stamp=arrival").shape == (8, 12, 3)


def test_an_encoding_that_is_not_understood_is_named():
    with camera_node() as node:
        node.repeat(lambda _: image_message(np.zeros((4, 8, 2), np.uint8), "16UC1"))
        with pytest.raises(HardwareMissing, match=r"encoding '16UC1' is none of rgb8"):
            newest(node.address)


def test_a_topic_that_is_there_without_images_says_so():
    with camera_node() as node:
        node.publish(image_message(halves()))  # once, before anybody listens
        with pytest.raises(HardwareMissing, match="publishes it, but no image came within 2 s"):
            newest(f"{node.address}&timeout_s=2")


def test_a_size_that_changes_ends_it_unless_the_address_says_a_size_14():
    size = [8, 12]
    with camera_node() as node:
        node.repeat(lambda _: image_message(np.zeros((*size, 3), np.uint8)))
        with open_camera(f"{node.address}&out=6x4", MonotonicClock()) as steady:
            with open_camera(node.address, MonotonicClock()) as camera:
                size.reverse()
                with pytest.raises(HardwareMissing, match="were 12 x 8 pixels, and now are 8 x 12") as caught:
                    until(lambda: camera.latest(PATIENT_S) is None)
            assert "out=" in caught.value.hint
            assert steady.latest(PATIENT_S).image.shape == (4, 6, 3)


def test_only_the_newest_image_counts_after_the_listener_was_held_up_4():
    with camera_node() as node:
        node.repeat(lambda count: image_message(grey(count)))
        with open_camera(f"{node.address}&stamp=arrival", MonotonicClock()) as camera:
            child = psutil.Process(camera._child.pid)  # pyright: ignore[reportAttributeAccessIssue]
            child.suspend()
            time.sleep(0.6)
            at = node.count
            child.resume()
            until(lambda: camera.latest(PATIENT_S).image[0, 0, 0] != grey(at)[0, 0, 0] or node.count > at + 2)
            until(lambda: shown(camera.latest(PATIENT_S).image, at) >= at - 1)


def shown(image: np.ndarray, near: int) -> int:
    """The number of an image of `grey`, the one nearest to `near`."""
    value = int(image[0, 0, 0])
    return min(range(near - 100, near + 100), key=lambda n: (int(grey(n)[0, 0, 0]) != value, abs(n - near)))


def test_a_dead_child_is_missing_hardware_and_a_dead_runtime_ends_it():
    with camera_node() as node:
        node.repeat(lambda count: image_message(grey(count)))
        with open_camera(node.address, MonotonicClock()) as camera:
            pid = camera._child.pid  # pyright: ignore[reportAttributeAccessIssue]
            os.kill(pid, signal.SIGKILL)
            with pytest.raises(HardwareMissing, match="killed by signal 9"):
                until(lambda: camera.latest(PATIENT_S) is None)
        with open_camera(node.address, MonotonicClock()) as camera:
            pid = camera._child.pid  # pyright: ignore[reportAttributeAccessIssue]
            camera._control.close()  # pyright: ignore[reportAttributeAccessIssue]
            until(lambda: not alive(pid))


def test_a_bad_domain_in_the_environment_is_bad_usage(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("ROS_DOMAIN_ID", "seven")
    with pytest.raises(UsageError, match="ROS_DOMAIN_ID 'seven'"):
        newest("ros2:///camera/image_raw")
