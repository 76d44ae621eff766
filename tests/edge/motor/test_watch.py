"""What the base reports against motion stops it: each cause alone, each limit at its edge."""

import math

import pytest

from edge.base_spec import BaseSpec
from edge.interfaces import Feedback
from edge.motor.limits import MotorLimits
from edge.motor.watch import Watch, low_battery
from edge.records import Odometry, StopCause, Velocity

MS = 1_000_000
NOW = 10_000_000_000
SENT = Velocity(0.3, 0.1, 0.5)


def moving(velocity: Velocity, stamp_ns: int) -> Feedback:
    return Feedback(armed=True, odometry=Odometry(stamp_ns, 0.0, 0.0, 0.0, velocity))


def cause(watch: Watch, feedback: Feedback, now_ns: int = NOW) -> StopCause:
    objection = watch.judge(feedback, SENT, now_ns)
    return StopCause.NONE if objection is None else objection.cause


def test_a_base_that_only_says_that_it_is_armed_may_move() -> None:
    watch = Watch()
    assert all(cause(watch, Feedback(armed=True), NOW + i * 500 * MS) is StopCause.NONE for i in range(10))


def test_a_fault_comes_first_and_in_its_own_words() -> None:
    objection = Watch().judge(Feedback(armed=False, battery_fraction=0.0, fault="wheel blocked"), SENT, NOW)
    assert objection is not None
    assert (objection.cause, objection.reason) == (StopCause.BASE_FAULT, "wheel blocked")


def test_a_base_that_disarmed_itself_stops() -> None:
    objection = Watch().judge(Feedback(armed=False, battery_fraction=0.0), SENT, NOW)
    assert objection is not None
    assert (objection.cause, objection.reason) == (StopCause.BASE_DISARMED, "the base disarmed itself")


def test_a_low_battery_stops() -> None:
    objection = Watch().judge(Feedback(armed=True, battery_fraction=0.05), SENT, NOW)
    assert objection is not None
    assert (objection.cause, objection.reason) == (StopCause.LOW_BATTERY, "battery at 5% (limit 10%)")


@pytest.mark.parametrize(
    ("fraction", "low"),
    [(None, False), (1.0, False), (0.1, False), (0.0999, True), (0.0, True), (math.nan, True)],
)
def test_a_battery_is_low_below_a_tenth_or_when_it_is_not_a_number(fraction: float | None, low: bool) -> None:
    assert bool(low_battery(Feedback(armed=True, battery_fraction=fraction))) is low


def test_odometry_older_than_a_second_stops() -> None:
    watch = Watch()
    assert cause(watch, moving(SENT, NOW - 1000 * MS)) is StopCause.NONE
    objection = watch.judge(moving(SENT, NOW - 1000 * MS - 1), SENT, NOW)
    assert objection is not None
    assert objection.cause is StopCause.STALE_ODOMETRY
    assert objection.reason == "newest odometry is 1001 ms old (limit 1000 ms)"


def test_odometry_that_was_there_and_goes_stops_after_a_second() -> None:
    """Row 27: before, a base that no longer measured its motion was no longer checked."""
    watch = Watch()
    assert cause(watch, moving(SENT, NOW), NOW) is StopCause.NONE
    watch.reset()  # armed anew, it must still measure
    gone = Feedback(armed=True)
    assert cause(watch, gone, NOW + 1000 * MS) is StopCause.NONE
    objection = watch.judge(gone, SENT, NOW + 1000 * MS + 1)
    assert objection is not None
    assert (objection.cause, objection.reason[:34]) == (
        StopCause.STALE_ODOMETRY,
        "newest odometry is 1001 ms old (li",
    )


def test_odometry_that_is_gone_for_a_moment_and_back_drives_on() -> None:
    watch = Watch()
    assert cause(watch, moving(SENT, NOW), NOW) is StopCause.NONE
    assert cause(watch, Feedback(armed=True), NOW + 900 * MS) is StopCause.NONE
    again_ns = NOW + 1200 * MS
    assert cause(watch, moving(SENT, again_ns), again_ns) is StopCause.NONE


def test_a_base_that_disarmed_itself_says_why() -> None:
    """Row 23."""
    objection = Watch().judge(Feedback(armed=False, warning="the base says: Crash"), SENT, NOW)
    assert objection is not None
    assert objection.reason == "the base disarmed itself: the base says: Crash"


