"""What the actuator itself says against motion: disarmed, faulty, low on battery, not doing as told."""

import math

from edge.interfaces import Feedback
from edge.records import Velocity

MIN_BATTERY_FRACTION = 0.1
LINEAR_TOLERANCE_M_S = 0.2
ANGULAR_TOLERANCE_RAD_S = 0.5
DISAGREE_LIMIT_NS = 1_000_000_000  # longer than the base needs to follow a new command
STALE_ODOMETRY_NS = 1_000_000_000


class Watch:
    """Judges each feedback against what was sent. Times are CLOCK_MONOTONIC ns, passed in."""

    def __init__(self) -> None:
        self._agreed_ns: int | None = None

    def reset(self) -> None:
        """Forget the past: the base was just armed."""
        self._agreed_ns = None

    def judge(self, feedback: Feedback, sent: Velocity, now_ns: int) -> str:
        """Why the armed base must stop now; empty when it need not."""
        if feedback.fault:
            return feedback.fault
        if not feedback.armed:
            return "the base disarmed itself"
        if low := low_battery(feedback):
            return low
        return self._disagreement(feedback, sent, now_ns)

    def _disagreement(self, feedback: Feedback, sent: Velocity, now_ns: int) -> str:
        odometry = feedback.odometry
        if odometry is None:
            return ""  # this base does not measure itself
        if (age_ns := now_ns - odometry.stamp_ns) > STALE_ODOMETRY_NS:
            limit_ms = STALE_ODOMETRY_NS / 1e6
            return f"newest odometry is {age_ns / 1e6:.0f} ms old (limit {limit_ms:.0f} ms)"
        measured = odometry.velocity
        linear_m_s = math.hypot(
            measured.linear_x_m_s - sent.linear_x_m_s, measured.linear_y_m_s - sent.linear_y_m_s
        )
        angular_rad_s = abs(measured.angular_z_rad_s - sent.angular_z_rad_s)
        agrees = linear_m_s <= LINEAR_TOLERANCE_M_S and angular_rad_s <= ANGULAR_TOLERANCE_RAD_S
        if agrees or self._agreed_ns is None:
            self._agreed_ns = now_ns
        if now_ns - self._agreed_ns <= DISAGREE_LIMIT_NS:
            return ""
        return (
            f"the base does not do as told: off by {linear_m_s:.2f} m/s and {angular_rad_s:.2f} rad/s "
            f"for {DISAGREE_LIMIT_NS / 1e9:.0f} s"
        )


def low_battery(feedback: Feedback) -> str:
    """Why the battery forbids motion; empty when it does not, or the base does not know."""
    fraction = feedback.battery_fraction
    if fraction is None or fraction >= MIN_BATTERY_FRACTION:
        return ""
    return f"battery at {fraction:.0%} (limit {MIN_BATTERY_FRACTION:.0%})"
