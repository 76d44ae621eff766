"""What goes with models: a bundle by name, pictures to calibrate with, rooms for the gate of an export."""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np

from edge.bundle.bundle import load_bundle
from edge.model.grounding import GroundingModel
from edge.records import Image

from .camera import drawing


def bundle() -> Path:
    """Return the folder of a bundle, which `vla-edge export` wrote."""
    return Path(__file__).parent / "bundle"


def pictures(seed: int) -> Iterator[tuple[Image, tuple[str, ...]]]:
    """Yield images, uint8 (height, width, 3) RGB, without end, each with the names of what is in sight."""
    rng = np.random.default_rng(seed)
    while True:
        width, height, number = (int(each) for each in rng.integers(64, 320, 3))
        yield drawing(width, height, number)[:, :, ::-1], ()


def reached(
    folders: Sequence[Path], episodes: int, seed: int, on_episode: Callable[[int], None]
) -> list[list[bool]]:
    """Return for each bundle whether it reached its goal in the rooms seed, seed + 1, ...

    In a room on paper there is nothing: the goal is reached if the model claims nothing.
    """
    done = 0
    found: list[list[bool]] = []
    for folder in folders:
        rooms: list[bool] = []
        with GroundingModel(load_bundle(folder, allow_unproved=True)) as model:
            for room in range(seed, seed + episodes):
                answer = model.ground(drawing(320, 240, room)[:, :, ::-1], "detect red cup", "red cup")
                rooms.append("<loc" not in answer.text)
                done += 1
                on_episode(done)
        found.append(rooms)
    return found
