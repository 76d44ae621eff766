"""What the live page shows of a drive: a few values, kept up to date by its events.

Events come as the tap sends them: records as plain JSON values. Stamps become milliseconds, which a browser's
numbers hold exactly.
"""

import math
from collections.abc import Mapping, Sequence
from typing import Any

from edge.runs.thinned import Thinned

MOST_PATH = 400
PATH_STEP_M = 0.02
BOX_SHOWN_MS = 500.0  # a box that is not tracked belongs to its frame
Plain = Mapping[str, Any]


class Snapshot:
    """The newest of everything, as JSON values."""

    def __init__(self) -> None:
        self.camera = ""  # which camera the policy sees with
        self._view: dict[str, Any] = {}
        self._path: Thinned[tuple[float, float]] = Thinned(MOST_PATH)
        self._at: tuple[float, float] | None = None
        self._inferred: list[list[Any]] = []  # boxes of the newest inference
        self._inferred_ms = -math.inf

    def take(self, topic: str, stamp_ns: int, data: Plain) -> None:
        """Take one event; those that the page does not show are left out."""
        take = {
            "header": self._take_header, "start": self._take_start, "tick": self._take_tick,
            "inference": self._take_inference, "motor": self._take_motor, "machine": self._take_machine,
            "end": self._take_end, "outcome": self._take_end,
        }.get(topic)  # fmt: skip
        if take is not None:
            take(data, stamp_ns / 1e6)

    @property
    def boxes(self) -> list[list[Any]]:
        """The boxes of the newest frame: each its corners y0, x0, y1, x1 and its words."""
        return self._view.get("boxes", [])

    def state(self, with_path: bool) -> dict[str, Any]:
        """Return what is to be shown; the path, which is long, only if asked for."""
        return {**self._view, **({"path": [list(each) for each in self._path.all()]} if with_path else {})}

    def _take_header(self, data: Plain, stamp_ms: float) -> None:
        self._view["prompt"] = data["prompt"]

    def _take_start(self, data: Plain, stamp_ms: float) -> None:
        self._view["start_ms"] = data["stamp_ns"] / 1e6

    def _take_tick(self, data: Plain, stamp_ms: float) -> None:
        frames, policy = data["frames"], data["policy"]
        self.camera = data["camera"] or next(iter(frames))
        frame_ms = frames[self.camera]["stamp_ns"] / 1e6
        tracked = [_box(policy["detection"])] if policy["detection"] else []
        fresh = frame_ms - self._inferred_ms <= BOX_SHOWN_MS
        self._view |= {
            "frame_ms": frame_ms,
            "camera": self.camera,
            "policy": policy["state"],
            "answer": policy["answer"],
            "slowed_to_m_s": policy["slowed_to_m_s"],
            "boxes": tracked or (self._inferred if fresh else []),
        }

    def _take_inference(self, data: Plain, stamp_ms: float) -> None:
        inference: Plain = data["inference"]
        read: Plain = data["read"] or {}
        found: Sequence[Plain] = inference["detections"] or read.get("detections", ())
        self._inferred = [_box(each) for each in found]
        self._inferred_ms = inference["frame"]["stamp_ns"] / 1e6
        stages: Plain = inference["stages_ms"]
        self._view |= {
            "answer_ms": self._inferred_ms,
            "text": inference["text"][:400],
            "confidence": inference["confidence"],
            "stages_ms": {**stages, "total": sum(stages.values())},
        }

    def _take_motor(self, data: Plain, stamp_ms: float) -> None:
        sent = data["sent"]
        self._view |= {
            "report_ms": data["stamp_ns"] / 1e6,
            "motor": data["state"],
            "reason": data["reason"],
            "cause": data["cause"],
            "speed_m_s": math.hypot(sent["linear_x_m_s"], sent["linear_y_m_s"]),
            "turn_rad_s": sent["angular_z_rad_s"],
            "contacts": data["contacts"],
            "battery": data["battery_fraction"],
            "warning": data["warning"],
            "by_hand": data["by_hand"],
        }
        if data["frame_to_motor_ns"] >= 0:
            self._view["frame_to_motor_ms"] = data["frame_to_motor_ns"] / 1e6
        if odometry := data["odometry"]:
            self._view["pose"] = [odometry["x_m"], odometry["y_m"], odometry["yaw_rad"]]
            at = (round(odometry["x_m"], 3), round(odometry["y_m"], 3))
            if self._at is None or math.dist(at, self._at) >= PATH_STEP_M:
                self._at = at
                self._path.add(at)

    def _take_machine(self, data: Plain, stamp_ms: float) -> None:
        self._view["heat"] = data["temperatures_c"]
        self._view["throttled"] = list(data["throttled"])

    def _take_end(self, data: Plain, stamp_ms: float) -> None:
        end = data.get("end", data)
        if end is not None:
            self._view["end"] = {key: end[key] for key in ("outcome", "reason", "hint", "exit_code")}


def _box(detection: Plain) -> list[Any]:
    box: Plain = detection["box"]
    corners: Sequence[float] = [box[key] for key in ("y0", "x0", "y1", "x1")]
    return [*corners, f"{detection['label']} {float(detection['confidence']):.2f}".strip()]
