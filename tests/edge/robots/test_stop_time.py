"""The time from the last setpoint to standing, from odometry."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.records import Odometry, Velocity
from edge.robots.stop_time import LONGEST_S, moved_m_s, stop_time_s

SILENT_NS = 10_000_000_000


def trace(stop_s: float, speed: float = 0.1, period_s: float = 0.02, says: float | None = None):
    """A base at `speed` from 1 s before the silence to `stop_s` after; `says`: its odometry's speed then."""
    samples: list[Odometry] = []
    x_m = 0.0
    for step in range(round((1 + LONGEST_S) / period_s) + 1):
        t_s = step * period_s - 1
        moves = t_s <= stop_s
        x_m += speed * period_s * moves
        shown = speed if moves and says is None else (says or 0.0)
        velocity = Velocity(shown, 0.0, 0.0)
        samples.append(Odometry(SILENT_NS + round(t_s * 1e9), x_m, 0.0, 0.0, velocity))
    return samples


@given(st.floats(0, 2.5), st.floats(0.05, 0.5), st.sampled_from([0.01, 0.02, 0.05, 0.1]))
def test_the_time_is_found_to_within_a_sample(stop_s: float, speed: float, period_s: float):
    found = stop_time_s(trace(stop_s, speed, period_s), SILENT_NS)
    assert found is not None and abs(found - stop_s) <= period_s + 1e-6


@given(st.floats(2.9, 100))
def test_a_base_that_goes_on_never_stopped(stop_s: float):
    assert stop_time_s(trace(stop_s), SILENT_NS) == math.inf


def test_positions_tell_where_speeds_don_t():
    """Odometry that repeats the commanded speed, here zero from the start, would claim a stop at once."""
    found = stop_time_s(trace(1.0, says=0.0), SILENT_NS)
    assert found is not None and 0.7 <= found <= 1.05


def test_noise_of_a_standing_base_does_not_count():
    samples = [
        Odometry(each.stamp_ns, each.x_m + 0.001 * (index % 2), 0.0, 0.0, each.velocity)
        for index, each in enumerate(trace(0.4))
    ]
    assert stop_time_s(samples, SILENT_NS) == pytest.approx(0.4, abs=0.03)


def test_odometry_that_stops_tells_nothing():
    samples = [each for each in trace(0.4) if each.stamp_ns < SILENT_NS + 600_000_000]
    assert stop_time_s(samples, SILENT_NS) is None
    assert stop_time_s([], SILENT_NS) is None
    assert moved_m_s([], SILENT_NS) == 0
    assert moved_m_s(samples, SILENT_NS) == pytest.approx(0.1)
