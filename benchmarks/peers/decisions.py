"""What the peers are asked to decide, and what their answers say."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.detection import picture
from benchmarks.drives.blocks import TARGET
from benchmarks.drives.pictures import target_images
from benchmarks.peers.verdict import held_against
from edge.bundle.bundle import load_bundle
from edge.goals.prompts import goal_prompt
from edge.parsing import parse_detections
from edge.records import Goal
from sim.bundles import default
from sim.dataset import KIND_NAMES
from sim.render import CameraSpec, Renderer

CALIBRATION_PICTURES = 64
CALIBRATION_SEED = 700_000  # rooms that nothing here is asked about


@dataclass(frozen=True)
class Job:
    """What all peers are asked."""

    folder: Path  # holds the pictures and questions
    pictures: int


def write_job(folder: Path, calibration_pictures: int = CALIBRATION_PICTURES) -> Job:
    """Render what the peers are asked and calibrated on. Raises HardwareMissing if nothing renders."""
    renderer = Renderer(CameraSpec())
    images = target_images(renderer)
    calibrate = [picture(CALIBRATION_SEED + i, renderer)[0] for i in range(calibration_pictures)]
    renderer.close()
    np.savez(folder / "pictures.npz", ask=np.stack(images), calibrate=np.stack(calibrate))
    manifest = load_bundle(default()).manifest
    kinds = [KIND_NAMES[i % len(KIND_NAMES)] for i in range(calibration_pictures)]
    ask = lambda target: (target, goal_prompt(manifest, Goal("find_object", target)))  # noqa: E731
    questions = {"ask": ask(TARGET), "calibrate": [ask(kind) for kind in kinds]}
    (folder / "questions.json").write_text(json.dumps(questions))
    return Job(folder, len(images))


def figures(found: Mapping[str, Sequence[Mapping[str, Any]]], ours: str) -> dict[str, dict[str, Any]]:
    """Return the figures of each peer, held against `ours`; texts against those of our fp32."""
    exact = found.get("vla-edge fp32", found[ours])
    rows = held_against(found, ours)
    for name, answers in found.items():
        ious = [_iou(a["text"], b["text"]) for a, b in zip(answers, exact, strict=True)]
        same = [a["text"] == b["text"] for a, b in zip(answers, exact, strict=True)]
        rows[name] |= {
            "boxes": sum(answer["text"] != "none" for answer in answers),
            "same_text": round(float(np.mean(same)), 3),
            "least_iou": round(min(ious), 3),
        }
    return rows


def _iou(text: str, other: str) -> float:
    """Return the overlap of two answers' boxes; 1 for two answers without one, 0 if only one has a box."""
    boxes = [parse_detections(each, "paligemma", target=TARGET).detections for each in (text, other)]
    if not all(boxes):
        return float(not any(boxes))
    return boxes[0][0].box.iou(boxes[1][0].box)
