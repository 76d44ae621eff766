"""Starts before the wrong thing, and drives that end there: the data shows the way from it to the target."""

import math
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from edge.interfaces import Inference, PolicyStatus
from edge.perception.geometry import Pose
from edge.records import ActionChunk, Goal, Observation
from sim.driving.expert import Expert
from sim.lockstep import play
from sim.render import CameraSpec
from sim.targets import make_scene, matching
from sim.world import World, heading_error_rad, surface_distance_m
from training.demonstrations.decoys import GAP_M, decoy_scene
from training.demonstrations.demonstrator import Demonstrator, Pushes

CAMERA: Any = SimpleNamespace(
    spec=CameraSpec(rate_hz=10.0), image=lambda data, x_m, y_m, yaw_rad: np.zeros((8, 8, 3), np.uint8)
)


@pytest.mark.parametrize("seed", range(6))
def test_a_decoy_stands_before_the_base_with_room_around_it_and_is_not_the_target(seed: int) -> None:
    world = World(make_scene(seed, "red cup"), seed)
    scene = decoy_scene(world.scene, Expert(world, CAMERA.spec.mount), "red cup", np.random.default_rng(seed))
    assert scene is not None and scene.objects == world.scene.objects
    pose, wanted = Pose(*scene.start), matching(scene, "red cup")
    ahead = [
        o for o in scene.objects
        if GAP_M[0] < surface_distance_m(pose, o) < GAP_M[1] and heading_error_rad(pose, o) < math.radians(45)
    ]  # fmt: skip
    assert [o for o in ahead if o not in wanted]
    moved = World(scene, seed)
    moved.step()
    assert moved.bumps == 0


def test_a_room_with_nothing_else_in_it_has_no_decoy() -> None:
    scene = make_scene(0, "cup")
    alone = replace(scene, objects=scene.objects[:1])
    world = World(alone, 0)
    expert = Expert(world, CAMERA.spec.mount)
    assert decoy_scene(alone, expert, alone.objects[0].kind, np.random.default_rng(0)) is None


class ClaimsAtOnce:
    """A policy that has always arrived already."""

    status = PolicyStatus("arrived", True)

    def reset(self, goal: Goal) -> None: ...

    def infer(self, observation: Observation) -> Inference:
        return Inference(observation.frame, "", 1.0, {})

    def act(self, observation: Observation, inference: Inference | None) -> ActionChunk | None:
        return None


def test_after_a_false_claim_the_expert_drives_on_to_the_target() -> None:
    world = World(make_scene(5000, "cup"), 5000)
    expert = Expert(world, CAMERA.spec.mount)
    pushes = Pushes(0.0, np.random.default_rng(0))
    demonstrator = Demonstrator(expert, world, pushes, 8, ClaimsAtOnce())
    episode = play(world, CAMERA, demonstrator, Goal("find_object", "cup"), 0.0)
    recording = demonstrator.recording("find the cup")
    assert episode.success and expert.status.state == "arrived"
    assert recording is not None and recording.actions[0].any(), "the claim's own frame shows the way on"
