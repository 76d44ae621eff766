"""How long a base goes on once its computer has fallen silent, from its odometry."""

import math
from collections.abc import Sequence
from itertools import pairwise

from edge.records import Odometry

LONGEST_S = 3.0  # a base that still moves then does not stop by itself
AHEAD_NS = 200_000_000  # over this time a base that stands goes nowhere
STILL_SHARE = 0.15  # share of the speed before, up to which odometry says that it stands: noise
STILL_M_S = 0.01
GAP_NS = 300_000_000  # odometry that is missing for longer says nothing


def moved_m_s(trace: Sequence[Odometry], silent_ns: int) -> float:
    """Return the highest speed in the second before the silence, m/s; 0 without odometry."""
    before = (each for each in trace if silent_ns - 1_000_000_000 <= each.stamp_ns <= silent_ns)
    return max(map(_speed_m_s, before), default=0.0)


def stop_time_s(trace: Sequence[Odometry], silent_ns: int) -> float | None:
    """Return the time from the last setpoint to standing, seconds; infinity for a base that went on.

    `trace` is the odometry up to LONGEST_S behind `silent_ns`. A sample moves if it says so, or if the next
    200 ms of positions do. Returns None if odometry is missing for too long to tell.
    """
    still_m_s = max(STILL_M_S, STILL_SHARE * moved_m_s(trace, silent_ns))
    after = [each for each in trace if each.stamp_ns >= silent_ns]
    stamps = [silent_ns, *(each.stamp_ns for each in after), silent_ns + round(LONGEST_S * 1e9)]
    if max(b - a for a, b in pairwise(stamps)) > GAP_NS:
        return None
    last_ns = silent_ns
    for index, sample in enumerate(after):
        if _speed_m_s(sample) > still_m_s or _goes_m(after, index) > still_m_s * AHEAD_NS / 1e9:
            last_ns = sample.stamp_ns
    if last_ns >= after[-1].stamp_ns - AHEAD_NS:
        return math.inf
    return (last_ns - silent_ns) / 1e9


def _speed_m_s(sample: Odometry) -> float:
    return math.hypot(sample.velocity.linear_x_m_s, sample.velocity.linear_y_m_s)


def _goes_m(after: Sequence[Odometry], index: int) -> float:
    """Return how far the base gets within AHEAD_NS of a sample, metres."""
    here = after[index]
    ahead = here
    for each in after[index + 1 :]:
        if each.stamp_ns > here.stamp_ns + AHEAD_NS:
            break
        ahead = each
    return math.hypot(ahead.x_m - here.x_m, ahead.y_m - here.y_m)
