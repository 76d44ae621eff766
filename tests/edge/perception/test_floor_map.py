import math

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from edge.perception.floor_map import BLOCKED, CELL_M, FREE, SIDE, FloorMap
from edge.perception.floor_scan import Scan, scan_of
from edge.perception.geometry import Pose, View
from edge.records import CameraMount

RADIUS_M = 0.2
MOUNT = CameraMount(
    vertical_fov_rad=math.radians(55), height_m=0.35, pitch_rad=math.radians(12), forward_m=0.12
)
VIEW = View(MOUNT, 4 / 3)
HERE = Pose()


def scan_to(distance_m: float) -> Scan:
    """Return a wall straight across the view, all columns at the same image row."""
    up = -MOUNT.height_m / distance_m
    pitch = MOUNT.pitch_rad
    tan = (up * math.cos(pitch) + math.sin(pitch)) / (math.cos(pitch) - up * math.sin(pitch))
    return scan_of(np.full(48, 0.5 - tan / (2 * VIEW.tan_v)), VIEW)


def seen(distance_m: float, times: int = 10, floor: FloorMap | None = None, pose: Pose = HERE) -> FloorMap:
    floor = floor or FloorMap(RADIUS_M)
    for i in range(times):
        floor.add(scan_to(distance_m), pose, i * 33_000_000)
    return floor


def evidence(floor: FloorMap, x_m: float, y_m: float) -> float:
    return float(floor.evidence[floor.cell(x_m, y_m)])


def test_floor_up_to_a_wall_is_free_and_the_wall_is_blocked() -> None:
    floor = seen(1.5)
    assert evidence(floor, 1.0, 0.0) < FREE
    assert evidence(floor, 1.5 + MOUNT.forward_m, 0.0) > BLOCKED
    assert evidence(floor, 2.2, 0.0) == evidence(floor, -1.0, 0.0) == 0


def test_what_was_seen_stays_in_its_place_while_the_base_moves() -> None:
    floor = seen(1.5)
    ahead = floor.blocked_points(HERE, 3.0)
    turned = floor.blocked_points(Pose(0.0, 0.0, math.pi / 2), 3.0)
    assert np.allclose(turned[:, 1], -ahead[:, 0]) and np.allclose(turned[:, 0], ahead[:, 1])


def test_what_has_gone_is_cleared_by_looking_again() -> None:
    floor = seen(1.0)
    assert evidence(floor, 1.0 + MOUNT.forward_m, 0.0) > BLOCKED
    assert evidence(seen(2.5, 40, floor), 1.0 + MOUNT.forward_m, 0.0) < BLOCKED


def test_what_is_long_out_of_sight_is_forgotten() -> None:
    floor = seen(1.0)
    floor.add(scan_to(1.0), Pose(0.0, 0.0, math.pi), 300_000_000_000)
    assert abs(evidence(floor, 0.8, 0.0)) < -FREE


def test_before_something_that_hides_all_floor_nothing_is_free_that_was_not_seen() -> None:
    floor = FloorMap(RADIUS_M)
    floor.add(scan_of(np.ones(48), VIEW), HERE, 0)
    assert evidence(floor, 0.4, 0.0) > BLOCKED
    known = seen(1.5, 30, FloorMap(RADIUS_M), Pose(-0.5, 0.0, 0.0))  # from where that floor was in view
    known.add(scan_of(np.ones(48), VIEW), HERE, 2_000_000_000)
    assert evidence(known, 0.4, 0.0) < FREE


@given(st.floats(-20, 20), st.floats(-20, 20), st.floats(-3, 3), st.floats(-3, 3))
def test_a_cell_and_its_middle_are_inverse_wherever_the_base_has_gone(
    x: float, y: float, dx: float, dy: float
) -> None:
    floor = FloorMap(RADIUS_M)
    floor.add(scan_to(2.0), Pose(x, y, 0.0), 0)
    row, column = floor.cell(x + dx, y + dy)
    middle = floor.middle(row, column)
    assert max(abs(middle[0] - x - dx), abs(middle[1] - y - dy)) <= CELL_M / 2 + 1e-9
    assert floor.cell(*middle) == (row, column)


def test_the_base_stands_on_free_floor_whatever_it_sees() -> None:
    floor = FloorMap(RADIUS_M)
    floor.add(scan_of(np.ones(48), VIEW), HERE, 0)
    assert evidence(floor, 0.15, 0.0) == evidence(floor, -0.1, 0.1) == -1


def test_the_grid_follows_the_base_and_keeps_what_is_still_on_it() -> None:
    floor = seen(1.5)
    floor.add(scan_to(2.5), Pose(1.2, 0.0, math.pi / 2), 400_000_000)
    row, column = floor.cell(1.2, 0.0)
    assert max(abs(row - SIDE // 2), abs(column - SIDE // 2)) <= 1
    assert evidence(floor, 1.5 + MOUNT.forward_m, 0.0) > BLOCKED


def test_a_leap_of_the_odometry_leaves_an_empty_grid() -> None:
    floor = seen(1.5)
    seen(1.5, 10, floor, Pose(100.0, -50.0, 0.0))
    assert (floor.evidence > BLOCKED).any() and evidence(floor, 101.0, -50.0) < FREE
    assert floor.known(np.array([[1.0, 0.0]]), Pose(100.0, -50.0, 0.0))
    assert not floor.known(np.array([[-1.0, 0.0]]), Pose(100.0, -50.0, 0.0))
    assert not floor.known(np.array([[50.0, 0.0]]), Pose(100.0, -50.0, 0.0))


def test_what_stands_beside_a_standing_base_is_remembered_and_only_driving_or_turning_forgets_it_soon() -> (
    None
):
    away, a_minute_ns = Pose(0.0, 0.0, math.pi), 60_000_000_000
    beside = 1.0 + MOUNT.forward_m
    standing = seen(1.0)
    standing.add(scan_to(1.0), away, 400_000_000)
    standing.add(scan_to(1.0), away, a_minute_ns)
    assert evidence(standing, beside, 0.0) > BLOCKED
    driven, turned = seen(1.0), seen(1.0)
    for step in range(1, 300):
        driven.add(scan_to(2.0), Pose(-0.08 * (step % 2), 0.0, math.pi), step * 33_000_000)
        turned.add(scan_to(2.0), Pose(0.0, 0.0, math.pi + 0.2 * (step % 2)), step * 33_000_000)
    assert evidence(driven, beside, 0.0) < BLOCKED and evidence(turned, beside, 0.0) < BLOCKED
