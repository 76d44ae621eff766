"""`vla-edge bench latency`: how long bundles take to answer, taking turns on the same pictures.

Machines are noisy: compare the ratios of one run, not the milliseconds of two.
"""

import contextlib
import sys
import time
from collections import defaultdict
from collections.abc import Callable
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table

from benchmarks.detection import picture, questions
from edge.base_spec import DEFAULT_BASE
from edge.board.steady import one_power_mode
from edge.bundle.bundle import Bundle, load_bundle
from edge.bundle.choice import AUTO
from edge.commands.arguments import ArgumentParser, parallel_int, positive_int
from edge.commands.output import ProgressLine, print_json
from edge.goals.goals import parse_goal
from edge.goals.vocabulary import check_target
from edge.policies.open import make_policy
from edge.records import ZERO, Frame, Goal, Image, Observation, Odometry
from sim.render import CameraSpec, Renderer

TARGET = "cup"
PICTURES = 8  # the target is in view in each, so that every answer has its full length
WARM_UP = 3  # rounds that don't count


def measure(
    bundles: dict[str, Bundle],
    rounds: int,
    threads: int,
    on_progress: Callable[[int], None] = lambda done: None,
) -> dict[str, dict[str, Any]]:
    """Measure milliseconds a step for each bundle, and the ratio of its median to the first one's.

    `on_progress` gets the rounds that are over.
    """
    renderer = Renderer(CameraSpec())
    images = target_images(renderer)
    mount = renderer.spec.mount
    renderer.close()
    times_ms: dict[str, list[float]] = defaultdict(list)
    stages_ms: dict[str, dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
    with contextlib.ExitStack() as stack:
        policies = {}
        for name, bundle in bundles.items():
            goal = check_target(bundle, parse_goal("find_object", TARGET))
            policies[name] = stack.enter_context(make_policy(bundle, goal, mount, DEFAULT_BASE, threads))
            policies[name].reset(goal)
        for number in range(WARM_UP + rounds):
            on_progress(max(0, number - WARM_UP))
            seen = _observation(images[number % PICTURES], number)
            for name, policy in policies.items():
                start_s = time.perf_counter()
                inference = policy.infer(seen)
                took_ms = (time.perf_counter() - start_s) * 1e3
                if number >= WARM_UP:
                    times_ms[name].append(took_ms)
                    for stage, value in inference.stages_ms.items():
                        stages_ms[name][stage].append(value)
    first = float(np.median(next(iter(times_ms.values()))))
    return {
        name: {
            **_percentiles(values),
            "ratio": round(float(np.median(values)) / first, 3),
            "stages_ms": {stage: _percentiles(v) for stage, v in stages_ms[name].items()},
            "bytes": sum(map(len, bundles[name].contents.values())),
            "sha256": bundles[name].sha256,
        }
        for name, values in times_ms.items()
    }


def target_images(renderer: Renderer) -> list[Image]:
    """Return images of fresh rooms that show the target."""
    found: list[Image] = []
    seed = 0
    while len(found) < PICTURES:
        image, rows = picture(seed, renderer)
        possible = questions(rows, np.random.default_rng(seed))
        if any(q.words.split()[-1] == TARGET and q.box is not None for q in possible):
            found.append(image)
        seed += 1
    return found


def _observation(image: Image, number: int) -> Observation:
    stamp_ns = number * 100_000_000
    odometry = Odometry(stamp_ns, 0.0, 0.0, 0.0, ZERO)
    frames = {"front": Frame(image, stamp_ns, number)}
    return Observation(frames, Goal("find_object", TARGET), odometry)


def _percentiles(values: list[float]) -> dict[str, float]:
    return {"p50": round(float(np.median(values)), 2), "p99": round(float(np.percentile(values, 99)), 2)}


def main(argv: list[str]) -> int:
    """Run `vla-edge bench latency` and return the exit code."""
    p = ArgumentParser(
        "bench latency",
        "Measure the milliseconds from an image to a bundle's answer, without a camera or a robot: "
        f"'find_object {TARGET}' in {PICTURES} images of simulated rooms. Several bundles take turns.",
    )
    p.add_argument(
        "bundles", nargs="*", default=["default"], help="names or folders; ratios are to the first (default)"
    )
    p.add_argument("--rounds", type=positive_int, default=100, help="answers of each bundle (%(default)s)")
    p.add_argument("--threads", type=parallel_int, default=1, help="threads of the engine (%(default)s)")
    p.add_argument("--json", action="store_true", help="print one JSON object")
    a = p.parse_args(argv)
    bundles = {name: load_bundle(name) for name in a.bundles}
    names = ", ".join(
        f"{name} ({bundle.manifest.name})" if name == AUTO else name for name, bundle in bundles.items()
    )
    what = f"{names}: from an image to the answer to 'find_object {TARGET}'"
    print(f"{what}, {a.rounds} rounds", file=sys.stderr)
    with one_power_mode() as machine, ProgressLine() as progress:
        figures = measure(bundles, a.rounds, a.threads, lambda done: progress.show("rounds", done, a.rounds))
    if a.json:
        print_json({"bundles": figures, "rounds": a.rounds, "threads": a.threads, "machine": machine})
        return 0
    table = Table("bundle", "ms p50", "p99", "ratio", "stages, ms p50", "MB", title="image to answer, ms")
    for name, row in figures.items():
        stages = ", ".join(f"{stage} {v['p50']}" for stage, v in row["stages_ms"].items())
        ms = f"{row['p50']:.2f}", f"{row['p99']:.2f}", f"{row['ratio']:.2f}"
        table.add_row(name, *ms, stages, f"{row['bytes'] / 1e6:.1f}")
    Console().print(table)
    return 0
