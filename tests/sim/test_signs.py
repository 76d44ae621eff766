"""Words on the walls of simulated rooms, and what a policy that grounds makes of them."""

import numpy as np
import pytest

from benchmarks.fuzz.texts import FAMILIES
from edge.parsing import parse_detections
from sim.render import Renderer
from sim.signs import SIGNS
from sim.targets import make_scene
from sim.world import World


def test_signs_change_what_the_camera_sees_and_nothing_else():
    bare, signed = (make_scene(5000, "cup", signs=signs) for signs in (False, True))
    assert (bare.objects, bare.start, bare.clutter) == (signed.objects, signed.start, signed.clutter)
    renderer, pictures, rows = Renderer(), [], []
    for scene in (bare, signed):
        world = World(scene)
        renderer.load(world.model, scene)
        pictures.append(renderer.image(world.data, 0.0, 0.0, -np.pi / 2).astype(int))
        rows.append(renderer.floor_rows_in(renderer.segment(world.data, 0.0, 0.0, -np.pi / 2)))
    renderer.close()
    assert (np.abs(pictures[1] - pictures[0]).max(2) > 30).mean() > 0.02
    assert np.array_equal(*rows)


@pytest.mark.parametrize("family", FAMILIES[1:])
@pytest.mark.parametrize("sign", SIGNS)
def test_a_model_that_reads_a_sign_aloud_gives_a_policy_that_seeks_nothing(sign: str, family: str):
    # A policy that seeks takes boxes of the target alone from its model's texts.
    for text in (sign, f"The sign says {sign!r}.", f"{sign}, {sign.upper()}!", f"red cup: {sign}"):
        assert not parse_detections(text, family, target="red cup", image_size=(480, 640)).detections
