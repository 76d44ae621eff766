import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.base_spec import DEFAULT_BASE, BaseSpec, DriveKind
from edge.navigation.servo import (
    Aim,
    Steering,
    drive_to,
    free_length,
    standing,
    turn_rate,
)
from edge.records import Odometry, Velocity

NOTHING = np.empty((0, 2))
BASE = DEFAULT_BASE
TRACKS = BaseSpec(linear_m_s=0.25, drive=DriveKind.DIFFERENTIAL)
CAR = BaseSpec(drive=DriveKind.ACKERMANN, wheel_base_m=0.3, steering_rad=math.radians(45))


def wall(x: float, y0: float, y1: float) -> np.ndarray:
    ys = np.arange(y0, y1, 0.03)
    return np.stack([np.full_like(ys, x), ys], 1)


def toward(x: float, y: float, stop_m: float, points: np.ndarray) -> Steering:
    """Straight at a place, facing it."""
    return drive_to(Aim(x, y, math.hypot(x, y) - stop_m, math.atan2(y, x)), points, BASE)


def test_a_free_way_is_driven_straight() -> None:
    v = toward(2.0, 0.0, 0.5, NOTHING).velocity
    assert v.linear_x_m_s > 0.3 and abs(v.linear_y_m_s) < 1e-9 and v.angular_z_rad_s == 0


def test_it_stops_at_its_distance() -> None:
    v = toward(0.5, 0.0, 0.5, NOTHING).velocity
    assert v.linear_x_m_s == 0 and v.linear_y_m_s == 0


def test_it_turns_before_it_drives() -> None:
    v = toward(0.5, 2.0, 0.5, NOTHING).velocity
    assert v.linear_x_m_s == 0 and v.angular_z_rad_s > 0.5


def test_a_post_in_the_way_is_passed_on_the_near_side() -> None:
    v = toward(2.0, 0.0, 0.5, np.array([[0.7, 0.1]])).velocity
    assert v.linear_x_m_s > 0 and v.linear_y_m_s < -0.02


def test_a_wall_all_around_blocks() -> None:
    ring = np.array([[0.28 * math.cos(a), 0.28 * math.sin(a)] for a in np.arange(-math.pi, math.pi, 0.05)])
    steering = toward(2.0, 0.0, 0.5, ring)
    assert steering.blocked and steering.velocity.linear_x_m_s == 0


@given(
    st.floats(-3, 3), st.floats(-3, 3), st.lists(st.tuples(st.floats(0.1, 3), st.floats(-2, 2)), max_size=20)
)
def test_speed_never_exceeds_what_is_planned(x: float, y: float, points: list[tuple[float, float]]) -> None:
    v = toward(x, y, 0.5, np.array(points).reshape(-1, 2)).velocity
    assert math.hypot(v.linear_x_m_s, v.linear_y_m_s) <= BASE.cruise_m_s + 1e-9
    assert abs(v.angular_z_rad_s) <= BASE.cruise_rad_s


@given(st.floats(0.35, 3))
def test_it_never_plans_into_a_wall_ahead(distance: float) -> None:
    assert free_length(wall(distance, -1, 1), 0.0, 0.28, 5.0) <= distance


def test_small_errors_are_not_turned_for() -> None:
    assert turn_rate(0.02, BASE, deadband_rad=0.03) == 0
    assert turn_rate(0.04, BASE, deadband_rad=0.03) > 0 > turn_rate(-0.04, BASE, deadband_rad=0.03)


def test_it_looks_before_it_leaves_its_heading_for_places_that_it_knows_nothing_of() -> None:
    ahead = drive_to(Aim(1.0, 0.0, 1.0, 0.0), NOTHING, BASE, known=lambda places: False).velocity
    aside = drive_to(Aim(0.9, 0.4, 1.0, 0.0), NOTHING, BASE, known=lambda places: False).velocity
    assert ahead.linear_x_m_s > 0
    assert aside.linear_x_m_s == aside.linear_y_m_s == 0 and aside.angular_z_rad_s > 0


@pytest.mark.parametrize(
    ("velocity", "still"),
    [
        (Velocity(), True),
        (Velocity(0.02, 0.02, -0.05), True),
        (Velocity(0.024, -0.024, 0.0), False),
        (Velocity(-0.035), False),
        (Velocity(angular_z_rad_s=-0.07), False),
    ],
)
def test_a_base_stands_below_3_cm_a_second_and_0_06_rad_a_second(velocity: Velocity, still: bool) -> None:
    assert standing(Odometry(0, 0.0, 0.0, 0.0, velocity)) is still


def test_without_odometry_a_base_counts_as_standing() -> None:
    assert standing(None)


@pytest.mark.parametrize(
    ("remaining_m", "speed_m_s"), [(2.0, 0.45), (0.3, 0.3), (0.2, 0.2), (0.05, 0.08), (0.0, 0.0), (-0.1, 0.0)]
)
def test_it_slows_toward_its_stop(remaining_m: float, speed_m_s: float) -> None:
    v = toward(0.5 + remaining_m, 0.0, 0.5, NOTHING).velocity
    assert (v.linear_x_m_s, v.linear_y_m_s) == pytest.approx((speed_m_s, 0.0))


