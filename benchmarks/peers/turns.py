"""The peers in turns: each in its own process on the same processor core, one of them at work at a time."""

import json
import subprocess
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.detection import picture
from benchmarks.drives.blocks import TARGET
from benchmarks.drives.pictures import target_images
from benchmarks.peers.venv import environment
from edge.bundle.bundle import load_bundle
from edge.errors import UsageError
from edge.goals.prompts import goal_prompt
from edge.parsing import parse_detections
from edge.records import Goal
from sim.bundles import default
from sim.dataset import KIND_NAMES
from sim.render import CameraSpec, Renderer

CALIBRATION_PICTURES = 64
CALIBRATION_SEED = 700_000  # rooms that nothing here is asked about
WARM_UP = 3  # rounds that don't count


@dataclass(frozen=True)
class Job:
    """What all peers are asked."""

    folder: Path  # holds the pictures and questions
    pictures: int


class PeerProcess:
    """A peer's process."""

    def __init__(self, python: Path, name: str, job: Job, bundle: Path, cpu: int, cache: Path) -> None:
        self.name = name
        self._log = (job.folder / f"{name.replace(' ', '-')}.log").open("w+")
        command = [python, "-m", "benchmarks.peers.worker", name, job.folder, bundle, cache, str(cpu)]
        self._process = subprocess.Popen(
            [str(part) for part in command],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._log,
            text=True,
            env=environment(),
        )
        self.versions: dict[str, str] = self._read()

    def decide(self, index: int) -> dict[str, Any]:
        """Return the milliseconds and the text of one decision."""
        assert self._process.stdin is not None
        print(index, file=self._process.stdin, flush=True)
        return self._read()

    def close(self) -> None:
        """End the process."""
        with self._process:
            assert self._process.stdin is not None
            self._process.stdin.close()
        self._log.close()

    def _read(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            self._log.seek(0)
            last = self._log.read().strip().splitlines()[-1:] or ["it said nothing"]
            self.close()
            raise UsageError(f"the peer '{self.name}' ended: {last[0][:300]}", "--without leaves a peer out")
        return json.loads(line)


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


def take_turns(
    workers: Sequence[PeerProcess], pictures: int, rounds: int, on_round: Callable[[int], None]
) -> dict[str, list[dict[str, Any]]]:
    """Return each peer's decisions, one a round: all of them look at the same picture, another first."""
    found: dict[str, list[dict[str, Any]]] = {worker.name: [] for worker in workers}
    for number in range(WARM_UP + rounds):
        first = number % len(workers)
        for worker in (*workers[first:], *workers[:first]):
            answer = worker.decide(number % pictures)
            if number >= WARM_UP:
                found[worker.name].append(answer)
        on_round(number)
    return found


def figures(found: Mapping[str, Sequence[Mapping[str, Any]]], first: str) -> dict[str, dict[str, Any]]:
    """Return the figures of each peer; ratios are to the peer `first`, turn by turn."""
    reference = {key: np.array([answer[key] for answer in found[first]]) for key in ("ms", "cpu_ms")}
    exact = found.get("vla-edge fp32", found[first])
    rows: dict[str, dict[str, Any]] = {}
    for name, answers in found.items():
        own = {key: np.array([answer[key] for answer in answers]) for key in reference}
        ious = [_iou(a["text"], b["text"]) for a, b in zip(answers, exact, strict=True)]
        rows[name] = {
            "ms": _spread(own["ms"]),
            "cpu_ms": _spread(own["cpu_ms"]),
            "times_faster": _spread(reference["ms"] / own["ms"]),
            "times_faster_cpu": _spread(reference["cpu_ms"] / own["cpu_ms"]),
            "boxes": sum(answer["text"] != "none" for answer in answers),
            "same_text": round(
                float(np.mean([a["text"] == b["text"] for a, b in zip(answers, exact, strict=True)])), 3
            ),
            "least_iou": round(min(ious), 3),
            "decisions": len(answers),
        }
    return rows


def _spread(values: np.ndarray) -> dict[str, float]:
    low, middle, high = np.percentile(values, (10, 50, 90))
    return {"p10": round(float(low), 2), "p50": round(float(middle), 2), "p90": round(float(high), 2)}


def _iou(text: str, other: str) -> float:
    """Return the overlap of two answers' boxes; 1 for two answers without one, 0 if only one has a box."""
    boxes = [parse_detections(each, "paligemma", target=TARGET).detections for each in (text, other)]
    if not all(boxes):
        return float(not any(boxes))
    return boxes[0][0].box.iou(boxes[1][0].box)
