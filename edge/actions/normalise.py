"""Physical actions scaled to the range that a net learns, and exactly back.

Every transform works on the last axis. With `gripper` one more column follows those that are scaled; it is
open or shut, and left alone. All transforms raise UsageError for numbers that can't scale, and ValueError for
actions of another width, NaN or infinity.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import ArrayLike

from edge.actions.arrays import Floats, finite_columns
from edge.errors import UsageError

GRIPPER = "gripper"  # the name of the column that is open or shut; always the last one
STD_FLOOR = 1e-6  # added to the deviation, RoboVLMs' regularize_action


class Transform(Protocol):
    """A transform of actions in both directions."""

    def encode(self, actions: ArrayLike) -> Floats:
        """Return actions (..., columns), physical, as the net learns them."""
        ...

    def decode(self, actions: ArrayLike) -> Floats:
        """Return actions (..., columns) of the net as physical ones; the inverse of `encode`."""
        ...


@dataclass(frozen=True, slots=True)
class MinMax:
    """2 (clip(a, low, high) - low) / (high - low) - 1: from [low, high] to [-1, 1], per column.

    With the 1st and 99th percentile as limits it is the quantile normalisation. `decode` does not clip.
    """

    low: tuple[float, ...]  # in the action's own units, without the gripper
    high: tuple[float, ...]
    gripper: bool = False

    def __post_init__(self) -> None:
        _check_pairs("low", self.low, "high", self.high)
        for column, (low, high) in enumerate(zip(self.low, self.high, strict=True)):
            # NaN, infinity and differences that overflow fail the comparison as well.
            if not 0 < high - low < math.inf:
                raise UsageError(
                    f"column {column} spans {low} to {high}: no range to scale",
                    "leave out a dimension that never moves, or compute the statistics again",
                )

    def encode(self, actions: ArrayLike) -> Floats:
        low, high = np.array(self.low), np.array(self.high)
        return _scaled(
            actions,
            len(self.low),
            self.gripper,
            lambda a: 2 * (np.minimum(np.maximum(a, low), high) - low) / (high - low) - 1,
        )

    def decode(self, actions: ArrayLike) -> Floats:
        low, high = np.array(self.low), np.array(self.high)
        return _scaled(actions, len(self.low), self.gripper, lambda x: (x + 1) / 2 * (high - low) + low)


@dataclass(frozen=True, slots=True)
class MeanStd:
    """(a - mean) / (std + 1e-6), per column. Not clipped."""

    mean: tuple[float, ...]  # in the action's own units, without the gripper
    std: tuple[float, ...]
    gripper: bool = False

    def __post_init__(self) -> None:
        _check_pairs("mean", self.mean, "std", self.std)
        for column, (mean, std) in enumerate(zip(self.mean, self.std, strict=True)):
            # Rounding leaves a tiny deviation in a column that never moved; below the floor it means nothing.
            if not (math.isfinite(mean) and STD_FLOOR < std < math.inf):
                raise UsageError(
                    f"column {column} has mean {mean} and deviation {std}: nothing to scale by",
                    "leave out a dimension that never moves, or compute the statistics again",
                )

    def encode(self, actions: ArrayLike) -> Floats:
        mean, scale = np.array(self.mean), np.array(self.std) + STD_FLOOR
        return _scaled(actions, len(self.mean), self.gripper, lambda a: (a - mean) / scale)

    def decode(self, actions: ArrayLike) -> Floats:
        mean, scale = np.array(self.mean), np.array(self.std) + STD_FLOOR
        return _scaled(actions, len(self.mean), self.gripper, lambda x: x * scale + mean)


@dataclass(frozen=True, slots=True)
class MuLaw:
    """sign(a) ln(1 + mu |a|) / ln(1 + mu): finer steps near zero (ITU-T G.711).

    Meant for actions that are already in [-1, 1], which it maps onto [-1, 1]. Not clipped.
    """

    columns: int  # without the gripper
    mu: float = 255.0
    gripper: bool = False

    def __post_init__(self) -> None:
        if self.columns < 1 or not 0 < self.mu < math.inf:
            raise UsageError(f"mu-law of {self.columns} columns with mu {self.mu}: both must be above zero")

    def encode(self, actions: ArrayLike) -> Floats:
        return _scaled(
            actions,
            self.columns,
            self.gripper,
            lambda a: np.sign(a) * np.log1p(self.mu * np.abs(a)) / math.log1p(self.mu),
        )

    def decode(self, actions: ArrayLike) -> Floats:
        return _scaled(
            actions,
            self.columns,
            self.gripper,
            lambda x: np.sign(x) * np.expm1(np.abs(x) * math.log1p(self.mu)) / self.mu,
        )


@dataclass(frozen=True, slots=True)
class Pipeline:
    """Steps in a row; `decode` undoes them from the last to the first."""

    steps: tuple[Transform, ...]

    def encode(self, actions: ArrayLike) -> Floats:
        values = np.asarray(actions, np.float64)
        for step in self.steps:
            values = step.encode(values)
        return values

    def decode(self, actions: ArrayLike) -> Floats:
        values = np.asarray(actions, np.float64)
        for step in reversed(self.steps):
            values = step.decode(values)
        return values


def _check_pairs(first_name: str, first: Sequence[float], second_name: str, second: Sequence[float]) -> None:
    if not first or len(first) != len(second):
        raise UsageError(
            f"{first_name} has {len(first)} columns and {second_name} {len(second)}: want as many, at least 1"
        )


def _scaled(actions: ArrayLike, columns: int, gripper: bool, function: Callable[[Floats], Floats]) -> Floats:
    """Return the actions with `function` applied to the first columns, in a new array."""
    result = finite_columns(actions, columns + gripper)
    # The last axis holds the columns; an index into the first would spare the last time step.
    result[..., :columns] = function(result[..., :columns])
    return result


# Pose deltas (3 m, 3 rad, gripper) to CALVIN's rel_actions: metres x 50 and radians x 20, clipped to [-1, 1].
CALVIN_RELATIVE = MinMax((-0.02,) * 3 + (-0.05,) * 3, (0.02,) * 3 + (0.05,) * 3, gripper=True)
# The limits that RoboVLMs trains CALVIN's rel_actions with.
CALVIN_RANGE = MinMax((-0.65,) * 6, (0.65,) * 6, gripper=True)
