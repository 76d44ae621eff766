"""Demonstrations in simulated rooms, recorded as a LeRobotDataset.

A scripted expert drives, or with `--dagger` a bundle's policy does; then the expert labels every frame with
what it would have done (DAgger, Ross et al. 2011). The recorded action is always the expert's. With `--noise`
the base is pushed off the expert's way now and then, so that the data shows how to come back; with `--decoys`
it starts in front of something else now and then, so that the data shows what is not an arrival.

Ctrl-C ends after the current episode and keeps the complete ones; a second one keeps nothing.
"""

import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from edge.bundle.bundle import load_bundle
from edge.commands.output import ProgressLine
from edge.errors import UsageError
from edge.goals.goals import parse_goal
from edge.goals.vocabulary import check_target
from edge.policies.open import make_policy
from edge.records import BASE_ACTION
from sim.driving.expert import Expert
from sim.lockstep import play
from sim.objects import COLOURS, KINDS
from sim.render import CameraSpec, Renderer
from sim.targets import make_scene
from sim.workers import worker_pool
from sim.world import World
from training.datasets.lerobot_writer import LeRobotWriter, Recording
from training.demonstrations.decoys import decoy_scene
from training.demonstrations.demonstrator import CAMERA, STATE_NAMES, Demonstrator, Pushes

ROBOT = "vla-edge-sim"
SEED_BASE = 20_000_000  # evaluation uses small seeds, so no room is shared
DAGGER_LATENCY_S = 0.05  # latency of the policy that drives
TRIES = 3  # rooms tried for each episode before it is given up


@dataclass(frozen=True, slots=True)
class CollectSettings:
    """Settings that all episodes share."""

    target: str | None  # None: a random one in each room
    rate_hz: int
    height: int  # height of the images, pixels
    noise: float
    decoys: float  # share of episodes that start in front of something else, [0, 1]
    dagger: str | None  # a bundle's name or folder
    max_s: float


class Player:
    """Plays episodes one after the other; each process has one player."""

    def __init__(self, job: CollectSettings) -> None:
        self._job = job
        self._renderer = Renderer(CameraSpec(rate_hz=float(job.rate_hz)))
        self._bundle = load_bundle(job.dagger) if job.dagger else None

    def play(self, seed: int) -> Recording | None:
        """Play one episode; None: there is nothing to learn from, as the expert failed or found no way."""
        job, mount = self._job, self._renderer.spec.mount
        rng = np.random.default_rng((seed, 5))
        target = job.target or _any_target(rng)
        goal = parse_goal("find_object", target)
        world = World(make_scene(seed, target), seed)
        expert = Expert(world, mount)
        wants_decoy = job.decoys > 0 and rng.uniform() < job.decoys
        if wants_decoy and (scene := decoy_scene(world.scene, expert, target, rng)):
            world = World(scene, seed)
            expert = Expert(world, mount)
        self._renderer.load(world.model, world.scene)
        pushes = Pushes(job.noise, rng)
        if self._bundle is None:
            d = Demonstrator(expert, world, pushes, job.height, None)
            good = play(world, self._renderer, d, goal, 0.0, job.max_s)
            whole = good.success and good.bumps == 0
        else:
            with make_policy(self._bundle, check_target(self._bundle, goal), mount, world.base) as driver:
                d = Demonstrator(expert, world, pushes, job.height, driver)
                play(world, self._renderer, d, goal, DAGGER_LATENCY_S, job.max_s)
            whole = expert.status.state != "stuck"
        return d.recording(task_of(target)) if whole else None


def task_of(target: str) -> str:
    """Word the instruction that an episode is recorded with."""
    return f"find the {target}"


def collect(job: CollectSettings, episodes: int, seed: int, out: Path, jobs: int) -> dict[str, Any]:
    """Write `episodes` episodes, from the rooms of seed, seed + 1, ..., without those that failed.

    Returns the figures that `--json` prints. Raises UsageError if `out` is taken or too many episodes fail,
    EdgeError if the disk is full; then nothing is left behind.
    """
    size = job.height, round(job.height * CameraSpec().width / CameraSpec().height)
    with (
        LeRobotWriter(out, ROBOT, job.rate_hz, {CAMERA: size}, STATE_NAMES, BASE_ACTION.names) as writer,
        _ctrl_c() as interrupted,
        ProgressLine() as progress,
    ):
        seeds: list[int] = []
        tried = 0
        progress.show("episodes", 0, episodes)
        with _players(job, min(jobs, episodes)) as play_all:
            while writer.episodes < episodes and not interrupted:
                if tried >= TRIES * episodes:
                    raise UsageError(
                        f"{writer.episodes} of {tried} episodes were good, {episodes} are wanted",
                        "use less --noise, more --max-seconds or another --target",
                    )
                # Each round tries as many rooms as episodes are still missing.
                batch = range(seed + tried, seed + tried + episodes - writer.episodes)
                for number, recording in zip(batch, play_all(SEED_BASE + s for s in batch), strict=True):
                    tried += 1
                    if recording is not None:
                        writer.add(recording)
                        seeds.append(number)
                    shown = f"{writer.frames} frames, {tried} rooms tried"
                    progress.show("episodes", writer.episodes, episodes, shown)
                    if interrupted:
                        break
        figures = {"episodes": writer.episodes, "frames": writer.frames, "left_out": tried - writer.episodes}
        about = {
            "noise": job.noise,
            "decoys": job.decoys,
            "dagger": job.dagger,
            "target": job.target,
            "rate_hz": job.rate_hz,
        }
        if writer.episodes:
            writer.finish(figures | about | {"seeds": seeds})
    return figures | about | {"out": str(out) if seeds else None, "interrupted": bool(interrupted)}


_player: Player | None = None


def _start(job: CollectSettings) -> None:
    global _player
    _player = Player(job)


def _play(seed: int) -> Recording | None:
    assert _player is not None
    return _player.play(seed)


@contextmanager
def _players(job: CollectSettings, jobs: int) -> Iterator[Any]:
    """Start the players; gives a function from seeds to their recordings, in order."""
    if jobs == 1:
        player = Player(job)
        yield lambda seeds: map(player.play, seeds)
        return
    with worker_pool(jobs, _start, (job,)) as pool:
        yield lambda seeds: pool.imap(_play, seeds)


@contextmanager
def _ctrl_c() -> Iterator[list[bool]]:
    """Catch Ctrl-C: the first one fills the list, the second one is a KeyboardInterrupt."""
    interrupted: list[bool] = []

    def handle(number: int, frame: object) -> None:
        if interrupted:
            raise KeyboardInterrupt
        interrupted.append(True)
        print("\nending after this episode; Ctrl-C again keeps nothing", file=sys.stderr, flush=True)

    before = signal.signal(signal.SIGINT, handle)
    try:
        yield interrupted
    finally:
        signal.signal(signal.SIGINT, before)


def _any_target(rng: np.random.Generator) -> str:
    """Draw a kind, half the time with a colour."""
    kind, colour = list(KINDS)[int(rng.integers(len(KINDS)))], list(COLOURS)[int(rng.integers(len(COLOURS)))]
    return f"{colour} {kind}" if rng.uniform() < 0.5 else kind
