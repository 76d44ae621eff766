"""A velocity approaches its target within the limits, from anywhere, and lands on it exactly."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.motor.slew import clipped, slew

ACCEL, DECEL, JERK, TICK_S = 1.0, 2.0, 20.0, 0.02
UNIT = JERK * TICK_S  # the most that the acceleration changes in one tick

plane = st.complex_numbers(max_magnitude=0.5, allow_nan=False) | st.sampled_from([0.5, -0.5, 0.01, 0.0]).map(
    complex
)
tick_s = st.floats(0.001, 0.04)


def step(
    velocity: complex, last_accel: complex, target: complex, dt_s: float = TICK_S
) -> tuple[complex, complex]:
    return slew(velocity, last_accel, target, ACCEL, DECEL, JERK, dt_s)


@given(plane, st.complex_numbers(max_magnitude=10.0, allow_nan=False), plane, tick_s)
def test_limits_hold_from_anywhere(
    velocity: complex, last_accel: complex, target: complex, dt_s: float
) -> None:
    after, accel = step(velocity, last_accel, target, dt_s)
    assert abs(after - velocity) <= DECEL * dt_s + 1e-9
    assert abs(after) - abs(velocity) <= ACCEL * dt_s + 1e-9
    assert abs(after - velocity - accel * dt_s) <= 1e-9


@given(plane, st.floats(0.005, 0.04))
def test_speeds_up_no_harder_than_it_may_and_arrives(target: complex, dt_s: float) -> None:
    velocity, accel = 0j, 0j
    for _ in range(round(2 / dt_s)):
        before = velocity
        velocity, accel = step(velocity, accel, target, dt_s)
        assert abs(velocity - before) <= ACCEL * dt_s + 1e-9
        assert abs(velocity) <= abs(target) + 1e-9
    assert velocity == target


def test_brakes_harder_than_it_speeds_up() -> None:
    slowing, _ = step(0.5 + 0j, -2.0 + 0j, 0.1 + 0j)
    assert slowing == pytest.approx(0.46)
    crossing, _ = step(0.001 + 0j, -2.0 + 0j, -0.5 + 0j)
    assert crossing.real == pytest.approx(-0.021)


def test_a_turn_of_the_velocity_is_not_braking() -> None:
    aside, accel = step(0.25 + 0j, 1j, 0.25 + 0.25j)
    assert aside == 0.25 + ACCEL * TICK_S * 1j
    assert accel == pytest.approx(ACCEL * 1j)


@pytest.mark.parametrize("ticks", [1, 2])
def test_the_acceleration_falls_to_zero_just_where_the_target_is_reached(ticks: int) -> None:
    gap = UNIT * TICK_S * ticks * (ticks + 1) / 2
    velocity, accel = step(0.4 - gap + 0j, ticks * UNIT + 0j, 0.4 + 0j)
    assert accel == pytest.approx(ticks * UNIT)
    for left in range(ticks - 1, 0, -1):
        velocity, accel = step(velocity, accel, 0.4 + 0j)
        assert accel == pytest.approx(left * UNIT)
    assert velocity == 0.4


@given(st.complex_numbers(max_magnitude=DECEL * 0.005 * 0.999, allow_nan=False), st.floats(0.005, 0.04))
def test_a_zero_that_is_in_reach_is_reached_exactly(velocity: complex, dt_s: float) -> None:
    assert step(velocity, 0j, 0j, dt_s)[0] == 0


def test_no_target_is_reached_before_it_is_in_reach() -> None:
    after, _ = step(DECEL * TICK_S * 1.0002 + 0j, 0j, 0j)
    assert after == pytest.approx(DECEL * TICK_S * 0.0002)


@given(st.complex_numbers(max_magnitude=3.0, allow_nan=False), st.floats(0.0, 2.0))
def test_a_clipped_vector_keeps_its_direction(vector: complex, limit: float) -> None:
    short = clipped(vector, limit)
    assert abs(short) == pytest.approx(min(abs(vector), limit))
    assert short * abs(vector) == pytest.approx(vector * abs(short))
    if abs(vector) <= limit:
        assert short == vector
