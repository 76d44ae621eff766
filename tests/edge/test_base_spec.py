"""What a base states of itself, and what follows from it."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.base_spec import DEFAULT_BASE, BaseSpec, DriveKind
from edge.errors import UsageError
from edge.records import BASE_ACTION, Velocity

CAR = BaseSpec(drive=DriveKind.ACKERMANN, wheel_base_m=0.3, steering_rad=math.radians(45))
TRACKS = BaseSpec(drive=DriveKind.DIFFERENTIAL)


@pytest.mark.parametrize(
    "fields",
    [
        {"radius_m": 0.0},
        {"linear_m_s": -0.1},
        {"angular_rad_s": math.nan},
        {"linear_jerk_m_s3": math.inf},
        {"linear_accel_m_s2": True},
        {"wheel_base_m": 0.3},
        {"drive": DriveKind.ACKERMANN},
        {"drive": DriveKind.ACKERMANN, "wheel_base_m": 0.3, "steering_rad": math.pi / 2},
        {"fixed_speed_m_s": 0.2},
        {"fixed_turn_rad_s": 0.8},
        {"fixed_speed_m_s": math.nan, "fixed_turn_rad_s": 0.8},
        {"fixed_speed_m_s": -0.2, "fixed_turn_rad_s": 0.8},
        {"fixed_speed_m_s": 0.2, "fixed_turn_rad_s": 0.8, "dead_band_m_s": 0.1},
        {"fixed_speed_m_s": 0.2, "fixed_turn_rad_s": 0.8, "min_turn_rad_s": 0.1},
        {"fixed_speed_m_s": 0.4, "fixed_turn_rad_s": 0.8, "pulse_on_s": 0.3},  # 0.12 m
        {"fixed_speed_m_s": 0.1, "fixed_turn_rad_s": 0.8, "pulse_on_s": 0.4},  # 0.32 rad
        {"dead_band_m_s": 0.5},
        {"min_turn_rad_s": 1.0},
        {"dead_band_rad_s": True},
        {"pulse_off_s": 0.0},
        {"turns_while_driving": False},
        {"fixed_speed_m_s": 0.2, "fixed_turn_rad_s": 0.8, "turns_while_driving": 0},
        {"drive": DriveKind.ACKERMANN, "wheel_base_m": 0.3, "min_turn_rad_s": 0.1},
    ],
)
def test_a_base_that_can_not_be_is_refused(fields: dict[str, float]) -> None:
    with pytest.raises(UsageError, match="base: "):
        BaseSpec(**fields)  # type: ignore[arg-type]


def test_the_default_base_is_the_one_that_bundles_were_made_for() -> None:
    assert BASE_ACTION.high == (DEFAULT_BASE.linear_m_s, DEFAULT_BASE.linear_m_s, DEFAULT_BASE.angular_rad_s)
    assert DEFAULT_BASE.radius_m == 0.2 and DEFAULT_BASE.sideways and DEFAULT_BASE.turn_radius_m == 0
    assert (DEFAULT_BASE.cruise_m_s, DEFAULT_BASE.cruise_rad_s) == (0.45, 0.9)
    assert DEFAULT_BASE.planned_braking_m_s2 == 0.6


def test_only_steered_wheels_need_room_to_turn() -> None:
    assert CAR.turn_radius_m == pytest.approx(0.3) and not CAR.turns_in_place and not CAR.sideways
    assert TRACKS.turn_radius_m == 0 and TRACKS.turns_in_place and not TRACKS.sideways


speeds = st.floats(-1, 1)


@given(speeds, speeds, speeds)
def test_what_is_possible_stays_and_the_rest_is_cut(x: float, y: float, turn: float) -> None:
    wanted = Velocity(x, y, turn)
    assert DEFAULT_BASE.possible(wanted) == wanted
    assert TRACKS.possible(wanted) == Velocity(x, 0.0, turn)
    arc = CAR.possible(wanted)
    assert arc.linear_x_m_s == x and arc.linear_y_m_s == 0
    assert abs(arc.angular_z_rad_s) == pytest.approx(min(abs(turn), abs(x) / CAR.turn_radius_m))
    assert arc.angular_z_rad_s * turn >= 0


def test_a_base_of_fixed_speed_is_asked_for_no_more_than_that() -> None:
    base = BaseSpec(fixed_speed_m_s=0.2, fixed_turn_rad_s=0.8)
    assert (base.linear_m_s, base.angular_rad_s) == (0.2, 0.8)
    assert (base.lowest_m_s, base.lowest_rad_s) == (0.2, 0.8)
    assert (base.cruise_m_s, base.cruise_rad_s) == (0.2, 0.8)
    assert (base.step_m, base.step_rad) == (pytest.approx(0.02), pytest.approx(0.08))
    slower = BaseSpec(linear_m_s=0.1, fixed_speed_m_s=0.2, fixed_turn_rad_s=0.8)
    assert (slower.linear_m_s, slower.lowest_m_s) == (0.1, 0.2)


def test_a_dead_band_and_a_lowest_speed_end_where_the_higher_one_does() -> None:
    base = BaseSpec(dead_band_m_s=0.05, min_speed_m_s=0.1, dead_band_rad_s=0.2, min_turn_rad_s=0.1)
    assert (base.lowest_m_s, base.lowest_rad_s) == (0.1, 0.2)
    assert (DEFAULT_BASE.lowest_m_s, DEFAULT_BASE.lowest_rad_s) == (0.0, 0.0)
    assert (DEFAULT_BASE.step_m, DEFAULT_BASE.step_rad) == (0.0, 0.0)


def test_steered_wheels_of_fixed_speed_have_no_turn_rate_of_their_own() -> None:
    car = BaseSpec(drive=DriveKind.ACKERMANN, wheel_base_m=0.3, fixed_speed_m_s=0.2)
    assert (car.lowest_m_s, car.lowest_rad_s, car.linear_m_s, car.angular_rad_s) == (0.2, 0.0, 0.2, 1.0)
