"""`vla-edge bench precision`: a bundle's stages in another precision against its fp32 ones, in one run."""

import sys
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table

from calibration.sample_set import Question, Sample
from edge.board.steady import one_power_mode
from edge.bundle.bundle import Bundle, load_bundle
from edge.commands.arguments import ArgumentParser, positive_int
from edge.commands.output import ProgressLine, plain_digits, print_json
from edge.engines.onnx import OnnxEngine
from edge.errors import UsageError
from edge.goals.prompts import goal_prompt
from edge.records import Goal
from export.measure.feeds import STEPS, Feed, collect_feeds

_PICTURES = 8
_WARM_UP = 5
_CALLS = {"vision": 1, "prefill": 1, "decode": STEPS}  # in one answer with a box


def main(argv: list[str]) -> int:
    """Run it; returns the exit code."""
    p = ArgumentParser("bench precision", "Measure stages against their fp32 ones, call by call in turn.")
    p.add_argument("--bundle", default="default-int8", help="a name or a folder (%(default)s)")
    p.add_argument("--against", default="default", help="the fp32 bundle that it was made of (%(default)s)")
    p.add_argument("--rounds", type=positive_int, default=60, help="of each stage (%(default)s)")
    p.add_argument(
        "--siglip",
        action="store_true",
        help="instead: a SigLIP encoder of 11 M random weights at 224 px, fp32 and int8",
    )
    p.add_argument("--json", action="store_true", help="print one JSON object")
    a = p.parse_args(argv)
    if a.siglip:
        pairs, compared = siglip(), "a SigLIP encoder of random weights, int8 against fp32"
    else:
        base, other = load_bundle(a.against), load_bundle(a.bundle)
        pairs, compared = of_bundles(base, other), f"{_named(other)} against {_named(base)}"
    print(f"stages of {compared}: {a.rounds} rounds of each", file=sys.stderr)
    with one_power_mode() as machine, ProgressLine() as progress:
        figures = measure(
            pairs, a.rounds, lambda stage, done: progress.show(f"rounds of {stage}", done, a.rounds)
        )
    if a.json:
        print_json(plain_digits(figures | {"machine": machine}))
        return 0
    table = Table(
        "",
        "fp32 ms",
        "other ms",
        "faster",
        "fp32 MB",
        "other MB",
        title=f"{compared}: processor time, 1 thread",
    )
    for name, row in figures.items():
        sizes = [f"{row[key] / 1e6:.1f}" for key in ("fp32_bytes", "other_bytes")]
        table.add_row(name, f"{row['fp32_ms']:.2f}", f"{row['other_ms']:.2f}", f"{row['ratio']:.2f}x", *sizes)
    Console().print(table)
    return 0


def _named(bundle: Bundle) -> str:
    """Return a bundle's name with the precisions of its stages, for people."""
    precisions = dict.fromkeys(graph.precision for graph in bundle.manifest.graphs.values())
    return f"{bundle.manifest.name} ({', '.join(precisions)})"


Pair = tuple[bytes, bytes, Sequence[Feed]]  # an fp32 graph, the other one, inputs of both


def of_bundles(base: Bundle, other: Bundle) -> dict[str, Pair]:
    """Return the stages that both have and that differ.

    Raises UsageError if there are none, if `base` is not fp32, and for bundles of two kinds.
    """
    _check_kinds(base, other)
    size = base.manifest.image
    words = base.manifest.vocabulary.kinds or ("cup",)
    goals = [Goal("find_object", word) for word in words[:_PICTURES]]
    questions = [Question(goal=g.kind, target=g.target, prompt=goal_prompt(base.manifest, g)) for g in goals]
    rng = np.random.default_rng(0)
    samples = [Sample(rng.integers(0, 256, (size.height, size.width, 3), np.uint8), q) for q in questions]
    feeds = collect_feeds(base, samples)
    changed = [r for r in feeds if other.contents.get(r, base.contents[r]) != base.contents[r]]
    if not changed:
        raise UsageError(
            f"'{other.manifest.name}' has the graphs of '{base.manifest.name}'", "give another --bundle"
        )
    return {role: (base.read(role), other.read(role), feeds[role]) for role in changed}


def _check_kinds(base: Bundle, other: Bundle) -> None:
    """Check that one may be the other in fp32. Raises UsageError if not: a ratio would mean nothing."""
    kinds = [(b.manifest.policy, b.manifest.family, b.manifest.image) for b in (base, other)]
    if kinds[0] != kinds[1] or base.manifest.graphs.keys() != other.manifest.graphs.keys():
        stages = [f"'{b.manifest.name}' has {', '.join(b.manifest.graphs)}" for b in (base, other)]
        raise UsageError(
            f"bundles of two kinds can't be compared stage by stage: {kinds[0][0]} and {kinds[1][0]} policy; "
            + "; ".join(stages),
            "--against takes the fp32 bundle that --bundle was made of; `vla-edge bench latency` takes any",
        )
    check_fp32(base)


