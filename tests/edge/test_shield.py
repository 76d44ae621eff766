"""What the shield lets through, and that the base always has room to brake."""

import math

import numpy as np
import pytest

from edge.freespace import COLUMNS, Scan
from edge.geometry import Pose
from edge.servo import BRAKING_M_S2, CLEARANCE_M
from edge.shield import REACTION_S, Shield, safe_speed_m_s, safe_velocity

RADIUS_M = 0.2
NOTHING = np.zeros((0, 2))


def wall_ahead(distance_m: float) -> Scan:
    """Seen from 0.9 m or less over 80 degrees, straight across."""
    bearings = np.radians(np.linspace(40, -40, COLUMNS))
    ranges = distance_m / np.cos(bearings)
    points = np.stack([np.full(COLUMNS, distance_m), distance_m * np.tan(bearings)], 1)
    return Scan(points, np.full(COLUMNS, True), bearings, ranges, np.full(COLUMNS, 0.1))


def test_free_floor_changes_nothing():
    assert safe_velocity(0.4, -0.1, NOTHING, RADIUS_M) == pytest.approx((0.4, -0.1))
    assert safe_velocity(0.0, 0.0, NOTHING, RADIUS_M) == (0.0, 0.0)


@pytest.mark.parametrize("free_m", [0.0, 0.01, 0.1, 0.5, 1.5])
def test_reaction_and_braking_fit_into_the_free_way(free_m: float):
    speed = safe_speed_m_s(free_m)
    assert speed * REACTION_S + speed**2 / (2 * BRAKING_M_S2) == pytest.approx(free_m)


def test_what_is_behind_or_beside_the_way_does_not_slow():
    points = np.array([[-0.5, 0.0], [0.5, 0.3], [0.8, -0.3]])
    assert safe_velocity(0.5, 0.0, points, RADIUS_M) == pytest.approx((0.5, 0.0))


def test_a_point_that_touches_takes_only_the_part_toward_it():
    touching = np.array([[0.22, 0.0]])
    assert safe_velocity(0.3, 0.0, touching, RADIUS_M) == pytest.approx((0.0, 0.0))
    assert safe_velocity(0.3, 0.2, touching, RADIUS_M) == pytest.approx((0.0, 0.2))
    assert safe_velocity(-0.3, 0.0, touching, RADIUS_M) == pytest.approx((-0.3, 0.0))


def test_a_corner_that_touches_lets_nothing_into_it():
    corner = np.array([[0.22, 0.0], [0.0, 0.22]])
    assert safe_velocity(0.3, 0.3, corner, RADIUS_M) == pytest.approx((0.0, 0.0))
    wedge = np.array([[0.2, 0.08], [0.2, -0.08]])
    assert safe_velocity(0.3, 0.05, wedge, RADIUS_M) == (0.0, 0.0)


def test_it_never_makes_a_velocity_faster():
    rng = np.random.default_rng(0)
    for _ in range(300):
        points = rng.uniform(-1, 1, (int(rng.integers(0, 12)), 2))
        asked = rng.uniform(-0.5, 0.5, 2)
        safe = np.array(safe_velocity(*asked, points, RADIUS_M))
        assert np.hypot(*safe) <= np.hypot(*asked) + 1e-9


def test_a_base_that_is_driven_at_a_wall_stops_before_it_and_still_turns():
    """With the true delay from a scan to the wheels, and braking as hard as planned."""
    step_s, x_m, speed = 1 / 30, 0.0, 0.0
    shield, allowed = Shield(RADIUS_M), [0.0] * 4  # 0.13 s old when it gets to the wheels
    for step in range(300):
        pose = Pose(x_m, 0.0, 0.0)
        shield.see(wall_ahead(1.2 - x_m), pose, round(step * step_s * 1e9))
        safe = shield.limit(np.array([[0.5, 0.0, 0.7]]))
        assert safe[0, 2] == 0.7
        allowed.append(float(safe[0, 0]))
        wanted = allowed[-4]
        speed = max(wanted, speed - BRAKING_M_S2 * step_s) if wanted < speed else min(wanted, speed + step_s)
        x_m += speed * step_s
    gap_m = 1.2 - x_m - RADIUS_M
    assert 0.0 < gap_m < 0.15, "it gets near, and does not touch"
    assert gap_m > CLEARANCE_M - 0.05


def test_it_remembers_what_left_the_view():
    shield = Shield(RADIUS_M)
    for step in range(5):
        shield.see(wall_ahead(0.35), Pose(), step * 33_000_000)
    shield.see(wall_ahead(5.0), Pose(0.0, 0.0, math.pi / 2), 200_000_000)  # the wall is on its right now
    right = shield.limit(np.array([[0.0, -0.5, 0.0]]))
    assert abs(right[0, 1]) < 0.4
    np.testing.assert_allclose(shield.limit(np.array([[0.5, 0.0, 0.0]])), [[0.5, 0.0, 0.0]])
