"""What can be asked for in a simulated room."""

import math

import pytest

from edge.errors import UsageError
from edge.goals import words
from sim.objects import COLOURS, KINDS
from sim.scene import SceneObject
from sim.targets import make_scene, matching, parse_target, room_map, truth
from sim.world import World


@pytest.mark.parametrize(
    ("text", "target"),
    [
        ("cup", ("cup", "")),
        ("red cup", ("cup", "red")),
        ("컵", ("cup", "")),
        ("빨간 컵", ("cup", "red")),
        ("빨간 cup", ("cup", "red")),
    ],
)
def test_targets_are_read_in_both_languages(text: str, target: tuple[str, str]):
    assert parse_target(text) == target


@pytest.mark.parametrize("text", ["", "red", "unicorn", "cup red", "red blue cup", "pink cup"])
def test_what_no_room_can_have_is_refused(text: str):
    with pytest.raises(UsageError, match="can't have"):
        parse_target(text)


def test_rooms_are_built_of_exactly_the_things_and_colours_that_have_words_in_their_order():
    assert tuple(KINDS) == words.KINDS
    assert tuple(COLOURS) == words.COLOURS


@pytest.mark.parametrize("seed", range(5))
def test_the_target_is_in_the_room_or_surely_not(seed: int):
    assert matching(make_scene(seed, "red cup"), "빨간 컵")
    assert not matching(make_scene(seed, "red cup", absent=True), "red cup")
    assert not matching(make_scene(seed, "cup", absent=True), "cup")
    assert make_scene(seed, "").objects


def test_map_marks_every_object_that_is_meant():
    scene = make_scene(3, "cup")
    room = room_map(scene, "cup")
    marked = [place.label for place in room.objects if place.is_target]
    assert sorted(marked) == sorted(each.name for each in scene.objects if each.kind == "cup")
    assert len(room.objects) == len(scene.objects) + len(scene.clutter)
    assert (room.start_x_m, room.start_y_m, room.start_yaw_rad) == scene.start
    assert room.x1_m - room.x0_m == scene.width_m


def stood_before(seed: int, thing: str, distance_m: float, aside_rad: float = 0.0) -> dict:
    """Return the truth about the red cup with the robot so far from the middle of a thing."""
    scene = make_scene(seed, "red cup")
    world = World(scene)
    (at, *_) = matching(scene, thing)
    world.data.qpos[:3] = at.x_m - distance_m, at.y_m, aside_rad
    return truth(world, "red cup")


def test_the_truth_tells_a_robot_before_its_target_from_one_before_something_else():
    scene = make_scene(1, "red cup")
    (cup, *_) = matching(scene, "red cup")
    other = next(each for each in scene.objects if each.kind != "cup" and far(each, cup))
    there = stood_before(1, "red cup", 0.6)
    assert (there["arrived"], there["kept"], there["faces"]) == (True, True, "a red cup")
    assert (there["arrived_m"], there["arrived_deg"]) == (0.7, 20)
    following = stood_before(1, "red cup", 1.2)
    assert (following["arrived"], following["kept"]) == (False, True)
    aside = stood_before(1, "red cup", 0.6, math.radians(40))
    assert (aside["arrived"], aside["heading_error_deg"]) == (False, 40.0)
    before = stood_before(1, other.name, 0.6 + other.radius_m)
    assert (before["arrived"], before["kept"]) == (False, False)
    assert before["faces"].endswith(other.name)


def test_the_truth_about_a_goal_without_a_target_names_what_is_in_the_room():
    scene = make_scene(1, "")
    known = truth(World(scene), "")
    assert known["in_room"] == sorted({each.name for each in scene.objects}) and not known["arrived"]
    assert "in_room" not in truth(World(scene), "cup")


def far(one: SceneObject, other: SceneObject) -> bool:
    return math.hypot(one.x_m - other.x_m, one.y_m - other.y_m) > 2.5