@pytest.mark.parametrize(
    ("measured", "agrees"),
    [
        (SENT, True),
        (Velocity(0.3 + 0.19, 0.1, 0.5), True),
        (Velocity(0.3 + 0.21, 0.1, 0.5), False),
        (Velocity(0.3 - 0.21, 0.1, 0.5), False),
        (Velocity(0.3, 0.1 + 0.21, 0.5), False),
        (Velocity(0.3 + 0.15, 0.1 + 0.15, 0.5), False),  # the length of the difference counts
        (Velocity(0.3, 0.1, 0.5 + 0.49), True),
        (Velocity(0.3, 0.1, 0.5 + 0.51), False),
        (Velocity(0.3, 0.1, 0.5 - 0.51), False),
        (Velocity(math.nan, 0.1, 0.5), False),
        (Velocity(0.3, 0.1, math.nan), False),
    ],
)
def test_a_base_that_moves_otherwise_for_over_a_second_stops(measured: Velocity, agrees: bool) -> None:
    watch = Watch()
    for now_ns in (NOW, NOW + 500 * MS, NOW + 1000 * MS):
        assert cause(watch, moving(measured, now_ns), now_ns) is StopCause.NONE
    late_ns = NOW + 1000 * MS + 1
    expected = StopCause.NONE if agrees else StopCause.BASE_DISAGREES
    assert cause(watch, moving(measured, late_ns), late_ns) is expected


def test_the_tolerances_themselves_agree() -> None:
    watch = Watch()
    for now_ns in (NOW, NOW + 1100 * MS):
        measured = moving(Velocity(0.2, 0.0, 0.5), now_ns)
        assert watch.judge(measured, Velocity(), now_ns) is None


def test_a_disagreement_says_by_how_much() -> None:
    watch = Watch()
    for now_ns in (NOW, NOW + 1100 * MS):
        objection = watch.judge(moving(Velocity(), now_ns), SENT, now_ns)
    assert objection is not None
    assert objection.reason.endswith("off by 0.32 m/s and 0.50 rad/s for 1 s")


def test_agreeing_once_starts_the_second_anew() -> None:
    watch = Watch()
    standing = Velocity()
    assert cause(watch, moving(standing, NOW)) is StopCause.NONE
    again_ns = NOW + 900 * MS
    assert cause(watch, moving(SENT, again_ns), again_ns) is StopCause.NONE
    for late_ms, expected in ((1000, StopCause.NONE), (1001, StopCause.BASE_DISAGREES)):
        now_ns = again_ns + late_ms * MS
        assert cause(watch, moving(standing, now_ns), now_ns) is expected


def test_a_reset_forgets_when_it_last_agreed() -> None:
    watch = Watch()
    assert cause(watch, moving(SENT, NOW)) is StopCause.NONE
    watch.reset()
    armed_ns = NOW + 60_000 * MS
    assert cause(watch, moving(Velocity(), armed_ns), armed_ns) is StopCause.NONE
    late_ns = armed_ns + 1001 * MS
    assert cause(watch, moving(Velocity(), late_ns), late_ns) is StopCause.BASE_DISAGREES


FIXED = MotorLimits.of(BaseSpec(fixed_speed_m_s=0.2, fixed_turn_rad_s=0.8))
TICK = 20 * MS


def stopped_after_s(
    limits: MotorLimits, sent: list[Velocity], measured: list[Velocity], seconds: float = 6.0
) -> float:
    """Return when the watch objects, if the two repeat tick by tick; infinity if it never does."""
    watch = Watch(limits)
    watch.reset()
    for tick in range(round(seconds * 50)):
        now_ns = NOW + tick * TICK
        feedback = moving(measured[tick % len(measured)], now_ns)
        if watch.judge(feedback, sent[tick % len(sent)], now_ns) is not None:
            return tick * 0.02
    return math.inf


PULSES = [Velocity(0.2, 0.0, 0.8)] * 5 + [Velocity()] * 5


def test_a_base_that_follows_its_pulses_late_agrees() -> None:
    for late in range(10):
        assert stopped_after_s(FIXED, PULSES, PULSES[late:] + PULSES[:late]) == math.inf


def test_a_base_that_stands_through_its_pulses_stops() -> None:
    pulses = [Velocity(0.2)] * 8 + [Velocity()] * 4
    assert 1.0 < stopped_after_s(FIXED, pulses, [Velocity()]) < 3.0
    turns = [Velocity(0.0, 0.0, -0.8)] * 8 + [Velocity()] * 4
    assert 1.0 < stopped_after_s(FIXED, turns, [Velocity()]) < 3.0


