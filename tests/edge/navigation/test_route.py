import math

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from edge.navigation.route import HARD_M, find_route, find_vantage
from edge.perception.floor_map import CELL_M, SIDE, FloorMap
from edge.perception.geometry import Pose

RADIUS_M = 0.2
HERE = Pose()


def room(*walls: tuple[float, float, float, float]) -> FloorMap:
    """Free floor with blocked rectangles x0, y0, x1, y1."""
    floor = FloorMap(RADIUS_M)
    floor.evidence[:] = -1
    for x0, y0, x1, y1 in walls:
        (a, b), (c, d) = floor.cell(x0, y0), floor.cell(x1, y1)
        floor.evidence[max(0, a) : c + 1, max(0, b) : d + 1] = 1
    return floor


def test_a_free_way_is_straight() -> None:
    route = find_route(room(), HERE, 2.0, 0.0, 0.5, RADIUS_M)
    assert route is not None and math.isclose(route.length_m, 1.5, abs_tol=0.15)
    assert abs(math.atan2(route.y_m, route.x_m)) < 0.1


def test_a_wall_is_gone_around_on_the_shorter_side() -> None:
    route = find_route(room((1.0, -0.3, 1.1, 1.5)), HERE, 2.0, 0.0, 0.3, RADIUS_M)
    assert route is not None and route.y_m < -0.15 and 2.0 < route.length_m < 6.0


def test_a_wall_across_the_whole_map_leaves_no_way() -> None:
    assert find_route(room((1.0, -9, 1.1, 9)), HERE, 2.0, 0.0, 0.3, RADIUS_M) is None


def test_a_gap_narrower_than_the_base_is_no_way() -> None:
    assert find_route(room((1, -9, 1.1, -0.2), (1, 0.1, 1.1, 9)), HERE, 2.0, 0.0, 0.3, RADIUS_M) is None
    assert find_route(room((1, -9, 1.1, -0.4), (1, 0.4, 1.1, 9)), HERE, 2.0, 0.0, 0.3, RADIUS_M) is not None


def test_what_stands_at_the_goal_is_no_obstacle() -> None:
    thing = room((1.4, -0.1, 1.6, 0.1))
    assert find_route(thing, HERE, 1.5, 0.0, 0.3, RADIUS_M) is None
    assert find_route(thing, HERE, 1.5, 0.0, 0.3, RADIUS_M, own_m=0.3) is not None


def test_a_base_that_stands_too_near_to_something_still_gets_out() -> None:
    route = find_route(room((-0.9, 0.2, 0.9, 0.3)), HERE, 2.0, 0.0, 0.3, RADIUS_M)
    assert route is not None


def test_a_goal_beyond_the_map_is_headed_for() -> None:
    route = find_route(room(), HERE, 0.0, 20.0, 0.5, RADIUS_M)
    assert route is not None and abs(math.atan2(route.x_m, route.y_m)) < 0.2 and route.length_m > 15


def test_unknown_floor_is_passed_where_the_known_way_is_much_longer() -> None:
    floor = FloorMap(RADIUS_M)
    assert find_route(floor, HERE, 2.0, 0.5, 0.3, RADIUS_M) is not None


def test_a_vantage_point_lies_where_the_known_floor_ends_and_away_from_those_visited() -> None:
    floor = FloorMap(RADIUS_M)
    floor.evidence[30:70, 30:50] = -1  # a strip of 3.2 m by 1.6 m ahead of the base, the rest unknown
    spot = find_vantage(floor, HERE, RADIUS_M, [(0.0, 0.0)])
    assert spot is not None and 0.6 <= math.hypot(*spot) <= 2.6
    assert floor.evidence[floor.cell(*spot)] < 0
    other = find_vantage(floor, HERE, RADIUS_M, [(0.0, 0.0), spot])
    assert other is None or math.dist(spot, other) >= 0.6


def test_behind_a_wall_there_is_no_vantage_point() -> None:
    floor = room(
        (-0.5, -0.5, 0.5, -0.4), (-0.5, 0.4, 0.5, 0.5), (-0.5, -0.5, -0.4, 0.5), (0.4, -0.5, 0.5, 0.5)
    )
    assert find_vantage(floor, HERE, RADIUS_M, [(0.0, 0.0)]) is None


@settings(deadline=None, max_examples=25)
@given(st.lists(st.tuples(st.floats(-2.5, 2.5), st.floats(-2.5, 2.5)), max_size=8), st.floats(-3.1, 3.1))
def test_the_next_place_is_never_too_near_to_what_is_blocked(
    posts: list[tuple[float, float]], bearing: float
) -> None:
    floor = room(*((x, y, x, y) for x, y in posts if math.hypot(x, y) > 0.8))
    route = find_route(floor, HERE, 2 * math.cos(bearing), 2 * math.sin(bearing), 0.3, RADIUS_M)
    if route is None or not (blocked := np.argwhere(floor.evidence > 0)).size:
        return
    middles = np.array([floor.middle(*map(int, cell)) for cell in blocked])
    gap = np.hypot(middles[:, 0] - route.x_m, middles[:, 1] - route.y_m).min()
    at_goal = math.dist((route.x_m, route.y_m), (2 * math.cos(bearing), 2 * math.sin(bearing))) < 1e-6
    assert at_goal or gap >= RADIUS_M + HARD_M - CELL_M / 2
    assert max(abs(route.x_m), abs(route.y_m)) <= SIDE * CELL_M / 2
