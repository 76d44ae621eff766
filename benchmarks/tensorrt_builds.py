"""Every graph of every family in every precision, built by TensorRT-RTX, which needs no GPU for it.

`python -m benchmarks.tensorrt_builds [--family NAME]` prints a table: what each graph's products with fixed
weights take in, in the network as it was parsed and strongly typed, seconds, and sizes of graph and plan.
Weights are random and small, so that seconds and sizes compare precisions and not models.
"""

import argparse
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal, get_args

import torch

from edge.commands.output import print_json
from export.graphs.family import family_sources
from export.graphs.graph import Graph
from export.measure.feeds import Feed
from export.measure.ranges import compute_ranges
from export.precision.half import Half
from export.precision.mixed import LowPrecision, Mixed, quantizable
from export.tensorrt.layers import PRODUCTS
from export.tensorrt.plans import Plan, PlanTarget, build_plan
from vla.backbones.tiny import CONFIGS, image_side, tiny_backbone

Precision = Literal["fp32", "fp16", "bf16", "int8", "int4", "fp8", "nvfp4"]
PRECISIONS: tuple[Precision, ...] = get_args(Precision)
# Jetsons are SM 87 and 110, which TensorRT-RTX does not build for: the nearest that has the precision.
_TARGETS = {"fp8": "SM89", "nvfp4": "SM120"}
_WIDER = 8  # times: blocks of int4 and nvfp4 do not fit into the tiny widths
_FEEDS, _PROMPT, _ANSWER = 2, 8, 8


@dataclass(frozen=True)
class Build:
    """One plan."""

    family: str
    graph: str
    precision: str
    target: str
    products: dict[str, int]  # with fixed weights, by the type that they take in
    seconds: float
    onnx_bytes: int
    plan_bytes: int


def main(argv: list[str]) -> int:
    """Run it; returns the exit code."""
    p = argparse.ArgumentParser(description=__doc__)
    p.add_argument(
        "--family", choices=tuple(CONFIGS), action="append", help="default: all, one after another"
    )
    p.add_argument("--precision", choices=PRECISIONS, action="append", help="default: all")
    p.add_argument("--json", action="store_true", help="print one JSON object for each plan")
    a = p.parse_args(argv)
    if not a.json:
        print(_HEADING, flush=True)
    for name in a.family or CONFIGS:
        for build in builds(name, a.precision or PRECISIONS):
            print_json(asdict(build)) if a.json else print(_row(build), flush=True)
    return 0


def builds(name: str, precisions: Sequence[Precision] = PRECISIONS) -> Iterator[Build]:
    """Build all graphs of one of CONFIGS.

    Raises BundleRefused if TensorRT refuses one, HardwareMissing if tensorrt-rtx is not installed.
    """
    torch.manual_seed(0)
    backbone = tiny_backbone(name, _WIDER).eval()
    side = image_side(backbone)
    layout = backbone.layout
    before = (*layout.before, *layout.image_start) or (2,)
    sources = family_sources(backbone, side, side, before, _PROMPT, _ANSWER)
    with tempfile.TemporaryDirectory() as folder:
        for role, source in sources.items():
            graph = Graph.parse(source.to_onnx())
            feeds = [_random(source.inputs) for _ in range(_FEEDS)]
            for precision in precisions:
                content = change(graph, precision, feeds, role).content
                target = _TARGETS.get(precision, "SM86")
                plan_target = PlanTarget(target[2:], "none", "tensorrt_rtx", target)
                started_s = time.perf_counter()
                plan = build_plan(role, content, plan_target, Path(folder))
                plan.check(role)
                seconds = time.perf_counter() - started_s
                yield Build(
                    name, role, precision, target, products(plan), seconds, len(content), len(plan.content)
                )


def change(graph: Graph, precision: Precision, feeds: list[Feed], role: str) -> Graph:
    """Return the fp32 graph in another precision, in all layers that can hold it, for TensorRT."""
    if precision == "fp32":
        return graph
    if precision == "fp16" or precision == "bf16":
        return Half(precision).apply(graph)
    ranges = compute_ranges(graph, feeds, "minmax")
    kinds: dict[str, LowPrecision] = {name: precision for name in quantizable(graph, precision)}  # noqa: C420
    return Mixed(kinds, ranges, weight_only=role == "decode").apply(graph)


def products(plan: Plan) -> dict[str, int]:
    """Layers that multiply by fixed weights, by the type of what they multiply."""
    found = [layer for layer in plan.network if layer.kind in PRODUCTS and layer.nodes]
    return dict(Counter("+".join(sorted(set(layer.inputs))) for layer in found).most_common())


def _random(inputs: dict[str, torch.Tensor]) -> Feed:
    return {
        name: (torch.randn_like(value) if value.is_floating_point() else value).numpy()
        for name, value in inputs.items()
    }


_HEADING = """| family | graph | precision | target | products by input | seconds | ONNX MB | plan MB |
| --- | --- | --- | --- | --- | --- | --- | --- |"""


def _row(build: Build) -> str:
    types = ", ".join(f"{count} {kind}" for kind, count in build.products.items())
    sizes = f"{build.onnx_bytes / 1e6:.2f} | {build.plan_bytes / 1e6:.2f}"
    return (
        f"| {build.family} | {build.graph} | {build.precision} | {build.target} | {types} "
        f"| {build.seconds:.1f} | {sizes} |"
    )


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