def test_a_base_that_goes_on_after_its_pulse_stops() -> None:
    for runaway in (Velocity(0.0, -0.2, 0.0), Velocity(0.0, 0.0, 0.8)):
        pulse = [Velocity(runaway.linear_x_m_s, runaway.linear_y_m_s, runaway.angular_z_rad_s)] * 2
        assert 1.0 < stopped_after_s(FIXED, pulse + [Velocity()] * 10, [runaway]) < 2.5


@pytest.mark.parametrize(
    ("off", "agrees"),
    [
        (Velocity(0.099), True),
        (Velocity(0.0, 0.101), False),
        (Velocity(0.0, 0.0, 0.399), True),
        (Velocity(0.0, 0.0, -0.401), False),
    ],
)
def test_averages_may_differ_by_half_of_the_fixed_speed(off: Velocity, agrees: bool) -> None:
    assert stopped_after_s(FIXED, [Velocity()], [off]) == (math.inf if agrees else 1.02)


@pytest.mark.parametrize(
    ("base", "off", "agrees"),
    [
        (BaseSpec(dead_band_m_s=0.03), Velocity(0.199), True),
        (BaseSpec(dead_band_m_s=0.03), Velocity(0.201), False),
        (BaseSpec(min_turn_rad_s=0.1), Velocity(0.0, 0.0, 0.499), True),
        (BaseSpec(min_turn_rad_s=0.1), Velocity(0.0, 0.0, 0.501), False),
        (BaseSpec(linear_m_s=0.3, dead_band_m_s=0.03), Velocity(0.149), True),
        (BaseSpec(linear_m_s=0.3, dead_band_m_s=0.03), Velocity(0.151), False),
        (BaseSpec(linear_m_s=0.3), Velocity(0.199), True),  # it is not driven by pulses
        (BaseSpec(linear_m_s=0.1, fixed_speed_m_s=0.2, fixed_turn_rad_s=0.8), Velocity(0.099), True),
        (BaseSpec(angular_rad_s=0.3, fixed_speed_m_s=0.2, fixed_turn_rad_s=0.8), Velocity(0, 0, 0.39), True),
    ],
)
def test_no_average_may_differ_by_more_than_of_any_base(base: BaseSpec, off: Velocity, agrees: bool) -> None:
    assert stopped_after_s(MotorLimits.of(base), [Velocity()], [off]) == (math.inf if agrees else 1.02)


def test_averages_forget_within_half_a_second() -> None:
    watch = Watch(FIXED)
    assert watch.judge(moving(Velocity(), NOW), Velocity(), NOW) is None
    # A jump by 0.2 m/s is averaged to 0.1 after 0.5 s times ln 2, and 1 s later it is too long ago.
    for ms in range(20, 1700, 20):
        objection = watch.judge(moving(Velocity(0.2), NOW + ms * MS), Velocity(), NOW + ms * MS)
        assert (objection is not None) is (ms > 340 + 1000)


def test_a_second_without_numbers_stops_and_one_moment_does_not() -> None:
    nan = Velocity(math.nan, 0.0, 0.0)
    assert stopped_after_s(FIXED, [Velocity()], [nan] * 10 + [Velocity()] * 10) == math.inf
    assert stopped_after_s(FIXED, [Velocity()], [nan]) == 1.02
    turning = Velocity(0.0, 0.0, math.nan)
    assert stopped_after_s(FIXED, [Velocity()], [turning] * 10 + [Velocity()] * 10) == math.inf


def test_a_reset_forgets_the_average_too() -> None:
    watch = Watch(FIXED)
    assert watch.judge(moving(Velocity(0.2), NOW), Velocity(), NOW) is None
    watch.reset()
    for ms in range(0, 2000, 20):
        assert watch.judge(moving(Velocity(), NOW + ms * MS), Velocity(), NOW + ms * MS) is None


def test_what_has_a_lowest_speed_for_its_turn_only_is_averaged_too() -> None:
    limits = MotorLimits.of(BaseSpec(min_turn_rad_s=0.6))
    turns = [Velocity(0.0, 0.0, 0.95)] * 10 + [Velocity()] * 5
    assert 1.0 < stopped_after_s(limits, turns, [Velocity()]) < 3.0
    assert stopped_after_s(MotorLimits(), turns, [Velocity()]) == math.inf


def test_a_base_without_pulses_is_not_averaged() -> None:
    assert stopped_after_s(MotorLimits(), [SENT], [SENT] + [Velocity()] * 1000) == pytest.approx(1.02)
