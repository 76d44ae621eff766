"""The way that the setpoints of a guard make, and the speeds that end within a way since a frame. Pure."""

import math
from bisect import bisect_right
from collections import deque
from dataclasses import dataclass

from edge.motor.limits import MotorLimits

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
        """Return the speed v with v period + v^2 / 2 decel = way; zero if hardly any way is left."""
        held = decel * self._period_s
        speed = math.sqrt(held**2 + 2 * decel * max(0.0, way)) - held
        return speed if speed >= CRAWL else 0.0
