"""Drive a base that can't go as slowly as the guard's setpoint: by pulses of the lowest speed that it knows.

Between guard and driver. Pure: the caller passes the time in. Where a setpoint is below the lowest speed, the
way that it stands for is added up, and a pulse drives it once it is enough for one. So the base is never
farther than the guard allowed, but by the time for which the loop stalled, and at most MOST_OWED pulses
behind: more is forgotten, and so is what was allowed in another direction than the one that is wanted now. A
setpoint of zero ends a pulse at once and forgets all.
"""

import math

from edge.motor.limits import MotorLimits
from edge.motor.slew import clipped
from edge.records import Velocity

MOST_OWED = 2  # pulses
ROUNDING = 1e-9  # seconds; metres or radians


class PulsedMotion:
    """One kind of motion, in the plane or the turn, of a base with a lowest speed for it.

    Vectors are complex, in m/s or rad/s; ways are in metres or radians.
    """

    def __init__(self, lowest: float, on_s: float, off_s: float) -> None:
        """Begin standing, and free to start. With a `lowest` of 0 what is wanted is sent as it is."""
        self.sent = 0j
        self.owed = 0.0  # the way that was wanted and is not driven yet
        self._wanted = 0j
        self._lowest, self._on_s, self._off_s = lowest, on_s, off_s
        self._switched_s = math.inf  # time since it started or ended

    def want(self, wanted: complex, elapsed_s: float) -> None:
        """Account for the time since the last call, and take what is wanted from now on."""
        self._switched_s += elapsed_s
        self.owed += (abs(self._wanted) - abs(self.sent)) * elapsed_s
        self.owed = _agreement(self._wanted, wanted) * min(self.owed, MOST_OWED * self._pulse)
        self._wanted = wanted

    @property
    def due(self) -> bool:
        """True if it shall move now: go on, or start after a pause with enough for a pulse."""
        if self._lowest == 0:
            return self._wanted != 0
        if self.sent != 0:
            return self.owed > ROUNDING
        return self._switched_s >= self._off_s - ROUNDING and self.owed >= self._pulse - ROUNDING

    @property
    def fresh(self) -> bool:
        """True while a pulse is under way that is too short yet to make room for another motion."""
        return self._switched_s < self._on_s - ROUNDING

    @property
    def pulses_owed(self) -> float:
        """How many pulses the way that is owed is worth. It must have a lowest speed."""
        return self.owed / self._pulse

    def move(self, moves: bool) -> None:
        """Send what is wanted, at the lowest speed or faster, or zero."""
        if moves != (self.sent != 0):
            self._switched_s = 0.0
        self.sent = self._wanted * max(1.0, self._lowest / abs(self._wanted)) if moves else 0j

    @property
    def _pulse(self) -> float:
        return self._lowest * self._on_s


class Pulses:
    """What is sent to a base for each setpoint of the guard: the setpoint itself if it has no lowest speed.

    Times are CLOCK_MONOTONIC ns that the caller passes in.
    """

    def __init__(self, limits: MotorLimits) -> None:
        self._limits = limits
        self._drive, self._turn = (
            PulsedMotion(lowest, limits.pulse_on_s, limits.pulse_off_s)
            for lowest in (limits.lowest_m_s, limits.lowest_rad_s)
        )
        self._stepped_ns = 0

    def step(self, setpoint: Velocity, now_ns: int) -> Velocity:
        """Return what is sent from now on, in the directions of `setpoint`."""
        elapsed_s = max(0, now_ns - self._stepped_ns) / 1e9
        self._stepped_ns = now_ns
        drive, turn = self._drive, self._turn
        drive.want(complex(setpoint.linear_x_m_s, setpoint.linear_y_m_s), elapsed_s)
        turn.want(complex(setpoint.angular_z_rad_s), elapsed_s)
        due = [motion for motion in (drive, turn) if motion.due]
        if not self._limits.turns_while_driving:
            due = _one(due)
        for motion in (drive, turn):
            motion.move(motion in due)
        return Velocity(drive.sent.real, drive.sent.imag, self._turn_rate(setpoint))

    def _turn_rate(self, setpoint: Velocity) -> float:
        """Return the turn rate: its own, or, with steered wheels, that of the setpoint's curve."""
        if not self._limits.turn_radius_m:
            return self._turn.sent.real
        if not self._drive.sent:
            return 0.0
        share = abs(self._drive.sent) / math.hypot(setpoint.linear_x_m_s, setpoint.linear_y_m_s)
        return clipped(complex(share * setpoint.angular_z_rad_s), self._limits.angular_rad_s).real


def _one(due: list[PulsedMotion]) -> list[PulsedMotion]:
    """Return which of the motions that are due may move, one at most: each lasts a pulse if both are."""
    moving = [motion for motion in due if motion.sent]
    waiting = [motion for motion in due if not motion.sent]
    if not waiting or any(motion.fresh for motion in moving):
        return moving
    return [max(waiting, key=lambda motion: motion.pulses_owed)]


def _agreement(before: complex, after: complex) -> float:
    """Return the cosine of the angle between two vectors, 0 if it is right or wider, or one of them is 0."""
    if not before or not after:
        return 0.0
    return max(0.0, (after / abs(after) * (before / abs(before)).conjugate()).real)
