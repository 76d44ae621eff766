"""What is sent to a base that makes something else of a command, and what it is expected to do. Pure.

Between pulses and driver. Guard, pulses and watch know true speeds alone: a base that was measured gives
scale * (command - offset) on each axis, `delay_s` later, so the inverse is sent. No setpoint is above the
ceilings of safety: what they cut is not driven, and not expected either. Zero is sent as zero.
"""

import math
from collections import deque

from edge.motor.limits import CEILINGS, MotorLimits
from edge.motor.slew import clipped
from edge.records import ZERO, Velocity


class Correction:
    """True velocities to commands, and back."""

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
