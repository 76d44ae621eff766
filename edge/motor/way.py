"""The way that the setpoints of a guard make, and the speeds that end within a way. Pure.

One way begins with a frame, another with a contact: the small one back from it.
"""

import math
from bisect import bisect_right
from collections import deque
from dataclasses import dataclass

from edge.motor.limits import MotorLimits
from edge.records import Velocity

BACK_M, BACK_RAD = 0.10, 0.2  # the way back from a contact; for a base that only turned, the turn back
BACK_M_S, BACK_RAD_S = 0.15, 0.4  # its highest speeds
CRAWL = 0.01  # m/s and rad/s: a base that may only go slower stands, or it would creep on and never arrive


@dataclass(frozen=True, slots=True)
class WaySum:
    """What the base had driven and turned in all at a time."""

    stamp_ns: int
    metres: float = 0.0
    radians: float = 0.0


class DrivenWay:
    """Adds setpoints up, and remembers the sums for `longest_age_s`.

    A base that is driven by pulses counts as going at the speed of its pulses while it goes at all.
    """

    def __init__(self, limits: MotorLimits, period_ns: int) -> None:
        """Begin with a base that stands. A setpoint holds for `period_ns`."""
        self._limits = limits
        self._period_s = period_ns / 1e9
        self._sums = deque([WaySum(0)])  # the first is at least `longest_age_s` old, or there is no older one

    def add(self, now_ns: int, linear_m_s: float, angular_rad_s: float, elapsed_ns: int) -> None:
        """Note that a setpoint, in absolute numbers, has held for `elapsed_ns` until now."""
        limits, newest, elapsed_s = self._limits, self._sums[-1], elapsed_ns / 1e9
        metres = max(linear_m_s, limits.lowest_m_s) * elapsed_s if linear_m_s else 0.0
        radians = max(angular_rad_s, limits.lowest_rad_s) * elapsed_s if angular_rad_s else 0.0
        self._sums.append(WaySum(now_ns, newest.metres + metres, newest.radians + radians))
        longest_ns = round(limits.longest_age_s * 1e9)
        while self._sums[1].stamp_ns <= now_ns - longest_ns:
            self._sums.popleft()

    def highest(self, frame_ns: int) -> tuple[float, float]:
        """Return the highest speed, m/s, and turn rate, rad/s, that end within the way of a frame.

        Each holds for a period, and is braked then: the base stands before it is `blind_m` and `blind_rad`
        away from where it was when the frame was captured.
        """
        limits, newest = self._limits, self._sums[-1]
        at = bisect_right(self._sums, frame_ns, key=lambda driven: driven.stamp_ns)
        then = self._sums[max(0, at - 1)]
        left_m = limits.blind_m - (newest.metres - then.metres)
        left_rad = limits.blind_rad - (newest.radians - then.radians)
        return (
            self._ending_within(left_m, limits.linear_decel_m_s2),
            self._ending_within(left_rad, limits.angular_decel_rad_s2),
        )

    def _ending_within(self, way: float, decel: float) -> float:
        return ending_within(way, decel, self._period_s)


class WayBack:
    """Where a base touched something, and what of a row may be driven then: slowly and straight back.

    A base that drove goes straight back; one that only turned turns back. What never moved stays.
    """

    def __init__(self, limits: MotorLimits, period_ns: int) -> None:
        """Begin with a base that has not moved. A setpoint holds for `period_ns`."""
        self._limits = limits
        self._period_s = period_ns / 1e9
        self.contacts = 0
        self.forget()

    def forget(self) -> None:
        """Begin anew: the base was just armed."""
        self._newest = (0j, 0j)  # the motion of the newest setpoint that was not zero
        self._touched = (0j, 0j)  # that of the contact
        self.begun = False  # the base has come to a stand after the contact
        self._left_m = self._left_rad = 0.0

    @property
    def touched(self) -> Velocity:
        """The motion that touched something last; zero if none did."""
        linear, angular = self._touched
        return Velocity(linear.real, linear.imag, angular.real)

    def note(self, linear: complex, angular: complex, elapsed_s: float) -> None:
        """Note that a setpoint has held for `elapsed_s`."""
        if linear == 0 and angular == 0:
            return
        self._newest = (linear, angular)
        if self.begun:
            self._left_m -= max(abs(linear), self._limits.lowest_m_s) * elapsed_s if linear else 0.0
            self._left_rad -= max(abs(angular), self._limits.lowest_rad_s) * elapsed_s if angular else 0.0

    def begin(self) -> None:
        """Note that the newest motion touched something: once the base stands, the way back begins."""
        linear, angular = self._touched = self._newest
        self.contacts += 1
        self.begun = False
        self._left_m = BACK_M if linear else 0.0
        self._left_rad = BACK_RAD if angular and not linear else 0.0

    def stand(self) -> bool:
        """Note that the base stands. Returns True if nothing is left of the way."""
        self.begun = True
        return self.allowed(0j, 0.0) is None

    def allowed(self, linear: complex, angular: float) -> tuple[complex, float] | None:
        """Return what of a row leads back; None once the way is over."""
        touched, turned = self._touched
        if (most_m_s := self._highest(self._left_m, self._limits.linear_decel_m_s2)) > 0:
            away = -touched / abs(touched)
            asked_m_s = max((linear * away.conjugate()).real, 0.0)
            return away * min(asked_m_s, most_m_s, BACK_M_S), 0.0
        if (most_rad_s := self._highest(self._left_rad, self._limits.angular_decel_rad_s2)) > 0:
            away_rad = -math.copysign(1.0, turned.real)
            return 0j, away_rad * min(max(angular * away_rad, 0.0), most_rad_s, BACK_RAD_S)
        return None

    def _highest(self, left: float, decel: float) -> float:
        return ending_within(left, decel, self._period_s)


def ending_within(way: float, decel: float, period_s: float) -> float:
    """Return the speed v with v period + v^2 / 2 decel = way; zero if hardly any way is left."""
    held = decel * period_s
    speed = math.sqrt(held**2 + 2 * decel * max(0.0, way)) - held
    return speed if speed >= CRAWL else 0.0
