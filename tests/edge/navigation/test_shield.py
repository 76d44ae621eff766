"""What the shield lets through, and that the base always has room to brake."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.base_spec import DEFAULT_BASE, BaseSpec, DriveKind
from edge.navigation.shield import MARGIN_M, Shield, safe_speed_m_s, safe_velocity
from edge.perception.floor_map import FloorMap
from edge.perception.floor_scan import COLUMNS, Scan
from edge.perception.geometry import Pose

BASE = DEFAULT_BASE
TRACKS = BaseSpec(drive=DriveKind.DIFFERENTIAL)
RADIUS_M = BASE.radius_m
NOTHING = np.zeros((0, 2))


def wall_ahead(distance_m: float) -> Scan:
    """Seen from 0.9 m or less over 80 degrees, straight across."""
    bearings = np.radians(np.linspace(40, -40, COLUMNS))
    ranges = distance_m / np.cos(bearings)
    points = np.stack([np.full(COLUMNS, distance_m), distance_m * np.tan(bearings)], 1)
    return Scan(points, np.full(COLUMNS, True), bearings, ranges, np.full(COLUMNS, 0.1))


def test_free_floor_changes_nothing():
    assert safe_velocity(0.4, -0.1, NOTHING, BASE) == pytest.approx((0.4, -0.1))
    assert safe_velocity(0.0, 0.0, NOTHING, BASE) == (0.0, 0.0)


@pytest.mark.parametrize("free_m", [0.0, 0.01, 0.1, 0.5, 1.5])
def test_reaction_and_braking_fit_into_the_free_way(free_m: float):
    """0.12 s, then 0.6 m/s2."""
    speed = safe_speed_m_s(free_m, 0.6)
    assert speed * 0.12 + speed**2 / (2 * 0.6) == pytest.approx(free_m)


def test_what_is_behind_or_beside_the_way_does_not_slow():
    points = np.array([[-0.5, 0.0], [0.5, 0.3], [0.8, -0.3]])
    assert safe_velocity(0.5, 0.0, points, BASE) == pytest.approx((0.5, 0.0))


def test_a_point_that_touches_takes_only_the_part_toward_it():
    touching = np.array([[0.22, 0.0]])
    assert safe_velocity(0.3, 0.0, touching, BASE) == pytest.approx((0.0, 0.0))
    assert safe_velocity(0.3, 0.2, touching, BASE) == pytest.approx((0.0, 0.2))
    assert safe_velocity(-0.3, 0.0, touching, BASE) == pytest.approx((-0.3, 0.0))


def test_a_corner_that_touches_lets_nothing_into_it():
    corner = np.array([[0.22, 0.0], [0.0, 0.22]])
    assert safe_velocity(0.3, 0.3, corner, BASE) == pytest.approx((0.0, 0.0))
    wedge = np.array([[0.2, 0.08], [0.2, -0.08]])
    assert safe_velocity(0.3, 0.05, wedge, BASE) == (0.0, 0.0)


def test_a_way_to_the_side_is_braked_for_what_stands_there_and_nowhere_else():
    post = np.array([[0.0, 0.5]])
    left = safe_velocity(0.0, 0.5, post, BASE)
    free_m = 0.5 - RADIUS_M - MARGIN_M
    assert left == pytest.approx((0.0, safe_speed_m_s(free_m, 0.6)))
    assert safe_velocity(0.0, -0.5, post, BASE) == pytest.approx((0.0, -0.5))
    assert safe_velocity(0.5, 0.0, post, BASE) == pytest.approx((0.5, 0.0))
    aside = np.array([[0.3, 0.3]])  # in the way of a slanting course alone
    slanting = safe_velocity(0.35, 0.35, aside, BASE)
    assert 0 < slanting[0] == pytest.approx(slanting[1]) and slanting[0] < 0.34
    assert safe_velocity(0.35, 0.0, aside, BASE) == pytest.approx((0.35, 0.0))


@given(
    st.floats(-0.5, 0.5), st.floats(-0.5, 0.5), st.lists(st.floats(-math.pi, math.pi), min_size=1, max_size=3)
)
def test_what_touches_leaves_the_velocity_that_is_nearest_to_the_asked_one(x, y, bearings_rad):
    """The nearest among all that lead toward nothing that touches, as tried out on a grid."""
    normals = np.array([(math.cos(b), math.sin(b)) for b in bearings_rad])
    safe = np.array(safe_velocity(x, y, 0.21 * normals, BASE))
    assert (normals @ safe).max() < 1e-6
    steps = np.linspace(-0.5, 0.5, 41)
    tried = np.stack(np.meshgrid(steps, steps), -1).reshape(-1, 2)
    tried = tried[(tried @ normals.T).max(1) <= 0]
    assert math.dist(safe, (x, y)) <= np.hypot(*(tried - (x, y)).T).min() + 1e-6


def test_each_axis_keeps_its_place():
    shield = Shield(BASE, FloorMap(RADIUS_M))
    rows = np.array([[0.3, -0.2, 0.9], [-0.1, 0.4, -0.7]])
    np.testing.assert_allclose(shield.limit(rows), rows)
    shield.see(wall_ahead(0.35), Pose(), 0)
    safe = shield.limit(rows)
    assert safe[0, 0] < 0.2 and safe[0, 2] == 0.9
    np.testing.assert_allclose(safe[1], rows[1])


def test_without_a_pose_only_what_is_in_sight_counts():
    rows = np.array([[0.3, 0.0, 0.0]])
    shield = Shield(BASE, FloorMap(RADIUS_M))
    for stamp_ns in range(5):
        shield.see(wall_ahead(0.35), None, stamp_ns)
    assert shield.limit(rows)[0, 0] < 0.2
    shield.see(wall_ahead(5.0), None, 5)
    np.testing.assert_allclose(shield.limit(rows), rows)  # a map would still hold the wall where it was


def test_it_never_makes_a_velocity_faster():
    rng = np.random.default_rng(0)
    for _ in range(300):
        points = rng.uniform(-1, 1, (int(rng.integers(0, 12)), 2))
        asked = rng.uniform(-0.5, 0.5, 2)
        safe = np.array(safe_velocity(*asked, points, BASE))
        assert np.hypot(*safe) <= np.hypot(*asked) + 1e-9


def test_a_base_that_is_driven_at_a_wall_stops_before_it_and_still_turns():
    """With the true delay from a scan to the wheels, and braking as hard as planned."""
    step_s, x_m, speed = 1 / 30, 0.0, 0.0
    shield, allowed = Shield(BASE, FloorMap(RADIUS_M)), [0.0] * 4  # 0.13 s old when it gets to the wheels
    for step in range(300):
        pose = Pose(x_m, 0.0, 0.0)
        shield.see(wall_ahead(1.2 - x_m), pose, round(step * step_s * 1e9))
        safe = shield.limit(np.array([[0.5, 0.0, 0.7]]))
        assert safe[0, 2] == 0.7
        allowed.append(float(safe[0, 0]))
        wanted = allowed[-4]
        speed = (
            max(wanted, speed - BASE.planned_braking_m_s2 * step_s)
            if wanted < speed
            else min(wanted, speed + step_s)
        )
        x_m += speed * step_s
    gap_m = 1.2 - x_m - RADIUS_M
    assert 0.0 < gap_m < 0.15, "it gets near, and does not touch"
    assert gap_m > MARGIN_M - 0.01


def test_it_remembers_what_left_the_view():
    shield = Shield(BASE, FloorMap(RADIUS_M))
    for step in range(5):
        shield.see(wall_ahead(0.35), Pose(), step * 33_000_000)
    shield.see(wall_ahead(5.0), Pose(0.0, 0.0, math.pi / 2), 200_000_000)  # the wall is on its right now
    right = shield.limit(np.array([[0.0, -0.5, 0.0]]))
    assert abs(right[0, 1]) < 0.4
    np.testing.assert_allclose(shield.limit(np.array([[0.5, 0.0, 0.0]])), [[0.5, 0.0, 0.0]])


def test_a_base_that_can_not_go_sideways_stops_where_another_slides():
    touching = np.array([[0.15, 0.15]])
    assert safe_velocity(0.3, 0.0, touching, BASE) == pytest.approx((0.15, -0.15))
    assert safe_velocity(0.3, 0.0, touching, TRACKS) == (0.0, 0.0)
    assert safe_velocity(-0.3, 0.0, touching, TRACKS) == pytest.approx((-0.3, 0.0)), "it may still leave"


def test_a_base_that_brakes_half_as_hard_is_slower_before_the_same_wall():
    soft = BaseSpec(linear_decel_m_s2=1.0)
    wall, free_m = np.array([[0.4, 0.0]]), 0.4 - RADIUS_M - MARGIN_M
    assert safe_velocity(0.5, 0.0, wall, BASE)[0] == pytest.approx(safe_speed_m_s(free_m, 0.6))
    assert safe_velocity(0.5, 0.0, wall, soft)[0] == pytest.approx(safe_speed_m_s(free_m, 0.3))
