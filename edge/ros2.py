"""What cameras and motors of ROS 2 share: rclpy if it is there, a node, and what is in sight.

Nothing of ROS is imported before an address asks for it, so all of its types are known at run time only.
Times of our own are CLOCK_MONOTONIC; ROS's clocks appear in the headers of messages alone.
"""

import contextlib
import os
import re
import shutil
import sys
import time
from collections.abc import Callable, Generator, Mapping, Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

from edge.address import Address
from edge.errors import HardwareMissing, UsageError, reason_of
from edge.interfaces import Closing

INSTALLED = Path("/opt/ros")
SHARED_MEMORY = Path("/dev/shm")
LEAST_SHARED_BYTES = 64 * 2**20  # what a container gets if nobody says otherwise
HIGHEST_DOMAIN = 232  # above it, DDS's ports end
QUALITIES = ("best_effort", "reliable")
THREADS_PRIORITY = 10  # the middleware's, below that of the motor process's own loop
SETTLE_S = 0.3  # from the first node in sight until the others are, too
_TOPIC = re.compile(r"(/[A-Za-z_]\w{0,63}){1,8}", re.ASCII)
_SOURCE = "in this terminal, before the command: source /opt/ros/{}/setup.bash"


def load_ros(name: str) -> Any:
    """Import a module of ROS 2. Raises UsageError with what to do if it can't be imported here."""
    try:
        return import_module(name)
    except (ImportError, AttributeError) as error:  # a numpy of another version raises AttributeError
        raise missing_ros(error, INSTALLED, os.environ) from error


def missing_ros(error: Exception, installed: Path, environment: Mapping[str, str]) -> UsageError:
    """Return why ROS 2 can't be imported, by what is in the folder `installed` and in the environment."""
    here = f"{sys.version_info.major}.{sys.version_info.minor}"
    pythons = {
        folder.parents[3].name: folder.parents[1].name.removeprefix("python")
        for folder in sorted(installed.glob("*/lib/python3.*/site-packages/rclpy"))
    }
    package = getattr(error, "name", None) or ""
    sourced = environment.get("ROS_DISTRO", "")
    if "numpy" in str(error) or "_ARRAY_API" in str(error):
        return UsageError(
            f"ROS 2 does not work with this numpy: {reason_of(error)}", "python -m pip install 'numpy<2'"
        )
    if here in pythons.values() and sourced not in pythons:
        name = next(name for name, python in pythons.items() if python == here)
        return UsageError(f"ROS 2 {name} is installed, but not in this terminal", _SOURCE.format(name))
    if pythons and here not in pythons.values():
        name, python = next(((n, p) for n, p in pythons.items() if n == sourced), next(iter(pythons.items())))
        return UsageError(
            f"ROS 2 {name} is made for Python {python}, and this is Python {here}",
            f"make vla-edge's environment with that one: rm -r .venv && make run PYTHON=python{python}",
        )
    if package and not package.startswith(("rclpy", "geometry_msgs", "nav_msgs", "sensor_msgs", "std_msgs")):
        return UsageError(
            f"ROS 2 needs the Python package {package!r}, which is not installed",
            f"python -m pip install {'pyyaml' if package == 'yaml' else package}",
        )
    return UsageError(
        f"ROS 2 is not here: {reason_of(error)}",
        f"install it, then {_SOURCE.format('humble')} (Humble needs Python 3.10, Jazzy 3.12; "
        f"this is {here}); to try it without: scripts/ros2-venv",
    )


def topic_name(address: Address, name: str) -> str:
    """Return the full name of a topic, such as /cmd_vel. Raises UsageError if it is malformed."""
    if not _TOPIC.fullmatch(name):
        raise address.error(f"{name[:80]!r} is not a topic's full name, such as /cmd_vel")
    return name


def take_domain(address: Address) -> int:
    """Take the option `domain` of an address; without it ROS_DOMAIN_ID counts, or else 0.

    Raises UsageError if it is not a whole number from 0 to 232.
    """
    text = os.environ.get("ROS_DOMAIN_ID") or "0"
    default = int(text) if text.isascii() and text.isdigit() and len(text) < 4 else -1
    domain = address.whole("domain", default, 0, HIGHEST_DOMAIN)
    if not 0 <= domain <= HIGHEST_DOMAIN:
        raise address.error(f"ROS_DOMAIN_ID {text[:20]!r} is not a whole number from 0 to {HIGHEST_DOMAIN}")
    return domain


