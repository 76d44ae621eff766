"""Adds up a run while it goes on: times, distance, pictures."""

import math
from collections.abc import Iterable

import cv2
import numpy as np

from edge.interfaces import Inference, PolicyStatus
from edge.model.boxes import BoxReader
from edge.motor.operator.interventions import InterventionCount
from edge.records import ActionChunk, DriveEnd, Goal, Image, MotorStatus, Observation, Odometry, Refusals
from edge.runs.drawing import AnsweredFrame
from edge.runs.summary import Contact, Figures, Percentiles
from edge.runs.thinned import Thinned

MAX_FRAMES = 32
MAX_PATH = 1000
FRAME_WIDTH_PX = 320
PATH_PERIOD_NS = 100_000_000
MAX_TIMES = 2000  # kept of each stage, spread over the run: enough for a 99th percentile


class Tally:
    """An observer that adds up the figures and pictures of one run. Bounded however long it lasts."""

    def __init__(self, boxes: BoxReader, goal: Goal, prompt: str) -> None:
        self._boxes, self._goal, self._prompt = boxes, goal, prompt
        self._start_ns = 0
        self._seconds = 0.0
        self._detections = 0
        self._cut_answers = 0
        self._chunks = 0
        self._distance_m = 0.0
        self._answered: Thinned[AnsweredFrame] = Thinned(MAX_FRAMES)
        self._path: Thinned[Odometry] = Thinned(MAX_PATH)
        self._decisions = 0
        self._stages_ms: dict[str, Thinned[float]] = {}
        self._frame_to_motor_ms: Thinned[float] = Thinned(MAX_TIMES)
        self._decision = -1
        self._status: MotorStatus | None = None
        self._contacts: list[Contact] = []
        self._by_hand = InterventionCount()
        self._odometry: Odometry | None = None  # the newest of the path
        self._frame_ns = 0  # stamp of the newest frame
        self._slowed_s = self._stop_look_move_s = 0.0
        self._slowed_to_m_s: float | None = None

    @property
    def answered(self) -> list[AnsweredFrame]:
        """Frames with the model's answers, spread over the run."""
        return self._answered.all()

    @property
    def path(self) -> list[Odometry]:
        """The poses of the base, at most ten a second."""
        return self._path.all()

    def on_start(self, stamp_ns: int) -> None:
        """Count seconds from here."""
        self._start_ns = stamp_ns

    def on_frame(self, observation: Observation, policy: PolicyStatus) -> None:
        """Add the time for which late answers slowed the base."""
        before_ns, self._frame_ns = self._frame_ns, observation.frame.stamp_ns
        passed_s = (self._frame_ns - before_ns) / 1e9 if before_ns else 0.0
        if policy.slowed_to_m_s:
            self._slowed_s += passed_s
            self._slowed_to_m_s = min(policy.slowed_to_m_s, self._slowed_to_m_s or math.inf)
        elif policy.slowed_to_m_s is not None:
            self._stop_look_move_s += passed_s

    def on_inference(self, inference: Inference) -> None:
        """Add the times of the model's stages, its boxes and the frame."""
        stages = {**inference.stages_ms, "total": sum(inference.stages_ms.values())}
        self._decisions += 1
        for stage, milliseconds in stages.items():
            self._stages_ms.setdefault(stage, Thinned(MAX_TIMES)).add(milliseconds)
        frame = inference.frame
        found = self._boxes.read(inference.text, inference.confidence, self._goal.target, frame.image)
        self._detections += bool(found)
        detections = inference.detections or found.detections
        self._cut_answers += inference.cut
        answer = f"{inference.confidence:.2f}  {inference.words}"
        seconds = max(0.0, (frame.stamp_ns - self._start_ns) / 1e9)
        image = _small(frame.image)
        self._answered.add(AnsweredFrame(image, seconds, self._prompt, answer, detections, frame.source))

    def on_chunk(self, chunk: ActionChunk) -> None:
        """Count it."""
        self._chunks += 1

    def on_status(self, status: MotorStatus) -> None:
        """Add the latency of a new decision, and the distance since the last report."""
        self._status = status
        self._by_hand.add(status)
        if status.decision != self._decision and status.frame_to_motor_ns >= 0:
            self._decision = status.decision
            self._frame_to_motor_ms.add(status.frame_to_motor_ns / 1e6)
        odometry = status.odometry
        if status.contacts > len(self._contacts):
            at_s = round((status.stamp_ns - self._start_ns) / 1e9, 2)
            where = (None, None) if odometry is None else (round(odometry.x_m, 3), round(odometry.y_m, 3))
            self._contacts.append(Contact(at_s, *where, status.reason))
        if odometry is None:
            return
        if self._odometry is None:
            self._add_to_path(odometry)
        elif odometry.stamp_ns - self._odometry.stamp_ns >= PATH_PERIOD_NS:
            before = self._odometry
            self._distance_m += math.hypot(odometry.x_m - before.x_m, odometry.y_m - before.y_m)
            self._add_to_path(odometry)

    def on_end(self, end: DriveEnd) -> None:
        """Keep how long the drive took."""
        self._seconds = end.seconds

    def figures(self) -> Figures:
        """Return what was measured so far."""
        status = self._status
        return Figures(
            seconds=round(self._seconds, 2),
            distance_m=round(self._distance_m, 3),
            decisions=self._decisions,
            detections=self._detections,
            cut_answers=self._cut_answers,
            latency_ms={stage: _percentiles(times.all()) for stage, times in self._stages_ms.items()},
            frame_to_motor_ms=_percentiles(self._frame_to_motor_ms.all()),
            missed_ticks=status.missed_ticks if status else 0,
            ticks=status.ticks if status else 0,
            chunks=self._chunks,
            refused_chunks=status.refused if status else Refusals(),
            contacts=tuple(self._contacts),
            slowed_s=round(self._slowed_s, 2),
            slowed_to_m_s=None if self._slowed_to_m_s is None else round(self._slowed_to_m_s, 3),
            stop_look_move_s=round(self._stop_look_move_s, 2),
            interventions=self._by_hand.result(self._start_ns),
        )

    def _add_to_path(self, odometry: Odometry) -> None:
        self._odometry = odometry
        self._path.add(odometry)


def _percentiles(values: Iterable[float]) -> Percentiles:
    measured = np.fromiter(values, np.float32)
    if not measured.size:
        return Percentiles(None, None)
    p50, p99 = np.percentile(measured, [50, 99])
    return Percentiles(round(float(p50), 2), round(float(p99), 2))


def _small(image: Image) -> Image:
    """Return the image no wider than what is drawn in the end."""
    height, width = image.shape[:2]
    if width <= FRAME_WIDTH_PX:
        return image
    size = (FRAME_WIDTH_PX, max(1, round(height * FRAME_WIDTH_PX / width)))
    return np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_AREA), np.uint8)
