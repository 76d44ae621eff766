"""A recording of a run, as far as a page shows it; a torn file up to its last whole chunk."""

import json
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, cast

from edge.errors import UsageError, reason_of
from edge.runs.recording.torn import McapReader
from edge.runs.tap.messages import OWN
from edge.runs.tap.parts import part_of

IMAGES = "/camera/"
PICTURE_NS = 100_000_000  # at most ten pictures a second are shown
Message = dict[str, Any]


@dataclass(frozen=True)
class StoredImage:
    """An image as the file has it."""

    stamp_ns: int  # CLOCK_MONOTONIC
    camera: str
    message: bytes  # foxglove.RawImage or foxglove.CompressedImage
    raw: bool


@dataclass
class ShownRecording:
    """The messages of a recording, by what they are; stamps are CLOCK_MONOTONIC."""

    header: Message = field(default_factory=dict[str, Any])
    start_ns: int | None = None
    ticks: list[Message] = field(default_factory=list[Message])
    inferences: list[Message] = field(default_factory=list[Message])
    motor: list[Message] = field(default_factory=list[Message])
    machine: list[tuple[int, Message]] = field(default_factory=list[tuple[int, Message]])
    images: list[StoredImage] = field(default_factory=list[StoredImage])
    end: Message | None = None
    whole: bool = True  # False: the file is cut off
    parts: int = 1  # files that it was read from
    part: str = ""  # which part of its run it is, for people; empty if it is all


def read_recording(path: Path) -> ShownRecording:
    """Read a recording. Raises UsageError if it is not one of a run."""
    recording = ShownRecording()
    due_ns: dict[str, int] = {}
    went_on = False
    reader = McapReader(path)
    try:
        for stored in reader.messages():
            topic, schema, stamp_ns, data = stored.topic, stored.schema, stored.stamp_ns, stored.body
            if topic.startswith(OWN):
                message = cast(Message, json.loads(data))
                _take(recording, topic.removeprefix(OWN), message, stamp_ns)
                went_on |= topic == f"{OWN}outcome" and message["end"] is None
            elif topic.startswith(IMAGES) and schema.endswith("Image"):
                camera = topic.removeprefix(IMAGES)
                if stamp_ns >= due_ns.get(camera, 0):
                    due_ns[camera] = stamp_ns + PICTURE_NS
                    raw = schema.endswith("RawImage")
                    recording.images.append(StoredImage(stamp_ns, camera, data, raw))
        if recording.header:
            _to_monotonic(recording, recording.header["wall_minus_monotonic_ns"])
    except (ValueError, KeyError) as error:
        raise UsageError(
            f"{path} is not a run's recording: {reason_of(error)}", "name a run's folder"
        ) from error
    recording.whole = reader.whole
    if not recording.header:
        raise UsageError(f"{path} is not a run's recording", "name a run's folder, or the file of --record")
    recording.part = part_of(path, recording.header, went_on).words
    return recording


def read_recordings(paths: Sequence[Path]) -> ShownRecording:
    """Read the recordings of one run, in their order, as one. Raises UsageError as `read_recording` does."""
    first, *others = map(read_recording, paths)
    for each in others:
        _number_on(each, 1 + max((status["decision"] for status in first.motor), default=0))
        for name in ("ticks", "inferences", "motor", "machine", "images"):
            getattr(first, name).extend(getattr(each, name))
        first.end, first.whole = each.end, first.whole and each.whole
    first.parts, first.part = len(paths), first.part if len(paths) == 1 else ""
    return first


def _number_on(recording: ShownRecording, by: int) -> None:
    """Let decisions count on from those of the parts before, as each drive counts its own."""
    for tick in recording.ticks:
        if tick["decided"]:
            tick["decided"]["decision"] += by
    for status in recording.motor:
        status["decision"] += by


def _to_monotonic(recording: ShownRecording, offset_ns: int) -> None:
    """Turn the file's wall times into stamps of CLOCK_MONOTONIC."""
    for message in (*recording.ticks, *recording.inferences):
        message["stamp_ns"] -= offset_ns
    recording.machine = [(stamp_ns - offset_ns, facts) for stamp_ns, facts in recording.machine]
    recording.images = [replace(each, stamp_ns=each.stamp_ns - offset_ns) for each in recording.images]


def _take(recording: ShownRecording, topic: str, message: Message, stamp_ns: int) -> None:
    if topic == "header":
        recording.header = message
    elif topic == "start":
        recording.start_ns = message["stamp_ns"]
    elif topic == "tick":
        recording.ticks.append({**message, "stamp_ns": stamp_ns})
    elif topic == "inference":
        recording.inferences.append({**message, "stamp_ns": stamp_ns})
    elif topic == "motor":
        recording.motor.append(message)
    elif topic == "machine":
        recording.machine.append((stamp_ns, message))
    elif topic == "end":
        recording.end = message
