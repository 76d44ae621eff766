"""What stands at the other end of the topics: a camera's node and a base's."""

import array
import contextlib
import math
import os
import threading
import time
from collections.abc import Iterator
from typing import Any

import cv2
import numpy as np

from edge.records import ZERO, Image, Velocity
from edge.ros2 import RosNode, load_ros
from sim.realtime.ros2_bridge import set_stamp


def image_message(image: Image, encoding: str = "rgb8") -> Any:
    """A sensor_msgs/msg/Image of an array (H, W, channels), without a stamp."""
    message = load_ros("sensor_msgs.msg").Image()
    message.height, message.width = image.shape[:2]
    message.encoding, message.step = encoding, image.size // image.shape[0]
    message.data = array.array("B", image.tobytes())
    return message


def jpeg_message(image: Image) -> Any:
    """A sensor_msgs/msg/CompressedImage of an RGB image, without a stamp."""
    message = load_ros("sensor_msgs.msg").CompressedImage()
    message.format = "rgb8; jpeg compressed bgr8"
    done, data = cv2.imencode(".jpg", cv2.cvtColor(image, cv2.COLOR_RGB2BGR))
    assert done
    message.data = array.array("B", data.tobytes())
    return message


class CameraNode:
    """Publishes images over and over until one is asked for by `expose`; then only those that are."""

    def __init__(self, topic: str = "/camera/image_raw", quality: str = "reliable") -> None:
        self._node = RosNode("camera", domain())
        self._topic, self._quality = topic, quality
        self._publisher: Any = None
        self._shown = threading.Event()
        self._thread: threading.Thread | None = None
        self.address = f"ros2://{topic}?qos=reliable"
        self.count = 0
        self.ahead_ns = 0  # how far its clock is ahead

    def publish(self, message: Any) -> None:
        """Publish one message with the present time."""
        if self._publisher is None:
            self._publisher = self._node.publisher(type(message), self._topic, self._quality)
        set_stamp(message, time.monotonic_ns() + self.ahead_ns)
        self._publisher.publish(message)

    def repeat(self, make: Any, period_s: float = 0.03) -> "CameraNode":
        """Publish what `make(count)` returns from now on, from a thread."""

        def work() -> None:
            while not self._shown.wait(period_s):
                self.publish(make(self.count))
                self.count += 1

        self.hold()
        self._shown.clear()
        self._thread = threading.Thread(target=work)
        self._thread.start()
        return self

    def hold(self) -> None:
        """Publish nothing more by itself."""
        self._shown.set()
        if self._thread is not None:
            self._thread.join()
            self._thread = None

    def expose(self) -> None:
        """Publish one more image, and give it time to become a frame."""
        self.hold()
        self.count += 1
        self.publish(image_message(grey(self.count)))
        self._publisher.wait_for_all_acked(load_ros("rclpy.duration").Duration(seconds=5))
        time.sleep(0.15)

    def close(self) -> None:
        self.hold()
        self._node.close()


def grey(count: int) -> Image:
    return np.full((8, 8, 3), 20 * count % 256, np.uint8)


class BaseNode:
    """A base: remembers each command, publishes odometry and, if wished, an emergency stop."""

    def __init__(self, kind: str = "Twist", odometry: bool = True, quality: str = "best_effort") -> None:
        self.address = "ros2:///cmd_vel"
        self.commands: list[Velocity] = []
        self.frame_ids = ("odom", "base_link")
        self.broken = ""  # "nan", "repeats" or "silent": what is wrong with its odometry
        self.estop: bool | None = None  # published 50 times a second unless None
        self._stamps: list[Any] = []
        self._node = RosNode("base", domain())
        self._gone = threading.Event()
        self._node.subscribe(getattr(load_ros("geometry_msgs.msg"), kind), "/cmd_vel", self._take, quality)
        self._odometry = load_ros("nav_msgs.msg").Odometry()
        self._bool = load_ros("std_msgs.msg").Bool
        self._odometry_out = odometry and self._node.publisher(type(self._odometry), "/odom", "reliable")
        self._estop_out: Any = None
        self._thread = threading.Thread(target=self._work)
        self._thread.start()

    def velocity(self) -> Velocity:
        return self.commands[-1] if self.commands else ZERO

    def unplug(self) -> None:
        if not self._gone.is_set():
            self._gone.set()
            self._thread.join()
            self._node.close()

    def _take(self, message: Any) -> None:
        twist = getattr(message, "twist", message)
        self._stamps.append(getattr(message, "header", None))
        self.commands.append(Velocity(twist.linear.x, twist.linear.y, twist.angular.z))

    @property
    def header(self) -> Any:
        """The header of the newest command."""
        return self._stamps[-1]

    def _work(self) -> None:
        while not self._gone.is_set():
            self._node.spin(1, 0.01)
            self._node.spin(1)
            if self._odometry_out and self.broken != "silent":
                self._odometry_out.publish(self._measured())
            if self.estop is not None:
                self._estop_out = self._estop_out or self._node.publisher(self._bool, "/estop", "reliable")
                self._estop_out.publish(self._bool(data=self.estop))

    def _measured(self) -> Any:
        message, velocity = self._odometry, self.velocity()
        message.header.frame_id, message.child_frame_id = self.frame_ids
        if self.broken != "repeats":
            set_stamp(message, time.monotonic_ns())
        message.pose.pose.position.x = math.nan if self.broken == "nan" else 1.0
        message.pose.pose.orientation.z = message.pose.pose.orientation.w = math.sqrt(0.5)
        message.twist.twist.linear.x = velocity.linear_x_m_s
        message.twist.twist.linear.y = velocity.linear_y_m_s
        message.twist.twist.angular.z = velocity.angular_z_rad_s
        return message


@contextlib.contextmanager
def base_node(kind: str = "Twist", odometry: bool = True, quality: str = "best_effort") -> Iterator[BaseNode]:
    base = BaseNode(kind, odometry, quality)
    try:
        yield base
    finally:
        base.unplug()


def domain() -> int:
    return int(os.environ["ROS_DOMAIN_ID"])
