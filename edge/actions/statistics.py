"""What the actions of a dataset span: computed once, kept as JSON beside it and in a bundle's manifest."""

import math
from pathlib import Path
from typing import Literal, TypeVar

import numpy as np
from numpy.typing import ArrayLike
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from edge.actions.arrays import finite_columns
from edge.actions.normalise import MeanStd, MinMax
from edge.errors import UsageError
from edge.records import ActionSpec

GRIPPER = "gripper"  # the name of the column that is open or shut; always the last one
_NUMBERS = ("min", "max", "mean", "std", "q01", "q99")
_AGAIN = "compute the statistics again from the dataset"
_Scaling = TypeVar("_Scaling", MinMax, MeanStd)


class ActionStatistics(BaseModel):
    """Figures per dimension, in the action's own units, over all actions of one robot's dataset.

    The keys are those of LeRobot's statistics. Raises UsageError when the figures do not fit the names, or
    when one is NaN or infinite. A dimension that never moved is allowed here, and refused by the steps.
    """

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True)

    schema_version: Literal[1]
    robot: str  # its name, as the dataset gives it
    names: tuple[str, ...]
    units: tuple[str, ...]
    rate_hz: float = Field(gt=0)  # a delta per step spans another range at another rate
    count: int = Field(ge=1)  # actions
    min: tuple[float, ...]
    max: tuple[float, ...]
    mean: tuple[float, ...]
    std: tuple[float, ...]  # of the population, not of a sample
    q01: tuple[float, ...]  # 1st percentile
    q99: tuple[float, ...]

    @model_validator(mode="after")
    def _check(self) -> "ActionStatistics":
        if not self.names or GRIPPER in self.names[:-1]:
            raise UsageError(
                f"action statistics of {self._about}: want columns, a {GRIPPER} only as the last"
            )
        if len(self.units) != len(self.names):
            raise UsageError(f"action statistics of {self._about} have {len(self.units)} units", _AGAIN)
        for key in _NUMBERS:
            values: tuple[float, ...] = getattr(self, key)
            if len(values) != len(self.names):
                raise UsageError(f"action statistics of {self._about} have {len(values)} {key}", _AGAIN)
            for name, value in zip(self.names, values, strict=True):
                if not math.isfinite(value):
                    raise UsageError(
                        f"action statistics of {self._about}: {key} of {name} is {value}", _AGAIN
                    )
        return self

    @staticmethod
    def of(actions: ArrayLike, robot: str, spec: ActionSpec) -> "ActionStatistics":
        """Of (N, dims) recorded actions. Raises ValueError for other shapes, NaN and infinity."""
        rows = finite_columns(actions, spec.dims)
        if rows.ndim != 2 or not len(rows):
            raise ValueError(f"actions have shape {rows.shape}, want (N, {spec.dims}) with N > 0")
        return ActionStatistics(
            schema_version=1,
            robot=robot,
            names=spec.names,
            units=spec.units,
            rate_hz=spec.rate_hz,
            count=len(rows),
            min=tuple(rows.min(0).tolist()),
            max=tuple(rows.max(0).tolist()),
            mean=tuple(rows.mean(0).tolist()),
            std=tuple(rows.std(0).tolist()),
            q01=tuple(np.percentile(rows, 1, axis=0).tolist()),
            q99=tuple(np.percentile(rows, 99, axis=0).tolist()),
        )

    def check_robot(self, robot: str, spec: ActionSpec) -> None:
        """Raises UsageError when these are the figures of another robot, or of other actions."""
        for what, found, wanted in (
            ("robot", self.robot, robot),
            ("dimensions", self.names, spec.names),
            ("units", self.units, spec.units),
            ("rate_hz", self.rate_hz, spec.rate_hz),
        ):
            if found != wanted:
                raise UsageError(
                    f"action statistics of another robot: {what} {found!r}, wanted {wanted!r}",
                    "use the statistics of this robot's own dataset",
                )

    @property
    def has_gripper(self) -> bool:
        return self.names[-1] == GRIPPER

    def min_max(self) -> MinMax:
        """From the smallest and largest value to [-1, 1]. Raises UsageError for a dimension without range."""
        return self._step(MinMax, self.min, self.max)

    def quantile(self) -> MinMax:
        """From the 1st and 99th percentile to [-1, 1]; beyond is clipped. Raises UsageError likewise."""
        return self._step(MinMax, self.q01, self.q99)

    def mean_std(self) -> MeanStd:
        """To mean 0 and deviation 1. Raises UsageError likewise."""
        return self._step(MeanStd, self.mean, self.std)

    @property
    def _about(self) -> str:
        return f"robot '{self.robot}' ({', '.join(self.names)})"

    def _step(self, kind: type[_Scaling], first: tuple[float, ...], second: tuple[float, ...]) -> _Scaling:
        scaled = len(self.names) - self.has_gripper
        try:
            return kind(first[:scaled], second[:scaled], self.has_gripper)
        except UsageError as error:
            raise UsageError(f"action statistics of {self._about}: {error.message}", error.hint) from error


def save_statistics(path: Path, statistics: ActionStatistics) -> None:
    """Write them as JSON."""
    path.write_text(statistics.model_dump_json(indent=2) + "\n", encoding="utf-8")


def load_statistics(path: Path, robot: str, spec: ActionSpec) -> ActionStatistics:
    """Read what `save_statistics` wrote. Raises UsageError when it is missing, damaged or another robot's."""
    try:
        statistics = ActionStatistics.model_validate_json(path.read_bytes())
        statistics.check_robot(robot, spec)
    except OSError as error:
        raise UsageError(f"cannot read {path}: {error.strerror}", _AGAIN) from error
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(map(str, first["loc"])) or "the file"
        raise UsageError(f"{path}: {place}: {first['msg']}, got {first['input']!r:.80}", _AGAIN) from error
    except UsageError as error:
        raise UsageError(f"{path}: {error.message}", error.hint) from error
    return statistics
