"""What a run adds up to while it goes on: times, distance, pictures. Bounded however long it lasts."""

import math
from array import array
from collections.abc import Iterable
from dataclasses import asdict
from typing import Any

import cv2
import numpy as np

from edge.interfaces import Inference
from edge.model.boxes import BoxReader
from edge.records import Goal, Image, MotorStatus, Odometry, Refusals
from edge.runs.drawing import Shot

MAX_SHOTS = 32
MAX_PATH = 4000
SHOT_WIDTH_PX = 320
PATH_PERIOD_NS = 100_000_000


class Thinned:
    """A list that keeps at most `limit` items, evenly spread over all that were added, and the last one."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._kept: list[Any] = []
        self._stride = 1
        self._count = 0
        self._last: list[Any] = []

    def add(self, item: Any) -> None:
        if len(self._kept) == self._limit - 1:
            self._kept = self._kept[::2]
            self._stride *= 2
        on_stride = self._count % self._stride == 0
        self._kept += [item] if on_stride else []
        self._last = [] if on_stride else [item]
        self._count += 1

    def all(self) -> list[Any]:
        return self._kept + self._last


class Tally:
    """The figures and pictures of one run. Times are CLOCK_MONOTONIC ns."""

    def __init__(self, boxes: BoxReader, goal: Goal, asked: str, start_ns: int) -> None:
        self.start_ns = start_ns
        self.seconds = 0.0  # since the drive began
        self.detections = 0  # inferences with a box in them
        self.cut = 0  # inferences that were cut off
        self.distance_m = 0.0
        self.frame_to_motor_ms = math.nan  # newest
        self._boxes, self._goal, self._asked = boxes, goal, asked
        self._shots = Thinned(MAX_SHOTS)
        self._path = Thinned(MAX_PATH)
        self._stages: dict[str, array[float]] = {}
        self._motor_ms = array("f")
        self._decision: int = -1
        self._status: MotorStatus | None = None
        self._odometry: Odometry | None = None

    @property
    def shots(self) -> list[Shot]:
        return self._shots.all()

    @property
    def path(self) -> list[Odometry]:
        return self._path.all()

    def on_inference(self, inference: Inference) -> None:
        """Take what the model said of one frame."""
        stages = {**inference.stages_ms, "total": sum(inference.stages_ms.values())}
        for stage, milliseconds in stages.items():
            self._stages.setdefault(stage, array("f")).append(milliseconds)
        frame = inference.frame
        found = self._boxes.read(inference.text, inference.confidence, self._goal.target, frame.image)
        self.detections += bool(found)
        self.cut += inference.cut
        said = f"{inference.confidence:.2f}  {inference.words}"
        seconds = max(0.0, (frame.stamp_ns - self.start_ns) / 1e9)
        self._shots.add(Shot(_small(frame.image), seconds, self._asked, said, found.detections))

    def on_status(self, status: MotorStatus) -> None:
        """Take a report of the motor process; the same one twice does no harm."""
        self._status = status
        if status.decision != self._decision and status.frame_to_motor_ns >= 0:
            self._decision = status.decision
            self.frame_to_motor_ms = status.frame_to_motor_ns / 1e6
            self._motor_ms.append(self.frame_to_motor_ms)
        odometry = status.odometry
        if odometry is None:
            return
        if self._odometry is None:
            self._add_to_path(odometry)
        elif odometry.stamp_ns - self._odometry.stamp_ns >= PATH_PERIOD_NS:
            before = self._odometry
            self.distance_m += math.hypot(odometry.x_m - before.x_m, odometry.y_m - before.y_m)
            self._add_to_path(odometry)

    def figures(self) -> dict[str, Any]:
        """The part of summary.json that is measured. Null where nothing was measured."""
        status = self._status
        return {
            "seconds": round(self.seconds, 2),
            "distance_m": round(self.distance_m, 3),
            "decisions": len(self._stages.get("total", ())),
            "detections": self.detections,
            "cut_answers": self.cut,
            "latency_ms": {stage: _percentiles(values) for stage, values in self._stages.items()},
            "frame_to_motor_ms": _percentiles(self._motor_ms),
            "missed_ticks": status.missed_ticks if status else 0,
            "ticks": status.ticks if status else 0,
            "refused_chunks": asdict(status.refused if status else Refusals()),
        }

    def _add_to_path(self, odometry: Odometry) -> None:
        self._odometry = odometry
        self._path.add(odometry)


def _percentiles(values: Iterable[float]) -> dict[str, float | None]:
    measured = np.fromiter(values, np.float32)
    if not measured.size:
        return {"p50": None, "p99": None}
    p50, p99 = np.percentile(measured, [50, 99])
    return {"p50": round(float(p50), 2), "p99": round(float(p99), 2)}


def _small(image: Image) -> Image:
    """A picture no wider than what is drawn in the end."""
    height, width = image.shape[:2]
    if width <= SHOT_WIDTH_PX:
        return image
    size = (SHOT_WIDTH_PX, max(1, round(height * SHOT_WIDTH_PX / width)))
    return np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_AREA), np.uint8)
