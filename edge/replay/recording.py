"""A recording as the drive that it was: what its policy was given, frame by frame, and what it decided."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from edge.engines.protobuf import parts
from edge.errors import UsageError
from edge.interfaces import Inference
from edge.records import Frame, Goal, Image, MotorStatus, Observation, Odometry
from edge.runs.recording.header import FORMAT
from edge.runs.recording.torn import McapReader, Stored
from edge.runs.tap.late import AFTER
from edge.runs.tap.messages import OWN
from edge.runs.tap.parts import recordings_in
from edge.runs.tap.plain import from_plain

FrameKey = tuple[str, int]  # camera and seq
_RAW, _COMPRESSED = "foxglove.RawImage", "foxglove.CompressedImage"
IMAGE_DATA = {_RAW: 6, _COMPRESSED: 2}  # the field of the pixels


@dataclass(frozen=True, slots=True)
class Tick:
    """What the policy was given at one frame, and what it decided."""

    number: int  # counts from 0
    observation: Observation
    answer: int | None  # number of the inference that it was given
    decided: Any  # its chunk, as plain JSON
    status: Any  # its status, as plain JSON


@dataclass
class Facts:
    """What a look through the whole recording tells."""

    header: dict[str, Any] = field(default_factory=dict[str, Any])
    inferences: dict[int, dict[str, Any]] = field(default_factory=dict[int, dict[str, Any]])
    ticks: int = 0
    start_ns: int = 0
    events: set[int] = field(default_factory=set[int])
    last: int | None = None  # number of the end record, which is the last event
    outcome: dict[str, Any] | None = None  # how the run ended; None: it has no end record
    after: int = 0  # number of the last event before the recording, which a person began
    started: int = 0  # number of the drive's start
    first_seqs: Mapping[str, int] = field(default_factory=dict[str, int])  # by camera, of the first frames
    stopped: bool = False  # a person ended the recording
    went_on: bool = False  # its engine was started again, and the next recording goes on

    @property
    def missing(self) -> int:
        """How many of the run's events are not in the recording."""
        last = max(self.events, default=0) if self.last is None else self.last
        # Event 0 is not written, and what the recorder adds by itself has that number too.
        return last - self.after - sum(each > self.after for each in self.events)

    @property
    def late(self) -> bool:
        """True if it begins in the middle of the drive: what the policy knew by then is not in it."""
        return self.started <= self.after and self.after > 0


