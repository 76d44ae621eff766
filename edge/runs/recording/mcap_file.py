"""Writes the events of a run into one MCAP file, chunk by chunk, so that a torn one opens up to its last."""

import hashlib
import json
import os
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import edge
from edge.records import Detection, MotorStatus
from edge.runs.recording import foxglove, schemas
from edge.runs.tap.events import TapEvent
from edge.runs.tap.options import JPEG
from edge.runs.tap.plain import from_plain

CHUNK_BYTES = 1 << 20
FLUSH_NS = 1_000_000_000  # a crash of this process loses no more
SYNC_NS = 5_000_000_000  # nor a loss of power more than that
POSE_NS = 100_000_000
OWN = "/vla_edge/"  # before the topic of an own message
SCHEMAS = foxglove.SCHEMAS | {
    f"vla_edge.{topic}": schemas.named(schema, topic) for topic, schema in schemas.SCHEMAS.items()
}
_WALL_NS = time.time_ns() - time.monotonic_ns()  # the only wall time of a recording: what Foxglove shows


class McapFile:
    """One MCAP file under way. Raises OSError if its file can't be written."""

    def __init__(self, path: Path) -> None:
        """Create the file; it must not be there."""
        from mcap.writer import CompressionType, Writer  # a third of a second that only this process spends

        self.path = path
        self._file = path.open("xb")
        self._writer = Writer(self._file, CHUNK_BYTES, CompressionType.LZ4)
        self._writer.start("", f"vla-edge {edge.__version__}")
        self._schemas: dict[str, int] = {}
        self._channels: dict[str, int] = {}
        self._sizes: dict[str, tuple[int, int]] = {}  # width and height, by camera
        self._hashes: dict[str, str] = {}  # the newest image's, by camera
        self._flushed_ns = self._synced_ns = self._pose_ns = 0
        self.bytes = 0  # that went into the file

    def write(self, event: TapEvent) -> None:
        """Write an event, and what Foxglove shows of it."""
        if event.topic == "image":
            self._write_image(event)
        elif event.topic == "log":
            line = foxglove.log_line(event.data, event.stamp_ns + _WALL_NS)
            self._json("/log", "foxglove.Log", event, line)
        elif event.topic == "tick":
            self._own(event, json.dumps({**event.data, "hashes": self._hashes}).encode())
            self._write_boxes(event)
        else:
            self._own(event, event.line)
        if event.topic == "header":
            self._writer.add_metadata("vla_edge", {"header": event.line.decode()})
        if event.topic == "motor":
            self._write_pose(event)
        self._flush(event.stamp_ns)
        self.bytes = self._file.tell()

    def close(self) -> None:
        """Write the index and close the file."""
        self._writer.finish()
        self._file.flush()
        self.bytes = self._file.tell()
        os.fsync(self._file.fileno())
        self._file.close()

    def _write_image(self, event: TapEvent) -> None:
        facts, stamp_ns = event.data, event.stamp_ns + _WALL_NS
        camera, size = facts["camera"], (facts["width"], facts["height"])
        self._sizes[camera] = size
        self._hashes[camera] = hashlib.sha256(event.blob).hexdigest()[:16]
        if facts["encoding"] == JPEG:
            kind, body = "CompressedImage", foxglove.compressed_image(camera, stamp_ns, event.blob)
        else:
            kind, body = "RawImage", foxglove.raw_image(camera, stamp_ns, size, event.blob)
        self._add(f"/camera/{camera}", f"foxglove.{kind}", event, body, "protobuf")

    def _write_boxes(self, event: TapEvent) -> None:
        """Write the policy's newest box, tracked to this frame; none where it has none."""
        camera = event.data["camera"] or next(iter(event.data["frames"]))
        found = event.data["policy"]["detection"]
        detections = [] if found is None else [from_plain(Detection, found)]
        size = self._sizes.get(camera)
        if size is not None:
            stamp_ns = event.data["frames"][camera]["stamp_ns"] + _WALL_NS
            boxes = foxglove.annotations(detections, stamp_ns, size)
            self._json(f"/camera/{camera}/boxes", "foxglove.ImageAnnotations", event, boxes)

    def _write_pose(self, event: TapEvent) -> None:
        odometry = from_plain(MotorStatus, event.data).odometry
        if odometry is not None and event.stamp_ns >= self._pose_ns:
            self._pose_ns = event.stamp_ns + POSE_NS
            self._json("/pose", "foxglove.PoseInFrame", event, foxglove.pose(odometry, _WALL_NS))

    def _own(self, event: TapEvent, line: bytes) -> None:
        self._add(OWN + event.topic, f"vla_edge.{event.topic}", event, line, "json")

    def _json(self, topic: str, schema: str, event: TapEvent, message: Mapping[str, Any]) -> None:
        self._add(topic, schema, event, json.dumps(message).encode(), "json")

    def _add(self, topic: str, schema: str, event: TapEvent, body: bytes, encoding: str) -> None:
        if schema not in self._schemas:
            self._schemas[schema] = self._register(schema, encoding)
        if topic not in self._channels:
            self._channels[topic] = self._writer.register_channel(topic, encoding, self._schemas[schema])
        stamp_ns = event.stamp_ns + _WALL_NS
        self._writer.add_message(self._channels[topic], stamp_ns, body, stamp_ns, event.seq & 0xFFFFFFFF)

    def _register(self, schema: str, encoding: str) -> int:
        if encoding == "protobuf":
            content = foxglove.image_schema(schema.removeprefix("foxglove."))
            return self._writer.register_schema(schema, "protobuf", content)
        return self._writer.register_schema(schema, "jsonschema", json.dumps(SCHEMAS[schema]).encode())

    def _flush(self, stamp_ns: int) -> None:
        if stamp_ns - self._flushed_ns >= FLUSH_NS:
            self._writer.flush()
            self._flushed_ns = stamp_ns
        if stamp_ns - self._synced_ns >= SYNC_NS:
            os.fdatasync(self._file.fileno())
            self._synced_ns = stamp_ns


def wall_minus_monotonic_ns() -> int:
    """Return what is added to a stamp of CLOCK_MONOTONIC for the times in a file."""
    return _WALL_NS
