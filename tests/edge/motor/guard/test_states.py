"""The guard alone: how it starts, follows and stops.

Faults injected here: 53 e-stop, 57 start with a non-zero command, 62/63 limits out of range.
"""

import math
from dataclasses import astuple

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge.base_spec import BaseSpec, DriveKind
from edge.errors import UsageError
from edge.motor.guard import Guard, GuardCounts
from edge.motor.limits import MotorLimits
from edge.records import ActionSpec, MotorState, StopCause, Velocity
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


def test_boots_disarmed_and_follows_nothing() -> None:
    guard = Guard(LIMITS)
    assert not guard.moving and guard.zero_ns is None
    assert (guard.reason, guard.cause, guard.frame_to_motor_ns) == ("", StopCause.NONE, -1)
    assert not guard.follow(chunk(START), START)
    _, velocity = drive(guard, START, 20)
    assert velocity == Velocity()
    assert guard.state is MotorState.DISARMED
    assert guard.decision == -1
    assert guard.counts == GuardCounts()
    guard.stop("e-stop")
    assert guard.state is MotorState.LATCHED


def test_a_clock_that_starts_at_zero_is_a_clock() -> None:
    guard = Guard(LIMITS)
    assert guard.arm(0)
    assert guard.follow(chunk(0), 0)


def test_reaches_the_commanded_velocity_and_holds_it() -> None:
    guard = armed()
    _, velocity = drive(guard, START, 40, row=(0.3, -0.1, 0.5), decision=7)
    assert velocity == Velocity(*np.array((0.3, -0.1, 0.5), np.float32).tolist())
    assert guard.state is MotorState.FOLLOWING
    assert (guard.decision, guard.frame_to_motor_ns, guard.reason) == (7, 0, "")
    assert (guard.counts.accepted, guard.counts.clamped, guard.counts.refused) == (40, 0, 0)


@pytest.mark.parametrize(
    ("row", "axis", "accel_limit", "jerk_limit"),
    [((0.3, 0, 0), 0, 1.0, 20.0), ((0, -0.3, 0), 1, 1.0, 20.0), ((0, 0, 1.0), 2, 3.0, 60.0)],
    ids=["ahead", "sideways", "turning"],
)
def test_starts_smoothly_and_never_overshoots(
    row: tuple[float, float, float], axis: int, accel_limit: float, jerk_limit: float
) -> None:
    guard, now_ns, speeds = armed(), START, [0.0]
    for _ in range(60):
        now_ns, velocity = drive(guard, now_ns, 1, row=row)
        speeds.append(abs(astuple(velocity)[axis]))
    accel = np.diff(speeds, prepend=0.0) / 0.02
    jerk = np.diff(accel) / 0.02
    assert max(speeds) <= abs(row[axis]) + 1e-6
    assert accel.max() == pytest.approx(accel_limit)
    # Landing on the target in a whole number of ticks may cost a little more than the limit.
    assert np.abs(jerk).max() <= 1.5 * jerk_limit
    assert jerk.max() == pytest.approx(jerk_limit)


def test_the_very_first_steps_are_smooth_too() -> None:
    guard = Guard(LIMITS)
    guard.arm(START)
    guard.follow(chunk(START, row=(0.5, 0, 1.0)), START)
    assert guard.step(START) == Velocity()
    velocity = guard.step(START + TICK)
    assert astuple(velocity) == pytest.approx((20.0 * 0.02**2, 0.0, 60.0 * 0.02**2))


def test_far_from_zero_first_command_is_approached_from_zero() -> None:
    guard = armed()
    _, velocity = drive(guard, START, 1, row=(0.5, 0, 1.0))
    assert speed(velocity) <= 1.0 * 0.02 + 1e-9
    assert velocity.angular_z_rad_s <= 3.0 * 0.02 + 1e-9


@pytest.mark.parametrize(("row", "change"), [((0.5, 0, 0), 0.04), ((0, 0.5, 0), 0.04), ((0, 0, -1.0), 0.08)])
def test_a_zero_row_brakes_at_once_without_easing(row: tuple[float, float, float], change: float) -> None:
    guard = armed()
    now_ns, fast = drive(guard, START, 60, row=row)
    _, slower = drive(guard, now_ns, 1, row=(0, 0, 0))
    assert sum(map(abs, astuple(fast))) - sum(map(abs, astuple(slower))) == pytest.approx(change)
    _, zero = drive(guard, now_ns + TICK, 12, row=(0, 0, 0))
    assert zero == Velocity()
    assert guard.state is MotorState.FOLLOWING  # zero is a command like any other


def test_values_are_clamped_with_the_length_of_the_vector() -> None:
    guard = armed()
    _, velocity = drive(guard, START, 100, row=(9.0, 9.0, -9.0))
    assert speed(velocity) == pytest.approx(0.5)
    assert velocity.linear_x_m_s == pytest.approx(velocity.linear_y_m_s)
    assert velocity.angular_z_rad_s == -1.0
    assert guard.reason == "limited to what the base may drive"
    assert guard.counts.clamped == 100