class RecordedRun:
    """One recorded run."""

    def __init__(self, path: Path) -> None:
        """Look through it. Raises UsageError if it is not a recording, or not one that can be replayed."""
        self.path = path
        self.facts = Facts()
        reader = McapReader(path)
        for message in reader.messages():
            self._note(message)
        self.whole = reader.whole
        header = self.facts.header
        if not header:
            raise UsageError(
                f"{path} has no header of a run",
                "was it cut off before the drive began? `vla-edge recover FILE` tells what is in it",
            )
        if header["format"] != FORMAT:
            raise UsageError(
                f"{path} has format {header['format']}, this program reads {FORMAT}",
                f"replay it with vla-edge {header['vla_edge']}",
            )
        self.goal = from_plain(Goal, header["goal"])
        self._wanted = {_key(each["inference"]["frame"]) for each in self.facts.inferences.values()}
        self._frames: dict[FrameKey, Frame] = {}  # those that an inference will be about, and the newest

    @property
    def inferred(self) -> set[FrameKey]:
        """The frames that the model answered about."""
        return self._wanted

    def events(self) -> Iterator[Tick | MotorStatus]:
        """Yield reports of the motor process and ticks, as they came.

        Raises UsageError if the pixels of a frame are missing.
        """
        images: dict[tuple[str, int], Stored] = {}  # by camera and stamp, the newest of each camera
        number = 0
        offset_ns = self.facts.header["wall_minus_monotonic_ns"]
        for message in McapReader(self.path).messages():
            if message.schema in IMAGE_DATA:
                camera = message.topic.removeprefix("/camera/")
                images = {key: each for key, each in images.items() if key[0] != camera}
                images[camera, message.stamp_ns - offset_ns] = message
            elif message.topic == OWN + "motor":
                yield from_plain(MotorStatus, json.loads(message.body))
            elif message.topic == OWN + "tick":
                yield self._tick(number, json.loads(message.body), images)
                number += 1

    def inference(self, number: int) -> Inference:
        """Return an inference whose frame `events` has passed. Raises UsageError if it is missing."""
        told = self.facts.inferences.get(number)
        if told is None:
            raise self._incomplete(f"answer {number} is missing")
        return from_plain(Inference, told["inference"], self._found)

    def frame(self, key: FrameKey) -> Frame:
        """Return a frame that the model answered about and `events` has passed."""
        return self._frames[key]

    def _note(self, message: Stored) -> None:
        facts = self.facts
        facts.events.add(message.sequence)
        topic = message.topic.removeprefix(OWN)
        if topic == message.topic or topic == "motor":
            return
        if topic == "tick":
            if not facts.ticks and facts.late:
                seen: dict[str, Any] = json.loads(message.body)["frames"]
                facts.first_seqs = {name: each["seq"] for name, each in seen.items()}
            facts.ticks += 1
            return
        told = json.loads(message.body)
        if topic == "header":
            facts.header, facts.after = told, told.get(AFTER, 0)
        elif topic == "start":
            facts.start_ns, facts.started = told["stamp_ns"], message.sequence
        elif topic == "inference":
            camera, seq = _key(told["inference"]["frame"])
            if seq >= facts.first_seqs.get(camera, 0):  # a late recording lacks what is before
                facts.inferences[told["number"]] = told
        elif topic == "stopped":
            facts.stopped, facts.last = True, told["last"]
        elif topic == "outcome":
            facts.outcome, facts.last, facts.went_on = told["end"], message.sequence, told["end"] is None

    def _tick(self, number: int, told: dict[str, Any], images: Mapping[tuple[str, int], Stored]) -> Tick:
        frames = {name: self._frame(name, each, images) for name, each in told["frames"].items()}
        odometry = None if told["odometry"] is None else from_plain(Odometry, told["odometry"])
        observation = Observation(frames, self.goal, odometry, told["camera"])
        answer: int | None = told["inference"]
        if self.facts.late and answer is not None and answer < min(self.facts.inferences, default=answer + 1):
            answer = None  # to a frame before the recording
        return Tick(number, observation, answer, told["decided"], told["policy"])

    def _frame(self, name: str, told: dict[str, Any], images: Mapping[tuple[str, int], Stored]) -> Frame:
        before = self._frames.get((name, told["seq"]))
        if before is not None:
            return before
        stored = images.get((name, told["image_ns"]))
        if stored is None:
            raise self._incomplete(f"the pixels of frame {told['seq']} of camera {name!r} are missing")
        image = stored_pixels(stored, told["height"], told["width"])
        frame = Frame(image, told["stamp_ns"], told["seq"], told["camera"], told["source"])
        self._frames = {
            key: each for key, each in self._frames.items() if key in self._wanted or key[0] != name
        }
        self._frames[name, frame.seq] = frame
        return frame

    def _found(self, told: Mapping[str, Any]) -> Frame:
        frame = self._frames.get(_key(told))
        if frame is None:
            raise self._incomplete(f"frame {told['seq']} of camera {told['camera']!r} is missing")
        return frame

    def _incomplete(self, why: str) -> UsageError:
        return UsageError(
            f"{self.path} can't be replayed: {why}",
            "its recorder dropped it, or holds few images (last30s.mcap): record with `--record DIR`",
        )


def find_recording(path: Path) -> Path:
    """Return the recording that a path means: the file itself, or the only one of a run's folder, or in one.

    Raises UsageError if there is none, or several.
    """
    if not path.is_dir():
        return path
    found = recordings_in(path)
    if len(found) == 1:
        return found[0]
    names = ", ".join(each.name for each in found[:5])
    raise UsageError(
        f"{path} has {len(found)} recordings{': ' + names if names else ''}",
        "name one file" if found else "`vla-edge run --record DIR` makes one",
    )


def without_end(facts: Facts, whole: bool) -> str:
    """Return for people that a run has no end record; empty if it has one."""
    if facts.outcome is not None or facts.went_on or facts.stopped:
        return ""
    torn = "" if whole else ", and the file is cut off"
    return f"the run has no end record: its runtime or its recorder was killed, or crashed{torn}"


def _key(told: Mapping[str, Any]) -> FrameKey:
    return told["camera"], told["seq"]


def stored_pixels(stored: Stored, height: int, width: int) -> Image:
    """Return the image of a message. Raises UsageError if it is not one of that size."""
    wanted = IMAGE_DATA[stored.schema]
    data = next(bytes(part) for number, part in parts(memoryview(stored.body)) if number == wanted)
    if stored.schema == _COMPRESSED:
        bgr = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
        if bgr is None:
            raise UsageError("a JPEG of the recording can't be decoded")
        return np.asarray(cv2.cvtColor(bgr, cv2.COLOR_BGR2RGB), np.uint8)
    if len(data) != height * width * 3:
        raise UsageError(f"an image of {width} x {height} has {len(data)} bytes")
    return np.ndarray((height, width, 3), np.uint8, data)
