"""How a base says that it moves: ODOMETRY, or LOCAL_POSITION_NED with ATTITUDE.

The first of the two that can be used stays the source: where it ends, the newest odometry grows old, which
the motor process takes for a fault after a second.
"""

import math
from collections import deque

from edge.motor.drivers.mavlink.stream import MavMessage, flipped, mav
from edge.records import Odometry, Velocity

BODY_FRAMES = (mav.MAV_FRAME_BODY_FRD, mav.MAV_FRAME_BODY_NED)
WORLD_FRAMES = (mav.MAV_FRAME_LOCAL_FRD, mav.MAV_FRAME_LOCAL_NED)
ATTITUDE_LIMIT_NS = 300_000_000  # an attitude that is older does not turn a velocity into the body's frame
CLOCK_MESSAGES, CLOCK_JUMP_NS = (
    250,
    100_000_000,
)  # some seconds; a message that is read so much later is of now
PERIOD_US = 50_000
# Messages that the base is asked for. Firmware that sends none of them on request sends what it likes.
WANTED = (
    mav.MAVLINK_MSG_ID_ODOMETRY,
    mav.MAVLINK_MSG_ID_LOCAL_POSITION_NED,
    mav.MAVLINK_MSG_ID_ATTITUDE,
)


class BaseClock:
    """The base's own clock against this computer's: a message is as old as it says, however late it is read.

    The message that came soonest after its time, of the last seconds, tells how far the clocks are apart.
    """

    def __init__(self) -> None:
        self._apart_ns: deque[int] = deque(maxlen=CLOCK_MESSAGES)
        self._newest_ns = 0  # the base's own time in the newest message

    def here(self, base_ns: int, now_ns: int) -> int:
        """Return the time of a message that is read now, by this computer's clock; now if it names none."""
        if base_ns == 0:
            return now_ns
        apart_ns, before_ns = now_ns - base_ns, self._newest_ns
        self._newest_ns = base_ns
        if self._apart_ns and (base_ns < before_ns or abs(apart_ns - self._apart_ns[-1]) > CLOCK_JUMP_NS):
            self._apart_ns.clear()  # the base has started anew, or set its clock
        self._apart_ns.append(apart_ns)
        return base_ns + min(self._apart_ns)


class Motion:
    """The newest odometry of a base. Times are CLOCK_MONOTONIC ns that the caller passes in."""

    def __init__(self) -> None:
        self.newest: Odometry | None = None
        self.complaint = ""  # why what the base sends can't be used; empty if nothing is wrong with it
        self._source = ""  # type of message that odometry comes from
        self._clock = BaseClock()
        self._stamps: dict[str, int] = {}  # the base's own time in the newest message, by type
        self._attitude = (0.0, 0.0)  # yaw and its rate, z down
        self._attitude_ns: int | None = None

    def hear(self, message: MavMessage, now_ns: int) -> None:
        """Take a message of the base; other types change nothing."""
        if isinstance(message, mav.MAVLink_odometry_message):
            self._on_odometry(message, now_ns)
        elif isinstance(message, mav.MAVLink_attitude_message):
            if self._is_new("ATTITUDE", message.time_boot_ms) and _finite(message.yaw, message.yawspeed):
                self._attitude, self._attitude_ns = (message.yaw, message.yawspeed), now_ns
        elif isinstance(message, mav.MAVLink_local_position_ned_message):
            self._on_position(message, now_ns)

    def _on_odometry(self, message: MavMessage, now_ns: int) -> None:
        frames = (message.frame_id, message.child_frame_id)
        if frames[0] not in WORLD_FRAMES or frames[1] not in BODY_FRAMES:
            if not self._source:
                self.complaint = (
                    f"its ODOMETRY has frame_id {frames[0]} and child_frame_id {frames[1]}, not "
                    f"{WORLD_FRAMES[0]} (LOCAL_FRD) and {BODY_FRAMES[0]} (BODY_FRD)"
                )
            return
        if self._is_new("ODOMETRY", message.time_usec):
            w, x, y, z = message.q
            yaw_rad = math.atan2(2 * (w * z + x * y), 1 - 2 * (y * y + z * z))
            self._take(
                "ODOMETRY",
                (message.x, message.y, yaw_rad),
                (message.vx, message.vy, message.yawspeed),
                self._clock.here(1000 * message.time_usec, now_ns),
            )

    def _on_position(self, message: MavMessage, now_ns: int) -> None:
        if not self._is_new("LOCAL_POSITION_NED", message.time_boot_ms) or self._attitude_ns is None:
            return
        if now_ns - self._attitude_ns > ATTITUDE_LIMIT_NS:
            return
        yaw_rad, turn_rad_s = self._attitude
        cos, sin = math.cos(yaw_rad), math.sin(yaw_rad)
        ahead_m_s = cos * message.vx + sin * message.vy
        right_m_s = cos * message.vy - sin * message.vx
        at_ns = self._clock.here(1_000_000 * message.time_boot_ms, now_ns)
        self._take(
            "LOCAL_POSITION_NED", (message.x, message.y, yaw_rad), (ahead_m_s, right_m_s, turn_rad_s), at_ns
        )

    def _is_new(self, kind: str, stamp: int) -> bool:
        """Return False for a message that repeats the one before. One without a time (0) is believed."""
        repeated = stamp != 0 and self._stamps.get(kind) == stamp
        self._stamps[kind] = stamp
        return not repeated

    def _take(
        self,
        source: str,
        pose: tuple[float, float, float],
        velocity: tuple[float, float, float],
        now_ns: int,
    ) -> None:
        """Keep a pose and a body velocity in MAVLink's axes (y right, z down), if all of it is a number."""
        if self._source not in ("", source) or not _finite(*pose, *velocity):
            return
        self._source, self.complaint = source, ""
        self.newest = Odometry(now_ns, *flipped(*pose), Velocity(*flipped(*velocity)))


def _finite(*values: float) -> bool:
    return all(map(math.isfinite, values))
