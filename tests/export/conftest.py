"""Checkpoints of policies with each kind of head, as training writes them, with random weights.

What needs torch is imported where it is used: a process that only hands out tests reads this file, too.
"""

import functools
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edge.records import BASE_ACTION

HEADS: dict[str, dict[str, Any]] = {
    "fc": {"head": {"kind": "fc", "hidden": 16, "mlp": [16]}, "action_tokens": 2},  # and a state token
    "lstm": {"head": {"kind": "lstm", "hidden": 16, "layers": 2, "mlp": [16]}},
    "gpt": {
        "head": {"kind": "gpt", "hidden": 16, "layers": 2, "attention_heads": 2, "mlp": [16], "pool": True},
        "action_tokens": 2,
    },
    "discrete": {"head": {"kind": "discrete", "bins": 64}, "history": "none", "window": 1},
}
STATE = ["x_m", "yaw_rad", "linear_y_m_s", "linear_x_m_s", "angular_z_rad_s"]


def statistics() -> dict[str, Any]:
    from training.demonstrations.demonstrator import STATE_NAMES

    def span(names: tuple[str, ...], low: list[float], high: list[float]) -> dict[str, Any]:
        middle, half = (np.array(low) + high) / 2, (np.array(high) - low) / 4
        limits = {"min": low, "max": high, "q01": low, "q99": high}
        return {"names": names, **limits, "mean": middle.tolist(), "std": half.tolist()}

    return {
        "robot": "rover",
        "rate_hz": 10,
        "count": 100,
        "state": span(STATE_NAMES, [-1.0, -2.0, -3.0, -0.5, -0.4, -1.0], [2.0, 1.0, 3.0, 0.6, 0.3, 1.5]),
        "action": span(BASE_ACTION.names, [-0.1, -0.2, -0.8], [0.45, 0.2, 0.9]),
    }


def make_checkpoint(folder: Path, backbone: Path, kind: str, **inputs: Any) -> Path:
    """What training would have written, with random weights."""
    import torch

    from training.config import parse_config
    from training.datasets.statistics import stored_statistics
    from training.pipeline.processing import Processing
    from training.policy import build_policy, open_backbone, save_policy

    policy = {"history": "post", "window": 3, "horizon": 4, **HEADS[kind]}
    instruction = {"replace": {"find the ": ""}, "templates": ["detect {task}"], "end": "\n"}
    config = parse_config(
        {
            "out": str(folder),
            "backbone": {"path": str(backbone)},
            "policy": policy,
            "inputs": {"camera": "front", "instruction": instruction} | inputs,
            "sources": {"sim": {"kind": "lerobot", "path": "nowhere"}},
        },
        "test",
    )
    folder.mkdir(exist_ok=True)
    (folder / "given.json").write_text(json.dumps(statistics()))
    net, tokenizer = open_backbone(config.backbone)
    processing = Processing(config, stored_statistics(folder / "given.json", ()), tokenizer, net.vocabulary)
    torch.manual_seed(0)
    vla = build_policy(config, net, processing)
    with torch.no_grad():
        for name, weight in vla.named_parameters():
            if not name.startswith("backbone."):
                weight.normal_(0, 0.3)  # so that actions depend on what was seen, and when
    save_policy(folder, vla, processing, folder / "given.json")
    (folder / "given.json").unlink()
    return folder


@pytest.fixture(scope="session", autouse=True)
def operators_are_listed_once() -> Iterator[None]:
    """Torch's exporter lists all operators for each graph, for 0.3 s, and nothing changes the list."""
    from torch.onnx._internal.exporter._registration import ONNXRegistry

    with pytest.MonkeyPatch.context() as patch:
        listed = functools.cache(ONNXRegistry.from_torchlib)
        patch.setattr(ONNXRegistry, "from_torchlib", staticmethod(listed))
        yield


@pytest.fixture(scope="session")
def checkpoints(tiny_checkpoint: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    root = tmp_path_factory.mktemp("policies")
    state = {"fc": STATE, "discrete": STATE[:1]}
    return {
        kind: make_checkpoint(root / kind, tiny_checkpoint, kind, state=state.get(kind, [])) for kind in HEADS
    }
