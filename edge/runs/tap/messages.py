"""An event as messages of recordings and of Foxglove: the one table of topics, schemas and encodings."""

import json
import time
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from edge.records import Detection, Odometry
from edge.runs.recording import foxglove, schemas
from edge.runs.tap.events import TapEvent
from edge.runs.tap.options import JPEG
from edge.runs.tap.plain import from_plain

POSE_NS = 100_000_000
OWN = "/vla_edge/"  # before the topic of an own message
SCHEMAS = foxglove.SCHEMAS | {
    f"vla_edge.{topic}": schemas.named(schema, topic) for topic, schema in schemas.SCHEMAS.items()
}
TOPICS = {  # with the schema of each, always in JSON; a camera's topics have its name
    **{f"{OWN}{topic}": f"vla_edge.{topic}" for topic in schemas.SCHEMAS},
    "/log": "foxglove.Log",
    "/pose": "foxglove.PoseInFrame",
}
_WALL_NS = time.time_ns() - time.monotonic_ns()  # the only wall time of a recording: what Foxglove shows


@dataclass(frozen=True, slots=True)
class EventMessage:
    """One message of a topic; all of a topic have one schema."""

    topic: str
    schema: str
    encoding: str  # json or protobuf
    body: bytes

    def schema_content(self) -> tuple[str, bytes]:
        """Return the encoding and the content of its schema."""
        if self.encoding == "protobuf":
            return "protobuf", foxglove.image_schema(self.schema.removeprefix("foxglove."))
        return "jsonschema", json.dumps(SCHEMAS[self.schema]).encode()


class EventMessages:
    """Makes messages of a run's events, which come in their order."""

    def __init__(self, hashed: bool = True) -> None:
        """Begin a run; with `hashed` a tick names the CRC-32 of the image that it saw."""
        self._hashed = hashed
        self._sizes: dict[str, tuple[int, int]] = {}  # width and height, by camera
        self._hashes: dict[str, str] = {}  # the newest image's, by camera
        self._pose_ns = 0

    def of(self, event: TapEvent) -> Iterator[EventMessage]:
        """Yield an event, and what Foxglove shows of it."""
        if event.topic == "image":
            yield self._image(event)
        elif event.topic == "log":
            yield _message("/log", foxglove.log_line(event.data, event.stamp_ns + _WALL_NS))
        elif event.topic == "tick":
            yield _message(OWN + event.topic, {**event.data, "hashes": self._hashes})
            yield from self._boxes(event)
        else:
            yield fixed_message(OWN + event.topic, event.line)
        if event.topic == "motor":
            yield from self._pose(event)

    def _image(self, event: TapEvent) -> EventMessage:
        facts, stamp_ns = event.data, event.stamp_ns + _WALL_NS
        camera, size = facts["camera"], (facts["width"], facts["height"])
        self._sizes[camera] = size
        if self._hashed:
            self._hashes[camera] = f"crc32:{zlib.crc32(event.blob):08x}"  # a quarter of the time of SHA-256
        if facts["encoding"] == JPEG:
            kind, body = "CompressedImage", foxglove.compressed_image(camera, stamp_ns, event.blob)
        else:
            kind, body = "RawImage", foxglove.raw_image(camera, stamp_ns, size, event.blob)
        return EventMessage(camera_topic(camera), f"foxglove.{kind}", "protobuf", body)

    def _boxes(self, event: TapEvent) -> Iterator[EventMessage]:
        """Yield the policy's newest box, tracked to this frame; none where it has none."""
        camera = event.data["camera"] or next(iter(event.data["frames"]))
        found = event.data["policy"]["detection"]
        detections = [] if found is None else [from_plain(Detection, found)]
        size = self._sizes.get(camera)
        if size is not None:
            stamp_ns = event.data["frames"][camera]["stamp_ns"] + _WALL_NS
            boxes = foxglove.annotations(detections, stamp_ns, size)
            schema, body = "foxglove.ImageAnnotations", json.dumps(boxes).encode()
            yield EventMessage(f"{camera_topic(camera)}/boxes", schema, "json", body)

    def _pose(self, event: TapEvent) -> Iterator[EventMessage]:
        if event.stamp_ns < self._pose_ns or event.data["odometry"] is None:
            return
        self._pose_ns = event.stamp_ns + POSE_NS
        yield _message("/pose", foxglove.pose(from_plain(Odometry, event.data["odometry"]), _WALL_NS))


def camera_topic(camera: str) -> str:
    """Return the topic of a camera's images."""
    return f"/camera/{camera}"


def wall_minus_monotonic_ns() -> int:
    """Return what is added to a stamp of CLOCK_MONOTONIC for the times of messages."""
    return _WALL_NS


def _message(topic: str, content: Mapping[str, Any]) -> EventMessage:
    return fixed_message(topic, json.dumps(content).encode())


def fixed_message(topic: str, line: bytes) -> EventMessage:
    """Return a message of one of TOPICS."""
    return EventMessage(topic, TOPICS[topic], "json", line)
