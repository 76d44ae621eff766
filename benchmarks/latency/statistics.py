"""What figures of a noisy machine allow to say: percentiles, intervals, and which differences are real.

Stages are compared by their quick twentieth, which what else runs on the machine touches least, and the whole
by its median. A difference is called only if both agree: the interval of its bootstrap excludes zero, at a
level that allows for the number of stages and for few blocks, and it is larger than the spread that one side
has against itself.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

Numbers = NDArray[np.float64]
Blocks = Sequence[Sequence[float]]  # the `sketch` of each drive's times in a stage
Times = Mapping[str, Blocks]  # by stage
PERCENTILES = {"p50": 50.0, "p90": 90.0, "p99": 99.0, "p999": 99.9, "max": 100.0}
FALSE_CALLS = 0.05  # chance that any stage is called different that is not
RESAMPLES = 1000
SPLITS = 200  # ways to halve one side
SKETCH = 41  # quantiles that stand for the times of a drive
QUICK = 5.0  # percentile by which stages are compared
WHOLE = "end_to_end"  # by its median: it consists of waits as well
LEAST_EFFECT = math.log(1.05)  # caches alone make less
SEGMENT = 25  # answers that follow each other share the machine's mood: they are drawn together
MIN_SEGMENTS = 8  # fewer answers are drawn one by one
MIN_BLOCKS = 4


@dataclass(frozen=True)
class StageDifference:
    """How much slower one side is in one stage."""

    stage: str
    ratio: float  # the other side's time over the first one's
    low: float  # its interval
    high: float
    spread: float  # ratio by which the first side differs from itself; 1: not at all
    real: bool

    @property
    def slower(self) -> bool:
        """True if the other side really is slower."""
        return self.real and self.ratio > 1


def percentiles(values: Sequence[float]) -> dict[str, float]:
    """Return the percentiles of at least one value."""
    found = np.percentile(np.asarray(values, np.float64), list(PERCENTILES.values()))
    return {name: round(float(value), 4) for name, value in zip(PERCENTILES, found, strict=True)}


def jitter(values: Sequence[float]) -> float:
    """Return the mean absolute difference between values that follow each other; 0 for one alone."""
    return float(np.abs(np.diff(np.asarray(values, np.float64))).mean()) if len(values) > 1 else 0.0


def interval(values: Sequence[float], percent: float = 50.0, level: float = 0.95) -> tuple[float, float]:
    """Return the bootstrap interval of a percentile, from segments of values that follow each other."""
    all_values = np.asarray(values, np.float64)
    many = len(all_values) >= MIN_SEGMENTS * SEGMENT
    segments = np.array_split(all_values, len(all_values) // SEGMENT if many else len(all_values))
    rng = np.random.default_rng(1)
    found = [
        np.percentile(
            np.concatenate([segments[i] for i in rng.integers(0, len(segments), len(segments))]), percent
        )
        for _ in range(400)
    ]
    low, high = np.quantile(found, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)


def sketch(values: Sequence[float]) -> list[float]:
    """Return the SKETCH quantiles of a block's times, which stand for them."""
    return [round(float(each), 5) for each in np.quantile(values, np.linspace(0, 1, SKETCH))]


def paired_differences(first: Times, other: Times) -> list[StageDifference]:
    """Compare stages by their times in blocks that took turns: block i of both sides are neighbours.

    Stages that only one side has, or that take no time, are left out.
    """
    stages = _common(first, other)
    return [_paired(stage, first[stage], other[stage], len(stages)) for stage in stages]


def unpaired_differences(first: Times, other: Times) -> list[StageDifference]:
    """Compare stages by their times in blocks of two measurements, made at different times."""
    stages = _common(first, other)
    return [_unpaired(stage, first[stage], other[stage], len(stages)) for stage in stages]


def _common(first: Times, other: Times) -> list[str]:
    both = [stage for stage in first if stage in other]
    return [stage for stage in both if min(map(min, [*first[stage], *other[stage]])) > 0]


def _paired(stage: str, first: Blocks, other: Blocks, stages: int) -> StageDifference:
    count = min(len(first), len(other))
    one, two = np.asarray(first[:count]), np.asarray(other[:count])
    rng = np.random.default_rng(1)
    chosen = rng.integers(0, count, (RESAMPLES, count))
    return _judged(stage, one, two, (chosen, chosen), stages)


def _unpaired(stage: str, first: Blocks, other: Blocks, stages: int) -> StageDifference:
    one, two = np.asarray(first), np.asarray(other)
    rng = np.random.default_rng(1)
    chosen = (rng.integers(0, len(each), (RESAMPLES, len(each))) for each in (one, two))
    return _judged(stage, one, two, tuple(chosen), stages)


def _quick(stage: str, blocks: Numbers, chosen: NDArray[np.int64]) -> Numbers:
    """Return the logarithm of what a stage is compared by, of chosen blocks (R, n) taken together: (R,)."""
    together = blocks[chosen].reshape(len(chosen), -1)
    return np.log(np.percentile(together, 50.0 if stage == WHOLE else QUICK, axis=1))


def _self_spread(stage: str, blocks: Numbers) -> float:
    """Return how much halves of one side differ from each other, as a log ratio: 95 of 100 differ less."""
    count = len(blocks) // 2
    if count < MIN_BLOCKS // 2:
        return math.inf
    # One of each two neighbours goes to either half, as the two sides take turns.
    swapped = np.random.default_rng(2).integers(0, 2, (SPLITS, count))
    evens = 2 * np.arange(count)
    differences = _quick(stage, blocks, evens + swapped) - _quick(stage, blocks, evens + 1 - swapped)
    return float(np.quantile(np.abs(differences), 0.95))


def _small_sample(count: int, tail: float) -> float:
    """Return how much wider a bootstrap interval of `count` blocks must be to keep its level.

    Few blocks vary less among themselves than machines do: the factor is Student's quantile over the normal
    one, and the root of n / (n - 1). Hesterberg, "What Teachers Should Know About the Bootstrap", 2015.
    """
    dof = count - 1
    angles = np.linspace(-np.pi / 2, np.pi / 2, 100_001)  # t = sqrt(dof) tan(angle)
    chance = np.cumsum(np.cos(angles) ** (dof - 1))
    student = math.sqrt(dof) * math.tan(np.interp((1 - tail) * chance[-1], chance, angles))
    return student / NormalDist().inv_cdf(1 - tail) * math.sqrt(count / dof)


def _judged(
    stage: str, one: Numbers, two: Numbers, chosen: tuple[NDArray[np.int64], ...], stages: int
) -> StageDifference:
    """Judge a stage of two sides; `chosen` are the blocks of either that the bootstrap draws."""
    drawn = _quick(stage, two, chosen[1]) - _quick(stage, one, chosen[0])
    effect = float(
        (_quick(stage, two, np.arange(len(two))[None]) - _quick(stage, one, np.arange(len(one))[None]))[0]
    )
    spread = max(_self_spread(stage, one), _self_spread(stage, two))
    tail = FALSE_CALLS / max(1, stages) / 2
    wider = _small_sample(min(len(one), len(two)), tail)
    low, high = (effect + wider * (float(value) - effect) for value in np.quantile(drawn, [tail, 1 - tail]))
    sure = low > 0 or high < 0
    real = sure and abs(effect) > max(spread, LEAST_EFFECT)
    shown = math.exp(min(spread, 5.0))
    return StageDifference(stage, math.exp(effect), math.exp(low), math.exp(high), shown, real)
