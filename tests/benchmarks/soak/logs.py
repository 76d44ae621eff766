"""Logs of a base's firmware as a guard would leave them."""

from collections.abc import Sequence
from itertools import accumulate

from benchmarks.soak.setpoints import Setpoint
from edge.motor.limits import MotorLimits
from edge.motor.slew import slew

TICK_NS = 20_000_000
START_NS = 1_000_000_000


def driven(turns: Sequence[float], ticks: int = 12, armed: bool = True) -> list[Setpoint]:
    """Setpoints that approach each turn rate for so many ticks, and then stand."""
    limits = MotorLimits()
    velocity, accel, values = 0j, 0j, [0j]
    for target in [*turns, 0.0, 0.0]:
        for _ in range(ticks):
            velocity, accel = slew(
                velocity,
                accel,
                complex(target),
                limits.angular_accel_rad_s2,
                limits.angular_decel_rad_s2,
                limits.angular_jerk_rad_s3,
                TICK_NS / 1e9,
            )
            values.append(velocity)
    return [Setpoint(START_NS + i * TICK_NS, 0j, value.real, armed) for i, value in enumerate(values)]


def read_late(lines: Sequence[Setpoint], stalls: dict[int, int]) -> list[Setpoint]:
    """The same, read by a board that stalls for so many ticks before it reads the line of a number."""
    delays = [stalls.get(i, 0) * TICK_NS for i in range(len(lines))]
    ready = accumulate((line.stamp_ns + delay for line, delay in zip(lines, delays, strict=True)), max)
    return [
        Setpoint(stamp_ns, line.linear, line.angular, line.armed)
        for line, stamp_ns in zip(lines, ready, strict=True)
    ]


def changed(lines: Sequence[Setpoint], at: int, angular: float, armed: bool = True) -> list[Setpoint]:
    """The same with another turn rate in one line."""
    line = lines[at]
    return [*lines[:at], Setpoint(line.stamp_ns, line.linear, angular, armed), *lines[at + 1 :]]
