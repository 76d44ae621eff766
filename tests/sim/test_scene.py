import math

import mujoco
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge.base_spec import DEFAULT_BASE
from sim.objects import COLOURS, KINDS
from sim.scene import sample_scene, scene_mjcf

seeds = st.integers(0, 10**6)


@given(seeds)
def test_the_same_seed_is_the_same_room(seed: int) -> None:
    assert sample_scene(seed) == sample_scene(seed)


@settings(max_examples=25, deadline=None)
@given(seeds, st.sampled_from(list(KINDS)), st.sampled_from(["", *COLOURS]))
def test_a_target_is_surely_there_and_an_absent_one_surely_not(seed: int, kind: str, colour: str) -> None:
    first = sample_scene(seed, target=(kind, colour)).objects[0]
    assert first.kind == kind and colour in ("", first.colour)
    for o in sample_scene(seed, absent=(kind, colour)).objects:
        assert o.kind != kind or (colour and o.colour != colour)


@settings(max_examples=25, deadline=None)
@given(seeds)
def test_everything_stands_in_the_room_and_nothing_in_something_else(seed: int) -> None:
    scene = sample_scene(seed)
    assert 3 <= scene.width_m <= 8 and 3 <= scene.depth_m <= 8
    circles = [(o.x_m, o.y_m, o.radius_m) for o in (*scene.objects, *scene.clutter)]
    circles.append((*scene.start[:2], DEFAULT_BASE.radius_m))
    for i, (x, y, r) in enumerate(circles):
        assert abs(x) + r < scene.width_m / 2 and abs(y) + r < scene.depth_m / 2
        for other_x, other_y, other_r in circles[:i]:
            assert math.hypot(x - other_x, y - other_y) > r + other_r


@pytest.mark.parametrize("kind", list(KINDS))
def test_every_kind_in_every_colour_compiles(kind: str) -> None:
    for i, colour in enumerate(COLOURS):
        scene = sample_scene(i, target=(kind, colour))
        model = mujoco.MjModel.from_xml_string(scene_mjcf(scene))
        assert model.body("object_0").id > 0 and model.ngeom > len(scene.objects)
