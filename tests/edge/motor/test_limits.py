"""Limits get stricter only, fit together, and say how long a plan of some speed may be followed."""

import json
import math
from dataclasses import asdict

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.errors import UsageError
from edge.motor.limits import CEILINGS, MotorLimits


def test_the_defaults_are_those_of_the_page_about_safety() -> None:
    assert asdict(MotorLimits()) == {
        "linear_m_s": 0.5,
        "angular_rad_s": 1.0,
        "linear_accel_m_s2": 1.0,
        "angular_accel_rad_s2": 3.0,
        "linear_decel_m_s2": 2.0,
        "angular_decel_rad_s2": 4.0,
        "linear_jerk_m_s3": 20.0,
        "angular_jerk_rad_s3": 60.0,
        "follow_age_s": 0.25,
        "zero_age_s": 0.5,
        "blind_m": 0.1875,
        "blind_rad": 0.375,
        "longest_age_s": 3.0,
        "min_confidence": 0.3,
        "linear_jump_m_s": 0.6,
        "angular_jump_rad_s": 1.5,
        "sideways": True,
        "turn_radius_m": 0.0,
        "lowest_m_s": 0.0,
        "lowest_rad_s": 0.0,
        "pulse_on_s": 0.1,
        "pulse_off_s": 0.1,
        "turns_while_driving": True,
        "ahead_scale": 1.0,
        "sideways_scale": 1.0,
        "turn_scale": 1.0,
        "ahead_offset_m_s": 0.0,
        "sideways_offset_m_s": 0.0,
        "turn_offset_rad_s": 0.0,
        "delay_s": 0.0,
    }


@pytest.mark.parametrize(("name", "ceiling"), CEILINGS.items())
def test_no_value_is_above_its_ceiling(name: str, ceiling: float) -> None:
    assert getattr(MotorLimits(), name) == ceiling
    with pytest.raises(UsageError, match=f"{name}: .* is above its safety ceiling {ceiling}"):
        MotorLimits(**{name: ceiling * 1.001})


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"linear_m_s": 0.0}, "not a number above zero"),
        ({"linear_m_s": -0.1}, "not a number above zero"),
        ({"angular_rad_s": math.nan}, "not a number above zero"),
        ({"angular_rad_s": math.inf}, "not a number above zero"),
        ({"angular_rad_s": True}, "not a number above zero"),
        ({"follow_age_s": "1"}, "not a number above zero"),
        ({"turn_scale": 0.0}, "turn_scale: 0.0 is not a number above zero"),
        ({"ahead_scale": -0.8}, "ahead_scale: -0.8 is not a number above zero"),
        ({"sideways_scale": math.nan}, "not a number above zero"),
        ({"delay_s": -0.1}, "not a number from 0 on"),
        ({"min_confidence": 0.2}, "min_confidence: 0.2 is not between 0.3 and 1.0"),
        ({"min_confidence": 1.05}, "not between"),
        ({"linear_decel_m_s2": 1.0}, "braking from full speed takes 500 ms, 250 ms are left"),
        ({"angular_decel_rad_s2": 2.0}, "braking from full speed takes 500 ms, 250 ms are left"),
        ({"linear_decel_m_s2": 1.998}, "braking"),  # it takes 0.25 ms too long
        ({"linear_jump_m_s": 0.4}, "jump limit"),
        ({"angular_jump_rad_s": 0.9}, "jump limit"),
        ({"sideways": 1}, "not true or false"),
        ({"turn_radius_m": -0.1}, "not a number from 0 on"),
        ({"turn_radius_m": math.inf}, "not a number from 0 on"),
        ({"turn_radius_m": math.nan}, "not a number from 0 on"),
        ({"turn_radius_m": True}, "not a number from 0 on"),
        ({"lowest_m_s": -0.1}, "lowest_m_s: -0.1 is not a number from 0 on"),
        ({"lowest_rad_s": math.nan}, "not a number from 0 on"),
        ({"lowest_m_s": 0.51}, "lowest_m_s: 0.51 is above the safety ceiling of linear_m_s, 0.5"),
        ({"lowest_rad_s": 1.01}, "lowest_rad_s: 1.01 is above the safety ceiling of angular_rad_s, 1.0"),
        (
            {"linear_m_s": 0.1, "lowest_m_s": 0.3, "linear_decel_m_s2": 1.0},
            "braking from full speed takes 300",
        ),
        ({"pulse_on_s": 0.0}, "pulse_on_s: 0.0 is not a number above zero"),
        ({"pulse_off_s": -1}, "not a number from 0 on"),
        ({"turns_while_driving": 0}, "turns_while_driving: 0 is not true or false"),
        ({"turns_while_driving": False, "lowest_m_s": 0.2}, "one at a time"),
        ({"turns_while_driving": False, "lowest_rad_s": 0.2}, "one at a time"),
    ],
)
def test_values_that_make_no_limit_are_refused(fields: dict[str, float], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        MotorLimits(**fields)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "fields",
    [
        {"linear_m_s": 0.2, "angular_rad_s": 0.4, "linear_decel_m_s2": 0.8, "angular_decel_rad_s2": 1.6},
        {"linear_m_s": 0.34, "linear_decel_m_s2": 1.0, "follow_age_s": 0.16},  # 0.34 of 0.33999999999999997 s
        {"min_confidence": 0.3},
        {"min_confidence": 1},
        {"linear_jump_m_s": 0.5, "angular_jump_rad_s": 1.0},
        {"sideways": False, "turn_radius_m": 2},
        {
            "lowest_m_s": 0.5,
            "lowest_rad_s": 1,
            "pulse_on_s": 3,
            "pulse_off_s": 0,
            "turns_while_driving": False,
        },
    ],
)
def test_values_at_the_edge_of_what_is_allowed_are_taken(fields: dict[str, float]) -> None:
    limits = MotorLimits(**fields)  # type: ignore[arg-type]
    assert {name: getattr(limits, name) for name in fields} == fields


