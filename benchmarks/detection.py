"""`vla-edge bench detection`: how well a bundle finds named objects, by the renderer's truth."""

import time
from collections import defaultdict
from collections.abc import Callable
from statistics import median
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge.board.steady import one_power_mode
from edge.bundle.bundle import load_bundle
from edge.bundle.choice import AUTO, AUTO_HELP
from edge.commands.arguments import ArgumentParser, non_negative_int, positive_int
from edge.commands.output import ProgressLine, figure, print_json, share
from edge.errors import UsageError
from edge.goals.prompts import goal_prompt
from edge.model.boxes import BoxReader
from edge.model.grounding import GroundingModel
from edge.policies.seeker_states import SeekerParams
from edge.records import Box, Goal, Image
from sim.dataset import KIND_NAMES, label, view
from sim.objects import COLOURS
from sim.render import CameraSpec, Renderer, degrade
from sim.scene import sample_scene
from sim.world import World
from training.recipes.questions import GroundingQuestion, find

SEED_BASE = 50_000_000  # rooms that neither training nor episodes use
LARGE_PX = 10.0  # short side of a large object in the model's input, pixels
GOOD_IOU = 0.5


def picture(seed: int, renderer: Renderer) -> tuple[Image, NDArray[np.float32]]:
    """Return a camera's image of a fresh room, and its labels (see `sim.dataset`)."""
    scene = sample_scene(SEED_BASE + seed)
    world = World(scene)
    renderer.load(world.model, scene)
    rng = np.random.default_rng((seed, 2))
    pose = view(scene, rng)
    image = degrade(renderer.image(world.data, *pose), rng)
    return image, label(scene, renderer.truth(world.data, *pose))


def questions(rows: NDArray[np.float32], rng: np.random.Generator) -> list[GroundingQuestion]:
    """Return a question for every object in clear sight, one for a wrong colour, one for an absent kind."""
    rows = rows[rows[:, 0] >= 0]
    present = [q for r in rows if (q := find(rows, int(r[0]), int(r[1]))) is not None and q.box is not None]
    pairs = [(k, c) for k in range(len(KIND_NAMES)) for c in range(len(COLOURS))]
    wrong_colour = [
        q for k, c in pairs if k in rows[:, 0] and (q := find(rows, k, c)) is not None and q.box is None
    ]
    absent = [
        q for k in range(len(KIND_NAMES)) if k not in rows[:, 0] and (q := find(rows, k, None)) is not None
    ]
    return present + [pool[int(rng.integers(len(pool)))] for pool in (wrong_colour, absent) if pool]


def measure(
    bundle: str, scenes: int, seed: int, on_progress: Callable[[int], None] = lambda done: None
) -> dict[str, Any]:
    """Return the figures of `--json`: None for the share of nothing. `on_progress` gets the rooms seen."""
    renderer = Renderer(CameraSpec())
    found: dict[str, list[bool]] = defaultdict(list)
    large: list[bool] = []
    false: dict[str, list[bool]] = {"wrong colour": [], "absent": []}
    times_ms: list[float] = []
    loaded = load_bundle(bundle)
    if loaded.manifest.head is not None:
        raise UsageError(
            f"bundle '{loaded.manifest.name}' is a {loaded.manifest.policy} policy and predicts no boxes",
            f"`vla-edge eval --bundle {bundle}` measures how it drives",
        )
    reader = BoxReader(loaded.manifest.family, loaded.manifest.image)
    size = loaded.manifest.image
    with GroundingModel(loaded) as model:
        model.warm_up()
        for i in range(scenes):
            on_progress(i)
            image, rows = picture(seed + i, renderer)
            for q in questions(rows, np.random.default_rng((seed + i, 3))):
                thing = q.prompt.removeprefix("detect ")  # the answer's words are "none" if it is absent
                start = time.perf_counter()
                answer = model.ground(image, goal_prompt(loaded.manifest, Goal("find_object", thing)), thing)
                times_ms.append((time.perf_counter() - start) * 1e3)
                seen = reader.read(answer.text, answer.confidence, thing, image)
                boxes = [detection.box for detection in seen.detections]
                if answer.confidence < SeekerParams().min_confidence:
                    boxes = []
                if q.box is None:
                    colour = len(thing.split()) == 2
                    false["wrong colour" if colour else "absent"].append(bool(boxes))
                    continue
                truth = Box(*(float(v) for v in q.box))
                hit = bool(boxes) and boxes[0].iou(truth) > GOOD_IOU
                side = min((truth.y1 - truth.y0) * size.height, (truth.x1 - truth.x0) * size.width)
                if side >= LARGE_PX:
                    large.append(hit)
                    found[thing.split()[-1]].append(hit)
                else:
                    found["smaller"].append(hit)
    renderer.close()
    negatives = false["wrong colour"] + false["absent"]
    return {
        "found": _rounded(share(large)),
        "objects": len(large),
        "false_positives": _rounded(share(negatives)),
        "negatives": len(negatives),
        "false_by": {k: _rounded(share(v)) for k, v in false.items()},
        "found_by": {
            k: {"found": _rounded(share(v), 3), "objects": len(v)} for k, v in sorted(found.items())
        },
        "ms_p50": _rounded(median(times_ms) if times_ms else None, 2),
        "scenes": scenes,
        "seed": seed,
        "bundle": loaded.origin(),
    }


def _rounded(value: float | None, digits: int = 4) -> float | None:
    return None if value is None else round(value, digits)


def main(argv: list[str]) -> int:
    """Run `vla-edge bench detection` and return the exit code."""
    p = ArgumentParser("bench detection", "Measure how well a bundle finds objects in fresh rooms.")
    p.add_argument("--bundle", default=AUTO, help=AUTO_HELP)
    p.add_argument("--scenes", type=positive_int, default=1000, help="rooms, a picture of each (%(default)s)")
    p.add_argument("--seed", type=non_negative_int, default=0, help="seed of the first room (%(default)s)")
    p.add_argument("--json", action="store_true", help="print one JSON object")
    a = p.parse_args(argv)
    with one_power_mode() as machine, ProgressLine() as progress:
        figures = measure(
            a.bundle, a.scenes, a.seed, lambda done: progress.show("rooms looked at", done, a.scenes)
        )
    print_json(figures | {"machine": machine}) if a.json else print(_table(figures))
    return 0


def _table(figures: dict[str, Any]) -> str:
    large = f"{figures['objects']} objects, short side >= {LARGE_PX:g} px (IoU > {GOOD_IOU})"
    absent = f"{figures['negatives']} targets that are not there or have another colour"
    lines = [f"found          {figure(figures['found'])}  of {large}"]
    for name, row in figures["found_by"].items():
        lines.append(f"  {name:<12} {figure(row['found'])}  of {row['objects']}")
    lines.append(f"false          {figure(figures['false_positives'])}  of {absent}")
    for name, value in figures["false_by"].items():
        lines.append(f"  {name:<12} {figure(value)}")
    lines.append(f"answer         {figure(figures['ms_p50'], 1)} ms (median)")
    return "\n".join(lines)
