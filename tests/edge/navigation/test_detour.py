"""The way out of a policy that gets nowhere, on floor that was seen all round."""

import math
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from edge.base_spec import DEFAULT_BASE, BaseSpec, DriveKind
from edge.navigation.detour import AROUND_M, LEG_NS, SEEN_NS, STOPPED_NS, Detour
from edge.navigation.pilot import Pilot
from edge.perception.floor_map import SIDE, FloorMap
from edge.perception.geometry import Pose
from edge.records import Velocity

FRAME_NS = 100_000_000
FULL_TURN_NS = round(2 * math.pi / DEFAULT_BASE.cruise_rad_s * 1e9)
STAND, TURN, AHEAD = np.zeros(3), np.array([0.0, 0.0, 0.9]), np.array([0.4, 0.0, 0.0])


def detour(base: BaseSpec = DEFAULT_BASE, post_m: float = math.nan) -> Detour:
    """Begin with 1.6 m of free floor on all sides, nothing known beyond, and maybe a post ahead."""
    floor = FloorMap(base.radius_m)
    free = slice(SIDE // 2 - 20, SIDE // 2 + 20)
    floor.evidence[free, free] = -1.0
    if not math.isnan(post_m):
        floor.evidence[floor.cell(post_m, 0.0)] = 1.0
    return Detour(base, Pilot(base, sees_floor=True, floor=floor))


def frames_until_it_drives(each: Detour, seconds: float, asked: np.ndarray = TURN) -> int | None:
    for frame in range(round(seconds * 10)):
        if each.velocity(Pose(0.0, 0.0, 0.1 * frame), asked, asked, frame * FRAME_NS) is not None:
            return frame
    return None


def moved(pose: Pose, v: Velocity) -> Pose:
    x, y = pose.to_world(0.1 * v.linear_x_m_s, 0.1 * v.linear_y_m_s)
    return Pose(x, y, pose.yaw_rad + 0.1 * v.angular_z_rad_s)


def follow(each: Detour, frame: int, asked: np.ndarray) -> tuple[Pose, int]:
    """Drive from the origin as it says, until it hands back."""
    pose = Pose()
    while (velocity := each.velocity(pose, asked, asked, frame * FRAME_NS)) is not None:
        pose, frame = moved(pose, velocity), frame + 1
    return pose, frame


@pytest.mark.parametrize("asked", [TURN, STAND])
def test_a_policy_that_stays_is_driven_to_another_spot_after_the_time_of_a_full_turn(asked) -> None:
    each = detour()
    first = frames_until_it_drives(each, 20.0, asked)
    assert first is not None and FULL_TURN_NS < first * FRAME_NS < FULL_TURN_NS + 3e9
    assert each.under_way
    pose, frame = follow(each, first, asked)
    assert math.hypot(pose.x_m, pose.y_m) > 0.5 and not each.under_way, "the policy goes on elsewhere"
    assert each.velocity(pose, asked, asked, (frame + 1) * FRAME_NS) is None, "and has time there"


def test_a_policy_that_gets_on_is_left_alone() -> None:
    each = detour()
    for frame in range(600):
        step_m = 1.1 * AROUND_M * (frame // 50)  # a step every 5 s
        assert each.velocity(Pose(step_m), AHEAD, AHEAD, frame * FRAME_NS) is None


def test_what_shuts_the_way_is_driven_around() -> None:
    each, frame = detour(post_m=0.4), 0
    while each.velocity(Pose(), AHEAD, STAND, frame * FRAME_NS) is None:
        frame += 1
    assert STOPPED_NS < frame * FRAME_NS < 2 * STOPPED_NS
    pose, _ = follow(each, frame, AHEAD)
    assert pose.x_m > 0.6 and abs(pose.y_m) < 0.3, "behind the post, whatever the policy asks for meanwhile"


@pytest.mark.parametrize("safe", [0.5 * AHEAD, 0.2 * AHEAD])
def test_a_way_that_is_only_slow_is_not_shut(safe: np.ndarray) -> None:
    each = detour()
    for frame in range(round(FULL_TURN_NS / FRAME_NS)):
        assert each.velocity(Pose(), AHEAD, safe, frame * FRAME_NS) is None


def test_a_search_ends_as_soon_as_the_policy_drives_again() -> None:
    each = detour()
    first = frames_until_it_drives(each, 20.0)
    assert first is not None
    left = [each.velocity(Pose(), AHEAD, AHEAD, (first + i) * FRAME_NS) is not None for i in range(10)]
    assert left.index(False) == SEEN_NS // FRAME_NS + 1 and not each.under_way


def test_a_leg_that_takes_too_long_is_over() -> None:
    each = detour()
    first = frames_until_it_drives(each, 20.0)
    assert first is not None
    late_ns = first * FRAME_NS + LEG_NS
    assert each.velocity(Pose(), TURN, TURN, late_ns) is not None
    assert each.velocity(Pose(), TURN, TURN, late_ns + FRAME_NS) is None and not each.under_way


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


def frames_of(each: Detour, yaw_rad: Callable[[int], float], turning: float) -> int | None:
    """Return the first frame of 100 s at which it drives."""
    for frame in range(1000):
        pose = Pose(0.0, 0.0, math.remainder(yaw_rad(frame), math.tau))
        if each.velocity(pose, TURN, TURN, frame * FRAME_NS, turning) is not None:
            return frame
    return None


@pytest.mark.parametrize("sign", [1.0, -1.0])
def test_a_policy_that_turns_slowly_all_round_has_time_for_it(sign: float) -> None:
    slow = frames_of(detour(), lambda frame: sign * 0.02 * frame, turning=0.25)
    assert slow is not None and slow * FRAME_NS > 4 * FULL_TURN_NS


def test_a_slow_policy_that_turns_to_and_fro_sees_nothing_new() -> None:
    """Without a memory it sees the same two views for ever: row 34, `token` at 400 ms."""
    to_and_fro = frames_of(detour(), lambda frame: 0.3 * (frame // 20 % 2) + 0.001 * frame, turning=0.25)
    assert to_and_fro is not None and FULL_TURN_NS < to_and_fro * FRAME_NS < FULL_TURN_NS + 3e9
    turns_on = frames_of(detour(), lambda frame: 0.3 * (frame // 20 % 2) + 0.012 * frame, turning=0.25)
    assert turns_on is not None and turns_on * FRAME_NS > 4 * FULL_TURN_NS


@pytest.mark.parametrize("other", [STAND, AHEAD])
def test_a_slow_policy_that_stands_or_drives_in_between_is_not_turning_to_and_fro(other: np.ndarray) -> None:
    """It is about to arrive, as `token` was at 400 ms when it was driven away from its cup."""
    each = detour()
    for frame in range(round(2 * FULL_TURN_NS / FRAME_NS)):
        asked = TURN if frame % 40 else other
        assert each.velocity(Pose(0.0, 0.0, 0.2), asked, asked, frame * FRAME_NS, 0.25) is None
