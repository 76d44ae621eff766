"""The expert in whole episodes without pictures: it needs none."""

import math
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge.errors import UsageError
from edge.perception.geometry import Pose
from edge.records import BASE_ACTION, Goal, Velocity
from sim.driving.expert import IN_VIEW_RAD, STAND_S, Expert
from sim.driving.waymap import HARD_M, WayMap
from sim.lockstep import EpisodeResult, play
from sim.objects import KINDS, Geom
from sim.render import CameraSpec
from sim.scene import Scene, SceneObject, sample_scene
from sim.targets import make_scene, matching
from sim.world import TIMESTEP_NS, World, surface_distance_m

RED = (0.8, 0.1, 0.1)
CAMERA: Any = SimpleNamespace(
    spec=CameraSpec(rate_hz=10.0), image=lambda data, x_m, y_m, yaw_rad: np.zeros((8, 8, 3), np.uint8)
)


def room(target: tuple[float, float], start: tuple[float, float, float], *clutter: SceneObject) -> Scene:
    """4 by 4 m with one red ball of 0.15 m at `target`."""
    look = sample_scene(1)
    ball = SceneObject("ball", "red", *target, 0.0, 0.15, (Geom("sphere", (0.15,), (0, 0, 0.15), RED),))
    return Scene(
        4.0, 4.0, 2.0, (ball,), clutter, look.floor, look.wall, look.lights, look.ambient, start, 0
    )  # fmt: skip


def wall(x_m: float, y_m: float, half_length_m: float, yaw_rad: float = 0.0) -> SceneObject:
    """Across x, 1 m high."""
    geom = Geom("box", (0.02, half_length_m, 0.5), (0, 0, 0.5), RED)
    return SceneObject("clutter", "", x_m, y_m, yaw_rad, half_length_m + 0.03, (geom,))


def drive(world: World, target: str) -> tuple[EpisodeResult, Expert]:
    expert = Expert(world, CAMERA.spec.mount)
    return play(world, CAMERA, expert, Goal("find_object", target), 0.0), expert


@pytest.mark.parametrize("seed", range(5000, 5006))
def test_it_reaches_the_target_without_touching_anything(seed: int) -> None:
    episode, _ = drive(World(make_scene(seed, "cup"), seed), "cup")
    assert episode.success and episode.bumps == 0


@pytest.mark.slow
@pytest.mark.parametrize("target", ["cup", ""])
def test_in_100_rooms_it_fails_at_most_twice_and_touches_nothing(target: str) -> None:
    kinds = list(KINDS)
    episodes = []
    for seed in range(5000, 5100):
        kind = target or kinds[int(np.random.default_rng(seed).integers(len(kinds)))]
        episodes.append(drive(World(make_scene(seed, kind), seed), kind)[0])
    assert sum(e.success for e in episodes) >= 98 and not any(e.bumps for e in episodes)


def test_it_goes_around_what_stands_between_and_stands_at_the_end() -> None:
    world = World(room((1.3, 0.0), (-1.3, 0.0, 0.0), wall(0.0, 0.0, 0.8)))
    episode, _ = drive(world, "ball")
    assert episode.success and episode.bumps == 0 and world.speed_m_s < 0.02
    assert world.path_m > 2.6 - 0.7 + 0.3


def test_it_stands_before_it_says_that_it_has_arrived() -> None:
    world = World(room((0.6, 0.0), (0.0, 0.0, 0.0)))
    episode, _ = drive(world, "ball")
    assert episode.success and episode.seconds >= STAND_S and world.path_m < 0.02


def test_what_is_not_in_view_is_searched_by_turning_left() -> None:
    world = World(room((-1.2, 0.0), (0.0, 0.0, 0.0)))
    expert = Expert(world, CAMERA.spec.mount)
    expert.reset(Goal("find_object", "ball"))
    velocity = expert.velocity()
    assert expert.status.state == "search"
    assert velocity.linear_x_m_s == 0.0 and velocity.angular_z_rad_s > 0.5


def test_what_is_hidden_from_all_sides_is_fetched_after_one_turn() -> None:
    world = World(room((1.3, 0.0), (-1.3, 0.0, 0.0), wall(0.6, 0.0, 0.9)))
    episode, _ = drive(world, "ball")
    assert episode.success and episode.turned_rad > 2 * math.pi


def test_the_target_stays_in_view_where_the_way_allows_it() -> None:
    pillar = SceneObject(
        "clutter", "", 0.0, 0.05, 0.0, 0.1, (Geom("cylinder", (0.1, 0.1), (0, 0, 0.1), RED),)
    )
    world = World(room((1.3, 0.0), (-1.3, 0.0, 0.0), pillar))
    expert = Expert(world, CAMERA.spec.mount)
    worst = 0.0

    class Watched:
        status = property(lambda self: expert.status)
        reset, infer = expert.reset, expert.infer

        def act(self, observation: Any, inference: Any) -> Any:
            nonlocal worst
            p = world.pose
            worst = max(worst, abs(math.remainder(math.atan2(-p.y_m, 1.3 - p.x_m) - p.yaw_rad, 2 * math.pi)))
            return expert.act(observation, inference)

    assert play(world, CAMERA, Watched(), Goal("find_object", "ball"), 0.0).success
    assert worst < IN_VIEW_RAD + math.radians(8)


