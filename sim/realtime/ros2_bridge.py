"""The simulated robot as nodes of ROS 2: `python -m sim.realtime.ros2_bridge --seed 1 --target cup`.

It publishes /sim/image and /odom, and drives as /cmd_vel says. The base stops by its own timeout when no
command comes. Each setpoint that it applies is one line of the log. One JSON line on standard output says
that all is up; at the end of standard input another one tells the truth about the run, and it ends.
"""

import argparse
import array
import contextlib
import json
import math
import os
import select
import sys
import time
from pathlib import Path
from typing import Any

from edge.clock import MonotonicClock
from edge.errors import EdgeError
from edge.records import ZERO, Image, Velocity
from edge.ros2 import RosNode, load_ros
from sim.realtime.camera import CameraThread, Optics
from sim.realtime.camera_faults import FaultyCamera
from sim.realtime.room_time import RoomTime, SetpointLog
from sim.render import CameraSpec
from sim.targets import make_scene, truth
from sim.world import World

COMMAND_LIMIT_NS = 500_000_000  # no command for this long: zero
ODOMETRY_PERIOD_NS = 20_000_000


class ImageTopic:
    """Takes the camera's images as a ring does, and publishes them."""

    def __init__(self, node: RosNode, topic: str) -> None:
        self._message = load_ros("sensor_msgs.msg").Image()
        self._message.header.frame_id = "camera"
        self._publisher = node.publisher(type(self._message), topic, "best_effort")

    def write(self, image: Image, stamp_ns: int) -> None:
        """Publish one image (H, W, 3) RGB."""
        message = self._message
        message.height, message.width, _ = image.shape
        message.encoding, message.step = "rgb8", 3 * message.width
        message.data = array.array("B", image.tobytes())
        set_stamp(message, stamp_ns)
        self._publisher.publish(message)


class RosBase:
    """The base's own board: commands in, odometry out, and a log of what it applies."""

    def __init__(self, node: RosNode, world: World, log: Path) -> None:
        self.world = world
        self._node = node
        self._clock = MonotonicClock()
        self.time = RoomTime(world, self._clock)
        self._command_ns: int | None = None
        self._odometry_due_ns = 0
        self._log = SetpointLog(log)
        self._message = load_ros("nav_msgs.msg").Odometry()
        self._message.header.frame_id, self._message.child_frame_id = "odom", "base_link"
        self._publisher = node.publisher(type(self._message), "/odom", "reliable")
        node.subscribe(load_ros("geometry_msgs.msg").Twist, "/cmd_vel", self._on_command, "reliable")

    def step(self) -> int:
        """Wait for the next time step and take it; return its CLOCK_MONOTONIC ns."""
        due_ns, now_ns = self.time.wait()
        self._node.spin(1)
        if self._command_ns is not None and now_ns - self._command_ns > COMMAND_LIMIT_NS:
            self._command_ns = None
            self._set(ZERO, now_ns)
        self.world.step()
        if now_ns >= self._odometry_due_ns:
            self._odometry_due_ns = now_ns + ODOMETRY_PERIOD_NS
            self._publish_odometry(now_ns)
        return due_ns

    def close(self) -> None:
        """Close the log."""
        self._log.close()

    def _on_command(self, message: Any) -> None:
        self._command_ns = self._clock.now_ns()
        self._set(Velocity(message.linear.x, message.linear.y, message.angular.z), self._command_ns)

    def _set(self, velocity: Velocity, now_ns: int) -> None:
        self.world.command(velocity)
        self._log.write(velocity, now_ns)

    def _publish_odometry(self, now_ns: int) -> None:
        message, state = self._message, self.world.odometry(now_ns)
        set_stamp(message, now_ns)
        pose, twist = message.pose.pose, message.twist.twist
        pose.position.x, pose.position.y = state.x_m, state.y_m
        pose.orientation.z, pose.orientation.w = math.sin(state.yaw_rad / 2), math.cos(state.yaw_rad / 2)
        twist.linear.x, twist.linear.y = state.velocity.linear_x_m_s, state.velocity.linear_y_m_s
        twist.angular.z = state.velocity.angular_z_rad_s
        self._publisher.publish(message)


def set_stamp(message: Any, monotonic_ns: int) -> None:
    """Write a CLOCK_MONOTONIC time into a message's header, as the wall clock had it."""
    wall_ns = time.time_ns() - (time.monotonic_ns() - monotonic_ns)
    message.header.stamp.sec, message.header.stamp.nanosec = wall_ns // 10**9, wall_ns % 10**9


def _arguments(argv: list[str]) -> argparse.Namespace:
    spec = CameraSpec()
    parser = argparse.ArgumentParser(
        prog="python -m sim.realtime.ros2_bridge", description="The simulated robot as nodes of ROS 2."
    )
    parser.add_argument("--seed", type=int, default=1, help="seed of the room")
    parser.add_argument("--target", default="cup", help="what is in the room")
    parser.add_argument("--domain", type=int, default=int(os.environ.get("ROS_DOMAIN_ID") or 0))
    parser.add_argument("--log", type=Path, default=Path(os.devnull), help="gets what the base applies")
    parser.add_argument("--rate-hz", type=float, default=spec.rate_hz, help="images a second")
    return parser.parse_args(argv)


def _bridge(options: argparse.Namespace) -> None:
    world = World(make_scene(options.seed, options.target))
    spec = CameraSpec(rate_hz=options.rate_hz)
    with contextlib.ExitStack() as stack:
        node = stack.enter_context(RosNode("vla_edge_sim", options.domain))
        camera = stack.enter_context(
            CameraThread(world, spec, Optics(), ImageTopic(node, "/sim/image"), FaultyCamera("none", 0.0))
        )
        base = stack.enter_context(contextlib.closing(RosBase(node, world, options.log)))
        print(json.dumps({"renderer": camera.backend}), flush=True)
        base.time.start()
        while not (select.select([sys.stdin], [], [], 0)[0] and not sys.stdin.read(1)):
            camera.expose_if_due(base.step())
        found = {
            "frames": camera.frames,
            "frames_skipped": camera.skipped,
            "lost_ms": base.time.lost_ns // 1_000_000,
        }
        print(json.dumps({**truth(world, options.target), **found}), flush=True)


def main(argv: list[str]) -> int:
    """Run until standard input ends; return the exit code."""
    try:
        _bridge(_arguments(argv))
    except EdgeError as error:
        print(f"error: {error.message}\nhint: {error.hint}", file=sys.stderr)
        return error.exit_code
    except KeyboardInterrupt:
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
