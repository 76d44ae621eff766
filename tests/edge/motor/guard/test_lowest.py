"""The guard of a base that can't go slowly: its ages and ways are those of the speed that it really goes.

Field case 30: a base that ignores the magnitude of a speed, dead bands, lowest speeds.
"""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.base_spec import BaseSpec
from edge.motor.guard import Guard
from edge.motor.limits import MotorLimits
from edge.motor.pulses import Pulses
from edge.records import ZERO, MotorState, StopCause, Velocity
from tests.edge.motor.guard.driven import MS, START, TICK, armed, chunk, coast, drive, speed

FIXED = MotorLimits.of(BaseSpec(fixed_speed_m_s=0.2, fixed_turn_rad_s=0.8))
DEAD_BAND = MotorLimits.of(BaseSpec(dead_band_m_s=0.2, min_turn_rad_s=0.4))
AXES = [(0.2, 0.0, 0.0), (0.0, -0.2, 0.0), (0.0, 0.0, 0.8), (0.0, 0.0, -0.8)]


@pytest.mark.parametrize("row", AXES)
def test_a_stop_of_a_base_of_fixed_speed_is_a_zero_at_once(row: tuple[float, float, float]) -> None:
    guard = armed(FIXED)
    now_ns, full = drive(guard, START, 40, row=row)
    assert full == Velocity(*row)
    guard.stop("test")
    assert guard.step(now_ns) == ZERO
    assert guard.state is MotorState.LATCHED


@pytest.mark.parametrize("row", AXES)
def test_a_chunk_that_asks_it_to_stand_is_a_zero_at_once(row: tuple[float, float, float]) -> None:
    guard = armed(FIXED)
    now_ns, _ = drive(guard, START, 40, row=row)
    assert drive(guard, now_ns, 1, row=(0, 0, 0))[1] == ZERO
    assert guard.state is MotorState.FOLLOWING


def test_a_chunk_that_asks_for_one_motion_only_ends_the_other_at_once() -> None:
    guard = armed(FIXED)
    now_ns, _ = drive(guard, START, 40, row=(0.2, 0, 0.8))
    now_ns, velocity = drive(guard, now_ns, 1, row=(0.2, 0, 0))
    assert velocity == Velocity(0.2)
    now_ns, _ = drive(guard, now_ns, 40, row=(0.2, 0, 0.8))
    assert drive(guard, now_ns, 1, row=(0, 0, 0.8))[1] == Velocity(0.0, 0.0, 0.8)


@pytest.mark.parametrize("row", AXES)
@pytest.mark.parametrize("share", [0.1, 1.0])
def test_a_slow_chunk_is_no_slow_base_and_is_braked_as_early(
    row: tuple[float, float, float], share: float
) -> None:
    guard = armed(FIXED)
    guard.follow(chunk(START, row=(share * row[0], share * row[1], share * row[2])), START)
    # Braking takes 100 ms from 0.2 m/s and 200 ms from 0.8 rad/s, whatever part of it is asked for.
    age_ms = 250 if row[2] else 350
    guard.step(START + age_ms * MS)
    assert guard.state is MotorState.FOLLOWING
    assert guard.step(START + age_ms * MS + 1000) == ZERO
    assert (guard.state, guard.cause) == (MotorState.LATCHED, StopCause.STALE_CHUNK)


@pytest.mark.parametrize(
    ("base", "row"),
    [
        (BaseSpec(fixed_speed_m_s=0.2, fixed_turn_rad_s=0.8, linear_decel_m_s2=0.8), (0.2, 0.0, 0.0)),
        (BaseSpec(fixed_speed_m_s=0.2, fixed_turn_rad_s=0.8, angular_decel_rad_s2=3.2), (0.0, 0.0, 0.8)),
    ],
)
def test_a_speed_that_can_not_be_braked_in_time_is_given_up_whole(
    base: BaseSpec, row: tuple[float, float, float]
) -> None:
    guard = armed(MotorLimits.of(base))
    now_ns, full = drive(guard, START, 60, row=row)
    assert full == Velocity(*row)
    # It takes 250 ms to stop, and a setpoint holds for 20 ms.
    assert guard.step(now_ns + 230 * MS) == full
    assert guard.step(now_ns + 231 * MS) == ZERO
    assert guard.state is MotorState.FOLLOWING


