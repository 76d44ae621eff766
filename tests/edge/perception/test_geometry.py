import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.perception.geometry import Pose, PoseHistory, View, wrap
from edge.records import Box, CameraMount, Odometry, Velocity

MOUNT = CameraMount(math.radians(55), 0.35, math.radians(12), 0.12)
VIEW = View(MOUNT, 320 / 240)
HORIZON_V = 0.5 - math.tan(MOUNT.pitch_rad) / (2 * VIEW.tan_v)
metres = st.floats(-10, 10)
angles = st.floats(-math.pi, math.pi)


def seen_at(x: float, y: float) -> tuple[float, float]:
    """Return the image position of a floor point, by the pinhole model written the other way round."""
    forward, up = x - MOUNT.forward_m, -MOUNT.height_m
    depth = forward * math.cos(MOUNT.pitch_rad) - up * math.sin(MOUNT.pitch_rad)
    rise = forward * math.sin(MOUNT.pitch_rad) + up * math.cos(MOUNT.pitch_rad)
    return 0.5 - y / depth / VIEW.tan_u / 2, 0.5 - rise / depth / VIEW.tan_v / 2


@given(st.floats(0.6, 8), st.floats(-3, 3))
def test_a_floor_point_is_found_again_from_where_it_is_seen(x: float, y: float) -> None:
    assert VIEW.floor_point(*seen_at(x, y)) == pytest.approx((x, y), rel=1e-6, abs=1e-6)


def test_nothing_above_the_horizon_is_floor() -> None:
    assert VIEW.floor_point(0.5, HORIZON_V) is None
    assert VIEW.floor_point(0.5, HORIZON_V + 0.01) is not None


def test_a_box_left_of_the_middle_is_to_the_left() -> None:
    assert VIEW.bearing(Box(0.4, 0.1, 0.6, 0.3)) > 0
    assert VIEW.bearing(Box(0.4, 0.45, 0.6, 0.55)) == pytest.approx(0)


@given(metres, metres, angles, metres, metres)
def test_frames_invert(px: float, py: float, yaw: float, x: float, y: float) -> None:
    pose = Pose(px, py, yaw)
    assert pose.to_base(*pose.to_world(x, y)) == pytest.approx((x, y), abs=1e-9)
    many = np.array([[x, y]])
    assert pose.many_to_base(pose.many_to_world(many)) == pytest.approx(many, abs=1e-9)
    assert pose.many_to_world(many)[0] == pytest.approx(pose.to_world(x, y), abs=1e-9)


def odometry(stamp_ns: int, x: float, yaw: float, v: float = 0.0) -> Odometry:
    return Odometry(stamp_ns, x, 0.0, yaw, Velocity(linear_x_m_s=v))


def test_a_pose_between_two_reports_is_interpolated_across_the_seam_of_the_circle() -> None:
    history = PoseHistory()
    history.add(odometry(0, 0.0, math.pi - 0.1))
    history.add(odometry(100, 1.0, -math.pi + 0.1))
    middle = history.at(50)
    assert middle.x_m == pytest.approx(0.5)
    assert abs(wrap(middle.yaw_rad - math.pi)) < 1e-9


def test_a_pose_after_the_last_report_is_carried_on_for_a_short_time_only() -> None:
    history = PoseHistory()
    history.add(odometry(0, 0.0, 0.0, v=0.5))
    assert history.at(100_000_000).x_m == pytest.approx(0.05)
    assert history.at(5_000_000_000).x_m == pytest.approx(0.1)


def test_without_odometry_the_base_is_at_the_origin() -> None:
    assert PoseHistory().at(123) == Pose()


def test_a_base_that_looks_left_has_what_is_ahead_on_the_left_of_the_world() -> None:
    assert Pose(1.0, 2.0, math.pi / 2).to_world(0.5, 0.1) == pytest.approx((0.9, 2.5))


def test_every_part_of_a_pose_is_interpolated() -> None:
    history = PoseHistory()
    history.add(Odometry(0, 1.0, 2.0, 0.1, Velocity()))
    history.add(Odometry(100, 2.0, 6.0, 0.3, Velocity()))
    middle = history.at(25)
    assert (middle.x_m, middle.y_m, middle.yaw_rad) == pytest.approx((1.25, 3.0, 0.15))


def test_every_part_of_a_pose_is_carried_on_in_the_bases_own_axes() -> None:
    history = PoseHistory()
    history.add(Odometry(0, 1.0, 2.0, math.pi / 2, Velocity(0.4, 0.1, 0.5)))
    later = history.at(100_000_000)
    assert (later.x_m, later.y_m, later.yaw_rad) == pytest.approx((0.99, 2.04, math.pi / 2 + 0.05))


def test_half_the_field_of_view_is_above_the_middle_and_half_below() -> None:
    level = View(CameraMount(math.radians(60), 0.3, 0.0, 0.0), 2.0)
    for v, up_deg in ((0.0, 30), (0.5, 0), (1.0, -30)):
        forward, left, up = level.ray(0.5, v)
        assert left == 0 and math.degrees(math.atan2(up, forward)) == pytest.approx(up_deg)
    forward, left, _ = level.ray(0.0, 0.5)
    assert (
        math.atan2(left, forward) == pytest.approx(level.half_fov_rad) == math.atan(2 * math.tan(math.pi / 6))
    )


@pytest.mark.parametrize("foot", [HORIZON_V - 0.1, HORIZON_V + 0.01])
def test_a_foot_at_the_horizon_is_8_m_off_where_the_box_is(foot: float) -> None:
    box = Box(0.0, 0.1, foot, 0.2)
    x, y = VIEW.place(box)
    assert math.hypot(x, y) == pytest.approx(8.0)
    forward, left, _ = VIEW.ray(0.15, foot / 2)
    assert math.atan2(y, x) == pytest.approx(math.atan2(left, forward))
    near = Box(0.0, 0.1, 0.9, 0.2)
    assert VIEW.place(near) == VIEW.floor_point(0.15, 0.9)
