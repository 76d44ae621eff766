import math

import numpy as np
import pytest

from edge.perception.geometry import Pose
from edge.records import ZERO, Velocity
from sim.render import CameraSpec, Renderer
from sim.scene import sample_scene
from sim.world import TIMESTEP_NS, World, has_arrived, heading_error_rad, surface_distance_m


def run(world: World, command: Velocity, seconds: float) -> None:
    world.command(command)
    for _ in range(round(seconds * 1e9 / TIMESTEP_NS)):
        world.step()


def roomy() -> World:
    """A base in the middle of a room, with nothing near."""
    world = World(sample_scene(3, size_m=(8.0, 8.0)))
    world.data.qpos[:3] = (0.0, 0.0, 0.0)
    return world


def test_the_base_needs_time_to_reach_a_speed() -> None:
    world = roomy()
    run(world, Velocity(0.4), 0.02)
    assert 0 < world.speed_m_s < 0.2
    run(world, Velocity(0.4), 0.6)
    assert world.speed_m_s == pytest.approx(0.4, abs=0.02)


def test_a_sideways_command_moves_sideways_and_a_turn_turns() -> None:
    world = roomy()
    run(world, Velocity(0.0, 0.3), 0.5)
    assert world.pose.y_m > 0.08 and abs(world.pose.x_m) < 0.01
    run(world, ZERO, 0.5)
    run(world, Velocity(0.0, 0.0, 0.5), 1.0)
    assert world.pose.yaw_rad == pytest.approx(0.5, abs=0.08)


def test_the_wheels_slip_when_asked_for_too_much() -> None:
    world = roomy()
    run(world, Velocity(0.5), 1.0)
    before = world.speed_m_s
    run(world, Velocity(-0.5), 0.06)
    assert before - world.speed_m_s < 0.35 * 9.81 * 0.06 + 0.01


def test_odometry_is_close_but_not_the_truth() -> None:
    world = roomy()
    run(world, Velocity(0.3), 2.0)
    o = world.odometry(0)
    assert o.x_m == pytest.approx(world.pose.x_m, rel=0.05)
    assert o.x_m != world.pose.x_m


def test_a_wall_stops_the_base_and_the_bumper_knows() -> None:
    world = World(sample_scene(3, size_m=(3.0, 3.0)))
    world.data.qpos[:3] = (world.scene.width_m / 2 - 0.4, 0.0, 0.0)
    run(world, Velocity(0.4), 2.0)
    assert world.bumped and world.bumps >= 1
    assert world.pose.x_m < world.scene.width_m / 2 - 0.18


def test_the_same_seed_and_commands_give_the_same_run() -> None:
    poses: list[Pose] = []
    for _ in range(2):
        world = World(sample_scene(5), seed=1)
        run(world, Velocity(0.3, 0.1, 0.2), 1.0)
        poses.append(world.pose)
    assert poses[0] == poses[1]


def test_arrival_needs_nearness_and_heading() -> None:
    scene = sample_scene(7, target=("box", "red"))
    box = scene.objects[0]
    x = box.x_m - box.radius_m - 0.4
    assert has_arrived(Pose(x, box.y_m, 0.0), box)
    assert not has_arrived(Pose(x, box.y_m, math.radians(25)), box)
    assert not has_arrived(Pose(x - 1.0, box.y_m, 0.0), box)
    assert heading_error_rad(Pose(x, box.y_m, 0.3), box) == pytest.approx(0.3)
    assert surface_distance_m(Pose(x, box.y_m, 0.0), box) <= 0.4 + box.radius_m


def test_the_truth_boxes_what_is_in_the_picture() -> None:
    scene = sample_scene(11, target=("ball", "red"))
    world = World(scene)
    ball = scene.objects[0]
    renderer = Renderer(CameraSpec())
    renderer.load(world.model, scene)
    toward = math.atan2(-ball.y_m, -ball.x_m)  # seen from between it and the middle of the room
    x, y = ball.x_m + 1.0 * math.cos(toward), ball.y_m + 1.0 * math.sin(toward)
    pose = (x, y, math.remainder(toward + math.pi, 2 * math.pi))
    image = renderer.image(world.data, *pose)
    seen = [v for v in renderer.truth(world.data, *pose) if v.index == 0]
    renderer.close()
    assert len(seen) == 1
    box = seen[0].box
    inside = image[int(box.y0 * 240) : int(box.y1 * 240), int(box.x0 * 320) : int(box.x1 * 320)].astype(int)
    red = (inside[..., 0] > 2 * inside[..., 1]) & (inside[..., 0] > 2 * inside[..., 2])
    assert red.mean() > 0.6
    assert np.isclose(box.center_x, 0.5, atol=0.12)
