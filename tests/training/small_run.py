"""A made-up dataset and runs of a few steps on it, for nets of a few thousand weights."""

import json
import os
from pathlib import Path
from typing import Any

import numpy as np

from training.config import Config, parse_config
from training.datasets.lerobot_writer import LeRobotWriter, Recording
from training.demonstrations.demonstrator import to_jpeg
from training.processes import leave_together
from training.trainer import Trainer

STATES, ACTIONS = ("x", "y"), ("v", "w")


def write_dataset(path: Path) -> Path:
    """Four episodes of 16 frames; state and the picture's brightness tell the action."""
    rng = np.random.default_rng(0)
    with LeRobotWriter(path, "rover", 10, {"front": (32, 48)}, STATES, ACTIONS) as writer:
        for episode in range(4):
            frames = 16
            light = rng.uniform(0, 1, (frames, 2)).astype(np.float32)
            images = np.zeros((frames, 32, 48, 3), np.uint8)
            images[:, :, :24] = (255 * light[:, :1, None, None]).astype(np.uint8)
            images[:, :, 24:] = (255 * light[:, 1:, None, None]).astype(np.uint8)
            task = f"find the {('red', 'blue')[episode % 2]} cup"
            encoded = {"front": [to_jpeg(image) for image in images]}
            pixels = {"front": images[0].reshape(-1, 3)}
            writer.add(Recording(task, encoded, pixels, light * 2, light - 0.5))
        writer.finish({})
    return path


def settings(out: Path, dataset: Path, checkpoint: Path, **changes: Any) -> dict[str, Any]:
    fields: dict[str, Any] = {
        "out": str(out),
        "steps": 6,
        "log_every": 1,
        "workers": 0,  # more would not make so small a net faster
        "backbone": {"path": str(checkpoint)},
        "policy": {
            "window": 3, "horizon": 2,
            "head": {"kind": "lstm", "hidden": 16, "layers": 1, "mlp": [16]},
        },
        "inputs": {
            "camera": "front",
            "state": ["x", "y"],
            "instruction": {"replace": {"find the": "detect"}, "end": "\n"},
        },
        "sources": {"sim": {"kind": "lerobot", "path": str(dataset), "batch_size": 4}},
        "optimiser": {"learning_rate": 1e-3},
        "validation": {"fraction": 0.25, "every": 3},
    }  # fmt: skip
    for key, value in changes.items():
        place = fields
        *sections, name = key.split("__")
        for section in sections:
            place = place.setdefault(section, {})
        place[name] = value
    return fields


def config(out: Path, dataset: Path, checkpoint: Path, **changes: Any) -> Config:
    return parse_config(settings(out, dataset, checkpoint, **changes), "test")


def curve(out: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (out / "curve.jsonl").read_text().splitlines()]


def learn_together(made: Config, process: int, port: int, answers: Any) -> None:
    """One of two processes, as torchrun would start it: which samples it sees in the whole run."""
    os.environ |= {
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": str(port),
        "WORLD_SIZE": "2",
        "RANK": str(process),
    }
    os.environ |= {"LOCAL_WORLD_SIZE": "2", "LOCAL_RANK": str(process)}
    trainer = Trainer.open(made, writes=False)
    task: Any = trainer.tasks["sim"]
    seen: list[int] = []
    make = task.batch
    task.batch = lambda samples, rngs: seen.extend(samples) or make(samples, rngs)
    for parts in trainer.batches():
        trainer.update(parts)
    answers.put((trainer.accelerator.num_processes, task.train, seen))
    leave_together(trainer.accelerator)
