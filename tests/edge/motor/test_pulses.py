"""Pulses: a base that can't go slowly is driven at the speeds that it knows, and never ahead of the guard."""

import cmath
import math
from collections.abc import Iterable
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.base_spec import BaseSpec, DriveKind
from edge.motor.limits import MotorLimits
from edge.motor.pulses import Pulses
from edge.records import ZERO, Velocity

MS = 1_000_000
TICK = 20 * MS
SPEED, TURN = 0.2, 0.8
FIXED = BaseSpec(fixed_speed_m_s=SPEED, fixed_turn_rad_s=TURN)
IN_TURNS = BaseSpec(fixed_speed_m_s=SPEED, fixed_turn_rad_s=TURN, turns_while_driving=False)
DEAD_BAND = BaseSpec(dead_band_m_s=0.1, min_turn_rad_s=0.3)
CAR = BaseSpec(min_speed_m_s=0.2, drive=DriveKind.ACKERMANN, wheel_base_m=0.3, steering_rad=math.radians(45))


def pulses_of(base: BaseSpec) -> Pulses:
    return Pulses(MotorLimits.of(base))


def sent(
    pulses: Pulses, setpoints: Iterable[Velocity], start_ns: int = 0, tick_ns: int = TICK
) -> list[Velocity]:
    """Return what is sent for one setpoint a tick."""
    return [pulses.step(setpoint, start_ns + i * tick_ns) for i, setpoint in enumerate(setpoints)]


def along(velocity: Velocity) -> complex:
    return complex(velocity.linear_x_m_s, velocity.linear_y_m_s)


def _parts(vector: complex) -> tuple[float, float]:
    return vector.real, vector.imag


def lengths(moving: Iterable[bool]) -> list[tuple[bool, int]]:
    """Return the lengths in ticks of what is the same in a row."""
    runs: list[tuple[bool, int]] = []
    for each in moving:
        if runs and runs[-1][0] == each:
            runs[-1] = (each, runs[-1][1] + 1)
        else:
            runs.append((each, 1))
    return runs


speeds = st.floats(-1.0, 1.0)
velocities = st.builds(lambda x, y, turn: Velocity(0.2 * x, 0.2 * y, 0.8 * turn), speeds, speeds, speeds)
shares = st.sampled_from([-1.0, -0.3, 0.0, 0.2, 0.5, 0.9, 1.0])
anything = st.lists(st.tuples(shares, st.floats(-4.0, 4.0), shares, st.integers(1, 12)), max_size=8).map(
    lambda parts: [
        Velocity(*_parts(cmath.rect(way * SPEED, heading)), turn * TURN)
        for way, heading, turn, ticks in parts
        for _ in range(ticks)
    ]
)


@given(st.lists(velocities, max_size=40))
def test_a_base_that_can_go_slowly_gets_its_setpoints_as_they_are(setpoints: list[Velocity]) -> None:
    assert sent(pulses_of(BaseSpec()), setpoints) == setpoints


@given(anything)
def test_a_base_of_fixed_speed_is_sent_that_speed_or_zero(setpoints: list[Velocity]) -> None:
    for base in (FIXED, IN_TURNS):
        for wanted, velocity in zip(setpoints, sent(pulses_of(base), setpoints), strict=True):
            way, turn = abs(along(velocity)), abs(velocity.angular_z_rad_s)
            # A setpoint above the fixed speed, which the guard never gives, is the guard's to answer for.
            assert way in (0.0, pytest.approx(max(SPEED, abs(along(wanted)))))
            assert turn in (0.0, pytest.approx(TURN))
            assert base.turns_while_driving or way == 0.0 or turn == 0.0


@given(anything)
def test_what_moves_goes_the_way_that_is_wanted_now_and_zero_stops_at_once(setpoints: list[Velocity]) -> None:
    for wanted, velocity in zip(setpoints, sent(pulses_of(FIXED), setpoints), strict=True):
        if along(velocity):
            assert cmath.phase(along(velocity) / along(wanted)) == pytest.approx(0.0, abs=1e-9)
        assert velocity.angular_z_rad_s * wanted.angular_z_rad_s >= 0
        assert wanted.angular_z_rad_s or not velocity.angular_z_rad_s
        assert wanted != ZERO or velocity == ZERO


