"""Whole episodes with a perfect eye in place of the model: what is left is policy, guard and base."""

import math
from collections.abc import Callable

import mujoco
import numpy as np
import pytest

from edge.interfaces import Inference
from edge.model.boxes import BoxReader
from edge.perception.floor_scan import MAX_RANGE_M, Scan
from edge.perception.geometry import View, wrap
from edge.policies.answer_age import WAY_PER_ANSWER_M
from edge.policies.seeker import Seeker
from edge.records import ActionChunk, Goal, Image, Observation
from sim.bases import parse_base
from sim.lockstep import EpisodeResult, play
from sim.render import CameraSpec, Renderer
from sim.targets import make_scene, matching
from sim.world import World

LATENCY_S = 0.06


class PerfectEye:
    """Answers from the truth, as PaliGemma would write it; sees nothing that is only a few pixels large."""

    def __init__(self, world: World, renderer: Renderer) -> None:
        self.world, self.renderer = world, renderer

    def ask(self, observation: Observation) -> Inference:
        wanted = matching(self.world.scene, observation.goal.target)
        seen = [
            v
            for v in self.world.truth(self.renderer)
            if self.world.scene.objects[v.index] in wanted
            and (v.box.x1 - v.box.x0) * 192 > 5
            and v.whole > 0.3
        ]
        if not seen:
            return Inference(observation.frame, "none", 0.99, {})
        box = min(seen, key=lambda v: v.distance_m).box
        bins = (min(1023, round(v * 1023)) for v in (box.y0, box.x0, box.y1, box.x1))
        text = "".join(f"<loc{b:04d}>" for b in bins) + " " + observation.goal.target
        return Inference(observation.frame, text, 0.95, {})

    def floor(self, image: Image, view: View) -> Scan:
        """Ranges by casting rays just above the floor."""
        spec, pose = self.renderer.spec, self.world.pose
        eye = (
            pose.x_m + spec.forward_m * math.cos(pose.yaw_rad),
            pose.y_m + spec.forward_m * math.sin(pose.yaw_rad),
            0.04,
        )
        hit, groups = np.zeros(1, np.int32), np.array([1, 1, 1, 0, 0, 0], np.uint8)
        points: list[tuple[float, float]] = []
        for u in (np.arange(48) + 0.5) / 48:
            angle = math.atan2((0.5 - u) * 2 * view.tan_u, math.cos(spec.pitch_rad))
            ray = np.array([math.cos(pose.yaw_rad + angle), math.sin(pose.yaw_rad + angle), 0.0])
            free = mujoco.mj_ray(self.world.model, self.world.data, np.array(eye), ray, groups, 1, -1, hit)
            free = min(max(0.42, free), MAX_RANGE_M)
            points.append((spec.forward_m + free * math.cos(angle), free * math.sin(angle)))
        p = np.array(points)
        ranges = np.hypot(p[:, 0], p[:, 1])
        return Scan(p, ranges < MAX_RANGE_M, np.arctan2(p[:, 1], p[:, 0]), ranges, np.full(48, 0.42))


@pytest.fixture(scope="module")
def renderer() -> Renderer:
    return Renderer(CameraSpec())


class UnsureEye(PerfectEye):
    """Half sure of what it sees; with `one_side`, of what it sees from the direction that it saw it first."""

    def __init__(self, world: World, renderer: Renderer, one_side: bool) -> None:
        super().__init__(world, renderer)
        self.one_side = one_side
        self.first_rad: float | None = None
        self.sides_rad: list[float] = []  # from where it was seen, relative to the first

    def ask(self, observation: Observation) -> Inference:
        said = super().ask(observation)
        if said.text == "none":
            return said
        (target,) = matching(self.world.scene, observation.goal.target)
        pose = self.world.pose
        from_rad = math.atan2(pose.y_m - target.y_m, pose.x_m - target.x_m)
        self.first_rad = from_rad if self.first_rad is None else self.first_rad
        self.sides_rad.append(abs(wrap(from_rad - self.first_rad)))
        if self.one_side and self.sides_rad[-1] > math.radians(35):
            return Inference(observation.frame, "none", 0.99, {})
        return Inference(observation.frame, said.text, 0.8, {})


class Watched(Seeker):
    """Knows how far the base really drove since the newest frame that was answered about."""

    def __init__(self, eye: PerfectEye, floor: bool) -> None:
        mount = eye.renderer.spec.mount
        super().__init__(eye.ask, BoxReader("paligemma"), mount, eye.world.base, eye.floor if floor else None)
        self.world = eye.world
        self.ways_m: dict[int, float] = {}  # by Frame.seq
        self.answered = 0
        self.blind_m = 0.0

    def act(self, observation: Observation, inference: Inference | None) -> ActionChunk | None:
        self.ways_m[observation.frame.seq] = self.world.path_m
        if inference is not None:
            self.answered = inference.frame.seq
        self.blind_m = max(self.blind_m, self.world.path_m - self.ways_m[self.answered])
        return super().act(observation, inference)


