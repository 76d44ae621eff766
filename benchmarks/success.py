"""How often a policy reaches its goal in simulated rooms, judged by the truth."""

import math
import time
from collections import defaultdict
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from statistics import median
from typing import Any

import numpy as np

from edge.base_spec import DEFAULT_BASE, BaseSpec
from edge.bundle.bundle import Bundle, load_bundle
from edge.field.proportions import wilson95
from edge.perception.geometry import Pose
from edge.policies.open import make_policy
from edge.records import ZERO, Goal, Odometry
from sim.bases import WheelResponse
from sim.lockstep import JUDGED, CameraSettings, EpisodeResult, play, seen_mount
from sim.objects import COLOURS, KINDS
from sim.render import CameraSpec, Renderer
from sim.targets import make_scene, matching
from sim.workers import worker_pool
from sim.world import AS_STATED, WHEELS, World, surface_distance_m

ARRIVAL_M = 0.7
ALL_ROUND_RAD = 2 * math.pi
AT_ORIGIN = Odometry(0, 0.0, 0.0, 0.0, ZERO)


@dataclass(frozen=True, slots=True)
class Trial:
    """One episode, and what it is judged against."""

    seed: int
    target: str
    episode: EpisodeResult
    shortest_m: float  # straight line from the start to within ARRIVAL_M of the target; no path is shorter


@dataclass(frozen=True, slots=True)
class EpisodeSettings:
    """What all episodes of an evaluation have in common."""

    bundle: str  # a name or a folder
    latency_s: float  # time from a frame to the model's answer about it
    max_s: float  # simulated time of an episode
    absent: bool = False  # the target is not in the room
    allow_unproved: bool = False  # take a bundle that failed the gate of its export
    base: BaseSpec = DEFAULT_BASE
    camera: CameraSettings = JUDGED
    floor: bool = True  # False: the policy does not see where the floor ends
    wheels: str = WHEELS[0]
    bumper: bool = True
    signs: bool = False  # words on the walls, see sim.signs
    engine: str = ""  # what computes the bundle's ONNX graphs, if not what it is for
    response: WheelResponse = AS_STATED  # what the wheels make of setpoints
    measured: Mapping[str, float] = field(default_factory=dict[str, float])  # fields of the base, of a file


def targets(count: int, seed: int, target: str | None) -> list[str]:
    """Return each episode's target: the given one, or every kind in turn, half of them with a colour."""
    if target is not None:
        return [target] * count
    rng = np.random.default_rng((seed, 77))
    kinds, colours = list(KINDS), list(COLOURS)
    names: list[str] = []
    for i in range(count):
        colour = colours[int(rng.integers(len(colours)))]
        names.append(f"{colour} {kinds[i % len(kinds)]}" if rng.uniform() < 0.5 else kinds[i % len(kinds)])
    return names


def measured_latency_s(bundle: Bundle) -> float:
    """Measure the median time of an answer on this machine, rounded up to 5 ms so that runs repeat."""
    from edge.model.actions import ActionModel
    from edge.model.grounding import GroundingModel

    image = np.random.default_rng(0).integers(0, 255, (240, 320, 3), dtype=np.uint8)
    times: list[float] = []
    with (GroundingModel if bundle.manifest.head is None else ActionModel)(bundle) as model:
        model.warm_up()
        for _ in range(15):
            start = time.perf_counter()
            if isinstance(model, ActionModel):
                model.step(image, "none", AT_ORIGIN)
            else:
                generation = model.generation()
                generation.prefill(image, "none")
                for _ in range(3):
                    generation.decode(5)
            times.append(time.perf_counter() - start)
    return math.ceil(median(times) / 0.005) * 0.005


class _EpisodePlayer:
    """What a process keeps between episodes."""

    def __init__(self, settings: EpisodeSettings) -> None:
        self._settings = settings
        self._bundle = load_bundle(
            settings.bundle, allow_unproved=settings.allow_unproved, engine=settings.engine
        )
        self._renderer = Renderer(CameraSpec(distortion=settings.camera.distortion))

    def play(self, seed: int, goal: Goal) -> Trial:
        settings, base = self._settings, self._settings.base
        scene = make_scene(seed, goal.target, settings.absent, base.radius_m, settings.signs)
        world = World(scene, seed, base, settings.response)
        world.wheels, world.has_bumper = settings.wheels, settings.bumper
        self._renderer.load(world.model, scene)
        start = Pose(*scene.start)
        gaps = [surface_distance_m(start, o) - ARRIVAL_M for o in matching(scene, goal.target)]
        mount = seen_mount(self._renderer.spec, settings.camera)
        world.stated = stated = replace(base, **settings.measured)
        with make_policy(self._bundle, goal, mount, stated, floor=settings.floor) as policy:
            limits_s = (settings.latency_s, settings.max_s)
            episode = play(world, self._renderer, policy, goal, *limits_s, settings.camera)
        return Trial(seed, goal.target, episode, max(0.0, min(gaps, default=0.0)))


_player: _EpisodePlayer | None = None


def _start(settings: EpisodeSettings) -> None:
    global _player
    _player = _EpisodePlayer(settings)


def _play(job: tuple[int, Goal]) -> Trial:
    assert _player is not None
    return _player.play(*job)


def evaluate(
    settings: EpisodeSettings,
    goals: list[Goal],
    seed: int,
    jobs: int,
    on_progress: Callable[[list[Trial]], None] = lambda trials: None,
) -> list[Trial]:
    """Play one episode per goal, with the seeds seed, seed + 1, ..., in `jobs` processes.

    The trials come in the order of the goals. `on_progress` gets those that are over, after each.
    """
    numbered = [(seed + i, goal) for i, goal in enumerate(goals)]
    trials: list[Trial] = []
    with worker_pool(jobs, _start, (settings,)) as pool:
        for trial in pool.imap(_play, numbered):
            trials.append(trial)
            on_progress(trials)
    return trials


def summarize(trials: list[Trial], absent: bool) -> dict[str, Any]:
    """Return the figures of `vla-edge eval --json`. With `absent`, success is not to claim arrival."""
    n = len(trials)
    good = [not t.episode.claimed if absent else t.episode.success for t in trials]
    per_target: dict[str, list[bool]] = defaultdict(list)
    for t, g in zip(trials, good, strict=True):
        per_target[t.target.split()[-1]].append(g)
    reached = [t for t in trials if t.episode.success]
    spl = sum((t.shortest_m + 0.1) / (max(t.episode.path_m, t.shortest_m) + 0.1) for t in reached) / n
    return {
        "success": sum(good) / n,
        "wilson95": [round(v, 4) for v in wilson95(sum(good), n)],
        "contacts": {
            "noticed": sum(t.episode.contacts for t in trials),
            "most": max(t.episode.contacts for t in trials),
            "touched": sum(t.episode.bumps for t in trials),
            "most_touched": max(t.episode.bumps for t in trials),
        },
        "collisions": sum(t.episode.bumps > 0 for t in trials) / n,
        "median_seconds": round(median(t.episode.seconds for t in reached), 2) if reached else None,
        "spl": round(spl, 3),
        "false_arrivals": sum(t.episode.claimed and not t.episode.success for t in trials) / n,
        "searched_all_round": sum(t.episode.turned_rad >= ALL_ROUND_RAD for t in trials) / n,
        "per_target": {
            k: {"success": sum(v) / len(v), "episodes": len(v)} for k, v in sorted(per_target.items())
        },
        "failed_seeds": [t.seed for t, g in zip(trials, good, strict=True) if not g],
        "collided_seeds": [t.seed for t in trials if t.episode.bumps],
    }
