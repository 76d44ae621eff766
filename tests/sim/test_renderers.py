"""Several renderers in one process."""

import contextlib
import gc

import numpy as np

from sim.render import CameraSpec, Renderer
from sim.targets import make_scene
from sim.world import World


def test_a_renderer_that_nobody_closed_leaves_the_others_their_pictures():
    scene = make_scene(1003, "cup")
    world = World(scene, 1)
    lost: list[object] = [Renderer(CameraSpec())]
    lost[0].load(world.model, scene)  # type: ignore[attr-defined]
    with contextlib.closing(Renderer(CameraSpec())) as renderer:
        renderer.load(world.model, scene)
        before = renderer.image(world.data, 0.0, 0.0, 0.0)
        assert not np.array_equal(before, renderer.image(world.data, 0.0, 0.0, 1.0))
        lost.clear()
        gc.collect()
        np.testing.assert_array_equal(renderer.image(world.data, 0.0, 0.0, 0.0), before)