def test_a_walled_in_target_is_stuck_and_never_claimed() -> None:
    cage = [wall(1.3 + dx, dy, 0.45, yaw) for dx, dy, yaw in
            ((-0.4, 0, 0), (0.4, 0, 0), (0, 0.4, math.pi / 2), (0, -0.4, math.pi / 2))]  # fmt: skip
    world = World(room((1.3, 0.0), (-1.3, 0.0, 0.0), *cage))
    expert = Expert(world, CAMERA.spec.mount)
    expert.reset(Goal("find_object", "ball"))
    assert expert.status.state == "stuck" and not expert.status.reached
    assert expert.velocity() == Velocity()


def test_a_target_that_the_room_lacks_is_a_usage_error() -> None:
    expert = Expert(World(room((1.0, 0.0), (0.0, 0.0, 0.0))), CAMERA.spec.mount)
    with pytest.raises(UsageError, match="knows of no 'cup'"):
        expert.reset(Goal("find_object", "cup"))


@given(st.floats(-1.7, 1.7), st.floats(-1.7, 1.7), st.floats(-3.1, 3.1))
@settings(max_examples=60, deadline=None)
def test_wherever_it_was_brought_its_answer_is_within_the_limits(x: float, y: float, yaw: float) -> None:
    world, expert = LABELLED
    world.data.qpos[:3] = x, y, yaw
    v = expert.velocity()
    values = (v.linear_x_m_s, v.linear_y_m_s, v.angular_z_rad_s)
    assert all(
        low <= a <= high for low, a, high in zip(BASE_ACTION.low, values, BASE_ACTION.high, strict=True)
    )
    assert math.hypot(*values[:2]) <= BASE_ACTION.high[0]


LABELLED = (lambda w: (w, Expert(w, CAMERA.spec.mount)))(
    World(room((1.0, 0.3), (0, 0, 0), wall(0, 0.5, 0.5)))
)
LABELLED[1].reset(Goal("find_object", "ball"))


def test_its_velocities_change_without_jumps_while_it_approaches() -> None:
    world = World(make_scene(5001, "cup"), 5001)
    expert = Expert(world, CAMERA.spec.mount)
    expert.reset(Goal("find_object", "cup"))
    rows: list[tuple[float, float]] = []
    while not expert.status.reached and world.time_ns < 30e9:
        v = expert.velocity()
        if expert.status.state == "approach":
            rows.append((v.linear_x_m_s, v.angular_z_rad_s))
        world.command(v)
        for _ in range(100_000_000 // TIMESTEP_NS):
            world.step()
    steps = np.abs(np.diff(np.array(rows), axis=0))
    assert expert.status.reached
    assert np.quantile(steps[:, 0], 0.95) < 0.15 and np.quantile(steps[:, 1], 0.95) < 0.4


MAP = WayMap(World(make_scene(5002, "cup"), 5002))


@given(st.floats(-0.99, 0.99), st.floats(-0.99, 0.99))
def test_a_cell_and_its_middle_are_inverse(across: float, along: float) -> None:
    scene = make_scene(5002, "cup")
    cell = MAP.cell(across * scene.width_m / 2, along * scene.depth_m / 2)
    assert MAP.cell(*MAP.middle(*cell)) == cell


def test_where_the_map_has_room_nothing_touches_the_base() -> None:
    world = World(make_scene(5085, "cup"), 5085)  # a chair whose legs are thinner than a cell
    way_map = WayMap(world)
    free = np.argwhere(way_map.gap >= HARD_M)
    for cell in free[:: max(1, len(free) // 400)]:
        world.data.qpos[:2] = way_map.middle(*cell)
        world.step()
        assert not world.bumped
        world.data.qvel[:] = 0


def test_the_way_ends_near_the_target_and_gets_shorter_on_it() -> None:
    world = World(make_scene(5003, "cup"), 5003)
    way_map = WayMap(world)
    (cup, *_) = matching(world.scene, "cup")
    way = way_map.way(
        lambda x, y: surface_distance_m(Pose(x, y, 0.0), cup) <= 0.5, cup.x_m, cup.y_m, cup.radius_m + 0.5
    )
    assert way is not None
    x, y = world.scene.start[:2]
    to_go = float(way.to_go[way_map.cell(x, y)])
    for _ in range(100):
        if to_go == 0.0:
            break
        x, y = way_map.waypoint(way, x, y)
        before, to_go = to_go, float(way.to_go[way_map.cell(x, y)])
        assert to_go < before
    assert to_go == 0.0 and surface_distance_m(Pose(x, y, 0.0), cup) <= 0.5
