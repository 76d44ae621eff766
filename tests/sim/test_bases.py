"""The simulated robot on another base: its settings, its physics, and that it still finds what it sees."""

import math
from dataclasses import astuple

import numpy as np
import pytest

from edge.base_spec import DEFAULT_BASE, BaseSpec, DriveKind
from edge.cli import main
from edge.errors import UsageError
from edge.records import Goal, Velocity
from sim.bases import parse_base, wheels_of
from sim.driving.expert import Expert
from sim.driving.waymap import WayMap
from sim.render import CameraSpec
from sim.scene import sample_scene
from sim.targets import make_scene
from sim.world import TIMESTEP_NS, World

CAMERA_MOUNT = CameraSpec().mount
GOAL = Goal("find_object", "cup")
TRACKS = "drive=differential&speed_m_s=0.25"


def drive(base: BaseSpec, command: Velocity, seconds: float) -> World:
    world = World(sample_scene(3, size_m=(8.0, 8.0)), base=base)
    world.command(command)
    for _ in range(round(seconds * 1e9 / TIMESTEP_NS)):
        world.step()
    return world


def test_settings_make_a_base() -> None:
    assert parse_base("") == DEFAULT_BASE
    assert parse_base(TRACKS) == BaseSpec(linear_m_s=0.25, drive=DriveKind.DIFFERENTIAL)
    assert parse_base("turn_rad_s=0.5&radius_m=0.15") == BaseSpec(radius_m=0.15, angular_rad_s=0.5)
    fixed = "fixed_speed_m_s=0.2&fixed_turn_rad_s=0.8"
    assert parse_base(fixed) == BaseSpec(fixed_speed_m_s=0.2, fixed_turn_rad_s=0.8)
    assert not parse_base(f"{fixed}&turns_while_driving=false").turns_while_driving
    assert parse_base("drive=ackermann&wheel_base_m=0.3").turn_radius_m == pytest.approx(0.52, abs=0.01)


@pytest.mark.parametrize(
    ("query", "said"),
    [
        ("drive=hover", "no drive 'hover'"),
        ("drive", "not key=value"),
        ("speed_m_s=2", "speed_m_s '2' is not a number from 0.1 to 0.5"),
        ("speed_m_s=fast", "speed_m_s 'fast' is not a number"),
        ("radius_m=nan", "radius_m 'nan' is not a number"),
        ("wings=2", "no setting 'wings'"),
        ("drive=ackermann", "wheel_base_m 0.0 is not a number above zero"),
        ("wheel_base_m=0.3", "does not go with drive holonomic"),
        ("fixed_speed_m_s=0.2", "are not both above zero"),
        ("fixed_speed_m_s=0.6&fixed_turn_rad_s=0.8", "'0.6' is not a number from 0.05 to 0.5"),
        ("turns_while_driving=no", "turns_while_driving 'no' is not true or false"),
    ],
)
def test_settings_that_make_no_base_are_refused(query: str, said: str) -> None:
    with pytest.raises(UsageError, match=said):
        parse_base(query)


def test_eval_refuses_a_base_that_can_not_be(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["eval", "--base", "drive=hover"]) == 2
    assert "no drive 'hover'" in capsys.readouterr().err
    assert (
        main(["eval", "--base", "drive=ackermann&wheel_base_m=0.3", "--episodes", "1", "--latency-ms", "9"])
        == 2
    )
    assert "must turn in place" in capsys.readouterr().err


def test_wheels_that_can_not_go_sideways_do_not() -> None:
    sideways = Velocity(0.0, 0.2, 0.0)
    start = World(sample_scene(3, size_m=(8.0, 8.0))).pose
    moved = {
        name: math.dist((world.pose.x_m, world.pose.y_m), (start.x_m, start.y_m))
        for name in ("holonomic", "differential")
        for world in [drive(parse_base(f"drive={name}"), sideways, 1.0)]
    }
    assert moved["holonomic"] > 0.15 and moved["differential"] < 1e-3


