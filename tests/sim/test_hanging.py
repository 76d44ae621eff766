"""A camera that hangs upside down, with the option that puts its picture right."""

from collections.abc import Iterator

import numpy as np
import pytest

from edge.errors import UsageError
from edge.model.boxes import BoxReader
from edge.policies.seeker import Seeker
from edge.records import Goal, Image
from sim.bases import Hanging, hanging_of
from sim.lockstep import CameraSettings, EpisodeResult, parse_camera, play
from sim.render import CameraSpec, Renderer
from sim.targets import make_scene
from sim.world import World
from tests.sim.test_lockstep import LATENCY_S, PerfectEye


def test_settings_say_how_it_hangs():
    assert parse_camera("").hanging == Hanging() == hanging_of({"upside_down": "no"})
    assert parse_camera("upside_down=yes&flip=180").hanging == Hanging(True, "180")
    for query in ("upside_down=maybe", "flip=90", "hang=yes", "flip"):
        with pytest.raises(UsageError, match="camera") as caught:
            parse_camera(query)
        assert caught.value.hint


def test_a_flip_puts_right_what_hangs_upside_down():
    image = np.random.default_rng(0).integers(0, 255, (6, 8, 3), np.uint8)
    assert (Hanging(True, "180").seen(image) == image).all()
    assert (Hanging(True).seen(image) == image[::-1, ::-1]).all()
    assert (Hanging(True).turned(image) == Hanging(False, "180").seen(image)).all()


class Seeing(PerfectEye):
    """Keeps the first image that it was asked about."""

    first: Image | None = None

    def ask(self, observation):
        self.first = observation.frame.image if self.first is None else self.first
        return super().ask(observation)


@pytest.fixture
def renderer() -> Iterator[Renderer]:
    made = Renderer(CameraSpec())
    yield made
    made.close()


def episode(renderer: Renderer, hanging: Hanging, max_s: float = 30.0) -> tuple[EpisodeResult, Image | None]:
    scene = make_scene(1000, "cup")
    world = World(scene, 1000)
    renderer.load(world.model, scene)
    eye = Seeing(world, renderer)
    seeker = Seeker(eye.ask, BoxReader("paligemma"), renderer.spec.mount, world.base, eye.floor)
    settings = CameraSettings(hanging, judged=False)
    return play(world, renderer, seeker, Goal("find_object", "cup"), LATENCY_S, max_s, settings), eye.first


def test_it_drives_as_without_and_sees_the_world_on_its_head_where_nobody_flips(renderer: Renderer):
    """Row 5."""
    upright, seen = episode(renderer, Hanging())
    flipped, same = episode(renderer, Hanging(True, "180"))
    assert upright.success and flipped == upright and (seen == same).all()
    assert (episode(renderer, Hanging(True), max_s=0.2)[1] == seen[::-1, ::-1]).all()
