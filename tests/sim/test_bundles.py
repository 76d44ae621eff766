"""The bundles that ship: each drives to what it is asked for, along the way that users take."""

import pytest

from edge.bundle.bundle import load_bundle
from edge.goals.goals import parse_goal
from edge.goals.vocabulary import check_target
from edge.policies.open import make_policy
from sim.lockstep import play
from sim.render import CameraSpec, Renderer
from sim.targets import make_scene
from sim.world import World


@pytest.mark.parametrize(
    "name",  # what token does in a room, test_plausibility.py shows quickly, too
    ["default-int8", "head", *(pytest.param(name, marks=pytest.mark.slow) for name in ("default", "token"))],
)
def test_a_shipped_bundle_drives_to_its_target(name: str) -> None:
    bundle, seed = load_bundle(name), 5002
    goal = check_target(bundle, parse_goal("find_object", "box"))
    scene = make_scene(seed, goal.target)
    world, renderer = World(scene, seed), Renderer(CameraSpec())
    renderer.load(world.model, scene)
    latency_s = 0.1 if name == "token" else 0.02  # it computes for longest
    with make_policy(bundle, goal, renderer.spec.mount, world.base) as policy:
        episode = play(world, renderer, policy, goal, latency_s, max_s=20.0)
    renderer.close()
    assert episode.success and episode.bumps == 0
