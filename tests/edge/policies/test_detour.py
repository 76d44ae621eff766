"""The way out of a policy that gets nowhere, in a room that was seen all round."""

import math
from dataclasses import replace

import pytest

from edge.base_spec import DEFAULT_BASE, BaseSpec, DriveKind
from edge.navigation.pilot import Pilot
from edge.perception.floor_map import FREE, SIDE, FloorMap
from edge.perception.geometry import Pose
from edge.policies.detour import AROUND_M, LEG_NS, Detour
from edge.records import Velocity

FRAME_NS = 100_000_000
FULL_TURN_NS = round(2 * math.pi / DEFAULT_BASE.cruise_rad_s * 1e9)


def detour(base: BaseSpec = DEFAULT_BASE) -> Detour:
    """Begin with 1.6 m of free floor on all sides, and nothing known beyond."""
    floor = FloorMap(base.radius_m)
    free = slice(SIDE // 2 - 20, SIDE // 2 + 20)
    floor.evidence[free, free] = -1.0
    assert (floor.evidence < FREE).any()
    return Detour(base, Pilot(base, sees_floor=True, floor=floor))


def frames_until_it_drives(each: Detour, seconds: float, wants_motion: bool = True) -> int | None:
    for frame in range(round(seconds * 10)):
        if each.velocity(Pose(0.0, 0.0, 0.1 * frame), wants_motion, frame * FRAME_NS) is not None:
            return frame
    return None


def test_a_policy_that_turns_for_ever_is_driven_to_another_spot_after_a_full_turn() -> None:
    each = detour()
    first = frames_until_it_drives(each, 20.0)
    assert first is not None and FULL_TURN_NS < first * FRAME_NS < FULL_TURN_NS + 5e9
    assert each.under_way
    pose, frame = Pose(), first
    while (velocity := each.velocity(pose, True, frame * FRAME_NS)) is not None:
        pose, frame = moved(pose, velocity), frame + 1
    assert math.hypot(pose.x_m, pose.y_m) > 0.5 and not each.under_way, "the policy goes on elsewhere"
    assert each.velocity(pose, True, (frame + 1) * FRAME_NS) is None, "and has time there"


def moved(pose: Pose, v: Velocity) -> Pose:
    x, y = pose.to_world(0.1 * v.linear_x_m_s, 0.1 * v.linear_y_m_s)
    return Pose(x, y, pose.yaw_rad + 0.1 * v.angular_z_rad_s)


def test_a_policy_that_stands_or_gets_on_is_left_alone() -> None:
    assert frames_until_it_drives(detour(), 60.0, wants_motion=False) is None
    each = detour()
    for frame in range(600):
        step_m = 1.1 * AROUND_M * (frame // 50)  # a step every 5 s
        assert each.velocity(Pose(step_m), True, frame * FRAME_NS) is None


def test_a_leg_that_takes_too_long_is_over() -> None:
    each = detour()
    first = frames_until_it_drives(each, 20.0)
    assert first is not None
    late_ns = first * FRAME_NS + LEG_NS
    assert each.velocity(Pose(), True, late_ns) is not None
    assert each.velocity(Pose(), True, late_ns + FRAME_NS) is None and not each.under_way


def test_where_nothing_is_known_of_the_floor_the_policy_goes_on() -> None:
    blind = Detour(DEFAULT_BASE, Pilot(DEFAULT_BASE, sees_floor=False))
    assert frames_until_it_drives(blind, 60.0) is None


@pytest.mark.parametrize(
    "base, drives",
    [
        (replace(DEFAULT_BASE, angular_rad_s=0.5), True),
        (BaseSpec(drive=DriveKind.DIFFERENTIAL), True),
        (BaseSpec(drive=DriveKind.ACKERMANN, wheel_base_m=0.3), False),
    ],
)
def test_a_slow_turn_is_waited_for_and_a_base_that_can_not_turn_in_place_is_never_taken_over(
    base: BaseSpec, drives: bool
) -> None:
    first = frames_until_it_drives(detour(base), 60.0)
    assert (first is not None) == drives
    assert first is None or first * FRAME_NS > 2 * math.pi / base.cruise_rad_s * 1e9
