"""The guard alone: what it does as the newest frame ages.

Faults injected here: 25 chunk used up, 34/36/43 no fresh command, 48 a stall.
"""

import math
from dataclasses import astuple

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.motor.guard import Guard
from edge.records import ActionChunk, MotorState, StopCause, Velocity
from tests.edge.motor.guard.driven import (
    AXES,
    LIMITS,
    MS,
    START,
    TICK,
    armed,
    chunk,
    coast,
    drive,
    speed,
)


def test_frame_to_motor_is_counted_from_capture_to_first_use() -> None:
    guard = armed()
    guard.follow(chunk(START), START + 33 * MS)
    guard.step(START + 40 * MS)
    guard.step(START + 60 * MS)
    assert guard.frame_to_motor_ns == 40 * MS
    guard.follow(chunk(START + 70 * MS, decision=1), START + 70 * MS)
    assert guard.frame_to_motor_ns == -1
    guard.step(START + 70 * MS)
    guard.step(START + 80 * MS)
    assert guard.frame_to_motor_ns == 0


def test_rows_are_taken_by_time_and_elapsed_ones_are_skipped() -> None:
    guard = armed()
    rows = np.array([[0.5, 0, 0], [0.1, 0, 0], [0, 0, 0]], np.float32)
    falling = ActionChunk(rows, 0.1, START, START + 1000 * MS, 1.0, 0)
    guard.follow(falling, START + 120 * MS)
    velocities = [guard.step(START + 120 * MS + i * TICK) for i in range(4)]
    assert max(v.linear_x_m_s for v in velocities) <= 0.1
    assert guard.step(START + 205 * MS).linear_x_m_s < velocities[-1].linear_x_m_s


def test_a_chunk_that_is_used_up_before_its_first_row_is_due_never_reaches_the_motors() -> None:
    guard = armed()
    assert guard.follow(chunk(START, rows=1), START + 200 * MS)
    assert guard.step(START + 200 * MS) == guard.step(START + 220 * MS) == Velocity()
    assert (guard.reason, guard.frame_to_motor_ns) == ("chunk is used up", -1)


@pytest.mark.parametrize(
    "used_up", [{"rows": 1}, {"valid_ms": 100}], ids=["past the last row", "not valid any more"]
)
def test_used_up_chunk_brakes_but_does_not_latch_yet(used_up: dict[str, int]) -> None:
    guard = armed()
    now_ns, before = drive(guard, START, 40, **used_up)
    braking = coast(guard, now_ns, 6)
    assert guard.reason == "chunk is used up"
    assert guard.state is MotorState.FOLLOWING
    assert speed(braking[-1]) < speed(before)
    now_ns, after = drive(guard, now_ns + 6 * TICK, 40, **used_up)
    assert after == before
    coast(guard, now_ns, 30)
    assert guard.state is MotorState.LATCHED


def test_dead_stream_is_zero_by_500_ms_and_latched() -> None:
    guard = armed()
    now_ns, full = drive(guard, START, 80, row=(0.5, 0, 1.0))
    followed = coast(guard, now_ns, 11)
    assert set(followed) == {full}
    braking = coast(guard, now_ns + 11 * TICK, 13)
    steps = -np.diff([full.linear_x_m_s, *(v.linear_x_m_s for v in braking)])
    assert steps.max() <= 2.0 * 0.02 + 1e-9
    assert guard.step(now_ns + 490 * MS) == Velocity()
    assert guard.state is MotorState.LATCHED
    assert guard.decision == -1
    assert guard.reason.endswith("ms old (limit 250 ms)")
    assert guard.cause is StopCause.STALE_CHUNK
    now_ns, velocity = drive(guard, now_ns + 500 * MS, 20)
    assert velocity == Velocity()
    assert guard.arm(now_ns)
    assert guard.cause is StopCause.NONE
    assert drive(guard, now_ns, 20)[1] != Velocity()


@given(st.floats(0.0, 0.5), st.floats(0.0, math.tau), st.floats(-1.0, 1.0))
def test_a_slower_chunk_is_followed_longer_and_goes_less_far_without_sight(
    linear: float, way: float, turn: float
) -> None:
    guard = armed()
    row = (linear * math.cos(way), linear * math.sin(way), turn)
    now_ns, steady = drive(guard, START, 60, row=row)
    last_ns = now_ns - TICK  # the newest frame's time
    brake_age_s = LIMITS.brake_age_s(speed(steady), abs(turn))
    assert LIMITS.follow_age_s - 1e-6 <= brake_age_s <= LIMITS.zero_age_s
    metres, turned = speed(steady) * 0.02, abs(steady.angular_z_rad_s) * 0.02
    for velocity in coast(guard, now_ns, 30):
        age_s, now_ns = (now_ns - last_ns) / 1e9, now_ns + TICK
        metres, turned = metres + speed(velocity) * 0.02, turned + abs(velocity.angular_z_rad_s) * 0.02
        if age_s <= min(brake_age_s, 0.23):
            assert velocity == steady
        if age_s >= LIMITS.zero_age_s:
            assert velocity == Velocity()
    assert guard.state is MotorState.LATCHED
    # As far as at full speed, and what a setpoint holds for.
    assert metres <= 0.5 * 0.25 + 0.5**2 / 4 + 0.5 * 0.02
    assert turned <= 1.0 * 0.25 + 1.0 / 8 + 1.0 * 0.02


