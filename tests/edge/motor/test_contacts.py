"""What tells of a contact, and whether a base got free of one, to the nanosecond and the last digit."""

import pytest

from edge.interfaces import Feedback
from edge.motor.contact import ContactSense, ContactWatch, WayBackWatch, followed_share
from edge.motor.guard import Guard
from edge.motor.limits import MotorLimits
from edge.records import ZERO, MotorState, Odometry, StopCause, Velocity

MS = 1_000_000
START = 1_000 * MS
PRESSED, FREE = Feedback(True, bumper=True), Feedback(True, bumper=False)
TOUCHED, HOLDING = MotorState.TOUCHED, MotorState.HOLDING
AHEAD, BACK = Velocity(0.3), Velocity(-0.1)


def at(x_m: float = 0.0, y_m: float = 0.0, yaw_rad: float = 0.0, bumper: bool = False) -> Feedback:
    return Feedback(True, Odometry(START, x_m, y_m, yaw_rad, ZERO), bumper=bumper)


def going(x_m_s: float) -> Feedback:
    return Feedback(True, Odometry(START, 0.0, 0.0, 0.0, Velocity(x_m_s)))


@pytest.mark.parametrize(
    ("measured", "sent", "share"),
    [
        (Velocity(0.3), Velocity(0.3), 1.0),
        (Velocity(0.1, 0.2), Velocity(0.3, 0.4), 0.44),
        (Velocity(-0.1, 0.0), Velocity(0.4), -0.25),
        (Velocity(0.05, 0.0, 1.0), Velocity(0.1, 0.0, 1.0), 0.5),
        (Velocity(0.05), Velocity(0.099), None),
        (Velocity(0.0, 0.0, 0.2), Velocity(0.05, 0.0, -0.4), -0.5),
        (Velocity(0.0, 0.0, -0.2), Velocity(0.0, 0.0, -0.25), 0.8),
        (Velocity(0.0, 0.0, 0.2), Velocity(0.0, 0.0, 0.249), None),
    ],
)
def test_how_far_a_base_follows(measured: Velocity, sent: Velocity, share: float | None):
    assert followed_share(measured, sent) == (None if share is None else pytest.approx(share))


def test_a_bumper_is_another_contact_once_it_was_free_for_300_ms():
    sense = ContactSense()
    assert not sense.take(FREE, ZERO, START) and not sense.take(Feedback(True), ZERO, START)
    assert sense.take(PRESSED, ZERO, START) == "its bumper is pressed"
    assert not any(sense.take(PRESSED, ZERO, START + 200 * MS * i) for i in range(1, 6))
    now_ns = START + 1000 * MS
    assert not sense.take(PRESSED, ZERO, now_ns + 300 * MS - 1)
    assert sense.take(PRESSED, ZERO, now_ns + 600 * MS - 1)


@pytest.mark.parametrize(("share", "follows"), [(0.5, True), (0.49, False)])
def test_a_base_that_never_went_at_half_of_its_setpoint_is_not_held(share: float, follows: bool):
    sense = ContactSense()
    sense.take(going(0.5 * share), Velocity(0.5), START)
    assert not sense.take(going(0.0), Velocity(0.5), START + MS)
    assert bool(sense.take(going(0.0), Velocity(0.5), START + 301 * MS)) is follows


def test_a_base_is_held_once_it_goes_at_less_than_a_fifth_for_300_ms():
    sense, told = ContactSense(), Velocity(0.5)
    sense.take(going(0.5), told, START)
    assert not sense.take(going(0.05), told, START + MS)
    assert not sense.take(going(0.05), told, START + 301 * MS - 1)
    assert not sense.take(going(0.1), told, START + 301 * MS), "a fifth is not held, and 300 ms begin anew"
    assert not sense.take(going(0.05), told, START + 302 * MS)
    assert "at 10% of what they are told (limit 20%)" in sense.take(going(0.05), told, START + 602 * MS)
    assert not sense.take(going(0.05), told, START + 2000 * MS), "one contact is told of once"
    sense.take(going(0.5), told, START + 2001 * MS)
    assert not sense.take(going(0.0), told, START + 2002 * MS)
    assert sense.take(going(0.0), told, START + 2302 * MS)


def test_a_base_that_was_told_to_stand_is_not_held_when_it_begins_again():
    sense = ContactSense()
    sense.take(going(0.5), Velocity(0.5), START)
    sense.take(going(0.0), Velocity(0.5), START + MS)
    sense.take(going(0.0), ZERO, START + 2 * MS)
    assert not any(sense.take(going(0.0), Velocity(0.5), START + i * 100 * MS) for i in range(1, 9))