def test_a_curve_at_full_speed_stays_within_it() -> None:
    """The base still speeds up while its direction changes: unlimited, it would be at 0.518 m/s."""
    guard, now_ns, speeds = armed(), START, []
    for degrees, ticks in ((0, 20), (10, 6), (30, 12)):
        way = math.radians(degrees)
        for _ in range(ticks):
            now_ns, velocity = drive(guard, now_ns, 1, row=(0.5 * math.cos(way), 0.5 * math.sin(way), 0.0))
            speeds.append(speed(velocity))
    assert max(speeds) == pytest.approx(0.5)


def test_ticks_that_come_faster_add_nothing_to_a_full_turn() -> None:
    """The acceleration of long ticks falls too slowly over short ones: unlimited, it would be 1.02 rad/s."""
    guard, now_ns, turns = armed(), START, []
    for tick_ns, ticks, turn in ((2 * TICK, 9, 1.0), (MS, 30, 0.99)):
        for _ in range(ticks):
            now_ns += tick_ns
            guard.follow(chunk(now_ns, row=(0.0, 0.0, turn)), now_ns)
            turns.append(guard.step(now_ns).angular_z_rad_s)
    assert max(turns) == pytest.approx(1.0)


def test_lower_limits_from_configuration_hold() -> None:
    guard = armed(MotorLimits(linear_m_s=0.2, angular_rad_s=0.4))
    _, velocity = drive(guard, START, 100, row=(0.5, 0, 1.0))
    assert (velocity.linear_x_m_s, velocity.angular_z_rad_s) == (0.2, 0.4)


def test_stop_latches_and_keeps_the_first_reason() -> None:
    guard = armed()
    now_ns, full = drive(guard, START, 80, row=(0.5, 0, 0))
    guard.stop("e-stop pressed")
    assert guard.state is MotorState.RAMPING
    assert guard.decision == -1
    guard.stop("too late", StopCause.QUIT)
    assert not guard.arm(now_ns)  # not while it moves
    first, *_, last = coast(guard, now_ns, 13)
    assert full.linear_x_m_s - first.linear_x_m_s == pytest.approx(0.04)
    assert last == Velocity()
    guard.stop("another", StopCause.QUIT)
    assert (guard.state, guard.reason) == (MotorState.LATCHED, "e-stop pressed")
    assert guard.cause is StopCause.REQUESTED
    assert guard.decision == -1


@settings(deadline=None)
@given(
    st.floats(-0.5, 0.5), st.floats(-0.5, 0.5), st.floats(-1, 1), st.integers(1, 40), st.integers(0, 20 * MS)
)
def test_a_stop_reaches_zero_when_it_says_and_not_before(
    x: float, y: float, angular: float, ticks: int, wait_ns: int
) -> None:
    guard = armed()
    now_ns, velocity = drive(guard, START, ticks, row=(x, y, angular))
    assert guard.zero_ns is None  # it follows: nothing to brake
    guard.stop("e-stop")
    if velocity == Velocity():
        assert guard.zero_ns is None
        return
    guard.step(now_ns + wait_ns)
    before_ns = (guard.zero_ns or 0) - 2 * MS
    if before_ns > now_ns + wait_ns:
        assert guard.step(before_ns) != Velocity()
    if guard.zero_ns is not None:
        assert guard.step(guard.zero_ns) == Velocity()
    assert guard.state is MotorState.LATCHED and guard.zero_ns is None


def test_once_armed_anew_decisions_count_from_zero_and_frames_go_on() -> None:
    """A runtime that was started afresh counts its decisions anew; the clock of its frames is the same."""
    guard = armed()
    now_ns, _ = drive(guard, START, 5, decision=7)
    guard.stop("the engine broke")
    coast(guard, now_ns, 13)
    later_ns = now_ns + 20 * TICK
    assert guard.arm(later_ns)
    assert not guard.follow(chunk(now_ns - 1), later_ns)
    assert (guard.counts.repeated, guard.counts.early) == (1, 0)
    assert not guard.follow(chunk(now_ns), later_ns)  # the newest frame of before, decided about anew
    assert (guard.counts.repeated, guard.counts.early) == (1, 1)
    assert guard.follow(chunk(later_ns), later_ns)
    assert guard.decision == 0
    assert not guard.follow(chunk(later_ns), later_ns)
    assert guard.counts.repeated == 2


def test_once_armed_anew_a_contact_of_before_is_forgotten() -> None:
    guard = armed()
    now_ns, _ = drive(guard, START, 20)
    guard.touch("its bumper is pressed")
    assert guard.back.touched.linear_x_m_s > 0
    guard.stop("the engine broke")
    coast(guard, now_ns, 13)
    assert guard.arm(now_ns + 20 * TICK)
    assert guard.back.touched == Velocity()