@pytest.mark.parametrize("distance_m", [0.32, 0.34, 0.4])
def test_toward_a_wall_it_is_no_faster_than_what_brakes_before_it(distance_m: float) -> None:
    """With 0.6 m/s2, 0.04 m before the hull touches."""
    v = toward(2.0, 0.0, 0.5, wall(distance_m, -3, 3)).velocity
    assert v.linear_y_m_s == 0
    free_m = distance_m - 0.24  # the hull, and what is kept of it
    assert v.linear_x_m_s == pytest.approx(math.sqrt(1.2 * free_m))


def test_a_way_that_is_too_short_is_none() -> None:
    assert toward(2.0, 0.0, 0.5, wall(0.26, -3, 3)).blocked
    assert not toward(2.0, 0.0, 0.5, wall(0.4, -3, 3)).blocked


@pytest.mark.parametrize("face_rad", [-0.5, 0.3])
def test_it_is_slower_while_it_looks_elsewhere(face_rad: float) -> None:
    v = drive_to(Aim(2.0, 0.0, 1.5, face_rad), NOTHING, BASE).velocity
    assert v.linear_x_m_s == pytest.approx(0.45 * math.cos(face_rad) ** 2)


def test_turns_are_1_8_times_the_bearing_and_0_9_rad_a_second_at_most() -> None:
    assert turn_rate(0.2, BASE) == pytest.approx(0.36) and turn_rate(-0.2, BASE) == pytest.approx(-0.36)
    assert turn_rate(3.0, BASE) == 0.9 and turn_rate(-3.0, BASE) == -0.9


def test_both_edges_of_a_way_aside_must_be_known() -> None:
    asked: list[np.ndarray] = []
    drive_to(Aim(0.9, 0.45, 1.0, 0.0), NOTHING, BASE, lambda places: bool(asked.append(places)) or True)
    direction = math.atan2(0.45, 0.9)
    along = asked[0] @ np.array([math.cos(direction), math.sin(direction)])
    across = asked[0] @ np.array([-math.sin(direction), math.cos(direction)])
    assert sorted(zip(along.round(6), across.round(6), strict=True)) == [
        (0.55, -0.24), (0.55, 0.24), (0.8, -0.24), (0.8, 0.24),
    ]  # fmt: skip


def ahead(base: BaseSpec, x: float, y: float, points: np.ndarray = NOTHING) -> Steering:
    """At a position 0.5 m beyond the one that is driven to."""
    return drive_to(Aim(x, y, math.hypot(x, y) + 0.5, math.atan2(y, x)), points, base)


@given(
    st.sampled_from([TRACKS, CAR]),
    st.floats(-3, 3),
    st.floats(-3, 3),
    st.lists(st.tuples(st.floats(-1, 3), st.floats(-2, 2)), max_size=20),
)
def test_no_base_is_asked_for_what_its_wheels_can_not_do(
    base: BaseSpec, x: float, y: float, points: list[tuple[float, float]]
) -> None:
    v = ahead(base, x, y, np.array(points).reshape(-1, 2)).velocity
    assert base.possible(v) == v and v.linear_y_m_s == 0
    assert 0 <= v.linear_x_m_s <= base.cruise_m_s and abs(v.angular_z_rad_s) <= base.cruise_rad_s


def test_a_base_of_half_the_speed_cruises_at_half_the_speed() -> None:
    assert ahead(TRACKS, 2.0, 0.0).velocity == Velocity(0.225)


def test_a_differential_base_turns_in_place_to_what_is_beside_it() -> None:
    assert ahead(TRACKS, 0.0, 2.0).velocity == Velocity(0.0, 0.0, 0.9)
    assert ahead(TRACKS, 0.0, -2.0).velocity == Velocity(0.0, 0.0, -0.9)


def test_a_differential_base_turns_toward_the_gap_beside_a_post_while_it_drives() -> None:
    v = ahead(TRACKS, 2.0, 0.0, np.array([[0.9, 0.15]])).velocity
    assert v.linear_x_m_s > 0.05 and v.angular_z_rad_s < -0.1


def test_a_differential_base_turns_away_from_what_is_right_before_it_without_touching_it() -> None:
    v = ahead(TRACKS, 2.0, 0.0, np.array([[0.26, 0.1]])).velocity
    assert v.linear_x_m_s < 0.2 and v.angular_z_rad_s < -0.3


def test_steered_wheels_drive_their_tightest_arc_to_what_is_beside_them() -> None:
    v = ahead(CAR, 0.0, 2.0).velocity
    assert 0 < v.linear_x_m_s <= 0.2
    assert v.angular_z_rad_s == pytest.approx(v.linear_x_m_s / CAR.turn_radius_m)


def test_steered_wheels_need_free_floor_ahead_to_turn() -> None:
    steering = ahead(CAR, 0.0, 2.0, wall(0.26, -0.2, 0.2))
    assert steering.blocked and steering.velocity == Velocity()


def test_steered_wheels_do_not_turn_where_they_arrived() -> None:
    assert drive_to(Aim(0.0, 0.5, 0.0, 1.5), NOTHING, CAR).velocity == Velocity()


def test_a_base_that_turns_by_steps_is_not_turned_for_what_a_step_would_overshoot() -> None:
    """Field case 30."""
    base = BaseSpec(fixed_speed_m_s=0.2, fixed_turn_rad_s=0.8)  # steps of 0.08 rad
    assert turn_rate(0.047, base) == 0 == turn_rate(-0.047, base)
    assert turn_rate(0.049, base) == pytest.approx(0.0882)
    assert turn_rate(0.06, base, deadband_rad=0.07) == 0
