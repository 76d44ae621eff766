"""The camera `ros2:///camera/image_raw?domain=0`, as the runtime sees it: a child process and its ring."""

import contextlib
import json
import os
import socket
import subprocess
import sys
from typing import Any

from edge.cameras.ros2.child import RosCameraOptions, parse_camera
from edge.cameras.shm import FrameRing, ShmCamera
from edge.child import child_environment
from edge.clock import Clock
from edge.errors import EdgeError, HardwareMissing, UsageError
from edge.interfaces import Closing
from edge.records import Frame

START_S = 20.0  # for the child to import and to join the network, beside the address's own timeouts
END_S = 2.0


class RosCamera(Closing):
    """Frames of a topic. Constructing waits for the first one."""

    def __init__(self, text: str, options: RosCameraOptions, clock: Clock, name: str) -> None:
        """Start the child and wait until it has an image.

        Raises UsageError if ROS 2 can't be imported, HardwareMissing if no image comes.
        """
        self.name = name
        self._options = options
        self._received = b""
        self._frames: ShmCamera | None = None
        self._ring_name = f"vla-edge-ros2-{os.getpid()}-{os.urandom(4).hex()}"
        self._control, there = socket.socketpair()
        command = [sys.executable, "-m", "edge.cameras.ros2.child", "--control", str(there.fileno())]
        command += ["--address", text, "--ring", self._ring_name]
        # Its end of the socket must live nowhere else, or neither side would notice the other one's death.
        with there:
            self._child = subprocess.Popen(
                command,
                pass_fds=[there.fileno()],
                start_new_session=True,
                stdin=subprocess.DEVNULL,
                env=child_environment(),
            )
        try:
            self._control.settimeout(2 * options.timeout_s + START_S)
            self._answer()
            self._control.setblocking(False)
            self._frames = ShmCamera(self._ring_name, clock, name, hint=self._hint())
        except BaseException:
            self.close()
            raise

    def latest(self, max_age_s: float) -> Frame:
        """Return the newest frame.

        Raises StaleFrame if it is too old, HardwareMissing if the child gave up.
        """
        with contextlib.suppress(BlockingIOError):
            self._answer()
        assert self._frames is not None  # the constructor made it
        return self._frames.latest(max_age_s)

    def close(self) -> None:
        """End the child, and kill it if it does not."""
        self._control.close()
        try:
            self._child.wait(END_S)
        except subprocess.TimeoutExpired:
            self._child.kill()
            self._child.wait()
        if self._frames is not None:
            self._frames.close()
        FrameRing.unlink(self._ring_name)

    def _answer(self) -> dict[str, Any]:
        """Return the child's next line. Raises what the child raised, HardwareMissing if it is gone."""
        while b"\n" not in self._received:
            try:
                data = self._control.recv(65536)
            except TimeoutError as error:
                raise HardwareMissing(
                    f"camera ros2://{self._options.topic}: its process says nothing",
                    "close what else uses this computer",
                ) from error
            except ConnectionResetError:
                data = b""
            if not data:
                raise self._gone()
            self._received += data
        line, _, self._received = self._received.partition(b"\n")
        message = json.loads(line)
        if "error" in message:
            kind = UsageError if message["exit_code"] == UsageError.exit_code else HardwareMissing
            raise kind(message["error"], message["hint"])
        return message

    def _gone(self) -> EdgeError:
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._child.wait(1.0)
        code = self._child.returncode
        how = f"killed by signal {-code}" if code is not None and code < 0 else f"exit code {code}"
        return HardwareMissing(
            f"camera ros2://{self._options.topic}: its process is gone: {how}", "run the command again"
        )

    def _hint(self) -> str:
        topic = self._options.topic
        return f"does the node of {topic} still publish? `ros2 topic hz {topic}`"


def open_address(address: str, clock: Clock, name: str = "front") -> RosCamera:
    """Open `ros2:///TOPIC`. Raises UsageError for a malformed address, and what `RosCamera` raises."""
    return RosCamera(address, parse_camera(address), clock, name)