def test_with_a_lowest_speed_braking_ends_there() -> None:
    guard = armed(DEAD_BAND)
    now_ns, full = drive(guard, START, 80, row=(0.5, 0, -1.0))
    assert full == Velocity(0.5, 0.0, -1.0)
    guard.stop("test")
    braking = coast(guard, now_ns, 9)
    assert [round(velocity.linear_x_m_s, 6) for velocity in braking] == [
        *(0.46, 0.42, 0.38, 0.34, 0.30, 0.26, 0.22), 0.0, 0.0
    ]  # fmt: skip
    assert [round(velocity.angular_z_rad_s, 6) for velocity in braking] == [
        *(-0.92, -0.84, -0.76, -0.68, -0.60, -0.52, -0.44), 0.0, 0.0
    ]  # fmt: skip
    assert guard.state is MotorState.LATCHED


def test_a_base_with_a_lowest_speed_comes_to_a_stand_smoothly_down_to_it() -> None:
    guard = armed(DEAD_BAND)
    now_ns, _ = drive(guard, START, 80, row=(0.5, 0, 1.0))
    speeds = []
    for _ in range(15):
        now_ns, velocity = drive(guard, now_ns, 1, row=(0, 0, 0))
        speeds.append((speed(velocity), velocity.angular_z_rad_s))
    moving = [(way, turn) for way, turn in speeds if way or turn]
    assert all(way > 0.2 or way == 0 for way, _ in moving) and all(
        turn > 0.4 or turn == 0 for _, turn in moving
    )
    assert len(moving) > 5 and speeds[-1] == (0.0, 0.0)


@given(
    st.floats(0.02, 0.5), st.floats(0.1, 1.0), st.floats(0.1, 1.0), st.floats(-1.0, 1.0), st.integers(0, 19)
)
def test_the_real_way_without_sight_is_within_that_of_full_speed(
    fixed: float, turn: float, share: float, turn_share: float, later: int
) -> None:
    limits = MotorLimits.of(BaseSpec(fixed_speed_m_s=fixed, fixed_turn_rad_s=turn))
    guard, pulses = Guard(limits), Pulses(limits)
    guard.step(START)
    guard.arm(START)
    now_ns = START
    for _ in range(40 + later):  # so that it may be anywhere in a pulse as the last frame comes
        now_ns += TICK
        guard.follow(chunk(now_ns, row=(share * fixed, 0.0, turn_share * turn)), now_ns)
        sent = pulses.step(guard.step(now_ns), now_ns)
    frame_ns, metres, radians, stop_s = now_ns, 0.0, 0.0, 0.0
    while sent != ZERO or guard.state is not MotorState.LATCHED:
        metres, radians = metres + 0.02 * speed(sent), radians + 0.02 * abs(sent.angular_z_rad_s)
        if sent != ZERO:
            stopped_ns = now_ns + TICK
            stop_s = max(speed(sent) / 2.0, abs(sent.angular_z_rad_s) / 4.0)
            assert (stopped_ns - frame_ns) / 1e9 + stop_s <= limits.zero_age_s + 1e-9
        now_ns += TICK
        sent = pulses.step(guard.step(now_ns), now_ns)
    # Braking from full speed takes 0.5 s^2/m v^2 / 2 more; docs/safety.md has the figures of 0.5 m/s.
    assert metres + fixed**2 / 4 <= 0.5 * 0.25 + 0.5**2 / 4 + 0.5 * 0.02
    assert radians + turn**2 / 8 <= 1.0 * 0.25 + 1.0 / 8 + 1.0 * 0.02


def test_the_defaults_know_no_lowest_speed() -> None:
    assert (MotorLimits().lowest_m_s, MotorLimits().lowest_rad_s) == (0.0, 0.0)
    assert math.isclose(MotorLimits().brake_age_s(0.01, 0.01), 0.495)