class RosNode(Closing):
    """A node in a context of its own, worked by `spin` alone: it starts no thread of Python's."""

    def __init__(self, name: str, domain: int) -> None:
        """Join the domain; this process's pid follows the name.

        Raises UsageError if ROS 2 can't be imported, HardwareMissing if it does not start.
        """
        self._rclpy = load_ros("rclpy")
        self._qos = load_ros("rclpy.qos")
        signals, executors = load_ros("rclpy.signals"), load_ros("rclpy.executors")
        self.name = f"{name}_{os.getpid()}"
        self.domain = domain
        self._context = self._rclpy.Context()
        self._closed = False
        try:
            # Signals are the runtime's own affair.
            self._rclpy.init(
                args=[],
                context=self._context,
                domain_id=domain,
                signal_handler_options=signals.SignalHandlerOptions.NO,
            )
            self._node = self._rclpy.create_node(
                self.name,
                context=self._context,
                use_global_arguments=False,
                enable_rosout=False,
                start_parameter_services=False,
            )
            self._executor = executors.SingleThreadedExecutor(context=self._context)
            self._executor.add_node(self._node)
        except Exception as error:
            self._context.try_shutdown()
            raise HardwareMissing(
                f"ROS 2 does not start in domain {domain}: {reason_of(error)}",
                "check RMW_IMPLEMENTATION, the network and the free space of /dev/shm",
            ) from error

    def spin(self, times: int, wait_s: float = 0.0) -> None:
        """Call back for at most `times` messages; wait at most `wait_s` for each."""
        for _ in range(times):
            self._executor.spin_once(timeout_sec=wait_s)

    def publisher(self, kind: Any, topic: str, quality: str) -> Any:
        """Return a publisher whose newest message alone counts."""
        return self._node.create_publisher(kind, topic, self._profile(quality, latched=False))

    def subscribe(
        self, kind: Any, topic: str, callback: Callable[[Any], None], quality: str, latched: bool = False
    ) -> Any:
        """Call back with the newest message of a topic; if it is latched, also with the one before now."""
        return self._node.create_subscription(kind, topic, callback, self._profile(quality, latched))

    def publishers(self, topic: str) -> list[Any]:
        """Return what publishes on a topic: each with `node_name`, `topic_type`, `qos_profile`."""
        return list(self._node.get_publishers_info_by_topic(topic))

    def subscribers(self, topic: str) -> list[Any]:
        """Return what listens to a topic, as `publishers` does."""
        return list(self._node.get_subscriptions_info_by_topic(topic))

    def names(self, endpoints: Sequence[Any]) -> str:
        """Return the nodes behind endpoints, for people; a node's name may come later than its endpoints."""
        known = sorted({str(each.node_name) for each in endpoints if "UNKNOWN" not in each.node_name})
        return ", ".join(known) or "another node"

    def reliable(self, endpoint: Any) -> bool:
        """Return True if an endpoint has its messages sent again until they arrive."""
        return endpoint.qos_profile.reliability == self._qos.ReliabilityPolicy.RELIABLE

    def latched(self, endpoint: Any) -> bool:
        """Return True if an endpoint's last message reaches those that join later."""
        return endpoint.qos_profile.durability == self._qos.DurabilityPolicy.TRANSIENT_LOCAL

    def until(self, condition: Callable[[], object], limit_s: float) -> bool:
        """Wait and call back until the condition holds; False if it does not within `limit_s`."""
        deadline_s = time.monotonic() + limit_s
        while not condition():
            if time.monotonic() > deadline_s:
                return False
            self.spin(1, 0.02)
        return True

    def nothing_there(self, message: str, kind: str) -> HardwareMissing:
        """Return an error with what is in sight instead: topics of a kind such as sensor_msgs/msg/Image."""
        others = {name for name in self._node.get_node_names() if name != self.name}
        message = f"{message} (domain {self.domain})"
        if not others:
            return HardwareMissing(f"{message}: no other ROS 2 node is in sight", _network_hint())
        topics = sorted(name for name, kinds in self._node.get_topic_names_and_types() if kind in kinds)
        known = f"topics of {kind}: {', '.join(topics[:8]) or 'none'}"
        return HardwareMissing(
            f"{message}: {len(others)} other nodes are in sight", f"check the name; {known}"
        )

    def close(self) -> None:
        """Leave the domain. A second call does nothing."""
        if self._closed:
            return
        self._closed = True
        self._executor.shutdown()
        self._node.destroy_node()
        self._rclpy.shutdown(context=self._context)

    def _profile(self, quality: str, latched: bool) -> Any:
        qos = self._qos
        return qos.QoSProfile(
            history=qos.HistoryPolicy.KEEP_LAST,
            depth=1,
            reliability=getattr(qos.ReliabilityPolicy, quality.upper()),
            durability=qos.DurabilityPolicy.TRANSIENT_LOCAL if latched else qos.DurabilityPolicy.VOLATILE,
        )


@contextlib.contextmanager
def urgent_threads() -> Generator[None]:
    """Let threads that start meanwhile go before all ordinary ones, where that is permitted.

    They receive what the emergency stop and the odometry say, and a model may keep every core busy.
    """
    before = os.sched_getscheduler(0), os.sched_getparam(0)
    try:
        os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(THREADS_PRIORITY))
    except PermissionError:
        yield
        return
    try:
        yield
    finally:
        os.sched_setscheduler(0, *before)


def shared_memory_note(folder: Path = SHARED_MEMORY) -> str:
    """Return what is wrong with the shared memory by which DDS carries images; empty if nothing is."""
    usage = shutil.disk_usage(folder)
    if usage.total > LEAST_SHARED_BYTES and usage.free > LEAST_SHARED_BYTES // 4:
        return ""
    free_mb, total_mb = usage.free // 2**20, usage.total // 2**20
    return (
        f"{folder} has {total_mb} MB, {free_mb} MB of them free, too little for images: give the container "
        "--shm-size=512m or --ipc=host, or remove what dead nodes left: rm /dev/shm/fastrtps_*"
    )


def _network_hint() -> str:
    for name in ("ROS_LOCALHOST_ONLY", "ROS_AUTOMATIC_DISCOVERY_RANGE"):
        if value := os.environ.get(name):
            return f"{name}={value} is set: is the other node on this computer, with the same setting?"
    return (
        "is it running, with the same ROS_DOMAIN_ID and RMW_IMPLEMENTATION? On another computer: does DDS "
        "use the right network interface (`ros2 multicast receive` here, `ros2 multicast send` there)?"
    )
