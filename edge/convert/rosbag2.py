"""A recorded run as a bag of ROS 2: an MCAP file that `ros2 bag` plays, with its metadata.yaml."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

import edge
from edge.convert import ros_messages as ros
from edge.convert.driven_run import COMPRESSED, IMAGES, RAW, DrivenRun, image_bytes
from edge.errors import UsageError, write_hint
from edge.files import whole_folder
from edge.records import MotorStatus
from edge.runs.recording.mcap_file import CHUNK_BYTES
from edge.runs.recording.torn import Stored
from edge.runs.tap.messages import OWN
from edge.runs.tap.plain import from_plain

_VERSION = 5  # metadata.yaml as Humble has it, which later ones read
_BASE = "base_link"
CMD_VEL, ODOM, BY_HAND, ANSWER = "/cmd_vel", "/odom", "/vla_edge/by_hand", "/vla_edge/answer"


@dataclass(frozen=True, slots=True)
class WrittenBag:
    """What is in a bag."""

    topics: dict[str, int]  # messages by topic
    seconds: float
    whole: bool  # the recording was
    part: str = ""  # which part of its run the recording is, for people; empty if it is all


@dataclass(frozen=True, slots=True)
class RosMessage:
    """One message as it goes into the bag."""

    topic: str
    kind: str
    stamp_ns: int
    body: bytes


def convert(path: Path, out: Path) -> WrittenBag:
    """Write a recording as a bag. Raises UsageError if it is not one of a run, or can't be written."""
    run = DrivenRun(path)
    name = f"{out.name}_0.mcap"
    try:
        with whole_folder(out) as draft:
            counts, first_ns, last_ns = _write(run, draft / name)
            if not counts:
                raise UsageError(f"{path} has nothing that ROS 2 has a type for", "name another recording")
            (draft / "metadata.yaml").write_text(_metadata(name, counts, first_ns, last_ns))
    except OSError as error:
        raise UsageError(f"can't write {out}: {error.strerror}", write_hint(error)) from error
    topics = {topic: count for (topic, _), count in sorted(counts.items())}
    return WrittenBag(topics, round((last_ns - first_ns) / 1e9, 3), run.whole, run.part)


def ros_messages(run: DrivenRun) -> Iterator[RosMessage]:
    """Yield what ROS 2 has types for: images, setpoints, odometry, who drives, the model's answers."""
    odometry_ns = -1
    for stored in run.messages():
        at_ns = stored.stamp_ns
        if stored.schema in (RAW, COMPRESSED) and stored.topic.startswith(IMAGES):
            yield _image(run, stored)
        elif stored.topic == OWN + "motor":
            status = from_plain(MotorStatus, json.loads(stored.body))
            yield RosMessage(CMD_VEL, ros.TWIST, at_ns, ros.twist(status.sent))
            yield RosMessage(BY_HAND, ros.BOOL, at_ns, ros.boolean(status.by_hand))
            if status.odometry is not None and status.odometry.stamp_ns != odometry_ns:
                odometry_ns = status.odometry.stamp_ns
                body = ros.odometry(status.odometry, run.offset_ns, _BASE)
                yield RosMessage(ODOM, ros.ODOMETRY, at_ns, body)
        elif stored.topic == OWN + "inference":
            text = json.loads(stored.body)["inference"]["text"]
            yield RosMessage(ANSWER, ros.STRING, at_ns, ros.words(text))


def _image(run: DrivenRun, stored: Stored) -> RosMessage:
    camera, stamp_ns = stored.topic.removeprefix(IMAGES), stored.stamp_ns
    try:
        data = image_bytes(stored)
    except ValueError as error:
        raise UsageError(f"{run.path} can't be converted: {error}", "`vla-edge recover FILE`") from error
    topic = f"/camera/{camera}/image_raw"
    if stored.schema == COMPRESSED:
        body = ros.compressed_image(stamp_ns, camera, data)
        return RosMessage(f"{topic}/compressed", ros.COMPRESSED_IMAGE, stamp_ns, body)
    size = run.sizes.get(camera, (0, 0))
    if len(data) != size[0] * size[1] * 3:
        raise UsageError(
            f"{run.path} can't be converted: an image of {size[1]} x {size[0]} has {len(data)} bytes",
            "the size of its camera changed, or its file is damaged: name another recording",
        )
    return RosMessage(topic, ros.IMAGE, stamp_ns, ros.image(stamp_ns, camera, size, data))


def _write(run: DrivenRun, path: Path) -> tuple[dict[tuple[str, str], int], int, int]:
    """Write the file; return how many messages it has by topic and type, and its first and last time."""
    from mcap.writer import CompressionType, Writer

    counts: dict[tuple[str, str], int] = {}
    channels: dict[str, int] = {}
    schemas: dict[str, int] = {}
    first_ns = last_ns = 0
    with path.open("wb") as file:
        writer = Writer(file, CHUNK_BYTES, CompressionType.LZ4)
        writer.start("ros2", f"vla-edge {edge.__version__}")
        for number, message in enumerate(ros_messages(run)):
            kind, topic, at_ns = message.kind, message.topic, message.stamp_ns
            if kind not in schemas:
                schemas[kind] = writer.register_schema(kind, "ros2msg", ros.definition(kind).encode())
            if topic not in channels:
                about = {"offered_qos_profiles": ""}
                channels[topic] = writer.register_channel(topic, "cdr", schemas[kind], about)
            writer.add_message(channels[topic], at_ns, message.body, at_ns, number & 0xFFFFFFFF)
            counts[topic, kind] = counts.get((topic, kind), 0) + 1
            first_ns, last_ns = min(first_ns or at_ns, at_ns), max(last_ns, at_ns)
        writer.finish()
    return counts, first_ns, last_ns


def _metadata(name: str, counts: dict[tuple[str, str], int], first_ns: int, last_ns: int) -> str:
    duration, start = last_ns - first_ns, first_ns
    total = sum(counts.values())
    topics: list[dict[str, Any]] = [
        {
            "topic_metadata": {
                "name": topic,
                "type": kind,
                "serialization_format": "cdr",
                "offered_qos_profiles": "",
            },
            "message_count": count,
        }
        for (topic, kind), count in sorted(counts.items())
    ]
    information: dict[str, Any] = {
        "version": _VERSION,
        "storage_identifier": "mcap",
        "duration": {"nanoseconds": duration},
        "starting_time": {"nanoseconds_since_epoch": start},
        "message_count": total,
        "topics_with_message_count": topics,
        "compression_format": "",
        "compression_mode": "",
        "relative_file_paths": [name],
        "files": [
            {
                "path": name,
                "starting_time": {"nanoseconds_since_epoch": start},
                "duration": {"nanoseconds": duration},
                "message_count": total,
            }
        ],
    }
    return yaml.safe_dump({"rosbag2_bagfile_information": information}, sort_keys=False)
