"""Graphs of every family and all heads, in every precision, in NVIDIA's parser and builder."""

from pathlib import Path

import pytest

from benchmarks.tensorrt_builds import builds
from export.graphs.policy import policy_sources
from export.sources.policy_files import read_trained_policy
from export.tensorrt.plans import build_plan
from tests.export.tensorrt.rtx import RTX
from vla.backbones.tiny import CONFIGS

pytest.importorskip("tensorrt_rtx", reason="pip install tensorrt-rtx (x86-64 Linux)")
_NAMED = {"nvfp4": "fp4"}
# DaViT has two convolutions that make patches and eight over channels alone, beside 17 linear layers and 8
# products of attention. A convolution can be int8, but there is none of int4, fp8 or nvfp4.
_CONVOLUTIONS = {("florence2", "vision"): 10}


@pytest.mark.slow
@pytest.mark.parametrize("name", CONFIGS)
def test_every_graph_builds_in_every_precision_with_its_types(name: str) -> None:
    for build in builds(name):
        quantized = build.precision in ("int8", "int4", "fp8", "nvfp4")
        least = 0.6 if quantized else 1.0  # attention's products are not quantized
        kind = _NAMED.get(build.precision, build.precision)
        found = sum(count for types, count in build.products.items() if kind in types.split("+"))
        total = sum(build.products.values())
        if build.precision in ("int4", "fp8", "nvfp4"):
            total -= _CONVOLUTIONS.get((name, build.graph), 0)
        assert found >= least * total, build
        assert build.plan_bytes > 0


def test_int8_products_take_int8_in_the_network() -> None:
    found = {build.graph: build.products for build in builds("smolvlm", ("int8",))}
    assert found.keys() == {"vision", "prefill", "decode"}
    assert all(products["int8"] >= 8 for products in found.values()), found


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["fc", "lstm", "gpt", "discrete"])
def test_heads_build(kind: str, checkpoints: dict[str, Path], tmp_path: Path) -> None:
    checkpoint = read_trained_policy(checkpoints[kind])
    size = checkpoint.image.height, checkpoint.image.width
    for role, source in policy_sources(checkpoint.policy, *size, 8).items():
        plan = build_plan(role, source.to_onnx(), RTX, tmp_path)
        plan.check(role)
        assert plan.content
