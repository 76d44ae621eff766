"""Graphs of other families and of all heads, from random weights, in NVIDIA's parser and builder."""

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.onnx._internal.exporter._errors import TorchExportError

from export.checkpoint import read_checkpoint
from export.graphs import to_onnx
from export.plans import build_plan
from export.policy_graphs import policy_sources
from tests.export.rtx import RTX
from vla.tiny import CONFIGS, image_side, tiny_backbone

pytest.importorskip("tensorrt_rtx", reason="pip install tensorrt-rtx (x86-64 Linux)")


class Vision(nn.Module):
    def __init__(self, backbone: Any) -> None:
        super().__init__()
        self.backbone = backbone

    def forward(self, images: Tensor) -> Tensor:
        return self.backbone.encode(images).tokens


_QWEN = pytest.mark.xfail(
    raises=TorchExportError,
    strict=True,
    reason="Qwen's vision computes places and windows from the image's size",
)


@pytest.mark.slow
@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=_QWEN if name.startswith("qwen") else ()) for name in CONFIGS]
)
def test_vision_encoders_build(name: str, tmp_path: Path):
    torch.manual_seed(0)
    backbone = tiny_backbone(name).eval()
    side = image_side(backbone)
    onnx = to_onnx(Vision(backbone), {"images": torch.randn(1, 3, side, side)}, ["features"])
    plan = build_plan("vision", onnx, RTX, tmp_path)
    plan.check("vision")  # raises where a type is not the graph's
    assert plan.content


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["fc", "lstm", "gpt", "discrete"])
def test_heads_build(kind: str, checkpoints: dict[str, Path], tmp_path: Path):
    checkpoint = read_checkpoint(checkpoints[kind])
    size = checkpoint.image.height, checkpoint.image.width
    for role, source in policy_sources(checkpoint.policy, *size, 8).items():
        plan = build_plan(role, source.to_onnx(), RTX, tmp_path)
        plan.check(role)
        assert plan.content
