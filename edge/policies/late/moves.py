"""Chunks for late answers: the same path at a lower speed, and one bounded move of a base that stood."""

import math
from dataclasses import replace

import numpy as np

from edge.motor.limits import MotorLimits
from edge.motor.slew import slew
from edge.navigation.servo import standing
from edge.policies.chunks import Floats
from edge.records import ActionChunk, Observation

MOVE_ROW_S = 0.05  # rows of a move; shorter ones use more of the way, and make longer messages
_STEP_S = 0.01  # of the motion that is foreseen
SETTLE_NS = 500_000_000  # from the end of a move, without odometry: braking takes half of it at most


def retimed(chunk: ActionChunk, share: float) -> ActionChunk:
    """Return the chunk's path, driven at this share of its speed. Rows that elapse meanwhile are skipped."""
    if share == 1:
        return replace(chunk, by_way=True)
    row_s = chunk.dt_s / share
    values = (chunk.values * share).astype(np.float32)
    until_ns = chunk.t0_ns + round(len(values) * row_s * 1e9)
    return replace(chunk, values=values, dt_s=row_s, valid_until_ns=until_ns, by_way=True)


def stand(stamp_ns: int) -> ActionChunk:
    """Return a chunk that stands, and then holds, from the frame of `stamp_ns` on."""
    row_s = 0.1
    zeros = np.zeros((1, 3), np.float32)
    return ActionChunk(zeros, row_s, stamp_ns, stamp_ns + round(row_s * 1e9), 1.0, 0, by_way=True)


def one_move(chunk: ActionChunk, start_ns: int, limits: MotorLimits) -> ActionChunk:
    """Return a chunk's path from `start_ns` on, cut where the base must brake to stay within its way.

    The base has stood since the chunk's frame, so that none of its rows is over yet: rows that stand fill
    the time until then.
    """
    parts = max(1, round(chunk.dt_s / MOVE_ROW_S))
    row_s = chunk.dt_s / parts
    rows = np.repeat(chunk.values.astype(np.float64), parts, axis=0)
    moved = rows[: _within_way(rows, row_s, limits)]
    waits = max(0, math.ceil((start_ns - chunk.t0_ns) / 1e9 / row_s))
    values = np.concatenate([np.zeros((waits, 3)), moved]).astype(np.float32)
    until_ns = chunk.t0_ns + round(len(values) * row_s * 1e9)
    return replace(chunk, values=values, dt_s=row_s, valid_until_ns=until_ns, by_way=True)


def _within_way(rows: Floats, row_s: float, limits: MotorLimits) -> int:
    """Return how many rows (T, 3) a base that stands can follow and still brake within its way."""
    linear, linear_accel, angular, angular_accel = 0j, 0j, 0j, 0j
    metres = radians = 0.0
    steps = max(1, round(row_s / _STEP_S))
    dt_s = row_s / steps
    for step, (x, y, turn) in enumerate(np.repeat(rows, steps, axis=0).tolist()):
        linear, linear_accel = slew(
            linear, linear_accel, complex(x, y), limits.linear_accel_m_s2, limits.linear_decel_m_s2,
            limits.linear_jerk_m_s3, dt_s,
        )  # fmt: skip
        angular, angular_accel = slew(
            angular, angular_accel, complex(turn), limits.angular_accel_rad_s2, limits.angular_decel_rad_s2,
            limits.angular_jerk_rad_s3, dt_s,
        )  # fmt: skip
        m_s = max(abs(linear), limits.lowest_m_s) if linear else 0.0
        rad_s = max(abs(angular), limits.lowest_rad_s) if angular else 0.0
        metres, radians = metres + m_s * dt_s, radians + rad_s * dt_s
        far = metres + m_s**2 / 2 / limits.linear_decel_m_s2 > limits.blind_m
        if far or radians + rad_s**2 / 2 / limits.angular_decel_rad_s2 > limits.blind_rad:
            return step // steps
    return len(rows)


class Standstill:
    """Since when the base has stood, for frames that show what it stands before."""

    def __init__(self) -> None:
        """Begin with a base that stands."""
        self._since_ns: int | None = 0
        self._moves_until_ns = 0

    def moves(self, until_ns: int) -> None:
        """Note that the base moves until then, and stands soon after."""
        self._since_ns, self._moves_until_ns = None, until_ns

    def update(self, observation: Observation) -> None:
        """Take in how the base moves at a frame."""
        stamp_ns, odometry = observation.frame.stamp_ns, observation.odometry
        settled_ns = self._moves_until_ns + (SETTLE_NS if odometry is None else 0)
        if stamp_ns < settled_ns or not standing(odometry):
            self._since_ns = None
        elif self._since_ns is None:
            self._since_ns = stamp_ns if odometry is None else max(stamp_ns, odometry.stamp_ns)

    def shows(self, stamp_ns: int) -> bool:
        """Return True if a frame was captured while the base stood."""
        return self._since_ns is not None and stamp_ns >= self._since_ns