@given(anything)
def test_the_base_never_goes_farther_than_it_was_allowed_to(setpoints: list[Velocity]) -> None:
    for base in (FIXED, IN_TURNS, DEAD_BAND):
        allowed_m = allowed_rad = driven_m = driven_rad = 0.0
        for wanted, velocity in zip(setpoints, sent(pulses_of(base), setpoints), strict=True):
            allowed_m += abs(along(wanted)) * 0.02
            allowed_rad += abs(wanted.angular_z_rad_s) * 0.02
            driven_m += abs(along(velocity)) * 0.02
            driven_rad += abs(velocity.angular_z_rad_s) * 0.02
            # A pulse may outlast by a tick what is owed; the pause after it is longer by so much.
            assert driven_m <= allowed_m + base.lowest_m_s * 0.02 + 1e-9
            assert driven_rad <= allowed_rad + base.lowest_rad_s * 0.02 + 1e-9


@given(st.floats(0.05, 1.0), st.floats(-math.pi, math.pi), st.floats(0.05, 1.0))
def test_on_average_it_goes_as_fast_as_the_setpoint(way: float, heading: float, turn: float) -> None:
    wanted = Velocity(*_parts(cmath.rect(way * SPEED, heading)), turn * TURN)
    ticks = 1500
    driven = sent(pulses_of(FIXED), [wanted] * ticks)
    metres = abs(sum(map(along, driven))) * 0.02
    radians = sum(velocity.angular_z_rad_s for velocity in driven) * 0.02
    # Behind by the first pulse that was waited for, and what is owed for the next.
    assert way * SPEED * 30 - 2 * FIXED.step_m - 1e-6 <= metres <= way * SPEED * 30 + 1e-6 + SPEED * 0.02
    assert turn * TURN * 30 - 2 * FIXED.step_rad - 1e-6 <= radians <= turn * TURN * 30 + 1e-6 + TURN * 0.02


@given(st.floats(0.05, 0.99), st.sampled_from([60, 100, 200]), st.sampled_from([40, 100, 300]))
def test_pulses_and_pauses_last_as_long_as_the_base_needs(share: float, on_ms: int, off_ms: int) -> None:
    base = BaseSpec(
        fixed_speed_m_s=SPEED, fixed_turn_rad_s=TURN, pulse_on_s=on_ms / 1e3, pulse_off_s=off_ms / 1e3
    )
    driven = sent(pulses_of(base), [Velocity(share * SPEED)] * 500)
    first, *between, _ = lengths(velocity != ZERO for velocity in driven)
    assert first == (False, math.ceil(on_ms / 20 / share - 1e-6))
    for moving, ticks in between:
        assert ticks * 20 >= (on_ms if moving else off_ms)


def test_at_its_own_speed_it_goes_on_without_a_pause() -> None:
    driven = sent(pulses_of(FIXED), [Velocity(SPEED, 0.0, -TURN)] * 50)
    assert driven == [ZERO] * 5 + [Velocity(SPEED, 0.0, -TURN)] * 45


def test_half_the_speed_is_half_the_time() -> None:
    driven = sent(pulses_of(FIXED), [Velocity(SPEED / 2)] * 60)
    # 200 ms for a pulse of 100 ms, which lasts until what came in meanwhile is driven too.
    assert lengths(velocity != ZERO for velocity in driven) == [
        (False, 10), (True, 10), (False, 10), (True, 10), (False, 10), (True, 10)
    ]  # fmt: skip


def test_a_zero_ends_a_pulse_and_forgets_what_was_owed() -> None:
    pulses = pulses_of(FIXED)
    half = Velocity(SPEED / 2)
    *_, last = sent(pulses, [half] * 12)
    assert last == Velocity(SPEED)
    assert pulses.step(ZERO, 12 * TICK) == ZERO
    again = sent(pulses, [half] * 20, 13 * TICK)
    assert lengths(velocity != ZERO for velocity in again) == [(False, 10), (True, 10)]


