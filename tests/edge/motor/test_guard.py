"""The guard alone, with times made up: what it follows, when it brakes, when it latches.

Faults injected here: 23 NaN/Inf, 24 a jump, 25 chunk used up, 34/36/43 no fresh command, 39 replay, 48 a
stall, 53 e-stop, 57 start with a non-zero command, 62/63 limits out of range.
"""

import math
from dataclasses import astuple

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge.errors import UsageError
from edge.motor.guard import Guard, GuardCounts
from edge.motor.limits import MotorLimits
from edge.records import ActionChunk, ActionSpec, MotorState, Refusals, StopCause, Velocity

MS = 1_000_000
TICK = 20 * MS
START = 1_000_000_000
LIMITS = MotorLimits()


def chunk(
    t0_ns: int,
    row: tuple[float, float, float] = (0.3, 0.0, 0.0),
    rows: int = 10,
    decision: int = 0,
    confidence: float = 0.9,
    dt_s: float = 0.1,
    valid_ms: int = 1000,
) -> ActionChunk:
    values = np.tile(np.array(row, np.float32), (rows, 1))
    return ActionChunk(values, dt_s, t0_ns, t0_ns + valid_ms * MS, confidence, decision)


def armed(limits: MotorLimits = LIMITS) -> Guard:
    guard = Guard(limits)
    guard.step(START)
    assert guard.arm(START)
    return guard


def drive(guard: Guard, start_ns: int, ticks: int, **fields: object) -> tuple[int, Velocity]:
    """A fresh frame at every tick; returns the last tick's time and setpoint."""
    now_ns, velocity = start_ns, Velocity()
    for _ in range(ticks):
        now_ns += TICK
        guard.follow(chunk(now_ns, **fields), now_ns)  # type: ignore[arg-type]
        velocity = guard.step(now_ns)
    return now_ns, velocity


def coast(guard: Guard, now_ns: int, ticks: int) -> list[Velocity]:
    return [guard.step(now_ns + (i + 1) * TICK) for i in range(ticks)]


def speed(velocity: Velocity) -> float:
    return math.hypot(velocity.linear_x_m_s, velocity.linear_y_m_s)


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


def test_refusals_carry_every_counter_but_those_of_followed_chunks() -> None:
    counts = GuardCounts(1, 2, 3, 4, 5, 6, 7, 8, 9)
    assert counts.refusals(10) == Refusals(3, 4, 5, 6, 7, 8, 9, 10)
    assert counts.refused == 3 + 4 + 5 + 6 + 7 + 8 + 9
    assert GuardCounts().refusals() == Refusals()
    assert set(astuple(GuardCounts())) == {0}


def test_reaches_the_commanded_velocity_and_holds_it() -> None:
    guard = armed()
    _, velocity = drive(guard, START, 40, row=(0.3, -0.1, 0.5), decision=7)
    assert velocity == Velocity(*np.array((0.3, -0.1, 0.5), np.float32).tolist())
    assert guard.state is MotorState.FOLLOWING
    assert (guard.decision, guard.frame_to_motor_ns, guard.reason) == (7, 0, "")


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


def test_lower_limits_from_configuration_hold() -> None:
    guard = armed(MotorLimits(linear_m_s=0.2, angular_rad_s=0.4))
    _, velocity = drive(guard, START, 100, row=(0.5, 0, 1.0))
    assert (velocity.linear_x_m_s, velocity.angular_z_rad_s) == (0.2, 0.4)


def test_rows_are_taken_by_time_and_elapsed_ones_are_skipped() -> None:
    guard = armed()
    rows = np.array([[0.5, 0, 0], [0.1, 0, 0], [0, 0, 0]], np.float32)
    plan = ActionChunk(rows, 0.1, START, START + 1000 * MS, 1.0, 0)
    guard.follow(plan, START + 120 * MS)
    velocities = [guard.step(START + 120 * MS + i * TICK) for i in range(4)]
    assert max(v.linear_x_m_s for v in velocities) <= 0.1
    assert guard.step(START + 205 * MS).linear_x_m_s < velocities[-1].linear_x_m_s


