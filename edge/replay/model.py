"""The model layer once more: recorded images through a bundle, and its answers beside the recorded ones."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from edge.interfaces import Inference, PicksFrames, Policy
from edge.model.boxes import BoxReader
from edge.records import Detection, MotorStatus
from edge.replay.decisions import ReplayedContacts
from edge.replay.recording import FrameKey, RecordedRun
from edge.runs.tap.plain import to_line

SAME_IOU = 0.7  # boxes that overlap so much steer alike
SAME_RATE = 0.05  # m/s and rad/s
SEEKS = ("find_object", "follow_object")  # goals whose answers count by their boxes alone
ROWS = 3  # so many rows of a chunk are driven before the next answer comes


@dataclass(frozen=True, slots=True)
class ComparedAnswer:
    """Two answers about one frame."""

    number: int  # the recorded inference's
    at_s: float  # the frame's time, since the drive's start
    recorded: Inference
    replayed: Inference
    found_before: tuple[Detection, ...]
    found: tuple[Detection, ...]
    identical: bool  # text, confidence and chunk, to the last bit
    why: str  # for people, how the robot would be steered otherwise; empty: it would not


def replay_model(policy: Policy, recording: RecordedRun, boxes: BoxReader) -> Iterator[ComparedAnswer]:
    """Yield each recorded answer with that of another policy about the same frame.

    The other one acts on its own answers, which come when the recorded ones came. Raises UsageError if
    something of the recording is missing.
    """
    contacts = ReplayedContacts(policy)
    own: dict[FrameKey, Inference] = {}
    for event in recording.events():
        if isinstance(event, MotorStatus):
            contacts.take(event)
            continue
        key = (event.observation.frame.camera, event.observation.frame.seq)
        answer = None if event.answer is None else recording.inference(event.answer)
        given = None if answer is None else own.pop((answer.frame.camera, answer.frame.seq), None)
        if isinstance(policy, PicksFrames):
            policy.wants(event.observation, given)
        if key in recording.inferred:
            own[key] = policy.infer(event.observation)
            if answer is not None and answer.frame.seq == event.observation.frame.seq:
                given = own.pop(key)
        policy.act(event.observation, given)
        if answer is not None and given is not None and event.answer is not None:
            yield _compared(event.answer, answer, given, recording, boxes)


def _compared(
    number: int, recorded: Inference, replayed: Inference, recording: RecordedRun, boxes: BoxReader
) -> ComparedAnswer:
    found_before, found = (_found(each, recording, boxes) for each in (recorded, replayed))
    return ComparedAnswer(
        number=number,
        at_s=round((recorded.frame.stamp_ns - recording.facts.start_ns) / 1e9, 3),
        recorded=recorded,
        replayed=replayed,
        found_before=found_before,
        found=found,
        identical=to_line(_said(recorded)) == to_line(_said(replayed)),
        why=_difference(recorded, replayed, found_before, found, recording.goal.kind in SEEKS),
    )


def _said(inference: Inference) -> list[Any]:
    return [inference.text, inference.confidence, inference.cut, inference.chunk, inference.detections]


def _found(inference: Inference, recording: RecordedRun, boxes: BoxReader) -> tuple[Detection, ...]:
    if inference.detections or inference.chunk is not None or recording.goal.kind == "instruct":
        return inference.detections
    target = recording.goal.target
    return boxes.read(inference.text, inference.confidence, target, inference.frame.image).detections


def _difference(
    recorded: Inference,
    replayed: Inference,
    before: tuple[Detection, ...],
    after: tuple[Detection, ...],
    seeks: bool,
) -> str:
    """Return how a robot would be steered otherwise by the replayed answer; empty if it would not."""
    if recorded.chunk is not None or replayed.chunk is not None:
        return _chunks_differ(recorded, replayed)
    if not before and not after:
        return "" if seeks or recorded.text == replayed.text else "other words"
    if not before or not after:
        return "found, was not" if after else "not found, was"
    best = max(max(one.box.iou(other.box) for other in after) for one in before)
    return "" if best >= SAME_IOU else f"another box (overlap {best:.2f})"


def _chunks_differ(recorded: Inference, replayed: Inference) -> str:
    if recorded.chunk is None or replayed.chunk is None:
        return "actions against words"
    rows = min(ROWS, len(recorded.chunk.values), len(replayed.chunk.values))
    apart = float(np.abs(recorded.chunk.values[:rows] - replayed.chunk.values[:rows]).max(initial=0.0))
    return "" if apart <= SAME_RATE else f"other velocities (by {apart:.2f})"
