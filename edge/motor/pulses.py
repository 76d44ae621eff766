"""What is sent for a setpoint of the guard: pulses if the base can't go slowly, corrected if it was measured.

Between guard and driver. Pure: the caller passes the time in. Where a setpoint is below the lowest speed, the
way that it stands for is added up, and a pulse drives it once it is enough for one. So the base is never
farther than the guard allowed, but by the time for which the loop stalled, and at most MOST_OWED pulses
behind: more is forgotten, and so is what was allowed in another direction than the one that is wanted now. A
setpoint of zero ends a pulse at once and forgets all.
"""

import math
from collections import deque

from edge.motor.limits import CEILINGS, MotorLimits
from edge.motor.slew import clipped
from edge.records import ZERO, Velocity

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


class Correction:
    """True velocities to commands, and back.

    Guard, pulses and watch know true speeds alone: a base that was measured gives scale * (command - offset)
    on each axis, so the inverse is sent. No setpoint is above the ceilings of safety: what they cut is not
    driven, and not expected either. Zero is sent as zero.
    """

    def __init__(self, limits: MotorLimits) -> None:
        self._limits = limits

    def command(self, wanted: Velocity) -> Velocity:
        """Return what is sent so that the base has the velocity that is wanted."""
        limits = self._limits
        x_m_s = _told(wanted.linear_x_m_s, limits.ahead_scale, limits.ahead_offset_m_s)
        y_m_s = _told(wanted.linear_y_m_s, limits.sideways_scale, limits.sideways_offset_m_s)
        linear = clipped(complex(x_m_s, y_m_s), CEILINGS["linear_m_s"])
        if limits.turn_radius_m:  # the curve is that of the steered wheels, whatever the speed
            turn_rad_s = _along(wanted.angular_z_rad_s, linear.real, wanted.linear_x_m_s)
        else:
            turn_rad_s = _told(wanted.angular_z_rad_s, limits.turn_scale, limits.turn_offset_rad_s)
        turn_rad_s = clipped(complex(turn_rad_s), CEILINGS["angular_rad_s"]).real
        return Velocity(linear.real, linear.imag, turn_rad_s)

    def effect(self, sent: Velocity) -> Velocity:
        """Return the velocity that the base has once it follows what was sent."""
        limits = self._limits
        x_m_s = _given(sent.linear_x_m_s, limits.ahead_scale, limits.ahead_offset_m_s)
        y_m_s = _given(sent.linear_y_m_s, limits.sideways_scale, limits.sideways_offset_m_s)
        if limits.turn_radius_m:
            turn_rad_s = _along(sent.angular_z_rad_s, x_m_s, sent.linear_x_m_s)
        else:
            turn_rad_s = _given(sent.angular_z_rad_s, limits.turn_scale, limits.turn_offset_rad_s)
        return Velocity(x_m_s, y_m_s, turn_rad_s)


class InEffect:
    """Remembers what was sent, and returns what a base that answers late follows now."""

    def __init__(self, delay_s: float) -> None:
        """Begin with a base that was told to stand."""
        self._delay_ns = round(delay_s * 1e9)
        self._now = ZERO
        self._coming: deque[tuple[int, Velocity]] = deque()  # what was sent since, with its time

    def add(self, velocity: Velocity, now_ns: int) -> None:
        """Note what is sent from now on."""
        self._coming.append((now_ns, velocity))

    def at(self, now_ns: int) -> Velocity:
        """Return what the base follows now: what was sent last, `delay_s` ago or before."""
        while self._coming and self._coming[0][0] <= now_ns - self._delay_ns:
            self._now = self._coming.popleft()[1]
        return self._now


def _told(speed: float, scale: float, offset: float) -> float:
    """Return the command that gives a speed."""
    return math.copysign(abs(speed) / scale + offset, speed) if speed else 0.0


def _given(command: float, scale: float, offset: float) -> float:
    """Return the speed that a command gives."""
    return math.copysign(scale * max(0.0, abs(command) - offset), command)


def _along(turn_rad_s: float, speed_m_s: float, before_m_s: float) -> float:
    """Return the turn rate at another speed on the same curve."""
    # A curve has a smallest radius, so the quotient is bounded, however slow it is driven.
    return speed_m_s * (turn_rad_s / before_m_s) if before_m_s else 0.0