@pytest.mark.parametrize(
    "plan", [{"rows": 1}, {"valid_ms": 100}], ids=["past the last row", "not valid any more"]
)
def test_used_up_chunk_brakes_but_does_not_latch_yet(plan: dict[str, int]) -> None:
    guard = armed()
    now_ns, before = drive(guard, START, 40, **plan)
    braking = coast(guard, now_ns, 6)
    assert guard.reason == "chunk is used up"
    assert guard.state is MotorState.FOLLOWING
    assert speed(braking[-1]) < speed(before)
    now_ns, after = drive(guard, now_ns + 6 * TICK, 40, **plan)
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
    assert guard.cause is StopCause.STALE_PLAN
    now_ns, velocity = drive(guard, now_ns + 500 * MS, 20)
    assert velocity == Velocity()
    assert guard.arm(now_ns)
    assert guard.cause is StopCause.NONE
    assert drive(guard, now_ns, 20)[1] != Velocity()


@given(st.floats(0.0, 0.5), st.floats(0.0, math.tau), st.floats(-1.0, 1.0))
def test_a_slower_plan_is_followed_longer_and_goes_less_far_without_sight(
    linear: float, way: float, turn: float
) -> None:
    guard = armed()
    row = (linear * math.cos(way), linear * math.sin(way), turn)
    now_ns, steady = drive(guard, START, 60, row=row)
    last_ns = now_ns - TICK  # of the newest frame
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


@pytest.mark.parametrize(
    ("bad", "reason", "counter"),
    [
        (lambda t: chunk(t, row=(math.nan, 0, 0)), "not finite", "malformed"),
        (lambda t: chunk(t, row=(0.1, math.inf, 0)), "not finite", "malformed"),
        (lambda t: chunk(t, dt_s=0.0), "row time", "malformed"),
        (lambda t: chunk(t, dt_s=math.nan), "row time", "malformed"),
        (lambda t: chunk(t, rows=0), "shape", "malformed"),
        (lambda t: ActionChunk(np.zeros((4, 7), np.float32), 0.1, t, t + MS, 1.0, 0), "shape", "malformed"),
        (lambda t: ActionChunk(np.zeros(3, np.float32), 0.1, t, t + MS, 1.0, 0), "shape", "malformed"),
        (lambda t: chunk(t + 50 * MS), "in the future", "future"),
        (lambda t: chunk(t, confidence=0.29), "confidence 0.29 (limit 0.30)", "unsure"),
        (lambda t: chunk(t, confidence=math.nan), "confidence nan", "unsure"),
    ],
)
def test_refused_chunk_brakes_to_zero_and_a_good_one_moves_again(  # type: ignore[no-untyped-def]
    bad, reason: str, counter: str
) -> None:
    guard = armed()
    now_ns, before = drive(guard, START, 40)
    assert not guard.follow(bad(now_ns + 10 * MS), now_ns + 10 * MS)
    assert guard.state is MotorState.HOLDING
    assert guard.decision == -1
    assert reason in guard.reason
    assert guard.arm(now_ns)  # it is armed although it brakes
    braking = coast(guard, now_ns, 20)
    assert speed(before) > speed(braking[0]) > speed(braking[1])
    assert braking[-1] == Velocity()
    assert guard.state is MotorState.HOLDING
    assert guard.counts.refused == getattr(guard.counts, counter) == 1
    assert drive(guard, now_ns + 20 * TICK, 40)[1] == before


def test_a_frame_slightly_in_the_future_is_followed() -> None:
    guard = armed()
    assert guard.follow(chunk(START + 15 * MS), START)
    assert guard.step(START + MS) != Velocity()
    assert guard.frame_to_motor_ns == 0


def test_a_frame_more_than_20_ms_in_the_future_is_not() -> None:
    assert armed().follow(chunk(START + 20 * MS), START)
    assert not armed().follow(chunk(START + 20 * MS + 1), START)