def test_dead_stream_of_zeros_latches_too() -> None:
    guard = armed()
    now_ns, _ = drive(guard, START, 3, row=(0, 0, 0))
    coast(guard, now_ns, 30)
    assert guard.state is MotorState.LATCHED


def test_holding_without_any_chunk_never_latches() -> None:
    guard = armed()
    assert set(coast(guard, START, 500)) == {Velocity()}
    assert guard.state is MotorState.HOLDING


def test_stalled_loop_does_not_leap() -> None:
    guard = armed()
    now_ns, before = drive(guard, START, 5, row=(0.5, 0, 0))
    now_ns += 200 * MS
    guard.follow(chunk(now_ns, row=(0.5, 0, 0)), now_ns)
    # As far as in two periods.
    assert guard.step(now_ns).linear_x_m_s - before.linear_x_m_s == pytest.approx(1.0 * 0.04)


def test_time_that_stands_still_or_goes_back_changes_no_velocity() -> None:
    guard = armed()
    now_ns, before = drive(guard, START, 5)
    assert guard.step(now_ns) == before
    assert guard.step(now_ns - TICK) == before
    after = guard.step(now_ns + TICK)
    assert after.linear_x_m_s - before.linear_x_m_s <= 1.0 * 0.02 + 1e-9
    assert guard.step(now_ns + TICK + 1) != after


def test_time_that_goes_back_never_speeds_up_a_braking_base() -> None:
    guard = armed()
    now_ns, _ = drive(guard, START, 40)
    guard.stop("test")
    before = guard.step(now_ns + TICK)
    assert guard.step(now_ns - 10 * TICK) == before


def test_a_frame_as_old_as_the_limit_is_followed_and_an_older_one_is_not() -> None:
    assert armed().follow(chunk(START), START + 250 * MS)
    assert not armed().follow(chunk(START), START + 250 * MS + 1)


@pytest.mark.parametrize("row", AXES)
def test_a_chunk_of_full_speed_is_braked_right_after_its_age(row: tuple[float, float, float]) -> None:
    guard = armed()
    guard.follow(chunk(START, row=row), START)
    assert guard.step(START + 20 * MS) != Velocity()
    guard.step(START + 250 * MS)
    assert (guard.state, guard.cause) == (MotorState.FOLLOWING, StopCause.NONE)
    guard.step(START + 250 * MS + 1)
    assert (guard.state, guard.cause) == (MotorState.RAMPING, StopCause.STALE_CHUNK)
    assert guard.moving


@pytest.mark.parametrize("row", AXES)
def test_the_step_that_finds_a_chunk_too_old_brakes_at_once(row: tuple[float, float, float]) -> None:
    guard = armed()
    guard.follow(chunk(START, row=row), START)
    guard.step(START + 220 * MS)
    faster, slower = guard.step(START + 240 * MS), guard.step(START + 260 * MS)
    assert guard.state is MotorState.RAMPING
    assert sum(map(abs, astuple(slower))) < sum(map(abs, astuple(faster)))


@pytest.mark.parametrize("row", AXES)
def test_a_slow_chunk_for_a_fast_base_is_braked_as_early(
    row: tuple[float, float, float],
) -> None:
    guard = armed()
    now_ns, _ = drive(guard, START, 100, row=row)
    x, y, turn = row
    guard.follow(chunk(now_ns + 1, row=(x * 0.7, y * 0.7, turn * 0.7)), now_ns + 1)
    guard.step(now_ns + 250 * MS)
    assert guard.state is MotorState.FOLLOWING
    guard.step(now_ns + 251 * MS)
    assert guard.state is MotorState.RAMPING


@pytest.mark.parametrize("period_ns", [TICK, 50 * MS])
def test_full_speed_is_given_up_so_early_that_no_setpoint_outlives_its_age(period_ns: int) -> None:
    guard = Guard(LIMITS, period_ns=period_ns)
    guard.step(START)
    guard.arm(START)
    now_ns, full = drive(guard, START, 100, row=(0.5, 0, 1.0))
    assert full == Velocity(0.5, 0.0, 1.0)
    for age_ms in range(220, 500, 10):
        left_s = max(0.0, 0.5 - (age_ms * MS + period_ns) / 1e9)
        expected = (min(0.5, 2.0 * left_s), 0.0, min(1.0, 4.0 * left_s))
        assert astuple(guard.step(now_ns + age_ms * MS)) == pytest.approx(expected, abs=1e-9)


def test_a_crawling_chunk_that_is_followed_long_never_turns_round() -> None:
    guard = armed()
    now_ns, velocity = drive(guard, START, 40, row=(0.02, 0, 0.04))
    assert velocity != Velocity()
    assert guard.step(now_ns + 460 * MS) == velocity
    assert guard.step(now_ns + 485 * MS) == Velocity()
    assert guard.state is MotorState.FOLLOWING


def test_a_chunk_that_ages_beside_an_outlier_says_so() -> None:
    guard = armed()
    now_ns, _ = drive(guard, START, 60, row=(0.5, 0, 0))
    guard.follow(chunk(now_ns + 1, row=(-0.5, 0, 0)), now_ns + 1)
    coast(guard, now_ns, 14)
    assert guard.reason == (
        "newest frame is 260 ms old (limit 250 ms), and the chunk after it jumped away from it"
    )
    assert guard.cause is StopCause.JUMPING_CHUNK
