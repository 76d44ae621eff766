"""Pictures of random rooms as the robot's camera delivers them, for `vla-edge calibrate activations`."""

from collections.abc import Iterator

import numpy as np

from edge.records import Image
from sim.dataset import COLOUR_NAMES, KIND_NAMES, label, view
from sim.render import CameraSpec, Renderer, degrade
from sim.scene import sample_scene
from sim.world import World

SEED_BASE = 60_000_000  # rooms that training, episodes and `vla-edge bench` never see
VIEWS = 4  # images of each room


def pictures(seed: int) -> Iterator[tuple[Image, tuple[str, ...]]]:
    """Yield images (H, W, 3) without end, each with the names (`red cup`) of the things well in sight.

    Raises HardwareMissing if nothing renders.
    """
    renderer = Renderer(CameraSpec())
    try:
        room = SEED_BASE + seed * 100_000
        while True:
            scene = sample_scene(room)
            world = World(scene)
            renderer.load(world.model, scene)
            rng = np.random.default_rng((room, 3))
            for _ in range(VIEWS):
                pose = view(scene, rng)
                image = degrade(renderer.image(world.data, *pose), rng)
                rows = label(scene, renderer.truth(world.data, *pose))
                clear = rows[rows[:, 7] == 1]
                yield image, tuple(f"{COLOUR_NAMES[int(r[1])]} {KIND_NAMES[int(r[0])]}" for r in clear)
            room += 1
    finally:
        renderer.close()