def test_repeated_chunks_are_ignored_and_do_not_refresh_the_age() -> None:
    guard = armed()
    now_ns, _ = drive(guard, START, 40, row=(0.5, 0, 0), decision=5)
    replayed = chunk(now_ns, decision=5)
    for i in range(30):
        assert not guard.follow(replayed, now_ns + i * TICK)
        guard.step(now_ns + i * TICK)
    assert guard.state is MotorState.LATCHED
    assert guard.counts.repeated == 14  # those after latching are not even looked at


def test_out_of_order_and_older_decisions_are_ignored() -> None:
    guard = armed()
    now_ns, _ = drive(guard, START, 5, decision=5)
    assert not guard.follow(chunk(now_ns - TICK, decision=6), now_ns)
    assert not guard.follow(chunk(now_ns + MS, decision=4), now_ns + MS)
    assert guard.follow(chunk(now_ns, decision=6), now_ns)
    assert guard.counts.repeated == 2


def test_chunk_that_arrives_too_old_is_not_followed() -> None:
    guard = armed()
    assert not guard.follow(chunk(START), START + 300 * MS)
    assert guard.reason == "newest frame is 300 ms old (limit 250 ms)"
    assert guard.step(START + 301 * MS) == Velocity()
    assert guard.state is MotorState.HOLDING
    # The one being followed ages by itself; an old one beside it changes nothing.
    guard.follow(chunk(START + 310 * MS), START + 320 * MS)
    guard.follow(chunk(START + 315 * MS), START + 600 * MS)
    assert guard.state is MotorState.FOLLOWING
    assert guard.counts.old == 2


def test_frames_from_before_arming_are_not_followed() -> None:
    guard = armed()
    assert not guard.follow(chunk(START - MS), START + MS)
    assert guard.counts.early == 1
    assert guard.state is MotorState.HOLDING


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


def test_arming_twice_changes_nothing() -> None:
    guard = armed()
    now_ns, before = drive(guard, START, 40)
    assert guard.arm(now_ns)
    assert guard.step(now_ns + TICK) == before


def test_lone_reversal_is_set_aside_and_followed_when_confirmed() -> None:
    guard = armed()
    now_ns, full = drive(guard, START, 60, row=(0.5, 0, 0))
    assert not guard.follow(chunk(now_ns + TICK, row=(-0.5, 0, 0)), now_ns + TICK)
    assert guard.step(now_ns + TICK) == full
    assert "jumps" in guard.reason
    now_ns, velocity = drive(guard, now_ns + TICK, 1, row=(0.5, 0, 0))
    assert velocity == full
    _, velocity = drive(guard, now_ns, 80, row=(-0.5, 0, 0))
    assert velocity.linear_x_m_s == -0.5
    assert guard.counts.jumps == 2


def test_turning_jump_is_set_aside_too() -> None:
    guard = armed()
    now_ns, _ = drive(guard, START, 60, row=(0, 0, 1.0))
    assert not guard.follow(chunk(now_ns + MS, row=(0, 0, -1.0)), now_ns + MS)


def test_chunk_that_jumps_between_its_rows_is_refused() -> None:
    guard = armed()
    rows = np.array([[0.5, 0, 0], [-0.5, 0, 0]], np.float32)
    assert not guard.follow(ActionChunk(rows, 0.1, START, START + 200 * MS, 1.0, 0), START)
    assert guard.state is MotorState.HOLDING
    assert guard.counts.jumps == 1


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


def test_confidence_at_the_limit_is_followed() -> None:
    assert armed().follow(chunk(START, confidence=0.3), START)


def test_a_frame_as_old_as_the_limit_is_followed_and_an_older_one_is_not() -> None:
    assert armed().follow(chunk(START), START + 250 * MS)
    assert not armed().follow(chunk(START), START + 250 * MS + 1)


def test_arming_again_while_standing_does_not_make_frames_early() -> None:
    guard = armed()
    assert guard.arm(START + 100 * MS)
    assert guard.follow(chunk(START + 50 * MS), START + 110 * MS)


