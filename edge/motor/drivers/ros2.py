"""The driver `ros2:///cmd_vel?odom=/odom&estop=/estop`: a base that listens to velocities of ROS 2.

ROS knows no arming: a base is armed if this driver was asked to and something listens to the topic. Until
then only zeros are published. rclpy is worked by `read`, in the motor process's own tick: a thread of its own
would hold the interpreter's lock while other programs hold the processor (docs/from-ros2.md has the figures).
"""

import logging
import math
import time
from typing import Any

from edge.errors import HardwareMissing
from edge.interfaces import Closing, Feedback
from edge.motor.drivers.ros2_address import TYPES, parse_motors
from edge.records import ZERO, Odometry, Velocity
from edge.ros2 import QUALITIES, SETTLE_S, RosNode, load_ros, urgent_threads

log = logging.getLogger(__name__)

LOOK_PERIOD_NS = 100_000_000  # between two looks at who publishes and listens
FLUSH_TRIES, FLUSH_S = 3, 0.05  # zeros at the end, and how long each may take to be acknowledged
LEAST_WAIT_S = 1.0
SPINS = 2  # a tick and topic: every second one of rclpy may do no more than look
TROUBLE_NS = 500_000_000  # odometry that is not usable for so long is a fault


class Ros2Motors(Closing):
    """The driver. Its constructor joins the network and waits until the base listens.

    It raises UsageError for a malformed address and where ROS 2 can't be imported, HardwareMissing if nothing
    listens, something else publishes the same topic, or the odometry or the emergency stop is not there;
    later HardwareMissing if nothing listens any more.
    """

    max_rate_hz = math.inf  # a network states no rate

    def __init__(self, text: str) -> None:
        self._options = options = parse_motors(text)
        self._what = f"motors ros2://{options.topic}"
        self._asked = False  # to arm
        self._estop: bool | None = None  # None: nothing has come yet
        self._odometry: Odometry | None = None
        self._odometry_stamp: tuple[Any, Any] = (0, 0)  # seconds and nanoseconds in the newest header
        self._trouble = ""  # with the odometry
        self._looked_ns = 0
        self._fault = ""
        self._topics = bool(options.odom) + bool(options.estop)  # each keeps its newest message alone
        self._closed = False
        self._deadline_s = time.monotonic() + options.timeout_s
        with urgent_threads():
            self._node = RosNode("vla_edge_motors", options.domain)
        try:
            self._open()
        except BaseException:
            self._closed = True
            self._node.close()
            raise

    def arm(self) -> None:
        """Publish setpoints from now on instead of zeros. `read().armed` is true while the base listens."""
        self._asked = True

    def write(self, command: Velocity) -> Velocity:
        """Publish one setpoint; zero while disarmed. Raises HardwareMissing if the base no longer listens."""
        if not self._listened():
            raise HardwareMissing(
                f"{self._what}: nobody listens to {self._options.topic} any more",
                "is the base's node still running? `ros2 node list`",
            )
        sent = command if self._asked else ZERO
        self._publish(sent)
        return sent

    def stop(self) -> None:
        """Publish zeros until they are acknowledged, and disarm. Never raises."""
        self._asked = False
        if self._closed:
            return
        for _ in range(FLUSH_TRIES):
            try:
                self._publish(ZERO)
                # Acknowledged by reliable listeners; to others the next tries are for.
                self._publisher.wait_for_all_acked(self._duration(seconds=FLUSH_S))
            except Exception as error:  # noqa: BLE001 - whatever the middleware raises: zeros can't be sent then
                self._fault = f"zero was not sent: {error}"
            time.sleep(FLUSH_S / 5)

    def read(self) -> Feedback:
        """Return what came by now. Never blocks."""
        if self._closed:
            return Feedback(armed=False)
        self._node.spin(SPINS * self._topics)
        self._look()
        armed = self._asked and self._listened()
        return Feedback(
            armed, self._odometry, fault=self._estop_fault() or self._fault or self._odometry_fault()
        )

    def close(self) -> None:
        """Leave the network. A second call does nothing."""
        if not self._closed:
            self._closed = True
            self._node.close()

    def _open(self) -> None:
        options = self._options
        self._await_listener()
        # Those that were here before are in sight soon after the first of them.
        self._node.until(lambda: False, SETTLE_S)
        if others := self._node.publishers(options.topic):
            raise HardwareMissing(
                f"{self._what} is taken: {self._node.names(others)} publishes it",
                "stop that node, or give each a topic of its own and choose between them by twist_mux",
            )
        geometry = load_ros("geometry_msgs.msg")
        self._message = getattr(geometry, TYPES[options.type].rpartition("/")[2])()
        self._twist = self._message.twist if options.type == "stamped" else self._message
        if options.type == "stamped":
            self._message.header.frame_id = "base_link"
        self._duration = load_ros("rclpy.duration").Duration
        self._publisher = self._node.publisher(type(self._message), options.topic, options.quality)
        if not self._node.until(self._listened, self._left_s()):
            raise self._unmatched()
        if options.estop:
            self._open_estop()
        if options.odom:
            self._open_odometry()
        else:
            log.warning("%s: no odometry, so nothing checks that the base obeys", self._what)

    def _left_s(self) -> float:
        """Return how long to wait for what comes next: what is left of the timeout, and at least a second."""
        return max(LEAST_WAIT_S, self._deadline_s - time.monotonic())

    def _await_listener(self) -> None:
        topic, limit_s = self._options.topic, self._options.timeout_s
        wanted = TYPES[self._options.type]

        def listening() -> bool:
            return any(each.topic_type == wanted for each in self._node.subscribers(topic))

        if self._node.until(listening, limit_s):
            return
        heard = {each.topic_type for each in self._node.subscribers(topic)}
        for name, kind in TYPES.items():
            if kind in heard:
                raise HardwareMissing(f"{self._what}: the base listens to {kind} there", f"add type={name}")
        raise self._node.nothing_there(f"{self._what}: nobody listens to it within {limit_s:g} s", wanted)

    def _unmatched(self) -> HardwareMissing:
        listeners = self._node.subscribers(self._options.topic)
        hint = "run both with the same RMW_IMPLEMENTATION"
        if any(map(self._node.reliable, listeners)) and self._options.quality != "reliable":
            hint = "leave qos=best_effort out of the address: the base wants a reliable topic"
        elif any(map(self._node.latched, listeners)):
            hint = "the base wants a topic of durability transient local, which commands must not be"
        return HardwareMissing(f"{self._what}: the base is there, but nothing can reach it", hint)

    def _open_estop(self) -> None:
        topic, limit_s = self._options.estop, self._options.timeout_s
        kind = "std_msgs/msg/Bool"
        if not self._node.until(lambda: self._node.publishers(topic), self._left_s()):
            raise self._node.nothing_there(
                f"{self._what}: nobody publishes {topic} within {limit_s:g} s", kind
            )
        offers = self._node.publishers(topic)
        # What every publisher offers: more would be heard by none of them, less could miss a stop.
        quality = QUALITIES[all(map(self._node.reliable, offers))]
        latched = all(map(self._node.latched, offers))
        message = load_ros("std_msgs.msg").Bool
        self._node.subscribe(message, topic, self._take_estop, quality, latched)

    def _open_odometry(self) -> None:
        topic, limit_s = self._options.odom, self._options.timeout_s
        message = load_ros("nav_msgs.msg").Odometry
        self._node.subscribe(message, topic, self._take_odometry, QUALITIES[0])
        if self._node.until(lambda: self._odometry is not None, self._left_s()):
            return
        if self._trouble:
            raise HardwareMissing(f"{self._what}: {self._trouble}", "mend the node that publishes it")
        missing = f"{self._what}: no odometry on {topic} within {limit_s:g} s"
        error = self._node.nothing_there(missing, "nav_msgs/msg/Odometry")
        error.hint += "; to drive without, and without the check that the base obeys: odom=none"
        raise error

    def _take_estop(self, message: Any) -> None:
        self._estop = bool(message.data)

    def _take_odometry(self, message: Any) -> None:
        """Take a measurement, unless it is not one: then the one before grows old, which stops the base."""
        stamp = (message.header.stamp.sec, message.header.stamp.nanosec)
        position, q, twist = message.pose.pose.position, message.pose.pose.orientation, message.twist.twist
        yaw_rad = math.atan2(2 * (q.w * q.z + q.x * q.y), 1 - 2 * (q.y * q.y + q.z * q.z))
        velocity = Velocity(twist.linear.x, twist.linear.y, twist.angular.z)
        values = (position.x, position.y, yaw_rad, twist.linear.x, twist.linear.y, twist.angular.z)
        if not all(map(math.isfinite, values)):
            self._trouble = f"{self._options.odom} is not finite"
        elif message.child_frame_id and message.child_frame_id == message.header.frame_id:
            frame = message.child_frame_id
            self._trouble = f"{self._options.odom} states its velocity in {frame!r}, not the base's frame"
        elif stamp == self._odometry_stamp and stamp != (0, 0):
            self._trouble = f"{self._options.odom} repeats itself"
        else:
            self._odometry_stamp, self._trouble = stamp, ""
            self._odometry = Odometry(time.monotonic_ns(), position.x, position.y, yaw_rad, velocity)

    def _look(self) -> None:
        """Look now and then who else is there."""
        now_ns = time.monotonic_ns()
        if now_ns - self._looked_ns < LOOK_PERIOD_NS:
            return
        self._looked_ns = now_ns
        options = self._options
        self._fault = ""
        others = len(self._node.publishers(options.topic)) - 1
        if others > 0:
            self._fault = f"manual takeover: another node publishes {options.topic}"
        elif not self._listened():
            self._fault = f"nobody listens to {options.topic}"
        elif options.estop and not self._node.publishers(options.estop):
            self._fault = f"nobody publishes {options.estop} any more"

    def _estop_fault(self) -> str:
        if not self._options.estop or self._estop is False:
            return ""
        if self._estop is None:
            return (
                f"nothing has come on {self._options.estop}: it must be latched, or published again and again"
            )
        return f"emergency stop: {self._options.estop} is true"

    def _odometry_fault(self) -> str:
        age_ns = time.monotonic_ns() - (self._odometry.stamp_ns if self._odometry is not None else 0)
        return self._trouble if age_ns > TROUBLE_NS else ""

    def _listened(self) -> bool:
        return not self._closed and self._publisher.get_subscription_count() > 0

    def _publish(self, velocity: Velocity) -> None:
        self._twist.linear.x = velocity.linear_x_m_s
        self._twist.linear.y = velocity.linear_y_m_s
        self._twist.angular.z = velocity.angular_z_rad_s
        if self._options.type == "stamped":
            # Controllers compare it with ROS's own clock; nothing here reads it.
            stamp, wall_ns = self._message.header.stamp, time.time_ns()
            stamp.sec, stamp.nanosec = wall_ns // 10**9, wall_ns % 10**9
        self._publisher.publish(self._message)


def open_address(address: str) -> Ros2Motors:
    """Join the network and wait until the base listens. Raises what `Ros2Motors` raises."""
    return Ros2Motors(address)
