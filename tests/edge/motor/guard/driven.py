"""A guard that is driven by the tests, with times made up."""

import math

import numpy as np

from edge.motor.guard import Guard
from edge.motor.limits import MotorLimits
from edge.records import ActionChunk, Velocity

MS = 1_000_000
TICK = 20 * MS
START = 1_000_000_000
LIMITS = MotorLimits()
AXES = [(0.5, 0.0, 0.0), (0.0, -0.5, 0.0), (0.0, 0.0, 1.0), (0.0, 0.0, -1.0)]


def chunk(
    t0_ns: int,
    row: tuple[float, float, float] = (0.3, 0.0, 0.0),
    rows: int = 10,
    decision: int = 0,
    confidence: float = 0.9,
    dt_s: float = 0.1,
    valid_ms: int = 1000,
) -> ActionChunk:
    values = np.tile(np.array(row, np.float32), (rows, 1))
    return ActionChunk(values, dt_s, t0_ns, t0_ns + valid_ms * MS, confidence, decision)


def armed(limits: MotorLimits = LIMITS) -> Guard:
    guard = Guard(limits)
    guard.step(START)
    assert guard.arm(START)
    return guard


def drive(guard: Guard, start_ns: int, ticks: int, **fields: object) -> tuple[int, Velocity]:
    """Follow a fresh frame at every tick. Returns the last tick's time and setpoint."""
    now_ns, velocity = start_ns, Velocity()
    for _ in range(ticks):
        now_ns += TICK
        guard.follow(chunk(now_ns, **fields), now_ns)  # type: ignore[arg-type]
        velocity = guard.step(now_ns)
    return now_ns, velocity


def coast(guard: Guard, now_ns: int, ticks: int) -> list[Velocity]:
    return [guard.step(now_ns + (i + 1) * TICK) for i in range(ticks)]


def speed(velocity: Velocity) -> float:
    return math.hypot(velocity.linear_x_m_s, velocity.linear_y_m_s)


def chunk_of(*rows: tuple[float, float, float], t0_ns: int, dt_s: float = 0.1) -> ActionChunk:
    return ActionChunk(np.array(rows, np.float32), dt_s, t0_ns, t0_ns + 1000 * MS, 0.9, 0)
