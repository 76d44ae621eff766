"""The guard alone: which chunks it does not follow.

Faults injected here: 23 NaN/Inf, 24 a jump, 39 replay.
"""

import math
from dataclasses import astuple

import numpy as np
import pytest

from edge.motor.guard import GuardCounts
from edge.records import ActionChunk, MotorState, Refusals, Velocity
from tests.edge.motor.guard.driven import (
    MS,
    START,
    TICK,
    armed,
    chunk,
    chunk_of,
    coast,
    drive,
    speed,
)


def test_refusals_carry_every_counter_but_those_of_followed_chunks() -> None:
    counts = GuardCounts(1, 2, 3, 4, 5, 6, 7, 8, 9)
    assert counts.refusals(10) == Refusals(3, 4, 5, 6, 7, 8, 9, 10)
    assert counts.refused == 3 + 4 + 5 + 6 + 7 + 8 + 9
    assert GuardCounts().refusals() == Refusals()
    assert set(astuple(GuardCounts())) == {0}


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


def test_confidence_at_the_limit_is_followed() -> None:
    assert armed().follow(chunk(START, confidence=0.3), START)


def test_arming_again_while_standing_does_not_make_frames_early() -> None:
    guard = armed()
    assert guard.arm(START + 100 * MS)
    assert guard.follow(chunk(START + 50 * MS), START + 110 * MS)


def test_the_row_that_is_due_must_continue_the_current_chunk() -> None:
    guard = armed()
    now_ns, _ = drive(guard, START, 60, row=(0.5, 0, 0))
    assert guard.follow(chunk_of((0.3, 0, 0), (-0.2, 0, 0), (-0.5, 0, 0), t0_ns=now_ns + 1), now_ns + 1)


def test_the_last_row_must_continue_the_current_chunk_if_all_have_elapsed() -> None:
    guard = armed()
    now_ns, _ = drive(guard, START, 60, row=(0.5, 0, 0))
    elapsed = chunk_of((0.5, 0, 0), (0.2, 0, 0), (-0.2, 0, 0), t0_ns=now_ns + 1, dt_s=0.01)
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
    assert not guard.follow(chunk_of((0.5, 0, 0), (0.5, 0, 0), (-0.5, 0, 0), t0_ns=START), START)
    assert guard.reason == "chunk jumps between its rows"
