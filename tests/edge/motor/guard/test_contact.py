"""The guard and a contact: it brakes at once, goes back a little and no farther, and then holds."""

import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge.interfaces import Feedback
from edge.motor.contact import ContactSense, ContactWatch
from edge.motor.guard import Guard
from edge.motor.way import BACK_M, BACK_M_S, BACK_RAD, BACK_RAD_S, CRAWL
from edge.records import ActionChunk, MotorState, Odometry, StopCause, Velocity
from tests.edge.motor.guard.driven import AXES, LIMITS, MS, TICK, armed, chunk, drive, speed

Row = tuple[float, float, float]
START = 1_000_000_000


def back(t0_ns: int, row: Row) -> ActionChunk:
    values = np.tile(np.array(row, np.float32), (5, 1))
    return ActionChunk(values, 0.1, t0_ns, t0_ns + 500 * MS, 1.0, 0, back=True)


def go_back(guard: Guard, now_ns: int, row: Row, ticks: int = 150) -> tuple[int, list[Velocity]]:
    """Send a way back at every tick, until the guard holds."""
    sent: list[Velocity] = []
    while guard.state is MotorState.TOUCHED and len(sent) < ticks:
        now_ns += TICK
        guard.follow(back(now_ns, row), now_ns)
        sent.append(guard.step(now_ns))
    return now_ns, sent


@pytest.mark.parametrize("row", AXES)
def test_a_contact_brakes_at_once_and_follows_only_a_small_slow_way_back(row: Row):
    guard = armed()
    now_ns, _ = drive(guard, START, 40, row=row)
    guard.touch("its bumper is pressed")
    assert guard.state is MotorState.TOUCHED and guard.back.contacts == 1
    for i in range(1, 14):
        now_ns += TICK
        assert not guard.follow(chunk(now_ns, row=row, decision=i), now_ns), "it would push on"
        assert not guard.follow(back(now_ns, row), now_ns) or guard.back.begun
        velocity = guard.step(now_ns)
    assert velocity == Velocity(), "0.25 s are enough to stand"
    now_ns, sent = go_back(guard, now_ns, tuple(-part for part in row))
    metres = sum(speed(each) for each in sent) * TICK / 1e9
    radians = sum(abs(each.angular_z_rad_s) for each in sent) * TICK / 1e9
    assert guard.state is MotorState.HOLDING and guard.back.contacts == 1
    assert max(map(speed, sent)) <= BACK_M_S + 1e-9
    assert max(abs(each.angular_z_rad_s) for each in sent) <= BACK_RAD_S + 1e-9
    wanted_m, wanted_rad = (0.0, BACK_RAD) if row[2] else (BACK_M, 0.0)
    assert metres == pytest.approx(wanted_m, abs=0.01) and radians == pytest.approx(wanted_rad, abs=0.02)
    assert not guard.follow(chunk(now_ns - MS, row=row, decision=50), now_ns), "it shows the way back"
    assert guard.follow(chunk(now_ns + TICK, row=row, decision=51), now_ns + TICK)
    _, driven = drive(guard, now_ns + TICK, 40, row=row, decision=51)
    assert driven == Velocity(*row), "it drives as before"


@pytest.mark.parametrize("row", AXES)
def test_a_contact_brakes_by_the_deceleration_and_the_way_back_begins_with_the_stand(row: Row):
    guard = armed()
    now_ns, before = drive(guard, START, 40, row=row)
    guard.touch("its bumper is pressed")
    seconds = 0.0
    while before != Velocity():
        after = guard.step(now_ns := now_ns + TICK)
        less_rad_s = abs(before.angular_z_rad_s) - abs(after.angular_z_rad_s)
        assert 0.0 <= speed(before) - speed(after) <= LIMITS.linear_decel_m_s2 * TICK / 1e9 + 1e-9
        assert 0.0 <= less_rad_s <= LIMITS.angular_decel_rad_s2 * TICK / 1e9 + 1e-9
        assert guard.back.begun is (after == Velocity()) and guard.state is MotorState.TOUCHED
        before, seconds = after, seconds + TICK / 1e9
    assert seconds == pytest.approx(0.26, abs=0.02)


def test_what_of_a_row_does_not_lead_back_changes_nothing():
    ways: list[list[Velocity]] = []
    for row in ((-0.1, 0.0, 0.0), (-0.1, 0.4, 0.9)):
        guard = armed()
        now_ns, _ = drive(guard, START, 40, row=(0.5, 0.0, 0.0))
        guard.touch("test")
        ways.append(go_back(guard, now_ns, row)[1])
    assert ways[0] == ways[1] and min(each.linear_x_m_s for each in ways[0]) == pytest.approx(-0.1)


@pytest.mark.parametrize("row", [(0.05, 0.0, 0.0), (0.0, 0.0, 0.1)])
def test_a_base_that_brakes_slowly_ends_its_way_back_by_a_stand_all_the_same(row: Row):
    """What is left of the way is worth less than a crawl while the base still brakes."""
    slow = {"linear_m_s": 0.05, "linear_decel_m_s2": 0.2, "angular_rad_s": 0.1, "angular_decel_rad_s2": 0.4}
    guard = armed(replace(LIMITS, **slow))
    now_ns, _ = drive(guard, START, 60, row=row)
    guard.touch("test")
    _, sent = go_back(guard, now_ns, tuple(-part for part in row), 400)
    assert guard.state is MotorState.HOLDING and sent[-1] == Velocity()
    moved = [each for each in sent if each != Velocity()]
    slowest = min(speed(each) + abs(each.angular_z_rad_s) for each in moved[-20:])
    assert slowest >= CRAWL, "it never creeps"


