"""Listen to a topic: `python -m edge.cameras.ros2.child --control FD --address URI --ring NAME`.

Every image becomes RGB, is turned as the address says, and goes into the ring with the time of its capture.
The socket gets one JSON line when the first one is there, or one with what went wrong. The socket's end means
that the runtime is gone; then this process ends, too.
"""

import argparse
import contextlib
import json
import select
import signal
import socket
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from edge.address import Address
from edge.cameras.ros2.images import DamagedImage, UnknownImage, compressed_image, raw_image
from edge.cameras.ros2.stamps import MOST_DROPPED, RosStamps, WrongClock
from edge.cameras.shm import FrameRing
from edge.cameras.view import ImageView, take_view
from edge.errors import EdgeError, HardwareMissing
from edge.records import Image
from edge.ros2 import QUALITIES, RosNode, load_ros, shared_memory_note, take_domain, topic_name

EXAMPLE = "such as ros2:///camera/image_raw?qos=best_effort"
TYPES = {"image": "sensor_msgs/msg/Image", "compressed": "sensor_msgs/msg/CompressedImage"}
STAMPS = ("header", "arrival")


@dataclass(frozen=True, slots=True)
class RosCameraOptions:
    """What an address of the camera says. `type` is empty where the topic's publisher decides."""

    topic: str
    domain: int
    quality: str
    type: str
    by_header: bool
    timeout_s: float
    view: ImageView


def parse_camera(text: str) -> RosCameraOptions:
    """Take a camera's address apart. Raises UsageError if it is malformed."""
    address = Address(text, "camera", EXAMPLE)
    options = RosCameraOptions(
        topic_name(address, address.place),
        take_domain(address),
        address.choice("qos", QUALITIES[0], QUALITIES),
        address.choice("type", "", ("", *TYPES)),
        address.choice("stamp", STAMPS[0], STAMPS) == STAMPS[0],
        address.number("timeout_s", 5.0, 0.5, 60.0),
        take_view(address),
    )
    address.finish()
    return options