def led_back(watch: WayBackWatch, start: Feedback, stood: Feedback, end: Feedback) -> StopCause | None:
    """Let a base brake, stand, go back and hold again; returns the cause of its stop."""
    watch.begin(START)
    for feedback, sent in ((start, AHEAD), (start, AHEAD), (start, ZERO), (stood, ZERO), (stood, BACK)):
        assert watch.judge(feedback, sent, TOUCHED, START) is None
    assert watch.judge(end, BACK, TOUCHED, START) is None
    objection = watch.judge(end, ZERO, HOLDING, START + 2000 * MS)
    return None if objection is None else objection.cause


@pytest.mark.parametrize(
    ("stood", "end", "free"),
    [
        (at(), at(-0.03), True),
        (at(), at(-0.0299), False),
        (at(), at(0.0, 0.03), True),
        (at(0.2, 0.2), at(0.2, 0.2), False),
        (at(), at(yaw_rad=-0.06), True),
        (at(), at(yaw_rad=0.0599), False),
        (at(yaw_rad=1.0), at(yaw_rad=1.0), False),
        (at(yaw_rad=3.12), at(yaw_rad=-3.12), False),
        (at(), at(yaw_rad=3.1), True),
        (Feedback(True), at(), True),
        (at(), Feedback(True), True),
    ],
)
def test_a_base_is_free_once_it_went_three_tenths_of_the_way_back(stood: Feedback, end: Feedback, free: bool):
    expected = None if free else StopCause.BASE_DISAGREES
    watch = WayBackWatch()
    assert led_back(watch, at(), stood, end) is expected
    assert led_back(watch, at(), stood, end) is expected, "each contact is judged anew"
    assert led_back(watch, at(), at(5.0), at(5.0)) is StopCause.BASE_DISAGREES


def test_a_base_that_was_never_told_to_go_back_is_not_judged_by_its_way():
    watch = WayBackWatch()
    watch.begin(START)
    assert watch.judge(at(), AHEAD, TOUCHED, START) is None
    assert watch.judge(at(), ZERO, TOUCHED, START) is None
    assert watch.judge(at(), ZERO, HOLDING, START) is None
    at_once = WayBackWatch()
    at_once.begin(START)
    assert at_once.judge(at(), ZERO, HOLDING, START) is None, "it never moved, so it has no way back"


def test_the_way_back_may_take_3_s_from_the_contact():
    watch = WayBackWatch()
    assert watch.judge(at(), ZERO, TOUCHED, START + 9000 * MS) is None, "it knows of no contact"
    watch.begin(START)
    assert watch.judge(at(), ZERO, TOUCHED, START + 3000 * MS) is None
    objection = watch.judge(at(), ZERO, TOUCHED, START + 3000 * MS + 1)
    assert objection is not None and objection.cause is StopCause.CONTACT
    assert objection.reason == "it touched something, and was not back within 3 s"


def test_a_bumper_may_be_pressed_for_a_second_after_the_way_back():
    watch = WayBackWatch()
    assert watch.judge(PRESSED, ZERO, HOLDING, START) is None, "nothing came before"
    led_back(watch, at(), at(), at(-0.1, bumper=True))
    over_ns = START + 2000 * MS
    assert watch.judge(PRESSED, ZERO, HOLDING, over_ns + 500 * MS) is None
    assert watch.judge(PRESSED, ZERO, HOLDING, over_ns + 1000 * MS) is None
    objection = watch.judge(PRESSED, ZERO, HOLDING, over_ns + 1000 * MS + 1)
    assert objection is not None and objection.cause is StopCause.CONTACT
    assert objection.reason == "its bumper is still pressed 1.0 s after the way back (limit 1.0 s)"
    assert watch.judge(FREE, ZERO, HOLDING, over_ns + 1100 * MS) is None
    assert watch.judge(PRESSED, ZERO, HOLDING, over_ns + 1200 * MS) is None, "it was free: another contact"


def test_only_an_armed_base_is_touched_and_a_new_run_begins_without_contacts():
    guard = Guard(MotorLimits())
    watch = ContactWatch(guard)
    watch.touch("test", START)
    assert guard.state is MotorState.DISARMED and guard.back.contacts == 0
    guard.arm(START)
    assert watch.judge(PRESSED, ZERO, START) is None
    assert guard.state is TOUCHED and guard.reason == "its bumper is pressed"
    watch.judge(PRESSED, ZERO, START + 100 * MS)
    assert guard.back.contacts == 1
    watch.reset()
    assert watch.judge(PRESSED, ZERO, START + 200 * MS) is None
    assert guard.back.contacts == 2, "what was pressed before it was armed counts no more"