@settings(max_examples=100, deadline=None)
@given(st.lists(st.tuples(*[st.floats(-1, 1, width=32)] * 3), min_size=1, max_size=40), st.sampled_from(AXES))
def test_whatever_the_way_back_asks_for_it_never_leads_on_and_not_far(rows: list[Row], axis: Row):
    guard = armed()
    now_ns, _ = drive(guard, START, 30, row=axis)
    guard.touch("test")
    metres = radians = 0.0
    for i in range(100):
        now_ns += TICK
        guard.follow(back(now_ns, rows[i % len(rows)]), now_ns)
        backs, velocity = guard.back.begun, guard.step(now_ns)
        values = (velocity.linear_x_m_s, velocity.linear_y_m_s, velocity.angular_z_rad_s)
        if backs and guard.state is MotorState.TOUCHED:
            assert np.dot(values, axis) <= 1e-9
            metres += speed(velocity) * TICK / 1e9
            radians += abs(velocity.angular_z_rad_s) * TICK / 1e9
    tick_s = TICK / 1e9  # speeds fall under the jerk limit, so it may take a tick more
    assert metres <= BACK_M + BACK_M_S * tick_s and radians <= BACK_RAD + BACK_RAD_S * tick_s


def test_what_never_moved_has_no_way_back_and_a_way_back_is_followed_after_contacts_only():
    guard = armed()
    assert not guard.follow(back(START + TICK, (-0.1, 0.0, 0.0)), START + TICK)
    guard.touch("somebody touches it")
    guard.step(START + TICK)
    assert guard.state is MotorState.HOLDING
    guard.stop("test")
    guard.touch("too late")
    assert guard.state is MotorState.LATCHED and guard.back.contacts == 1


def test_a_hold_after_a_contact_waits_for_the_way_back_all_the_same():
    guard = armed()
    now_ns, _ = drive(guard, START, 40)
    guard.touch("its bumper is pressed")
    guard.hold("camera 'front' is away")
    assert (guard.state, guard.reason) == (MotorState.TOUCHED, "camera 'front' is away")
    now_ns, _ = go_back(guard, now_ns, (-0.1, 0.0, 0.0))
    assert guard.state is MotorState.HOLDING


def moving(x_m_s: float, now_ns: int, at_m: float = 0.0) -> Odometry:
    return Odometry(now_ns, at_m, 0.0, 0.0, Velocity(x_m_s))


def test_a_bumper_that_chatters_is_one_contact_and_one_that_was_free_another():
    sense, felt = ContactSense(), []
    for ms in range(0, 1000, 20):
        pressed = ms in (100, 140, 300) or ms == 700
        if sense.take(Feedback(True, bumper=pressed), Velocity(), START + ms * MS):
            felt.append(ms)
    assert felt == [100, 700]


@pytest.mark.parametrize(("share", "held"), [(0.0, True), (0.15, True), (0.25, False)])
def test_wheels_that_followed_and_stand_are_held_and_a_base_that_begins_late_is_not(share: float, held: bool):
    sense, late, felt = ContactSense(), ContactSense(), []
    for ms in range(0, 2000, 20):
        now_ns = START + ms * MS
        x_m_s = 0.3 * (1.0 if ms < 500 else share)
        if sense.take(Feedback(True, moving(x_m_s, now_ns)), Velocity(0.3), now_ns):
            felt.append(ms)
        assert not late.take(Feedback(True, moving(0.0, now_ns)), Velocity(0.3), now_ns)
    assert felt == ([800] if held else [])


@pytest.mark.parametrize(("went_m", "cause"), [(0.1, None), (0.0, StopCause.BASE_DISAGREES)])
def test_a_base_that_does_not_get_back_either_does_not_follow_its_setpoints(
    went_m: float, cause: StopCause | None
):
    guard = armed()
    watch, (now_ns, sent) = ContactWatch(guard), drive(guard, START, 40, row=(0.4, 0.0, 0.0))
    watch.touch("test", now_ns)
    objection, gone_m = None, 0.0
    while guard.state is MotorState.TOUCHED:
        now_ns += TICK
        guard.follow(back(now_ns, (-0.15, 0.0, 0.0)), now_ns)
        sent = guard.step(now_ns)
        gone_m -= min(sent.linear_x_m_s, 0.0) * TICK / 1e9 * went_m / BACK_M
        assert math.isfinite(gone_m) and objection is None
        objection = watch.judge(Feedback(True, moving(0.0, now_ns, -gone_m)), sent, now_ns)
    assert (objection.cause if objection else None) is cause


def test_a_bumper_that_stays_pressed_and_a_way_back_that_never_comes_end_the_drive():
    guard = armed()
    watch, (now_ns, _) = ContactWatch(guard), drive(guard, START, 40, row=(0.4, 0.0, 0.0))
    causes: list[int] = []
    for i in range(200):
        now_ns += TICK
        objection = watch.judge(Feedback(True, bumper=True), guard.step(now_ns), now_ns)
        causes += [i] if objection is not None and objection.cause is StopCause.CONTACT else []
    assert causes[:1] == [151] and guard.back.contacts == 1, "3 s without a way back"