class Listener:
    """A topic on its way into a ring. `what` begins its errors."""

    def __init__(self, node: RosNode, options: RosCameraOptions, ring_name: str) -> None:
        self.ring: FrameRing | None = None
        self._node = node
        self._options = options
        self._ring_name = ring_name
        self._what = f"camera ros2://{options.topic}"
        self._stamps = RosStamps(options.by_header)
        self._to_rgb: Callable[[Any], Image] = raw_image
        self._damaged = 0  # images in a row that could not be read
        self._subscription: Any = None

    def open(self) -> None:
        """Wait for a publisher, then for the first image. Raises HardwareMissing if there is none."""
        options = self._options
        wanted = TYPES.get(options.type)
        if not self._node.until(lambda: self._offers(wanted), options.timeout_s):
            raise self._nobody(wanted)
        offer = self._offers(wanted)[0]
        by = self._node.names([offer])
        if options.quality == "reliable" and not self._node.reliable(offer):
            raise HardwareMissing(
                f"{self._what}: {by} publishes it as best effort, which reaches no reliable listener",
                "leave qos=reliable out of the address",
            )
        kind = offer.topic_type.rpartition("/")[2]
        self._to_rgb = compressed_image if kind == "CompressedImage" else raw_image
        message = getattr(load_ros("sensor_msgs.msg"), kind)
        self._subscription = self._node.subscribe(message, options.topic, self._take, options.quality)
        if not self._node.until(lambda: self.ring is not None, options.timeout_s):
            raise HardwareMissing(
                f"{self._what}: {by} publishes it, but no image came within {options.timeout_s:g} s",
                shared_memory_note() or f"`ros2 topic hz {options.topic}` shows whether it publishes images",
            )

    def _offers(self, wanted: str | None) -> list[Any]:
        kinds = (wanted,) if wanted else tuple(TYPES.values())
        return [each for each in self._node.publishers(self._options.topic) if each.topic_type in kinds]

    def _nobody(self, wanted: str | None) -> HardwareMissing:
        others = sorted({each.topic_type for each in self._node.publishers(self._options.topic)})
        if others:
            kinds = wanted or " or ".join(TYPES.values())
            return HardwareMissing(f"{self._what} carries {', '.join(others)}, not {kinds}", EXAMPLE)
        limit_s = self._options.timeout_s
        message = f"{self._what}: nobody publishes it within {limit_s:g} s"
        return self._node.nothing_there(message, wanted or TYPES["image"])

    def _take(self, message: Any) -> None:
        """Put one message into the ring. Raises HardwareMissing if images like it can't be used."""
        now_ns, wall_ns = time.monotonic_ns(), time.time_ns()
        stamp = message.header.stamp
        try:
            capture_ns = self._stamps.capture_ns(stamp.sec * 10**9 + stamp.nanosec, wall_ns, now_ns)
            image = self._options.view.apply(self._to_rgb(message))
        except WrongClock as error:
            raise HardwareMissing(
                f"{self._what}: {error}",
                "set both computers by one clock (chrony), or take the time of arrival: stamp=arrival; then "
                "nothing shows how long images are on their way",
            ) from error
        except UnknownImage as error:
            raise HardwareMissing(f"{self._what}: {error}", "set another encoding in its driver") from error
        except DamagedImage as error:
            self._count_damage(error)
            return
        self._damaged = 0
        if capture_ns is not None:
            self._write(image, capture_ns)

    def _count_damage(self, error: DamagedImage) -> None:
        self._damaged += 1
        if self._damaged >= MOST_DROPPED:
            raise HardwareMissing(
                f"{self._what}: {MOST_DROPPED} images in a row can't be read: {error}",
                f"`ros2 topic echo --once {self._options.topic}` shows what comes",
            ) from error

    def _write(self, image: Image, capture_ns: int) -> None:
        height, width = image.shape[:2]
        if self.ring is None:
            self.ring = FrameRing.create(self._ring_name, height, width)
        if (height, width) != (self.ring.height, self.ring.width):
            raise HardwareMissing(
                f"{self._what}: its images were {self.ring.width} x {self.ring.height} pixels, and now are "
                f"{width} x {height}",
                "out=WIDTHxHEIGHT in the address makes all of them one size",
            )
        self.ring.write(image, capture_ns)


def main(argv: list[str]) -> int:
    """Run until the runtime lets go; return the exit code, and send what failed over the socket."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    parser = argparse.ArgumentParser(prog="python -m edge.cameras.ros2.child")
    parser.add_argument("--control", type=int, required=True, help="the socket to the runtime, inherited")
    parser.add_argument("--address", required=True, help="the camera's address")
    parser.add_argument("--ring", required=True, help="name of the shared memory for the frames")
    arguments = parser.parse_args(argv)
    with socket.socket(fileno=arguments.control) as control, contextlib.ExitStack() as rings:
        try:
            _listen(control, parse_camera(arguments.address), arguments.ring, rings)
        except EdgeError as error:
            _send(control, {"error": error.message, "hint": error.hint, "exit_code": error.exit_code})
            select.select([control], [], [])  # the runtime, which may be slow, opens the ring by its name
            return error.exit_code
    return 0


def _listen(
    control: socket.socket, options: RosCameraOptions, ring_name: str, rings: contextlib.ExitStack
) -> None:
    """Publish a topic's images until the runtime lets go. `rings` closes what they are in."""
    with RosNode("vla_edge_camera", options.domain) as node:
        listener = Listener(node, options, ring_name)
        listener.open()
        assert listener.ring is not None  # `open` waited for it
        ring = rings.enter_context(listener.ring)
        _send(control, {"width": ring.width, "height": ring.height})
        while not select.select([control], [], [], 0)[0]:  # nothing is ever sent here: it is its end
            node.spin(1, 0.05)


def _send(control: socket.socket, message: dict[str, Any]) -> None:
    with contextlib.suppress(BrokenPipeError, ConnectionResetError):  # the runtime is gone
        control.sendall(json.dumps(message).encode() + b"\n")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
