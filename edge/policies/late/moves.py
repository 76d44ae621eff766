"""Chunks for late answers: the same path at a lower speed, and one bounded move of a base that stood."""

import math
from dataclasses import replace

import numpy as np

from edge.motor.limits import MotorLimits
from edge.motor.slew import slew
from edge.navigation.servo import standing
from edge.policies.chunks import Floats
from edge.records import ActionChunk, Observation

MOVE_ROW_S = 0.025  # rows of a move; shorter ones use more of the way, and make longer messages
_STEP_S = 0.01  # the motion is foreseen in steps that long
_ROUNDING = 1e-6
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
    """Return a chunk that drives the path of this one from `start_ns` on, as far as one frame allows.

    The base has stood since the chunk's frame, so that none of its rows is over yet: rows that stand fill
    the time until then. They end so early that the base stands before its frame is too old.
    """
    parts = max(1, round(chunk.dt_s / MOVE_ROW_S))
    row_s = chunk.dt_s / parts
    moves = _from_standstill(np.repeat(chunk.values.astype(np.float64), parts, axis=0), row_s, limits)
    waits = max(0, math.ceil((start_ns - chunk.t0_ns) / 1e9 / row_s))
    braking_s = limits.braking_s(limits.linear_m_s, limits.angular_rad_s)
    in_time = math.floor((limits.longest_age_s - braking_s) / row_s)
    values = np.concatenate([np.zeros((waits, 3)), moves])[:in_time].astype(np.float32)
    until_ns = chunk.t0_ns + round(len(values) * row_s * 1e9)
    return replace(chunk, values=values, dt_s=row_s, valid_until_ns=until_ns, by_way=True)


def _from_standstill(rows: Floats, row_s: float, limits: MotorLimits) -> Floats:
    """Return the rows (T, 3) that move a base from a standstill to another one, over the path of `rows`.

    As the base speeds up slowly, the last row goes on until the path is driven. They end earlier where the
    base must brake to stay within `blind_m` and `blind_rad`.
    """
    rows = rows[: 1 + max(np.flatnonzero(rows.any(axis=1)), default=-1)]  # standing can wait
    path_m = min(limits.blind_m, row_s * float(np.hypot(rows[:, 0], rows[:, 1]).sum()))
    path_rad = min(limits.blind_rad, row_s * float(np.abs(rows[:, 2]).sum()))
    longer = np.concatenate([rows, np.repeat(rows[-1:], len(rows), axis=0)])
    motion = _Motion(limits)
    for count, row in enumerate(longer):
        motion.follow(row, row_s)
        if motion.metres > path_m + _ROUNDING or motion.radians > path_rad + _ROUNDING:
            return longer[:count]
    return longer


class _Motion:
    """How a base that stood would follow rows: its way and its turn, with braking from then on."""

    def __init__(self, limits: MotorLimits) -> None:
        self.metres = self.radians = 0.0
        self._limits = limits
        self._linear, self._linear_accel, self._angular, self._angular_accel = 0j, 0j, 0j, 0j
        self._driven_m = self._turned_rad = 0.0

    def follow(self, row: Floats, row_s: float) -> None:
        """Follow a row (3,) for `row_s`."""
        limits, steps = self._limits, max(1, round(row_s / _STEP_S))
        x, y, turn = row.tolist()
        m_s = rad_s = 0.0
        for _ in range(steps):
            self._linear, self._linear_accel = slew(
                self._linear, self._linear_accel, complex(x, y), limits.linear_accel_m_s2,
                limits.linear_decel_m_s2, limits.linear_jerk_m_s3, row_s / steps,
            )  # fmt: skip
            self._angular, self._angular_accel = slew(
                self._angular, self._angular_accel, complex(turn), limits.angular_accel_rad_s2,
                limits.angular_decel_rad_s2, limits.angular_jerk_rad_s3, row_s / steps,
            )  # fmt: skip
            m_s = max(abs(self._linear), limits.lowest_m_s) if self._linear else 0.0
            rad_s = max(abs(self._angular), limits.lowest_rad_s) if self._angular else 0.0
            self._driven_m += m_s * row_s / steps
            self._turned_rad += rad_s * row_s / steps
        self.metres = self._driven_m + m_s**2 / 2 / limits.linear_decel_m_s2
        self.radians = self._turned_rad + rad_s**2 / 2 / limits.angular_decel_rad_s2


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