def test_steered_wheels_follow_no_tighter_arc_than_they_can() -> None:
    base = parse_base("drive=ackermann&wheel_base_m=0.3")
    still = drive(base, Velocity(0.0, 0.0, 1.0), 1.0)
    assert abs(still.data.qvel[2]) < 1e-3
    turning = drive(base, Velocity(0.2, 0.0, 1.0), 1.0)
    assert turning.data.qvel[2] == pytest.approx(0.2 / base.turn_radius_m, rel=0.05)


def test_a_wider_base_is_wider_in_physics_and_in_its_ways() -> None:
    wide = parse_base("radius_m=0.3")
    scene = make_scene(5002, "cup", radius_m=wide.radius_m)
    world = World(scene, base=wide)
    assert world.model.geom("robot").size[0] == pytest.approx(0.3)
    narrow = WayMap(World(scene))
    np.testing.assert_allclose(narrow.gap - WayMap(world).gap, 0.1)


def test_the_expert_drives_a_base_that_can_not_go_sideways_to_the_cup() -> None:
    world = World(make_scene(5001, "cup"), 5001, parse_base(TRACKS))
    expert = Expert(world, CAMERA_MOUNT)
    expert.reset(GOAL)
    for _ in range(round(60e9 / TIMESTEP_NS / 8)):
        velocity = expert.velocity()
        assert velocity.linear_y_m_s == 0 and velocity.linear_x_m_s <= 0.225
        world.command(velocity)
        for _ in range(8):
            world.step()
        if expert.status.reached:
            break
    assert expert.status.reached and world.bumps == 0


def test_the_expert_refuses_a_base_that_can_not_turn_in_place() -> None:
    world = World(make_scene(5001, "cup"), base=parse_base("drive=ackermann&wheel_base_m=0.3"))
    with pytest.raises(UsageError, match="must turn in place"):
        Expert(world, CAMERA_MOUNT)


@pytest.mark.parametrize(
    ("query", "asked", "really"),
    [
        ("fixed_speed_m_s=0.2&fixed_turn_rad_s=0.8", (0.03, -0.04, -0.01), (0.12, -0.16, -0.8)),
        ("fixed_speed_m_s=0.2&fixed_turn_rad_s=0.8", (0.0, 0.0, 0.0), (0.0, 0.0, 0.0)),
        ("fixed_speed_m_s=0.2&fixed_turn_rad_s=0.8", (0.5, 0.0, 0.0), (0.2, 0.0, 0.0)),
        (
            "fixed_speed_m_s=0.2&fixed_turn_rad_s=0.8&turns_while_driving=false",
            (0.1, 0.0, 0.1),
            (0.2, 0.0, 0.0),
        ),
        ("dead_band_m_s=0.1&dead_band_rad_s=0.3", (0.06, 0.07, 0.29), (0.0, 0.0, 0.0)),
        ("dead_band_m_s=0.1&dead_band_rad_s=0.3", (0.06, 0.08, 0.31), (0.06, 0.08, 0.31)),
        ("min_speed_m_s=0.1&min_turn_rad_s=0.3", (0.0, -0.01, 0.02), (0.0, -0.1, 0.3)),
        ("min_speed_m_s=0.1&min_turn_rad_s=0.3", (-0.2, 0.0, -0.4), (-0.2, 0.0, -0.4)),
    ],
)
def test_wheels_turn_at_the_speeds_that_their_controller_knows(
    query: str, asked: tuple[float, float, float], really: tuple[float, float, float]
) -> None:
    """Field case 30."""
    assert astuple(wheels_of(parse_base(query), Velocity(*asked))) == pytest.approx(really)


def test_a_base_of_fixed_speed_goes_at_it_whatever_it_is_told() -> None:
    """Field case 30."""
    base = parse_base("fixed_speed_m_s=0.2&fixed_turn_rad_s=0.8")
    crawling = drive(base, Velocity(0.01), 1.0)
    assert crawling.speed_m_s == pytest.approx(0.2, rel=0.02)
    assert drive(base, Velocity(0.0, 0.0, 0.01), 1.0).data.qvel[2] == pytest.approx(0.8, rel=0.05)
