"""A base that drives against something: stop, back a little, on; by each sense. The third contact ends it."""

import dataclasses

import numpy as np
import pytest

from edge.interfaces import Inference, PolicyStatus
from edge.motor.way import BACK_M
from edge.records import ActionChunk, Goal, Observation, StopCause
from sim.lockstep import JUDGED, play
from sim.render import CameraSpec, Renderer
from sim.scene import Scene, SceneObject
from sim.targets import make_scene, matching
from sim.world import World


class Ahead:
    """Drives straight on, whatever it sees, and notes where the base was."""

    def __init__(self, world: World, speed_m_s: float) -> None:
        self.status = PolicyStatus("approach")
        self.ways_m: list[float] = []  # along the way ahead, at each frame
        self._world, self._start = world, world.pose
        self._speed_m_s = speed_m_s
        self._decision = 0

    def reset(self, goal: Goal) -> None:
        """Do nothing: it remembers nothing."""

    def infer(self, observation: Observation) -> Inference:
        return Inference(observation.frame, "", 1.0, {})

    def act(self, observation: Observation, inference: Inference | None) -> ActionChunk:
        start, pose, t0_ns = self._start, self._world.pose, observation.frame.stamp_ns
        x_m, y_m = pose.x_m - start.x_m, pose.y_m - start.y_m
        self.ways_m.append(x_m * np.cos(start.yaw_rad) + y_m * np.sin(start.yaw_rad))
        values = np.tile(np.array((self._speed_m_s, 0.0, 0.0), np.float32), (5, 1))
        self._decision += 1
        return ActionChunk(values, 0.1, t0_ns, t0_ns + 500_000_000, 1.0, self._decision)


def box_ahead() -> Scene:
    """Return a room with a box a metre ahead of the base, free till there, and forms to see beyond it."""
    room = make_scene(1001, "box")
    box = matching(room, "box")[0]

    def aside(each: SceneObject) -> bool:
        return abs(each.y_m) - each.radius_m > 0.35 or not -1.9 <= each.x_m <= 0.8

    others = (each for each in room.objects if each is not box and aside(each))
    placed = dataclasses.replace(box, x_m=0.0, y_m=0.0, yaw_rad=0.0)
    clutter = tuple(filter(aside, room.clutter))
    return dataclasses.replace(room, objects=(placed, *others), clutter=clutter, start=(-1.2, 0.0, 0.0))


@pytest.mark.parametrize(
    ("bumper", "wheels", "told_by"),
    [
        (True, "grip", "its bumper is pressed"),
        pytest.param(False, "weak", "it is held: its wheels go at", marks=pytest.mark.slow),
        pytest.param(False, "grip", "stays while its wheels turn", marks=pytest.mark.slow),
    ],
)
def test_it_stops_goes_back_a_little_and_on_and_the_third_contact_ends_it(
    bumper: bool, wheels: str, told_by: str
):
    scene = box_ahead()
    world, renderer = World(scene, 1000), Renderer(CameraSpec())
    world.has_bumper, world.wheels = bumper, wheels
    renderer.load(world.model, scene)
    ahead = Ahead(world, 0.5)
    episode = play(world, renderer, ahead, Goal("find_object", "cup"), 0.02, 30.0, JUDGED)
    assert (episode.cause, episode.contacts, episode.claimed) == (StopCause.CONTACT, 3, False)
    assert told_by in episode.stopped and episode.bumps >= 3
    ways_m = np.array(ahead.ways_m)
    backs_m = np.maximum.accumulate(ways_m) - ways_m
    assert 0.3 * BACK_M < backs_m.max() < BACK_M + 0.03, "it went back, and not far"
    turns = np.diff((backs_m > 0.3 * BACK_M).astype(int))
    assert (turns == 1).sum() == (turns == -1).sum() == 2, "twice back and on again"
