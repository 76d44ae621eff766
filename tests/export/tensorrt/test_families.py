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
_ATTENTION_SHARE = 0.4  # at most, of a graph's products; they have no fixed weights, and stay fp16
# In Florence-2 more stays fp16: it is counted here, and all else must be quantized. Vision has 8 products of
# attention and 10 convolutions, which can be int8 alone. Prefill has 10 of attention, and 5 layers over
# the decoder's constant start token, which are computed once at loading. Decode has 8 of attention.
_FLORENCE_FP16 = {"vision": 8, "prefill": 15, "decode": 8}
_FLORENCE_CONVOLUTIONS = {"vision": 10}


@pytest.mark.slow
@pytest.mark.parametrize("name", CONFIGS)
def test_every_graph_builds_in_every_precision_with_its_types(name: str) -> None:
    for build in builds(name):
        kind = _NAMED.get(build.precision, build.precision)
        found = sum(count for types, count in build.products.items() if kind in types.split("+"))
        total = sum(build.products.values())
        if build.precision not in ("int8", "int4", "fp8", "nvfp4"):
            assert found == total, build
        elif name == "florence2":
            wide = _FLORENCE_FP16[build.graph]
            if build.precision != "int8":
                wide += _FLORENCE_CONVOLUTIONS.get(build.graph, 0)
            assert found == total - wide, build
        else:
            assert found >= (1 - _ATTENTION_SHARE) * total, build
        assert build.plan_bytes > 0


@pytest.mark.slow  # test_tensorrt.py has the same of small graphs
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
