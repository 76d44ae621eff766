"""SmolVLM's vision graph, whose patches' places are constants."""

import copy

import numpy as np
import pytest
import torch

from edge.engines.onnx import OnnxEngine
from export.graphs.family import vision_source
from vla.backbones.backbone import Backbone, Layout
from vla.backbones.loading import backbone_from_config
from vla.backbones.tiny import CONFIGS


def of_side(name: str, patches: int) -> Backbone:
    """A tiny one of square images with so many patches of 4 pixels a side."""
    config = copy.deepcopy(CONFIGS[name])
    config["vision_config"]["image_size"] = 4 * patches
    config["scale_factor"] = 3 if patches % 3 == 0 else 2
    torch.manual_seed(0)
    return backbone_from_config(config, Layout()).eval()


@pytest.mark.parametrize(("name", "patches"), [("idefics3", 27), ("smolvlm", 26)])
def test_patches_stand_where_transformers_puts_them(name: str, patches: int) -> None:
    backbone = of_side(name, patches)
    source = vision_source(backbone, 4 * patches, 4 * patches).source
    pixels = torch.randn(1, 3, 4 * patches, 4 * patches)
    with torch.inference_mode():
        wanted = backbone.encode(pixels).tokens.numpy()
    found = OnnxEngine(source.to_onnx()).run({"pixel_values": pixels.numpy()})["image_features"]
    assert np.abs(found - wanted).max() <= 1e-4 * np.abs(wanted).max()