def episode(
    renderer: Renderer, seed: int, target: str, absent: bool = False, max_s: float = 60.0,
    make_eye: Callable[[World, Renderer], PerfectEye] = PerfectEye,
) -> EpisodeResult:  # fmt: skip
    scene = make_scene(seed, target, absent)
    world = World(scene, seed)
    renderer.load(world.model, scene)
    eye = make_eye(world, renderer)
    seeker = Seeker(eye.ask, BoxReader("paligemma"), renderer.spec.mount, world.base, eye.floor)
    return play(world, renderer, seeker, Goal("find_object", target), LATENCY_S, max_s)


@pytest.mark.parametrize(
    ("seed", "target"),
    [
        (1000, "cup"),
        pytest.param(1004, "chair", marks=pytest.mark.slow),
        pytest.param(1001, "bottle", marks=pytest.mark.slow),
        pytest.param(1005, "book", marks=pytest.mark.slow),
    ],
)
def test_it_finds_what_it_can_see(renderer: Renderer, seed: int, target: str) -> None:
    e = episode(renderer, seed, target)
    assert e.claimed and e.success and e.bumps == 0


@pytest.mark.parametrize(
    ("latency_s", "floor"),
    [(1.0, True)] + [pytest.param(*each, marks=pytest.mark.slow) for each in ((0.6, True), (1.0, False))],
)
def test_a_slow_model_is_waited_for(renderer: Renderer, latency_s: float, floor: bool) -> None:
    """A model of 1 to 2 Hz: it arrives, bumps into nothing, and drives little on an old answer."""
    scene = make_scene(1000, "cup")
    world = World(scene, 1000)
    renderer.load(world.model, scene)
    seeker = Watched(PerfectEye(world, renderer), floor)
    e = play(world, renderer, seeker, Goal("find_object", "cup"), latency_s)
    assert e.success and e.bumps == 0
    assert 0.1 < seeker.blind_m < WAY_PER_ANSWER_M + 0.05


def test_a_slower_base_that_can_not_go_sideways_finds_it_too(renderer: Renderer) -> None:
    scene = make_scene(1001, "bottle")
    world = World(scene, 1001, parse_base("drive=differential&speed_m_s=0.25"))
    renderer.load(world.model, scene)
    eye = PerfectEye(world, renderer)
    seeker = Seeker(eye.ask, BoxReader("paligemma"), renderer.spec.mount, world.base, eye.floor)
    e = play(world, renderer, seeker, Goal("find_object", "bottle"), LATENCY_S)
    assert e.success and e.bumps == 0


@pytest.mark.parametrize(
    "query",
    [
        pytest.param("fixed_speed_m_s=0.2&fixed_turn_rad_s=0.8", marks=pytest.mark.slow),
        "fixed_speed_m_s=0.3&fixed_turn_rad_s=0.9&turns_while_driving=false",
        "dead_band_m_s=0.12&dead_band_rad_s=0.4",
        pytest.param("min_speed_m_s=0.15&min_turn_rad_s=0.4", marks=pytest.mark.slow),
    ],
)
def test_a_base_that_can_not_go_slowly_finds_it_too(renderer: Renderer, query: str) -> None:
    """Field case 30."""
    scene = make_scene(1001, "bottle")
    world = World(scene, 1001, parse_base(query))
    renderer.load(world.model, scene)
    eye = PerfectEye(world, renderer)
    seeker = Seeker(eye.ask, BoxReader("paligemma"), renderer.spec.mount, world.base, eye.floor)
    e = play(world, renderer, seeker, Goal("find_object", "bottle"), LATENCY_S)
    assert e.success and e.bumps == 0


def test_it_never_claims_what_is_not_there_and_looks_all_round(renderer: Renderer) -> None:
    e = episode(renderer, 1002, "cup", absent=True, max_s=15.0)
    assert not e.claimed and e.turned_rad > 2 * math.pi


def test_what_looks_like_it_from_one_side_only_is_not_believed(renderer: Renderer) -> None:
    eyes: list[UnsureEye] = []

    def make_eye(world: World, renderer: Renderer) -> UnsureEye:
        eyes.append(UnsureEye(world, renderer, one_side=True))
        return eyes[-1]

    e = episode(renderer, 1, "red cup", max_s=30.0, make_eye=make_eye)
    assert not e.claimed and max(eyes[0].sides_rad) > math.radians(35)


@pytest.mark.slow
def test_what_is_half_sure_is_believed_after_a_look_from_another_side(renderer: Renderer) -> None:
    eyes: list[UnsureEye] = []

    def make_eye(world: World, renderer: Renderer) -> UnsureEye:
        eyes.append(UnsureEye(world, renderer, one_side=False))
        return eyes[-1]

    e = episode(renderer, 1, "red cup", make_eye=make_eye)
    assert e.success and e.bumps == 0 and max(eyes[0].sides_rad) > math.radians(35)


def test_an_episode_repeats_exactly(renderer: Renderer) -> None:
    assert episode(renderer, 1000, "cup") == episode(renderer, 1000, "cup")
