"""What policies tell the base about the same pictures, in turns: the first command, and what it took."""

import itertools
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from benchmarks.detection import picture
from benchmarks.peers.verdict import ratio, spread
from calibration.sample_set import Question, Sample
from edge.base_spec import DEFAULT_BASE
from edge.bundle.bundle import Bundle
from edge.goals.prompts import goal_prompt
from edge.goals.vocabulary import check_target
from edge.policies.open import make_policy
from edge.records import Frame, Goal, Image, Observation
from sim.dataset import KIND_NAMES
from sim.lockstep import UNJUDGED, seen_mount
from sim.render import CameraSpec, Renderer

SEED = 800_000  # rooms that no other figure uses
LOOKS = 3  # at the same picture, one every 0.1 s: a policy that seeks believes no single answer
LOOK_NS = 100_000_000
DRIVES_M_S, TURNS_RAD_S = 0.02, 0.1  # less of it is neither a drive nor a turn


@dataclass
class BundleTurns:
    """What one bundle's policy did."""

    commands: list[tuple[float, float]] = field(default_factory=list[tuple[float, float]])  # m/s, rad/s
    ms: list[float] = field(default_factory=list[float])  # each answer, by the clock
    cpu_ms: list[float] = field(default_factory=list[float])  # and of the thread's own time


def pictures_of(count: int) -> list[tuple[str, Image]]:
    """Return targets with an image of a fresh room, which shows it if it shows any; every fourth need not."""
    renderer = Renderer(CameraSpec())
    found: list[tuple[str, Image]] = []
    for i in range(count):
        image, rows = picture(SEED + i, renderer)
        kinds = [int(row[0]) for row in rows if row[0] >= 0]
        kind = kinds[i % len(kinds)] if kinds and i % 4 else i % len(KIND_NAMES)
        found.append((KIND_NAMES[kind], image))
    renderer.close()
    return found


def decide_in_turns(
    bundles: Mapping[str, Bundle], pictures: Sequence[tuple[str, Image]], on_picture: Callable[[int], None]
) -> dict[str, BundleTurns]:
    """Show all policies the same pictures, another one first each time."""
    found = {name: BundleTurns() for name in bundles}
    done = itertools.count(1)
    # A policy is made for its goal, so the pictures of one target come together.
    for target in dict.fromkeys(target for target, _ in pictures):
        images = [image for other, image in pictures if other == target]
        with ExitStack() as stack:
            looks: dict[str, Callable[[Image], Iterator[None]]] = {}
            for name, bundle in bundles.items():
                goal = check_target(bundle, Goal("find_object", target))
                mount = seen_mount(CameraSpec(), UNJUDGED)
                policy = stack.enter_context(make_policy(bundle, goal, mount, DEFAULT_BASE))
                looks[name] = _looker(policy, goal, found[name])
            for number, image in enumerate(images):
                names = list(bundles)
                first = number % len(names)
                under_way = [looks[name](image) for name in (*names[first:], *names[:first])]
                for _ in zip(*under_way, strict=True):  # a look of each in turn
                    pass
                on_picture(next(done))
    return found


def _looker(policy: Any, goal: Goal, turns: BundleTurns) -> Callable[[Image], Iterator[None]]:
    def look(image: Image) -> Iterator[None]:
        policy.reset(goal)
        command = (0.0, 0.0)
        for number in range(LOOKS):
            observation = Observation({"front": Frame(image, (number + 1) * LOOK_NS, number, "front")}, goal)
            begin_s, begin_cpu_s = time.perf_counter(), time.thread_time()
            inference = policy.infer(observation)
            turns.cpu_ms.append((time.thread_time() - begin_cpu_s) * 1e3)
            turns.ms.append((time.perf_counter() - begin_s) * 1e3)
            chunk = policy.act(observation, inference)
            if chunk is not None:
                command = (float(chunk.values[0, 0]), float(chunk.values[0, -1]))
            yield
        turns.commands.append(command)

    return look


def told(commands: Sequence[tuple[float, float]]) -> list[tuple[bool, int]]:
    """Return what each command decides: whether to drive, and -1 to turn right, 1 left, 0 neither."""
    return [
        (linear > DRIVES_M_S, int(np.sign(turn)) if abs(turn) > TURNS_RAD_S else 0)
        for linear, turn in commands
    ]


def decision_figures(turns: BundleTurns, reference: BundleTurns) -> dict[str, Any]:
    """Return how the decisions of a policy differ from those of the reference, and its latency."""
    differ = [a != b for a, b in zip(told(turns.commands), told(reference.commands), strict=True)]
    errors = np.abs(np.array(turns.commands) - np.array(reference.commands))
    mean, p90 = errors.mean(0), np.quantile(errors, 0.9, axis=0)
    cpu_ms = np.array(turns.cpu_ms)
    return {
        "differ": round(float(np.mean(differ)), 4),
        "pictures": len(differ),
        "error_m_s": {"mean": round(float(mean[0]), 4), "p90": round(float(p90[0]), 4)},
        "error_rad_s": {"mean": round(float(mean[1]), 4), "p90": round(float(p90[1]), 4)},
        "ms": spread(np.array(turns.ms)),
        "cpu_ms": spread(cpu_ms),
        "cpu_times_reference": ratio(cpu_ms / np.array(reference.cpu_ms)),
    }


def answer_figures(
    bundle: Bundle, reference: Bundle, pictures: Sequence[tuple[str, Image]]
) -> dict[str, Any] | None:
    """Return how a bundle's own answers differ from those of its fp32 one, as the gate of an export says.

    None for a bundle of another kind: its answers are others.
    """
    one, other = bundle.manifest, reference.manifest
    if (one.policy, one.family, one.image) != (other.policy, other.family, other.image):
        return None
    samples: list[Sample] = []
    for target, image in pictures:
        goal = Goal("find_object", target)
        question = Question(goal=goal.kind, target=target, prompt=goal_prompt(other, goal))
        samples.append(Sample(image, question))
    if other.policy == "grounding":
        from export.gate.answers import compare_boxes

        boxes = compare_boxes(reference, bundle, samples, lambda done: None)
        return {
            "texts_differ": round(1 - boxes.equal, 4),
            "boxes_lost": round(boxes.lost, 4),
            "boxes_gained": round(boxes.gained, 4),
            "iou_p5": round(boxes.iou_p5, 4),
        }
    from export.gate.answers import compare_actions

    actions = compare_actions(reference, bundle, samples, lambda done: None)
    return {"p99_error": actions.p99_error, "p99_share_of_span": round(actions.p99_share, 5)}
