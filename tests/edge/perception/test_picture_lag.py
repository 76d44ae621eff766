"""How far a picture is behind the base: recovered from any turning that changes, never from a steady one."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge.perception.picture_lag import FORESEEN_S, LAG_STEP_S, BaseMotion, TurnsSeen, lag_of
from edge.records import ZERO, MotorState, MotorStatus, Odometry, Velocity

RATE_HZ = 30


def odometry(time_s: float, x_m: float = 0.0, yaw_rad: float = 0.0) -> Odometry:
    return Odometry(round(time_s * 1e9), x_m, 0.0, math.remainder(yaw_rad, 2 * math.pi), ZERO)


def driven(yaw: np.ndarray, times_s: np.ndarray) -> BaseMotion:
    base = BaseMotion()
    for time_s, yaw_rad in zip(times_s, yaw, strict=True):
        base.measure(odometry(float(time_s), 0.0, float(yaw_rad)))
    return base


def seen(yaw: np.ndarray, times_s: np.ndarray, lag_s: float, noise_rad: float = 0.002) -> np.ndarray:
    """The turns between frames of a camera that is late, (N, 3)."""
    frames_s = np.arange(2.5, times_s[-1], 1 / RATE_HZ)
    late = np.interp(frames_s - lag_s, times_s, yaw)
    noise = np.random.default_rng(1).normal(0, noise_rad, len(frames_s) - 1)
    return np.stack([frames_s[:-1], frames_s[1:], np.diff(late) + noise], axis=1)


@settings(max_examples=40, deadline=None)
@given(st.floats(0.0, 2.0), st.lists(st.sampled_from([-0.9, -0.4, 0.0, 0.4, 0.9]), min_size=8, max_size=8))
def test_a_sure_lag_is_the_true_one(lag_s: float, rates_rad_s: list[float]):
    times_s = np.arange(0, 6.4, 0.02)
    rates = np.repeat(rates_rad_s, len(times_s) // 8)
    yaw = np.cumsum(np.r_[rates, np.full(len(times_s) - len(rates), rates[-1])]) * 0.02
    fit = lag_of(seen(yaw, times_s, lag_s), driven(yaw, times_s))
    assert not fit.sure or abs(fit.lag_s - lag_s) <= LAG_STEP_S
    if len(set(rates_rad_s[3:])) == 1 and len(set(rates_rad_s)) == 1:
        assert not fit.sure, "a steady turn looks the same at every time"


@pytest.mark.parametrize("lag_s", [0.0, 0.1, 0.3, 1.0, 2.0])
def test_a_turn_to_and_fro_tells_the_lag(lag_s: float):
    times_s = np.arange(0, 7, 0.02)
    yaw = 0.5 * np.sin(1.3 * times_s)
    fit = lag_of(seen(yaw, times_s, lag_s), driven(yaw, times_s))
    assert fit.sure and fit.lag_s == pytest.approx(lag_s, abs=1e-6)


def test_a_picture_on_its_head_turns_against_the_base():
    times_s = np.arange(0, 7, 0.02)
    yaw = 0.9 * np.sin(0.7 * times_s)
    assert lag_of(seen(-yaw, times_s, 0.0), driven(yaw, times_s)).mirrored
    assert not lag_of(seen(yaw, times_s, 0.0), driven(yaw, times_s)).mirrored
    assert not lag_of(seen(2.5 * times_s % 3, times_s, 0.0), driven(yaw, times_s)).mirrored


def test_a_picture_that_never_turns_has_no_lag():
    times_s = np.arange(0, 7, 0.02)
    yaw = np.where(times_s < 2.5, 0.6 * times_s, 1.5)
    fit = lag_of(seen(0 * yaw, times_s, 0.0), driven(yaw, times_s))
    assert not fit.sure and not fit.mirrored


def test_too_few_turns_tell_nothing_and_old_ones_are_forgotten():
    base, turns = driven(np.zeros(100), np.arange(100) * 0.02), TurnsSeen()
    for i in range(19):
        turns.add(i / RATE_HZ, (i + 1) / RATE_HZ, 0.0)
    assert turns.fit(base) is None
    turns.add(19 / RATE_HZ, 20 / RATE_HZ, 0.0)
    assert turns.fit(base) is not None
    turns.add(10.0, 10.03, 0.0)
    assert turns.fit(base) is None
    turns.forget()
    assert turns.fit(base) is None


@given(st.lists(st.floats(-0.05, 0.05), min_size=2, max_size=40))
def test_headings_go_on_beyond_half_a_circle_and_between_is_their_span(turns_rad: list[float]):
    yaw = np.cumsum([3.1, *turns_rad])
    times_s = np.arange(len(yaw)) * 0.02
    base = driven(yaw, times_s)
    assert base.yaw_at(times_s) == pytest.approx(yaw - yaw[0], abs=1e-9)
    assert base.between(0.0, float(times_s[-1])) == (0.0, pytest.approx(float(np.ptp(yaw)), abs=1e-9))


def test_the_newest_turn_goes_on_for_a_moment_and_no_longer():
    base = driven(np.arange(50) * 0.01, np.arange(50) * 0.02)
    later = base.yaw_at(np.array([0.98, 1.08, 5.0]))
    assert later == pytest.approx([0.49, 0.49 + 0.05, 0.49 + 0.5 * FORESEEN_S])
    assert base.between(0.9, 0.98 + FORESEEN_S) is not None
    assert base.between(0.9, 0.99 + FORESEEN_S) is None and base.between(-0.1, 0.5) is None


def test_a_base_that_is_located_anew_has_not_moved():
    base = BaseMotion()
    for i in range(10):
        base.measure(odometry(i * 0.02, 0.0 if i < 5 else 2.0, 0.0 if i < 5 else 3.0))
    assert base.between(0.0, 0.18) == (0.0, 0.0)


def test_a_base_without_odometry_moves_as_it_is_told_and_odometry_takes_over():
    base = BaseMotion()
    for i in range(51):
        base.take(MotorStatus(i * 20_000_000, MotorState.FOLLOWING, Velocity(0.2, 0.0, 0.5)))
    way = base.between(0.0, 1.0)
    assert not base.measured and way is not None
    assert way[1] == pytest.approx(0.5) and way[0] == pytest.approx(0.2, abs=0.01)
    base.take(MotorStatus(2_000_000_000, MotorState.FOLLOWING, ZERO, odometry=odometry(1.99)))
    assert base.measured and base.between(0.0, 1.0) is None
    base.take(MotorStatus(2_020_000_000, MotorState.FOLLOWING, Velocity(0.5)))
    assert base.between(1.99, 2.0) == (0.0, 0.0)


def test_a_long_drive_is_remembered_for_ten_seconds_at_least():
    times_s = np.arange(0, 60, 0.02)
    base = driven(0.3 * times_s, times_s)
    assert base.between(49.5, 59.5) == (0.0, pytest.approx(3.0, abs=0.01))
