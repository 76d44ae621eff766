"""What figures of a noisy machine allow to say: percentiles, intervals, and which differences are real.

A difference is called only if all agree: the interval of its bootstrap excludes zero, at a level that allows
for the number of stages, and it is larger than the spread that one side has against itself.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Numbers = NDArray[np.float64]
PERCENTILES = {"p50": 50.0, "p90": 90.0, "p99": 99.0, "p999": 99.9, "max": 100.0}
FALSE_CALLS = 0.05  # chance that any stage is called different that is not
RESAMPLES = 4000
LEAST_EFFECT = math.log(1.03)  # nobody feels less
SEGMENT = 25  # answers that follow each other share the machine's mood: they are drawn together
MIN_BLOCKS = 4


@dataclass(frozen=True)
class StageDifference:
    """How much slower one side is in one stage."""

    stage: str
    ratio: float  # of times, the other side's to the first one's
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
    segments = np.array_split(all_values, max(1, len(all_values) // SEGMENT))
    rng = np.random.default_rng(1)
    found = [
        np.percentile(
            np.concatenate([segments[i] for i in rng.integers(0, len(segments), len(segments))]), percent
        )
        for _ in range(400)
    ]
    low, high = np.quantile(found, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)


def paired_differences(
    first: Mapping[str, Sequence[float]], other: Mapping[str, Sequence[float]]
) -> list[StageDifference]:
    """Compare stages by their times in blocks that took turns: block i of both sides are neighbours.

    Stages that only one side has, or that take no time, are left out.
    """
    stages = _common(first, other)
    return [_paired(stage, _logs(first[stage]), _logs(other[stage]), len(stages)) for stage in stages]


def unpaired_differences(
    first: Mapping[str, Sequence[float]], other: Mapping[str, Sequence[float]]
) -> list[StageDifference]:
    """Compare stages by their times in blocks of two measurements, made at different times."""
    stages = _common(first, other)
    return [_unpaired(stage, _logs(first[stage]), _logs(other[stage]), len(stages)) for stage in stages]


def _common(first: Mapping[str, Sequence[float]], other: Mapping[str, Sequence[float]]) -> list[str]:
    both = [stage for stage in first if stage in other]
    return [stage for stage in both if min(*first[stage], *other[stage]) > 0]


def _logs(times: Sequence[float]) -> Numbers:
    return np.log(np.asarray(times, np.float64))


def _paired(stage: str, first: Numbers, other: Numbers, stages: int) -> StageDifference:
    count = min(len(first), len(other))
    differences = other[:count] - first[:count]
    rng = np.random.default_rng(1)
    drawn = np.median(differences[rng.integers(0, count, (RESAMPLES, count))], axis=1)
    spread = max(_self_spread(first, rng, paired=True), _self_spread(other, rng, paired=True))
    return _judged(stage, float(np.median(differences)), drawn, spread, stages)


def _unpaired(stage: str, first: Numbers, other: Numbers, stages: int) -> StageDifference:
    rng = np.random.default_rng(1)
    before = np.median(first[rng.integers(0, len(first), (RESAMPLES, len(first)))], axis=1)
    after = np.median(other[rng.integers(0, len(other), (RESAMPLES, len(other)))], axis=1)
    spread = max(_self_spread(first, rng, paired=False), _self_spread(other, rng, paired=False))
    return _judged(stage, float(np.median(other) - np.median(first)), after - before, spread, stages)


def _self_spread(times: Numbers, rng: np.random.Generator, *, paired: bool) -> float:
    """Return how much halves of one side differ from each other, as a log ratio: 95 of 100 differ less."""
    count = len(times) // 2
    if count < 2:
        return math.inf
    drawn: list[float] = []
    if paired:  # neighbours, in a random order, as the two sides are
        for start in range(len(times) % 2 + 1):
            steps = times[start + 1 :: 2][:count] - times[start::2][:count]
            signs = rng.choice([-1.0, 1.0], (200, count))
            drawn += np.abs(np.median(steps * signs, axis=1)).tolist()
    else:
        for _ in range(200):
            order = rng.permutation(times)
            drawn.append(abs(float(np.median(order[:count]) - np.median(order[count:]))))
    return float(np.quantile(drawn, 0.95))


def _judged(stage: str, effect: float, drawn: Numbers, spread: float, stages: int) -> StageDifference:
    tail = FALSE_CALLS / max(1, stages) / 2
    low, high = (float(value) for value in np.quantile(drawn, [tail, 1 - tail]))
    sure = low > 0 or high < 0
    real = sure and abs(effect) > max(spread, LEAST_EFFECT)
    shown = math.exp(min(spread, 5.0))
    return StageDifference(stage, math.exp(effect), math.exp(low), math.exp(high), shown, real)
