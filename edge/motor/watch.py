"""Find what an actuator's feedback has against motion: disarmed, faulty, low on battery, off its setpoint."""

import math
from dataclasses import dataclass

from edge.clock import age_over
from edge.interfaces import Feedback
from edge.motor.limits import MotorLimits
from edge.records import StopCause, Velocity

MIN_BATTERY_FRACTION = 0.1
LINEAR_TOLERANCE_M_S = 0.2
ANGULAR_TOLERANCE_RAD_S = 0.5
DISAGREE_LIMIT_NS = 1_000_000_000  # a base needs less to follow a new command
STALE_ODOMETRY_NS = 1_000_000_000
DEFAULT_LIMITS = MotorLimits()
AVERAGE_S = 0.5  # time constant of the averages of a base that is driven by pulses


@dataclass(frozen=True, slots=True)
class Objection:
    """Why an armed base must stop."""

    cause: StopCause
    reason: str  # for people, with what was measured and the limit


class Watch:
    """Compares each feedback with what was sent. Times are CLOCK_MONOTONIC ns that the caller passes in.

    A base that is driven by pulses follows them late and never quite, so for it averages are compared, and
    they may differ by half of its full speed at most.
    """

    def __init__(self, limits: MotorLimits = DEFAULT_LIMITS) -> None:
        """Watch a base of these limits."""
        self._linear_m_s, self._angular_rad_s = LINEAR_TOLERANCE_M_S, ANGULAR_TOLERANCE_RAD_S
        self._pulsed = bool(limits.lowest_m_s or limits.lowest_rad_s)
        if self._pulsed:
            full_m_s = max(limits.linear_m_s, limits.lowest_m_s)
            full_rad_s = max(limits.angular_rad_s, limits.lowest_rad_s)
            self._linear_m_s = min(self._linear_m_s, full_m_s / 2)
            self._angular_rad_s = min(self._angular_rad_s, full_rad_s / 2)
        self._measured_ns: int | None = None  # stamp of the newest odometry; None before the first
        self.reset()

    def reset(self) -> None:
        """Forget the past, since the base was just armed; a base that measured its motion must go on so."""
        self._agreed_ns: int | None = None
        self._average: tuple[complex, float, int] | None = None  # what it was off by, until when

    def judge(self, feedback: Feedback, sent: Velocity, now_ns: int) -> Objection | None:
        """Return why the armed base must stop now; None if it need not."""
        if feedback.fault:
            return Objection(StopCause.BASE_FAULT, feedback.fault)
        if not feedback.armed:
            why = f": {feedback.warning}" if feedback.warning else ""
            return Objection(StopCause.BASE_DISARMED, f"the base disarmed itself{why}")
        if low := low_battery(feedback):
            return Objection(StopCause.LOW_BATTERY, low)
        return self._disagreement(feedback, sent, now_ns)

    def _disagreement(self, feedback: Feedback, sent: Velocity, now_ns: int) -> Objection | None:
        odometry = feedback.odometry
        if odometry is not None:
            self._measured_ns = odometry.stamp_ns
        if self._measured_ns is None:
            return None  # this base does not measure its motion
        if (age_ns := now_ns - self._measured_ns) > STALE_ODOMETRY_NS:
            reason = f"newest odometry is {age_over(age_ns, STALE_ODOMETRY_NS)}"
            return Objection(StopCause.STALE_ODOMETRY, reason)
        if odometry is None:
            return None  # it did, less than a second ago
        linear_m_s, angular_rad_s = self._off_by(odometry.velocity, sent, now_ns)
        agrees = linear_m_s <= self._linear_m_s and angular_rad_s <= self._angular_rad_s
        if agrees or self._agreed_ns is None:
            self._agreed_ns = now_ns
        if now_ns - self._agreed_ns <= DISAGREE_LIMIT_NS:
            return None
        return Objection(
            StopCause.BASE_DISAGREES,
            f"the base does not follow its setpoints: off by {linear_m_s:.2f} m/s "
            f"and {angular_rad_s:.2f} rad/s for {DISAGREE_LIMIT_NS / 1e9:.0f} s",
        )

    def _off_by(self, measured: Velocity, sent: Velocity, now_ns: int) -> tuple[float, float]:
        """Return what the base is off by, m/s and rad/s: now, or on average if it is driven by pulses."""
        x_m_s, y_m_s = measured.linear_x_m_s - sent.linear_x_m_s, measured.linear_y_m_s - sent.linear_y_m_s
        linear, angular = complex(x_m_s, y_m_s), measured.angular_z_rad_s - sent.angular_z_rad_s
        if self._pulsed and self._average is not None:
            before_linear, before_angular, before_ns = self._average
            kept = math.exp((before_ns - now_ns) / 1e9 / AVERAGE_S)
            linear = kept * before_linear + (1 - kept) * linear
            angular = kept * before_angular + (1 - kept) * angular
        if math.isfinite(abs(linear) + angular):  # one moment without numbers must not stay in the average
            self._average = linear, angular, now_ns
        return abs(linear), abs(angular)


def low_battery(feedback: Feedback) -> str:
    """Return why the battery forbids motion; empty if it does not, or the base does not measure it."""
    fraction = feedback.battery_fraction
    if fraction is None or fraction >= MIN_BATTERY_FRACTION:
        return ""
    return f"battery at {fraction:.0%} (limit {MIN_BATTERY_FRACTION:.0%})"