def test_after_a_stop_it_pauses_before_it_starts_again() -> None:
    pulses = pulses_of(replace(FIXED, pulse_off_s=0.3))
    full = Velocity(SPEED)
    assert sent(pulses, [*[full] * 6, ZERO]) == [*[ZERO] * 5, full, ZERO]
    again = sent(pulses, [full] * 20, 7 * TICK)
    assert again == [ZERO] * 14 + [full] * 6  # 300 ms after the zero


def test_what_is_owed_one_way_is_not_driven_another() -> None:
    half = Velocity(SPEED / 2)
    for other in (Velocity(-SPEED / 2), Velocity(0.0, SPEED / 2)):
        pulses = pulses_of(FIXED)
        sent(pulses, [half] * 9)
        driven = sent(pulses, [other] * 11, 9 * TICK)
        assert driven == [ZERO] * 10 + [Velocity(2 * other.linear_x_m_s, 2 * other.linear_y_m_s)]


def test_a_turn_off_the_way_keeps_the_part_that_still_leads_there() -> None:
    pulses = pulses_of(FIXED)
    sent(pulses, [Velocity(SPEED / 2)] * 9)  # 80 ms of a pulse, and 20 ms to come
    aside = Velocity(*_parts(cmath.rect(SPEED / 2, math.radians(60))))
    driven = sent(pulses, [aside] * 20, 9 * TICK)
    assert lengths(velocity != ZERO for velocity in driven)[0] == (False, 6)  # 45 of 100 ms owed by then


def test_a_stall_of_the_loop_is_paid_back_by_a_pause() -> None:
    pulses = pulses_of(FIXED)
    half = Velocity(SPEED / 2)
    sent(pulses, [half] * 11)
    assert pulses.step(half, 10 * TICK + 500 * MS) == ZERO  # on for 500 ms: 150 ms of them too long
    driven = sent(pulses, [half] * 30, 10 * TICK + 500 * MS)
    assert lengths(velocity != ZERO for velocity in driven)[0] == (False, 25)


def test_a_stall_while_it_waits_is_not_made_up_for() -> None:
    pulses = pulses_of(FIXED)
    half = Velocity(SPEED / 2)
    pulses.step(half, 0)
    driven = sent(pulses, [half] * 60, 10_000 * MS)
    # Two pulses, and what comes in meanwhile.
    assert lengths(velocity != ZERO for velocity in driven)[0] == (True, 20)


def test_time_that_goes_back_counts_as_none() -> None:
    pulses = pulses_of(FIXED)
    half = Velocity(SPEED / 2)
    pulses.step(half, 1000 * MS)
    assert pulses.step(half, 0) == ZERO
    driven = sent(pulses, [half] * 12, TICK)
    assert lengths(velocity != ZERO for velocity in driven) == [(False, 9), (True, 3)]


def test_a_base_that_does_one_at_a_time_turns_and_drives_in_turns() -> None:
    driven = sent(pulses_of(IN_TURNS), [Velocity(SPEED, 0.0, TURN)] * 41)
    assert lengths(velocity.linear_x_m_s != 0 for velocity in driven)[1:7] == [
        (moving, 5) for moving in (True, False) * 3
    ]
    assert all((velocity.linear_x_m_s != 0) != (velocity.angular_z_rad_s != 0) for velocity in driven[5:])


def test_no_motion_cuts_a_pulse_of_the_other_short() -> None:
    for wanted in (Velocity(0.6 * SPEED, 0.0, 0.7 * TURN), Velocity(-0.35 * SPEED, 0.0, 0.95 * TURN)):
        driven = sent(pulses_of(IN_TURNS), [wanted] * 200)
        for moving in (
            [velocity.linear_x_m_s != 0 for velocity in driven],
            [velocity.angular_z_rad_s != 0 for velocity in driven],
        ):
            assert all(ticks >= 5 for _, ticks in lengths(moving)[1:-1])