def test_limits_travel_as_json() -> None:
    limits = MotorLimits(linear_m_s=0.3, min_confidence=0.5, sideways=False)
    assert MotorLimits.from_json(limits.to_json()) == limits
    assert json.loads(limits.to_json()) == asdict(limits)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "not JSON"),
        ("[1]", "not a JSON object"),
        ('{"linear": 0.3}', "unknown motor limit linear"),
        ('{"linear_m_s": null}', "not a number"),
    ],
)
def test_other_json_is_refused(text: str, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        MotorLimits.from_json(text)


def test_braking_takes_as_long_as_the_slower_of_the_two() -> None:
    limits = MotorLimits()
    assert limits.braking_s(0.4, 0.1) == pytest.approx(0.2)
    assert limits.braking_s(0.1, 0.6) == pytest.approx(0.15)


@pytest.mark.parametrize("fields", [{}, {"linear_m_s": 0.1}, {"angular_rad_s": 0.1}])
def test_a_standing_plan_is_followed_as_long_as_full_braking_takes(fields: dict[str, float]) -> None:
    limits = MotorLimits(**fields)  # type: ignore[arg-type]
    assert limits.brake_age_s(0.0, 0.0) == pytest.approx(0.5)


def test_no_plan_is_followed_less_long_than_at_full_speed() -> None:
    assert MotorLimits().brake_age_s(0.6, 0.0) == MotorLimits().brake_age_s(0.5, 1.0) == 0.25


FIXED = MotorLimits(linear_m_s=0.1, lowest_m_s=0.2, angular_rad_s=0.4, lowest_rad_s=0.4)


def test_what_is_driven_by_pulses_is_braked_from_their_speed() -> None:
    assert FIXED.braking_s(0.01, 0.0) == FIXED.braking_s(0.2, 0.0) == pytest.approx(0.1)
    assert FIXED.braking_s(0.0, 0.3) == FIXED.braking_s(0.0, 0.4) == pytest.approx(0.1)
    assert FIXED.braking_s(0.3, 0.0) == pytest.approx(0.15) and FIXED.braking_s(0.0, 0.8) == pytest.approx(
        0.2
    )
    assert FIXED.braking_s(0.0, 0.0) == 0.0


def test_a_chunk_of_pulses_is_followed_no_longer_than_one_of_their_speed() -> None:
    assert FIXED.brake_age_s(0.01, 0.01) == FIXED.brake_age_s(0.1, 0.4) == pytest.approx(0.25)
    assert FIXED.brake_age_s(0.0, 0.0) == pytest.approx(0.35)


@given(st.floats(0.0, 3.0), st.floats(0.02, 0.5), st.floats(0.02, 1.0), st.floats(0.01, 0.1875))
def test_by_way_the_base_is_within_its_way_when_a_share_of_full_speed_has_been_braked_at_that_age(
    age_s: float, linear: float, angular: float, blind_m: float
) -> None:
    limits = MotorLimits(linear_m_s=linear, angular_rad_s=angular, blind_m=blind_m)
    share = limits.share_by_way(age_s)
    assert 0.0 < share <= 1.0
    way_m = share * linear * age_s + (share * linear) ** 2 / 2 / limits.linear_decel_m_s2
    turn_rad = share * angular * age_s + (share * angular) ** 2 / 2 / limits.angular_decel_rad_s2
    assert way_m <= blind_m + 1e-9 and turn_rad <= 0.375 + 1e-9
    if share < 1:
        assert way_m == pytest.approx(blind_m) or turn_rad == pytest.approx(0.375)


def test_by_way_full_speed_is_followed_up_to_the_same_age_as_by_age() -> None:
    assert MotorLimits().share_by_way(0.25) == pytest.approx(1.0)
    assert MotorLimits().share_by_way(0.26) < 1.0
    assert MotorLimits().share_by_way(3.0) > 0.0 and MotorLimits().share_by_way(3.0001) == 0.0


def test_by_way_slowing_helps_only_down_to_the_lowest_speed() -> None:
    share = MotorLimits().share_by_way(0.5)
    assert MotorLimits(lowest_m_s=0.5 * share - 1e-9).share_by_way(0.5) == pytest.approx(share)
    assert MotorLimits(lowest_m_s=0.5 * share + 1e-9).share_by_way(0.5) == 0.0
    assert MotorLimits(lowest_rad_s=share - 1e-9).share_by_way(0.5) == pytest.approx(share)
    assert MotorLimits(lowest_rad_s=share + 1e-9).share_by_way(0.5) == 0.0
    assert MotorLimits(lowest_m_s=0.5 * share, lowest_rad_s=share).share_by_way(0.5) == share
    share = MotorLimits(angular_rad_s=0.8).share_by_way(0.5)
    slow = MotorLimits(angular_rad_s=0.8, lowest_rad_s=0.8 * share - 1e-9)
    assert slow.share_by_way(0.5) == pytest.approx(share)
    assert MotorLimits(angular_rad_s=0.8, lowest_rad_s=0.8 * share + 1e-9).share_by_way(0.5) == 0.0
