import math

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from edge.freespace import Scan
from edge.geometry import Pose
from edge.search import FULL_TURN_RAD, Search
from edge.servo import MAX_SPEED_M_S, MAX_TURN_RAD_S, Obstacles, drive_to, free_length, turn_rate

NOTHING = np.empty((0, 2))
RADIUS_M = 0.2


def wall(x: float, y0: float, y1: float) -> np.ndarray:
    ys = np.arange(y0, y1, 0.03)
    return np.stack([np.full_like(ys, x), ys], 1)


def scan_of(points: np.ndarray) -> Scan:
    ranges = np.hypot(points[:, 0], points[:, 1])
    return Scan(points, np.ones(len(points), bool), np.arctan2(points[:, 1], points[:, 0]), ranges)


def test_a_free_way_is_driven_straight() -> None:
    v = drive_to(2.0, 0.0, 0.5, NOTHING, RADIUS_M).velocity
    assert v.linear_x_m_s > 0.3 and abs(v.linear_y_m_s) < 1e-9 and v.angular_z_rad_s == 0


def test_it_stops_at_its_distance() -> None:
    v = drive_to(0.5, 0.0, 0.5, NOTHING, RADIUS_M).velocity
    assert v.linear_x_m_s == 0 and v.linear_y_m_s == 0


def test_it_turns_before_it_drives() -> None:
    v = drive_to(0.5, 2.0, 0.5, NOTHING, RADIUS_M).velocity
    assert v.linear_x_m_s == 0 and v.angular_z_rad_s > 0.5


def test_a_post_in_the_way_is_passed_on_the_near_side() -> None:
    v = drive_to(2.0, 0.0, 0.5, np.array([[0.7, 0.1]]), RADIUS_M).velocity
    assert v.linear_x_m_s > 0 and v.linear_y_m_s < -0.02


def test_a_wall_all_around_blocks() -> None:
    ring = np.array([[0.3 * math.cos(a), 0.3 * math.sin(a)] for a in np.arange(-math.pi, math.pi, 0.05)])
    steering = drive_to(2.0, 0.0, 0.5, ring, RADIUS_M)
    assert steering.blocked and steering.velocity.linear_x_m_s == 0


@given(
    st.floats(-3, 3), st.floats(-3, 3), st.lists(st.tuples(st.floats(0.1, 3), st.floats(-2, 2)), max_size=20)
)
def test_speed_never_exceeds_what_is_planned(x: float, y: float, points: list[tuple[float, float]]) -> None:
    v = drive_to(x, y, 0.5, np.array(points).reshape(-1, 2), RADIUS_M).velocity
    assert math.hypot(v.linear_x_m_s, v.linear_y_m_s) <= MAX_SPEED_M_S + 1e-9
    assert abs(v.angular_z_rad_s) <= MAX_TURN_RAD_S


@given(st.floats(0.35, 3))
def test_it_never_plans_into_a_wall_ahead(distance: float) -> None:
    assert free_length(wall(distance, -1, 1), 0.0, 0.28, 5.0) <= distance


def test_small_errors_are_not_turned_for() -> None:
    assert turn_rate(0.02, deadband_rad=0.03) == 0
    assert turn_rate(0.04, deadband_rad=0.03) > 0 > turn_rate(-0.04, deadband_rad=0.03)


def test_obstacles_stay_where_they_are_while_the_base_moves_and_the_target_is_none() -> None:
    obstacles = Obstacles()
    obstacles.add(scan_of(np.array([[1.0, 0.0], [1.0, 1.0]])), Pose(), 0)
    near = obstacles.near(Pose(0.5, 0.0, 0.0))
    assert np.allclose(near, [[0.5, 0.0], [0.5, 1.0]])
    assert np.allclose(obstacles.near(Pose(0.5, 0.0, 0.0), target=(0.5, 0.0)), [[0.5, 1.0]])


def turned(search: Search, room_m: float) -> None:
    yaw = 0.0
    search.start_turn(1.0)
    while not search.all_round:
        yaw += 0.05
        search.look(Pose(0.0, 0.0, math.remainder(yaw, 2 * math.pi)), scan_of(wall(room_m, -2, 2)), RADIUS_M)
    assert yaw >= FULL_TURN_RAD


def test_a_search_turns_once_around_and_then_drives_where_there_is_room() -> None:
    search = Search()
    turned(search, room_m=3.0)
    assert search.next_leg(Pose()) and search.waypoint is not None
    assert 0.5 <= math.hypot(*search.waypoint) <= 2.3


def test_a_search_with_no_room_turns_again() -> None:
    search = Search()
    turned(search, room_m=0.6)
    assert not search.next_leg(Pose()) and search.waypoint is None and not search.all_round