def test_of_two_that_are_due_the_one_that_is_owed_more_goes_first() -> None:
    for wanted, drives_first in (
        (Velocity(0.5 * SPEED, 0.0, 0.6 * TURN), False),
        (Velocity(0.6 * SPEED, 0.0, 0.5 * TURN), True),
    ):
        pulses = pulses_of(IN_TURNS)
        pulses.step(wanted, 0)
        first = pulses.step(wanted, 250 * MS)
        assert (first.linear_x_m_s != 0) is drives_first
        assert (first.angular_z_rad_s != 0) is not drives_first


def test_a_small_turn_beside_a_drive_comes_to_its_share() -> None:
    driven = sent(pulses_of(IN_TURNS), [Velocity(0.6 * SPEED, 0.0, 0.2 * TURN)] * 1000)
    metres = sum(velocity.linear_x_m_s for velocity in driven) * 0.02
    radians = sum(velocity.angular_z_rad_s for velocity in driven) * 0.02
    assert metres == pytest.approx(0.6 * SPEED * 20, rel=0.02)
    assert radians == pytest.approx(0.2 * TURN * 20, rel=0.04)


@given(st.floats(0.1, 0.5), st.floats(0.3, 1.0))
def test_above_its_lowest_speed_a_base_gets_its_setpoints_as_they_are(way: float, turn: float) -> None:
    wanted = Velocity(0.6 * way, -0.8 * way, -turn)
    *_, velocity = sent(pulses_of(DEAD_BAND), [wanted] * 8)
    assert along(velocity) == pytest.approx(along(wanted))
    assert velocity.angular_z_rad_s == -turn


def test_below_its_lowest_speed_a_base_is_driven_by_pulses_of_that_speed() -> None:
    driven = sent(pulses_of(DEAD_BAND), [Velocity(0.03, 0.04, -0.15)] * 500)
    assert {round(abs(along(velocity)), 9) for velocity in driven} == {0.0, 0.1}
    assert {velocity.angular_z_rad_s for velocity in driven} == {0.0, -0.3}
    assert abs(sum(map(along, driven))) * 0.02 == pytest.approx(0.05 * 10, abs=0.02)
    assert sum(velocity.angular_z_rad_s for velocity in driven) * 0.02 == pytest.approx(-0.15 * 10, abs=0.06)


def test_a_base_with_a_lowest_speed_for_one_motion_gets_the_other_as_it_is() -> None:
    driven = sent(pulses_of(BaseSpec(min_speed_m_s=0.1)), [Velocity(0.05, 0.0, 0.01), ZERO] * 3)
    assert driven == [Velocity(0.0, 0.0, 0.01), ZERO] * 3


def test_steered_wheels_keep_to_their_curve_in_every_pulse() -> None:
    driven = sent(pulses_of(CAR), [Velocity(0.1, 0.0, 0.2)] * 30)
    assert set(driven) == {ZERO, Velocity(0.2, 0.0, 0.4)}
    tight = sent(pulses_of(CAR), [Velocity(-0.04, 0.0, 0.13)] * 60)
    assert {round(velocity.angular_z_rad_s, 9) for velocity in tight} == {0.0, 0.65}
    quick = BaseSpec(
        min_speed_m_s=0.4, angular_rad_s=0.5, drive=DriveKind.ACKERMANN, wheel_base_m=0.3, pulse_on_s=0.1
    )
    assert set(sent(pulses_of(quick), [Velocity(0.2, 0.0, 0.3)] * 30)) == {ZERO, Velocity(0.4, 0.0, 0.5)}
    assert set(sent(pulses_of(quick), [Velocity(0.2, 0.0, -0.3)] * 30)) == {ZERO, Velocity(0.4, 0.0, -0.5)}
    assert set(sent(pulses_of(CAR), [ZERO] * 3)) == {ZERO}