def check_fp32(bundle: Bundle) -> None:
    """Check that a bundle may be compared against. Raises UsageError if it is not fp32."""
    wide = {stage: graph.precision for stage, graph in bundle.manifest.graphs.items()}
    if set(wide.values()) != {"fp32"}:
        raise UsageError(
            f"'{bundle.manifest.name}' is not fp32: {', '.join(f'{k} {v}' for k, v in wide.items())}",
            "--against takes an fp32 bundle, such as the one that the other was made of",
        )


def measure(
    pairs: Mapping[str, Pair], rounds: int, on_progress: Callable[[str, int], None] = lambda stage, done: None
) -> dict[str, dict[str, Any]]:
    """Measure median milliseconds of both by stage and for a whole answer, and the median ratio.

    The ratio is that of calls made one after the other. The time is processor time, so that other work of
    the machine counts little. `on_progress` gets the stage, and its rounds that are over.
    """
    figures: dict[str, dict[str, Any]] = {}
    for name, (base, other, feeds) in pairs.items():
        engines = OnnxEngine(base), OnnxEngine(other)
        turns: list[list[float]] = []
        for i in range(rounds + _WARM_UP):
            on_progress(name, max(0, i - _WARM_UP))
            turns.append(_turn(engines, feeds[i % len(feeds)], i))
        times = np.array(turns)
        for engine in engines:
            engine.close()
        figures[name] = _row(times[_WARM_UP:], len(base), len(other))
    if set(_CALLS) <= set(figures):
        total = {key: sum(figures[r][key] * n for r, n in _CALLS.items()) for key in ("fp32_ms", "other_ms")}
        sizes = {key: sum(figures[r][key] for r in _CALLS) for key in ("fp32_bytes", "other_bytes")}
        figures["answer"] = {**total, "ratio": total["fp32_ms"] / total["other_ms"], **sizes}
    return figures


def _turn(engines: tuple[OnnxEngine, OnnxEngine], feed: Feed, index: int) -> list[float]:
    """Milliseconds of both, the first one in turn."""
    times = [0.0, 0.0]
    for which in ((0, 1), (1, 0))[index % 2]:
        start_s = time.thread_time()
        engines[which].run(feed)
        times[which] = (time.thread_time() - start_s) * 1e3
    return times


def _row(times: np.ndarray, base_bytes: int, other_bytes: int) -> dict[str, Any]:
    base_ms, other_ms = np.median(times, axis=0).tolist()
    ratio = float(np.median(times[:, 0] / times[:, 1]))
    sizes = {"fp32_bytes": base_bytes, "other_bytes": other_bytes}
    return {"fp32_ms": base_ms, "other_ms": other_ms, "ratio": ratio, **sizes}


def siglip() -> dict[str, Pair]:
    """Return an encoder of the size that small VLMs use, with random weights: it shows speed only."""
    import torch
    from transformers.models.siglip.configuration_siglip import SiglipVisionConfig
    from transformers.models.siglip.modeling_siglip import SiglipVisionModel

    from export.graphs.fusion.fuse import fuse
    from export.graphs.graph import Graph
    from export.graphs.onnx import to_onnx
    from export.measure.ranges import compute_ranges
    from export.precision.int8 import Int8

    class Encoder(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            config = SiglipVisionConfig(
                hidden_size=384,
                intermediate_size=1536,
                num_hidden_layers=6,
                num_attention_heads=6,
                image_size=224,
                patch_size=16,
                vision_use_head=False,
            )
            config._attn_implementation = "eager"
            self.net = SiglipVisionModel(config)

        def forward(self, pixel_values: torch.Tensor) -> torch.Tensor:
            return self.net(pixel_values).last_hidden_state

    torch.manual_seed(0)
    content = to_onnx(Encoder(), {"pixel_values": torch.randn(1, 3, 224, 224)}, ["features"])
    graph = fuse(Graph.parse(content))
    rng = np.random.default_rng(0)
    feeds = [{"pixel_values": rng.standard_normal((1, 3, 224, 224)).astype(np.float32)} for _ in range(4)]
    int8 = Int8(compute_ranges(graph, feeds, "minmax"), "onnxruntime").apply(graph)
    return {"siglip": (content, int8.content, feeds)}
