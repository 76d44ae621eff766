"""What counts of trials say: intervals, a paired test, how many more trials would tell. At 95 %."""

import math
from collections.abc import Callable
from statistics import NormalDist

CONFIDENCE = 0.95
POWER = 0.8
Z = NormalDist().inv_cdf(0.5 + CONFIDENCE / 2)
_BISECTIONS = 80


def wilson95(successes: int, trials: int) -> tuple[float, float]:
    """Return Wilson's score interval for a share, each in [0, 1] (Wilson 1927)."""
    if trials == 0:
        return 0.0, 1.0
    p = successes / trials
    centre = p + Z * Z / (2 * trials)
    spread = Z * math.sqrt(p * (1 - p) / trials + Z * Z / (4 * trials * trials))
    low, high = ((centre + s * spread) / (1 + Z * Z / trials) for s in (-1, 1))
    return max(0.0, low), min(1.0, high)


def gap95(successes: int, trials: int, others: int, other_trials: int) -> tuple[float, float]:
    """Return the interval of the first share less the other one, of different trials.

    Newcombe's hybrid of both Wilson intervals (Newcombe 1998, method 10). Each of `trials` is above 0.
    """
    p, q = successes / trials, others / other_trials
    p_low, p_high = wilson95(successes, trials)
    q_low, q_high = wilson95(others, other_trials)
    return p - q - math.hypot(p - p_low, q_high - q), p - q + math.hypot(p_high - p, q - q_low)


def paired95(pairs: int, only_first: int, only_second: int) -> tuple[float, float]:
    """Return the interval of the first share less the second one, of the same scenes.

    Wald's with one pair of each kind added (Bonett and Price 2012). `pairs` is above 0.
    """
    p, q = ((each + 1) / (pairs + 2) for each in (only_first, only_second))
    spread = Z * math.sqrt((p + q - (p - q) ** 2) / (pairs + 2))
    return max(-1.0, p - q - spread), min(1.0, p - q + spread)


def mcnemar(only_first: int, only_second: int) -> tuple[float, float]:
    """Return McNemar's p, exact and mid-p, each in [0, 1]; the exact one errs on the safe side.

    The counts are of the pairs in which only one of the two succeeded.
    """
    n, fewer = only_first + only_second, min(only_first, only_second)
    tail = sum(math.comb(n, k) for k in range(fewer + 1)) / 2**n
    return min(1.0, 2 * tail), min(1.0, 2 * tail - math.comb(n, fewer) / 2**n)


def pairs_needed(pairs: int, only_first: int, only_second: int, power: float = POWER) -> int | None:
    """Return how many pairs would tell two bundles apart that differ as much as these; None if these don't.

    The number at which McNemar's test finds the difference with probability `power` (Connor 1987).
    """
    if only_first == only_second:
        return None
    differ, by = (only_first + only_second) / pairs, abs(only_first - only_second) / pairs
    z_power = NormalDist().inv_cdf(power)
    return math.ceil(((Z * math.sqrt(differ) + z_power * math.sqrt(differ - by * by)) / by) ** 2)


def time_between95(seconds: float, events: int) -> tuple[float, float]:
    """Return the interval of the mean time between events that came `events` times in `seconds`, above 0.

    Exact for events that come by chance at a constant rate (Garwood 1936). Infinity where none came.
    """
    tail = (1 - CONFIDENCE) / 2
    most = _where(lambda mean: _poisson_up_to(events, mean) > tail, 2 * events + 20.0)
    if events == 0:
        return seconds / most, math.inf
    fewest = _where(lambda mean: 1 - _poisson_up_to(events - 1, mean) < tail, float(events))
    return seconds / most, seconds / fewest


def _poisson_up_to(count: int, mean: float) -> float:
    """Return the probability of at most `count` events where `mean` are expected."""
    if mean <= 0:
        return 1.0
    return math.fsum(math.exp(k * math.log(mean) - mean - math.lgamma(k + 1)) for k in range(count + 1))


def _where(holds: Callable[[float], bool], high: float) -> float:
    """Return the number in [0, high] up to which `holds` is true."""
    low = 0.0
    for _ in range(_BISECTIONS):
        middle = (low + high) / 2
        low, high = (middle, high) if holds(middle) else (low, middle)
    return (low + high) / 2
