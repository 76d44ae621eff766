"""A recording as others want it: images, what the motor process reported, and how the run ended."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from edge.engines.protobuf import parts
from edge.errors import UsageError, reason_of
from edge.field.judging import GOOD
from edge.field.results import JUDGED, read_result
from edge.goals.goals import GOALS
from edge.records import DriveEnd, Goal, Image, MotorStatus
from edge.runs.recording.header import FORMAT
from edge.runs.recording.torn import McapReader, Stored
from edge.runs.tap.messages import OWN
from edge.runs.tap.parts import part_of, recordings_in
from edge.runs.tap.plain import from_plain

IMAGES = "/camera/"
RAW, COMPRESSED = "foxglove.RawImage", "foxglove.CompressedImage"
_DATA = {RAW: 6, COMPRESSED: 2}  # the field of the pixels
_SEEN = ("header", "motor", "tick", "inference", "outcome")
_VERDICT_BYTES = 1 << 20


class DrivenRun:
    """One recorded run; of a torn file, what its whole chunks hold. Images stay in the file."""

    def __init__(self, path: Path) -> None:
        """Read all but the images. Raises UsageError if it is not a recording of a run that this reads."""
        self.path = path
        self.goal: Goal | None = None
        self._header: dict[str, Any] = {}
        self.offset_ns = 0  # what the times in the file are ahead of CLOCK_MONOTONIC
        self.folder = ""  # the run's, where it drove
        self.statuses: list[MotorStatus] = []
        self.stamps_ns: dict[str, list[int]] = {}  # images, by camera
        self.sizes: dict[str, tuple[int, int]] = {}  # height and width of the camera's frames
        self.end: DriveEnd | None = None  # how the run ended; None: it has no end record
        self.went_on = False  # its engine was started again, and another recording goes on
        self.part = ""  # which part of its run it is, for people; empty if it is all
        reader = McapReader(path)
        try:
            for message in reader.messages():
                self._note(message)
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise self._strange(reason_of(error)) from error
        self.whole = reader.whole
        if self.goal is None:
            raise self._strange("it has no header of a run")
        self.part = part_of(path, self._header, self.went_on).words

    def messages(self) -> Iterator[Stored]:
        """Yield all messages, with the file's times."""
        return McapReader(self.path).messages()

    def images(self) -> Iterator[tuple[str, Stored]]:
        """Yield the messages with images, each with its camera."""
        for each in self.messages():
            if each.schema in _DATA and each.topic.startswith(IMAGES):
                yield each.topic.removeprefix(IMAGES), each

    def picture(self, camera: str, stored: Stored) -> tuple[Image, bytes | None]:
        """Return the image (H, W, 3) RGB of a message, and its JPEG if it is kept as one.

        Raises UsageError if it can't be decoded.
        """
        try:
            image = pixels_in(stored, self.sizes.get(camera, (0, 0)))
            return image, image_bytes(stored) if stored.schema == COMPRESSED else None
        except ValueError as error:
            raise self._strange(str(error)) from error

    def verdict(self) -> tuple[bool, str]:
        """Return whether the goal was reached, and who says so.

        A person who judged the run as a trial says it before the run itself does. A part that ended with
        the engine reached nothing.
        """
        if self.went_on:
            return False, "run"
        judged = Path(self.folder) / JUDGED
        if self.folder and judged.is_file():
            with judged.open("rb") as file:
                result = read_result(file.read(_VERDICT_BYTES), str(judged))
            if not result.void:
                return result.reached, result.judged_by
        return self.end is not None and self.end.outcome.value in GOOD, "run"

    def _note(self, message: Stored) -> None:
        if message.schema in _DATA and message.topic.startswith(IMAGES):
            camera = message.topic.removeprefix(IMAGES)
            self.stamps_ns.setdefault(camera, []).append(message.stamp_ns)
            return
        topic = message.topic.removeprefix(OWN)
        if topic == message.topic or topic not in _SEEN:
            return
        told = json.loads(message.body)
        if topic == "header":
            if told["format"] != FORMAT:
                raise ValueError(f"its format is {told['format']}, this program reads {FORMAT}")
            self.goal, self._header = from_plain(Goal, told["goal"]), told
            if self.goal.kind not in GOALS:
                raise ValueError(f"it has a goal {self.goal.kind[:40]!r}")
            self.offset_ns, self.folder = int(told["wall_minus_monotonic_ns"]), str(told["run"])
        elif topic == "motor":
            self.statuses.append(from_plain(MotorStatus, told))
        elif topic == "outcome":
            self.went_on = told["end"] is None
            self.end = None if self.went_on else from_plain(DriveEnd, told["end"])
        elif topic == "inference":
            if not isinstance(told["inference"]["text"], str):
                raise ValueError("an answer is not a text")
        else:
            for name, frame in told["frames"].items():
                self.sizes[name] = int(frame["height"]), int(frame["width"])

    def _strange(self, why: str) -> UsageError:
        return UsageError(
            f"{self.path} can't be converted: {why}", "name a file that `vla-edge run --record DIR` wrote"
        )


def image_bytes(stored: Stored) -> bytes:
    """Return the pixels, or the JPEG, of an image's message. Raises ValueError if it has none."""
    wanted = _DATA[stored.schema]
    try:
        return next(bytes(part) for number, part in parts(memoryview(stored.body)) if number == wanted)
    except (StopIteration, IndexError):
        raise ValueError("an image without pixels") from None


def pixels_in(stored: Stored, size: tuple[int, int]) -> Image:
    """Return the image (H, W, 3) RGB of a message; `size` is height and width of raw ones.

    Raises ValueError if it can't be decoded.
    """
    data = image_bytes(stored)
    if stored.schema == COMPRESSED:
        bgr = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
        if bgr is None:
            raise ValueError("a JPEG that can't be decoded")
        return np.asarray(cv2.cvtColor(bgr, cv2.COLOR_BGR2RGB), np.uint8)
    if len(data) != size[0] * size[1] * 3:
        raise ValueError(f"an image of {size[1]} x {size[0]} with {len(data)} bytes")
    return np.ndarray((*size, 3), np.uint8, data)


def find_runs(paths: list[Path]) -> list[Path]:
    """Return the recordings that paths mean: files, those of runs' folders, or all that lie in folders.

    Raises UsageError for what is not there, and for a folder without any.
    """
    found: list[Path] = []
    for path in paths:
        if not path.exists():
            raise UsageError(f"there is no {path}", "name a recording, or a folder of them")
        inside = recordings_in(path) if path.is_dir() else [path]
        if not inside:
            raise UsageError(f"{path} has no recordings", "`vla-edge run --record DIR` makes them")
        found += inside
    return found
