"""The pictures that a measured drive sees: rooms with the target in view, so that no answer is short."""

import numpy as np
from numpy.typing import NDArray

from benchmarks.detection import picture, questions
from benchmarks.drives.blocks import TARGET
from edge.records import Image
from sim.render import CameraSpec, Renderer

PICTURES = 8
VARIANTS = 4  # each picture comes in other noise: a sensor never gives one picture twice
NOISE = 4  # grey levels


def target_images(renderer: Renderer) -> list[Image]:
    """Return images of fresh rooms that show the target."""
    found: list[Image] = []
    seed = 0
    while len(found) < PICTURES:
        image, rows = picture(seed, renderer)
        possible = questions(rows, np.random.default_rng(seed))
        if any(q.words.split()[-1] == TARGET and q.box is not None for q in possible):
            found.append(image)
        seed += 1
    return found


def noisy_pictures() -> NDArray[np.uint8]:
    """Return all pictures in all variants, (PICTURES, VARIANTS, H, W, 3)."""
    renderer = Renderer(CameraSpec())
    images = np.stack(target_images(renderer)).astype(np.int16)
    renderer.close()
    rng = np.random.default_rng(1)
    noise = rng.integers(-NOISE, NOISE + 1, (PICTURES, VARIANTS, *images.shape[1:]), np.int16)
    return np.clip(images[:, None] + noise, 0, 255).astype(np.uint8)