def test_arming_twice_changes_nothing() -> None:
    guard = armed()
    now_ns, before = drive(guard, START, 40)
    assert guard.arm(now_ns)
    assert guard.step(now_ns + TICK) == before


def test_starts_smoothly_again_after_braking() -> None:
    guard = armed()
    now_ns, _ = drive(guard, START, 8)
    guard.follow(chunk(now_ns + MS, confidence=0.0), now_ns + MS)
    coast(guard, now_ns, 20)
    _, velocity = drive(guard, now_ns + 20 * TICK, 1)
    assert 0 < speed(velocity) <= LIMITS.linear_jerk_m_s3 * 0.02**2 + 1e-9


def test_guards_only_a_base() -> None:
    arm = ActionSpec(("x",), ("m",), (-1.0,), (1.0,), 10.0)
    with pytest.raises(UsageError, match="base"):
        Guard(LIMITS, arm)
    with pytest.raises(UsageError, match="period"):
        Guard(LIMITS, period_ns=0)
    with pytest.raises(UsageError, match="period"):
        Guard(LIMITS, period_ns=100 * MS + 1)
    assert not Guard(LIMITS, period_ns=1).moving
    assert not Guard(LIMITS, period_ns=100 * MS).moving


@pytest.mark.parametrize("row", AXES)
def test_every_axis_is_braked_by_a_stop(row: tuple[float, float, float]) -> None:
    guard = armed()
    now_ns, full = drive(guard, START, 100, row=row)
    guard.stop("e-stop")
    assert (guard.state, guard.cause, guard.moving) == (MotorState.RAMPING, StopCause.REQUESTED, True)
    first, second, *_ = braking = coast(guard, now_ns, 13)
    rate = 4.0 if row[2] else 2.0
    sizes = [sum(map(abs, astuple(velocity))) for velocity in (full, first, second)]
    assert np.diff(sizes) == pytest.approx([-0.02 * rate] * 2)
    assert braking[-1] == Velocity()


@pytest.mark.parametrize("row", [(-0.3, -0.1, -0.5), (-0.3, 0.1, 0.5)])
def test_zero_has_no_sign(row: tuple[float, float, float]) -> None:
    guard = armed()
    now_ns, _ = drive(guard, START, 60, row=row)
    guard.stop("e-stop")
    assert [math.copysign(1, value) for value in astuple(coast(guard, now_ns, 20)[-1])] == [1, 1, 1]


def test_a_hold_brakes_at_once_and_never_latches() -> None:
    guard = armed()
    now_ns, velocity = drive(guard, START, 40, row=(0.5, 0.0, 0.0))
    assert speed(velocity) > 0.4
    guard.hold("camera 'front' is away")
    after = coast(guard, now_ns, 200)
    assert [speed(v) for v in after[:2]] == sorted((speed(v) for v in after[:2]), reverse=True)
    assert speed(after[0]) < speed(velocity) and speed(after[13]) == 0
    assert (guard.state, guard.reason) == (MotorState.HOLDING, "camera 'front' is away")
    assert guard.decision == -1
    _, velocity = drive(guard, now_ns + 200 * TICK, 5, decision=1)
    assert guard.state is MotorState.FOLLOWING and speed(velocity) > 0


def test_a_hold_neither_arms_nor_loosens_a_stop() -> None:
    guard = Guard(LIMITS)
    guard.hold("camera 'front' is away")
    assert (guard.state, guard.reason) == (MotorState.DISARMED, "")
    guard = armed()
    guard.hold("camera 'front' is away")
    assert (guard.state, guard.reason) == (MotorState.HOLDING, "")
    drive(guard, START, 40)
    guard.stop("e-stop")
    guard.hold("camera 'front' is away")
    assert (guard.state, guard.reason) == (MotorState.RAMPING, "e-stop")


# Its turn is braked so gently that the arcs cut what is left of it once the wheels stand.
_STEERED = {"drive": DriveKind.ACKERMANN, "wheel_base_m": 0.2, "angular_rad_s": 0.2}
ARCS = MotorLimits.of(BaseSpec(angular_decel_rad_s2=1.0, **_STEERED))


@pytest.mark.parametrize(
    ("limits", "row"),
    [
        (LIMITS, (0.3, -0.0, 0.5)),
        (LIMITS, (-0.0, 0.3, 0.5)),
        (LIMITS, (-0.3, -0.3, -0.5)),
        (ARCS, (0.1, 0, -0.2)),
    ],
)
def test_no_setpoint_is_a_negative_zero(limits: MotorLimits, row: tuple[float, float, float]) -> None:
    """It would be on the line, in the log and before every comparison of signs."""
    guard = armed(limits)
    now_ns, velocity = drive(guard, START, 40, row=row)
    guard.stop("enough")
    for each in (velocity, *coast(guard, now_ns, 40)):
        assert all(math.copysign(1, part) > 0 for part in astuple(each) if part == 0), each
    assert not guard.moving
