"""A policy as a folder: vla.json (its shape) and model.safetensors (all weights)."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_model

from edge.errors import UsageError
from edge.files import whole_file
from vla.backbones.backbone import Backbone, Layout
from vla.backbones.loading import PINNED_FAMILIES, backbone_from_config
from vla.backbones.weights import load_exactly
from vla.heads import HeadConfig
from vla.losses import LossConfig
from vla.model import VLA, VLAConfig
from vla.training_modes import TrainableConfig


def save_vla(policy: VLA, folder: Path) -> None:
    """Write the policy into `folder`; each file appears whole or not at all."""
    folder.mkdir(parents=True, exist_ok=True)
    shape = {
        "vla": asdict(policy.config),
        "family": policy.backbone.family,
        "layout": policy.backbone.layout.to_json(),
        "backbone": policy.backbone.config,
        "dtype": str(policy.backbone.dtype).removeprefix("torch."),
    }
    # The text is named last: a folder with a vla.json has its weights too.
    with whole_file(folder / "vla.json") as text, whole_file(folder / "model.safetensors") as weights:
        save_model(policy, str(weights))
        text.write_text(json.dumps(shape, indent=2) + "\n")


def _tuples(fields: dict[str, Any]) -> dict[str, Any]:
    return {k: tuple(v) if isinstance(v, list) else v for k, v in fields.items()}


def config_from_json(fields: dict[str, Any]) -> VLAConfig:
    """Read a VLAConfig back from what `dataclasses.asdict` and JSON made of it."""
    parts = {
        "head": HeadConfig(**_tuples(fields["head"])),
        "loss": LossConfig(**_tuples(fields["loss"])),
        "trainable": TrainableConfig(**fields["trainable"]),
    }
    return VLAConfig(**{**fields, **parts})


def load_vla(folder: Path, backbone: Backbone | None = None) -> VLA:
    """Load what `save_vla` wrote, in evaluation mode.

    A family from a pinned folder can't be rebuilt from its config: give its `backbone` (`load_pinned`).
    Raises UsageError if a file is missing, the backbone is of another family, or the weights are not exactly
    the policy's.
    """
    for name in ("vla.json", "model.safetensors"):
        if not (folder / name).is_file():
            raise UsageError(f"{folder / name} is missing", "give the folder that training wrote")
    shape: dict[str, Any] = json.loads((folder / "vla.json").read_text())
    if backbone is None and shape["family"] in PINNED_FAMILIES:
        raise UsageError(f"{folder} is a policy on {shape['family']}", "load that first, with load_pinned")
    if backbone is None:
        backbone = backbone_from_config(shape["backbone"], Layout.from_json(shape["layout"]))
    if backbone.family != shape["family"]:
        raise UsageError(f"{folder} is a policy on {shape['family']}, not on {backbone.family}")
    backbone.to(getattr(torch, shape["dtype"]))
    policy = VLA(backbone, config_from_json(shape["vla"]))
    load_exactly(policy, folder / "model.safetensors")
    return policy.eval()