AXES = [(0.5, 0.0, 0.0), (0.0, -0.5, 0.0), (0.0, 0.0, 1.0), (0.0, 0.0, -1.0)]


@pytest.mark.parametrize("row", AXES)
def test_a_plan_of_full_speed_is_braked_right_after_its_age(row: tuple[float, float, float]) -> None:
    guard = armed()
    guard.follow(chunk(START, row=row), START)
    assert guard.step(START + 20 * MS) != Velocity()
    guard.step(START + 250 * MS)
    assert (guard.state, guard.cause) == (MotorState.FOLLOWING, StopCause.NONE)
    guard.step(START + 250 * MS + 1)
    assert (guard.state, guard.cause) == (MotorState.RAMPING, StopCause.STALE_PLAN)
    assert guard.moving


@pytest.mark.parametrize("row", AXES)
def test_a_slow_plan_for_a_fast_base_is_braked_as_early(
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


def test_a_crawling_plan_that_is_followed_long_never_turns_round() -> None:
    guard = armed()
    now_ns, velocity = drive(guard, START, 40, row=(0.02, 0, 0.04))
    assert velocity != Velocity()
    assert guard.step(now_ns + 460 * MS) == velocity
    assert guard.step(now_ns + 485 * MS) == Velocity()
    assert guard.state is MotorState.FOLLOWING


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


def test_zero_has_no_sign() -> None:
    guard = armed()
    now_ns, _ = drive(guard, START, 60, row=(-0.3, -0.1, -0.5))
    guard.stop("e-stop")
    assert [math.copysign(1, value) for value in astuple(coast(guard, now_ns, 20)[-1])] == [1, 1, 1]


def plan(*rows: tuple[float, float, float], t0_ns: int, dt_s: float = 0.1) -> ActionChunk:
    return ActionChunk(np.array(rows, np.float32), dt_s, t0_ns, t0_ns + 1000 * MS, 0.9, 0)


def test_the_row_that_is_due_must_continue_the_current_plan() -> None:
    guard = armed()
    now_ns, _ = drive(guard, START, 60, row=(0.5, 0, 0))
    assert guard.follow(plan((0.3, 0, 0), (-0.2, 0, 0), (-0.5, 0, 0), t0_ns=now_ns + 1), now_ns + 1)


def test_the_last_row_must_continue_the_current_plan_if_all_have_elapsed() -> None:
    guard = armed()
    now_ns, _ = drive(guard, START, 60, row=(0.5, 0, 0))
    elapsed = plan((0.5, 0, 0), (0.2, 0, 0), (-0.2, 0, 0), t0_ns=now_ns + 1, dt_s=0.01)
    assert not guard.follow(elapsed, now_ns + 50 * MS)
    assert guard.counts.jumps == 1


def test_two_outliers_that_disagree_are_both_set_aside_and_the_newer_one_is_kept() -> None:
    guard = armed()
    now_ns, full = drive(guard, START, 60, row=(0.5, 0, 0))
    for i, row in enumerate([(-0.5, 0, 0), (0, 0.5, 0)], 1):
        assert not guard.follow(chunk(now_ns + i, row=row), now_ns + i)
    assert guard.counts.jumps == 2
    assert guard.step(now_ns + 3) == full
    assert guard.follow(chunk(now_ns + 4, row=(0, 0.5, 0)), now_ns + 4)


def test_a_jump_between_the_last_two_rows_counts_too() -> None:
    guard = armed()
    assert not guard.follow(plan((0.5, 0, 0), (0.5, 0, 0), (-0.5, 0, 0), t0_ns=START), START)
    assert guard.reason == "chunk jumps between its rows"


def test_a_plan_that_ages_beside_an_outlier_says_so() -> None:
    guard = armed()
    now_ns, _ = drive(guard, START, 60, row=(0.5, 0, 0))
    guard.follow(chunk(now_ns + 1, row=(-0.5, 0, 0)), now_ns + 1)
    coast(guard, now_ns, 14)
    assert guard.reason == (
        "newest frame is 260 ms old (limit 250 ms), and the chunk after it jumped away from it"
    )


wild = st.floats(allow_nan=True, allow_infinity=True, width=32)
tame = st.floats(-0.625, 0.625, width=32)
rows = st.lists(st.tuples(*[tame | wild] * 3) | st.tuples(tame, tame, tame), min_size=0, max_size=4)
events = st.one_of(
    st.tuples(st.just("tick"), st.sampled_from([TICK] * 6 + [0, MS, 7 * MS, 35 * MS, 300 * MS])),
    st.tuples(st.just("ticks"), st.integers(1, 40)),
    st.tuples(
        st.just("chunk"),
        rows,
        st.sampled_from([0, 0, 0, -10 * MS, -100 * MS, -400 * MS, 10 * MS, 100 * MS]),
        st.sampled_from([0.1, 0.1, 0.02, 0.0, -1.0, math.nan, 1e-300]),
        st.sampled_from([0.9, 0.9, 0.9, 0.1, math.nan]),
        st.sampled_from([0, 1, 1, -3]),
    ),
    st.tuples(st.just("arm")),
    st.tuples(st.just("stop")),
)


@settings(max_examples=300, deadline=None)
@given(st.lists(events, max_size=60))
def test_nothing_gets_past_the_limits(sequence: list[tuple]) -> None:  # type: ignore[type-arg]
    """Whatever is sent, whenever: value, acceleration, deceleration, age and latch hold at every tick."""
    guard, now_ns, decision, newest_ns = Guard(LIMITS), START, 0, -(10**12)
    last, last_ns = guard.step(now_ns), now_ns
    guard.arm(now_ns)

    def tick(delta_ns: int) -> None:
        nonlocal last, last_ns, now_ns
        now_ns += delta_ns
        state_before = guard.state
        velocity = guard.step(now_ns)
        elapsed_s = (now_ns - last_ns) / 1e9
        old, new = (
            complex(last.linear_x_m_s, last.linear_y_m_s),
            complex(velocity.linear_x_m_s, velocity.linear_y_m_s),
        )
        turn = velocity.angular_z_rad_s
        assert math.isfinite(abs(new)) and math.isfinite(turn)
        assert abs(new) <= 0.5 + 1e-9 and abs(turn) <= 1.0 + 1e-9
        assert abs(new - old) <= 2.0 * elapsed_s + 1e-9
        assert abs(turn - last.angular_z_rad_s) <= 4.0 * elapsed_s + 1e-9
        assert abs(new) - abs(old) <= 1.0 * min(elapsed_s, 0.04) + 1e-9
        assert abs(turn) - abs(last.angular_z_rad_s) <= 3.0 * min(elapsed_s, 0.04) + 1e-9
        # The setpoint holds for one more period: also then it must be able to brake in time.
        left_s = max(0.0, 0.5 - 0.02 - (now_ns - newest_ns) / 1e9)
        assert abs(new) <= 2.0 * left_s + 1e-9
        if state_before in (MotorState.DISARMED, MotorState.LATCHED):
            assert velocity == Velocity()
            assert guard.state is state_before
        last, last_ns = velocity, now_ns

    for kind, *details in sequence:
        if kind == "tick":
            tick(details[0])
        elif kind == "ticks":
            for _ in range(details[0]):
                tick(TICK)
        elif kind == "chunk":
            values, offset_ns, dt_s, confidence, step = details
            decision += step
            t0_ns = now_ns + offset_ns
            array = np.array(values, np.float32).reshape(-1, 3)
            if guard.follow(ActionChunk(array, dt_s, t0_ns, t0_ns + 400 * MS, confidence, decision), now_ns):
                assert np.isfinite(array).all()
                newest_ns = max(newest_ns, t0_ns)
        elif kind == "arm":
            guard.arm(now_ns)
        else:
            guard.stop("test")
            assert guard.state in (MotorState.RAMPING, MotorState.LATCHED)
    for _ in range(30):
        tick(TICK)
    assert last == Velocity()
