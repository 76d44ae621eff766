"""The way since a frame, and the speeds that end within it."""

import math

import pytest

from edge.motor.limits import MotorLimits
from edge.motor.way import DrivenWay, WayBack
from edge.records import Velocity

MS = 1_000_000
TICK = 20 * MS
START = 1_000 * MS


def driven(limits: MotorLimits, linear_m_s: float, angular_rad_s: float, ticks: int) -> DrivenWay:
    """Return the sums of a setpoint that held for so many ticks, from START on."""
    way = DrivenWay(limits, TICK)
    way.add(START, 0.0, 0.0, 0)
    for tick in range(ticks):
        way.add(START + (tick + 1) * TICK, linear_m_s, angular_rad_s, TICK)
    return way


def left(way: DrivenWay, frame_ns: int) -> tuple[float, float]:
    """Return the way and the turn that the highest speeds make: a period, and braking."""
    linear_m_s, angular_rad_s = way.highest(frame_ns)
    return linear_m_s * 0.02 + linear_m_s**2 / 4, angular_rad_s * 0.02 + angular_rad_s**2 / 8


def test_what_is_left_of_the_way_is_what_was_driven_less_since_the_frame() -> None:
    way = driven(MotorLimits(), 0.2, 0.5, 10)
    assert left(way, START) == pytest.approx((0.1875 - 0.04, 0.375 - 0.1))
    assert left(way, START + 4 * TICK) == pytest.approx((0.1875 - 0.024, 0.375 - 0.06))
    assert left(way, START + 10 * TICK) == pytest.approx((0.1875, 0.375))
    assert left(way, START + 99 * TICK) == pytest.approx((0.1875, 0.375))


def test_a_frame_between_two_ticks_counts_from_the_tick_before() -> None:
    way = driven(MotorLimits(), 0.2, 0.5, 10)
    assert left(way, START + 5 * TICK - 1) == left(way, START + 4 * TICK) != left(way, START + 5 * TICK)


def test_no_way_left_is_no_speed_and_hardly_any_is_none_either() -> None:
    assert driven(MotorLimits(), 0.5, 1.0, 19).highest(START) == (0.0, 0.0)
    assert driven(MotorLimits(), 0.5, 1.0, 40).highest(START) == (0.0, 0.0)
    # 0.01 m/s and 0.01 rad/s need 20 ms of them, and braking.
    just_m, just_rad = 0.0002 + 0.01**2 / 4, 0.0002 + 0.01**2 / 8
    limits = MotorLimits(blind_m=just_m + 1e-9, blind_rad=just_rad + 1e-9)
    assert DrivenWay(limits, TICK).highest(START) == pytest.approx((0.01, 0.01), rel=1e-4)
    limits = MotorLimits(blind_m=just_m - 1e-9, blind_rad=just_rad - 1e-9)
    assert DrivenWay(limits, TICK).highest(START) == (0.0, 0.0)


def test_pulses_count_at_their_speed_while_the_base_goes_at_all() -> None:
    limits = MotorLimits(lowest_m_s=0.2, lowest_rad_s=0.5)
    assert left(driven(limits, 0.01, 0.01, 10), START) == pytest.approx((0.1875 - 0.04, 0.375 - 0.1))
    assert left(driven(limits, 0.3, 0.6, 10), START) == pytest.approx((0.1875 - 0.06, 0.375 - 0.12))
    assert left(driven(limits, 0.0, 0.0, 10), START) == pytest.approx((0.1875, 0.375))


def test_frames_up_to_the_longest_age_are_remembered_and_the_sums_stay_few() -> None:
    way = driven(MotorLimits(longest_age_s=0.2), 0.02, 0.05, 1000)
    assert len(way._sums) == 11
    now_ns = START + 1000 * TICK
    assert left(way, now_ns - 200 * MS) == pytest.approx((0.1875 - 0.004, 0.375 - 0.01))
    assert left(way, now_ns - 180 * MS) == pytest.approx((0.1875 - 0.0036, 0.375 - 0.009))


def test_before_the_first_setpoint_nothing_was_driven() -> None:
    way = DrivenWay(MotorLimits(), TICK)
    assert left(way, START) == left(way, -START) == pytest.approx((0.1875, 0.375))
    assert math.isfinite(sum(way.highest(0)))
    assert left(driven(MotorLimits(), 0.2, 0.5, 10), -1) == pytest.approx((0.1875 - 0.04, 0.375 - 0.1))


def touched(linear: complex, turn: float, limits: MotorLimits | None = None) -> WayBack:
    """Return the way back from a motion that touched something, once the base stands."""
    way = WayBack(limits or MotorLimits(), TICK)
    way.note(linear, complex(turn), 0.02)
    way.begin()
    way.stand()
    return way


def test_before_anything_moved_nothing_leads_back() -> None:
    way = WayBack(MotorLimits(), TICK)
    assert (way.contacts, way.begun, way.touched) == (0, False, Velocity())
    assert way.stand() and way.begun and way.allowed(-1 + 0j, 1.0) is None


