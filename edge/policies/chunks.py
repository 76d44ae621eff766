"""Rows of a chunk: within a base's limits, without almost-motion and jumps that the guard would refuse.

Rows are (T, 3): x and y in m/s, turn in rad/s.
"""

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from edge.base_spec import BaseSpec
from edge.records import BASE_ACTION, ActionChunk, Velocity

# Slower is meant as standing: the expert drives at 0.08 m/s or more and turns at 0.12 rad/s or more, or
# stands, and a net that learnt from it predicts a little more or less than zero.
STILL_M_S, STILL_RAD_S = 0.05, 0.05
# From one answer to the next a velocity changes less than this, or the guard would set the chunk aside as an
# outlier (linear_jump_m_s 0.6, angular_jump_rad_s 1.5): a sharper turn takes two answers. The base itself
# changes by 0.2 m/s and 0.4 rad/s in that time. A stop from full speed is within it.
STEP_M_S, STEP_RAD_S = 0.55, 1.4
AGAIN = 0.95  # share of a step by which a plan nears an outlier, so that the next like it does not jump
ROW_S, ROWS, MOVING_ROWS = 0.1, 5, 3  # a chunk of one velocity: 0.3 s of motion, then zero
VALID_NS = 500_000_000  # the guard is at zero by then

Floats = NDArray[np.float64]


def velocity_chunk(velocity: Velocity, stamp_ns: int, decision: int, confidence: float = 1.0) -> ActionChunk:
    """Return a chunk of one velocity, held for 0.3 s after the frame of `stamp_ns`, then zero."""
    values = np.zeros((ROWS, 3), np.float32)
    values[:MOVING_ROWS] = velocity.linear_x_m_s, velocity.linear_y_m_s, velocity.angular_z_rad_s
    return ActionChunk(values, ROW_S, stamp_ns, stamp_ns + VALID_NS, confidence, decision)


def base_actions(actions: Floats, columns: tuple[str, ...], base: BaseSpec) -> Floats:
    """Return actions (T, A) in physical units as rows of the base, within its limits.

    Missing columns are zero. A row that is too fast for the base is slowed as a whole, so that it stays on
    its curve.
    """
    values = np.zeros((len(actions), BASE_ACTION.dims))
    values[:, [BASE_ACTION.names.index(name) for name in columns]] = actions
    values = np.minimum(np.maximum(values, BASE_ACTION.low), BASE_ACTION.high)
    speeds = np.hypot(values[:, :1], values[:, 1:2])
    values[:, :2] *= np.minimum(1.0, BASE_ACTION.high[0] / np.maximum(speeds, 1e-9))
    return possible_rows(slowed(values, 1.0, base), base)


def possible_rows(values: Floats, base: BaseSpec) -> Floats:
    """Return the rows without what the base's wheels can't do."""
    if base.sideways:
        return values
    moves = [base.possible(Velocity(*row)) for row in values.tolist()]
    return np.array([(m.linear_x_m_s, m.linear_y_m_s, m.angular_z_rad_s) for m in moves])


def still(values: Floats) -> Floats:
    """Return the rows, zero in place of those that ask for almost no motion."""
    slow = (np.hypot(values[:, 0], values[:, 1]) < STILL_M_S) & (np.abs(values[:, 2]) < STILL_RAD_S)
    return np.where(slow[:, None], 0.0, values)


def slowed(values: Floats, share: float, base: BaseSpec) -> Floats:
    """Return the rows, each as a whole slowed to this share of the base's full speed at most."""
    speeds = np.hypot(values[:, 0], values[:, 1])
    used = np.maximum(speeds / base.linear_m_s, np.abs(values[:, 2]) / base.angular_rad_s)
    if share >= 1 and (used <= 1 + 1e-9).all():  # a rounding more than full speed is full speed
        return values
    return values * np.minimum(1.0, share / np.maximum(used, 1e-9))[:, None]


def settled(chunk: ActionChunk, before: ActionChunk | None) -> Floats:
    """Return the chunk's rows, without those that jump away from the answer before.

    Such a row may be an outlier: the answer before goes on there, so slow that an answer like this one can
    take over next.
    """
    values = np.array(chunk.values, np.float64)
    for row, new in enumerate(values):
        old = _at_same_time(chunk, row, before)
        if any((_shares(new, [other]) < 1).any() for other in old):
            values[row] = old[0] * _shares(old[0], [new], AGAIN)
    return values


def without_jumps(chunk: ActionChunk, earlier: Sequence[ActionChunk | None]) -> Floats:
    """Return the chunk's rows, slower where they would jump by STEP_M_S or STEP_RAD_S.

    From row to row, and away from what an earlier chunk plans for the same time, whenever the guard looks.
    Only ever slower in the same direction: a standing row jumps away from none.
    """
    values = np.array(chunk.values, np.float64)
    for row in range(len(values)):
        near = [values[row - 1]] if row else []
        for other in earlier:
            near += _at_same_time(chunk, row, other)
        values[row] *= _shares(values[row], near)
    return values


def held(values: Floats, row_s: float, hold_s: float) -> Floats:
    """Return at least `hold_s` of rows: the last one goes on."""
    missing = math.ceil(hold_s / row_s - 1e-9) - len(values)
    return np.concatenate([values, np.repeat(values[-1:], max(0, missing), axis=0)])


def _shares(row: Floats, near: Sequence[Floats], step: float = 1.0) -> Floats:
    """Return the shares of a row (3,) within a step of all the others: of its way, twice, and its turn."""
    way = min((_share_within(row[:2], other[:2], step * STEP_M_S) for other in near), default=1.0)
    turn = min((_share_within(row[2:], other[2:], step * STEP_RAD_S) for other in near), default=1.0)
    return np.array([way, way, turn])


def _at_same_time(chunk: ActionChunk, row: int, other: ActionChunk | None) -> list[Floats]:
    """Return the rows of the other chunk that hold while `row` of the chunk does."""
    if other is None:
        return []
    start_s = (chunk.t0_ns - other.t0_ns) / 1e9 + row * chunk.dt_s
    first = math.floor(start_s / other.dt_s + 1e-6)
    last = math.ceil((start_s + chunk.dt_s) / other.dt_s - 1e-6)
    return list(other.values[max(0, first) : max(0, last)].astype(np.float64))


def _share_within(velocity: Floats, centre: Floats, radius: float) -> float:
    """Return the largest share of a velocity (n,), 1 at most, within `radius` of `centre`; zero must be."""
    a, b = float(velocity @ velocity), float(velocity @ centre)
    c = float(centre @ centre) - radius**2
    if a - 2 * b + c <= 0:
        return 1.0
    # The larger root of |share velocity - centre| = radius.
    return (b + math.sqrt(max(0.0, b * b - a * c))) / a