def test_a_way_back_leads_away_from_the_motion_that_touched_and_not_aside() -> None:
    way = touched(0.3 + 0.4j, 0.5)
    assert way.touched == Velocity(0.3, 0.4, 0.5) and way.contacts == 1
    linear, turn = way.allowed(-0.06 - 0.08j, 1.0) or (0j, 1.0)
    assert linear == pytest.approx(-0.06 - 0.08j) and turn == 0.0
    assert (way.allowed(0.08 - 0.06j, 0.0) or (1j, 0))[0] == pytest.approx(0j), "aside"
    assert way.allowed(0.3 + 0.4j, 0.0) == (0j, 0.0), "on"
    assert (way.allowed(-3 - 4j, 0.0) or (0j, 0))[0] == pytest.approx(-0.09 - 0.12j), "0.15 m/s at most"


@pytest.mark.parametrize("side", [1.0, -1.0])
def test_a_base_that_only_turned_turns_back(side: float) -> None:
    way = touched(0j, 0.5 * side)
    assert way.allowed(-1 + 0j, -0.3 * side) == (0j, pytest.approx(-0.3 * side))
    assert way.allowed(0j, -3.0 * side) == (0j, pytest.approx(-0.4 * side))
    assert way.allowed(0j, 3.0 * side) == (0j, pytest.approx(0.0))


def test_a_way_back_ends_after_its_metres_and_a_turn_after_its_radians() -> None:
    way, turn = touched(0.3 + 0j, 0.0), touched(0j, 0.5)
    way.note(0.15 + 0j, 0j, 0.6)
    way.note(0.1 + 0j, 0j, 0.05)
    turn.note(0j, 0.4 + 0j, 0.45)
    # 0.005 m and 0.02 rad are left: a period of 20 ms, and braking.
    speed = abs((way.allowed(-1 + 0j, 0.0) or (0j, 0))[0])
    assert speed * 0.02 + speed**2 / 4 == pytest.approx(0.005)
    turned = -(turn.allowed(0j, -1.0) or (0j, 0))[1]
    assert turned * 0.02 + turned**2 / 8 == pytest.approx(0.02)
    assert not way.stand() and not turn.stand()
    way.note(0.1 + 0j, 0j, 0.1)
    turn.note(0j, 0.2 + 0j, 0.1)
    assert way.stand() and turn.stand()


def test_on_the_way_back_pulses_count_at_their_speed() -> None:
    limits = MotorLimits(lowest_m_s=0.2, lowest_rad_s=0.5)
    way, turn = touched(0.3 + 0j, 0.0, limits), touched(0j, 0.6, limits)
    way.note(0.01 + 0j, 0j, 0.475)
    turn.note(0j, 0.01 + 0j, 0.36)
    speed = abs((way.allowed(-1 + 0j, 0.0) or (0j, 0))[0])
    assert speed * 0.02 + speed**2 / 4 == pytest.approx(0.005)
    turned = -(turn.allowed(0j, -1.0) or (0j, 0))[1]
    assert turned * 0.02 + turned**2 / 8 == pytest.approx(0.02)


def test_a_new_run_forgets_contacts_but_not_their_number_and_each_contact_begins_anew() -> None:
    way = touched(0.3 + 0j, 0.0)
    way.note(0.15 + 0j, 0j, 0.6)
    way.begin()
    assert not way.begun and way.contacts == 2
    assert (way.allowed(-1 + 0j, 0.0) or (0j, 0))[0] == pytest.approx(-0.15), "all of the way is left"
    way.note(0.15 + 0j, 0j, 0.6)
    assert (way.allowed(-1 + 0j, 0.0) or (0j, 0))[0] == pytest.approx(-0.15), "it has yet to stand"
    way.forget()
    assert (way.contacts, way.begun, way.touched) == (2, False, Velocity())
    assert way.allowed(-1 + 0j, 0.0) is None
    way.begin()
    assert way.stand(), "it has not moved since"


def test_what_braking_leaves_in_place_is_not_a_motion() -> None:
    way = WayBack(MotorLimits(), TICK)
    way.note(0.3 + 0j, 0j, 0.02)
    way.note(0j, 0j, 0.02)
    way.begin()
    assert way.touched == Velocity(0.3)


def test_what_does_not_go_uses_nothing_up_and_a_base_that_drove_in_a_curve_goes_straight_back() -> None:
    way, turn = touched(0.3 + 0j, 0.5), touched(0j, 0.5)
    way.note(0j, 0.1 + 0j, 0.02)
    turn.note(0.1 + 0j, 0j, 0.02)
    assert way.allowed(-1 + 0j, 0.0) == (-0.15 + 0j, 0.0) and turn.allowed(0j, -1.0) == (0j, -0.4)
    way.note(0.15 + 0j, 0j, 1.0)
    assert way.stand(), "it does not turn after that"
