"""Messages that Foxglove shows as they are: its own schemas, as far as they are used here.

Names, fields and numbers are those of https://github.com/foxglove/foxglove-sdk, folder `schemas`: `proto` for
images, whose pixels JSON would blow up by a third, `jsonschema` for everything else.
"""

import math
from collections.abc import Sequence
from typing import Any

from edge.records import Box, Detection, Odometry

_DOUBLE, _FIXED32, _STRING, _MESSAGE, _BYTES, _INT64, _INT32 = 1, 7, 9, 11, 12, 3, 5
LEVELS = {"debug": 1, "info": 2, "warning": 3, "error": 4, "critical": 5}
_GREEN = {"r": 0.09, "g": 0.59, "b": 0.33, "a": 1.0}
_CLEAR = {"r": 0.0, "g": 0.0, "b": 0.0, "a": 0.0}
_LINE_LOOP = 2
_FONT_PX = 12


def raw_image(camera: str, stamp_ns: int, size: tuple[int, int], pixels: bytes | memoryview) -> bytes:
    """Return a foxglove.RawImage of RGB pixels; `size` is width and height."""
    width, height = size
    return b"".join(
        (
            _part(1, _timestamp(stamp_ns)),
            _fixed32(2, width),
            _fixed32(3, height),
            _part(4, b"rgb8"),
            _fixed32(5, 3 * width),
            _part(7, camera.encode()),
            _varint(6 << 3 | 2),
            _varint(len(pixels)),
            pixels,
        )
    )


def compressed_image(camera: str, stamp_ns: int, jpeg: bytes | memoryview) -> bytes:
    """Return a foxglove.CompressedImage of a JPEG."""
    parts = _part(1, _timestamp(stamp_ns)), _part(4, camera.encode()), _part(3, b"jpeg")
    return b"".join((*parts, _varint(2 << 3 | 2), _varint(len(jpeg)), jpeg))


def image_schema(name: str) -> bytes:
    """Return the FileDescriptorSet of foxglove.RawImage or foxglove.CompressedImage."""
    time = [("seconds", 1, _INT64, ""), ("nanos", 2, _INT32, "")]
    stamp = ("timestamp", 1, _MESSAGE, ".google.protobuf.Timestamp")
    raw = [
        stamp,
        ("width", 2, _FIXED32, ""),
        ("height", 3, _FIXED32, ""),
        ("encoding", 4, _STRING, ""),
        ("step", 5, _FIXED32, ""),
        ("data", 6, _BYTES, ""),
        ("frame_id", 7, _STRING, ""),
    ]
    compressed = [stamp, ("data", 2, _BYTES, ""), ("format", 3, _STRING, ""), ("frame_id", 4, _STRING, "")]
    fields = raw if name == "RawImage" else compressed
    needed = "google/protobuf/timestamp.proto"
    files = (
        _file(needed, "google.protobuf", "Timestamp", time, ""),
        _file(f"foxglove/{name}.proto", "foxglove", name, fields, needed),
    )
    return b"".join(_part(1, file) for file in files)


def annotations(detections: Sequence[Detection], stamp_ns: int, size: tuple[int, int]) -> dict[str, Any]:
    """Return foxglove.ImageAnnotations of boxes, each with its words; `size` is width and height."""
    when = timestamp(stamp_ns)
    points: list[dict[str, Any]] = [
        {
            "timestamp": when,
            "type": _LINE_LOOP,
            "points": _corners(each.box, size),
            "outline_color": _GREEN,
            "outline_colors": [],
            "fill_color": _CLEAR,
            "thickness": 2.0,
            "metadata": [],
        }
        for each in detections
    ]
    texts: list[dict[str, Any]] = [
        {
            "timestamp": when,
            "position": {"x": each.box.x0 * size[0], "y": max(_FONT_PX, each.box.y0 * size[1] - 2)},
            "text": f"{each.label} {each.confidence:.2f}",
            "font_size": _FONT_PX,
            "text_color": {"r": 1.0, "g": 1.0, "b": 1.0, "a": 1.0},
            "background_color": _GREEN,
            "metadata": [],
        }
        for each in detections
    ]
    return {"circles": [], "points": points, "texts": texts}


def pose(odometry: Odometry, offset_ns: int) -> dict[str, Any]:
    """Return a foxglove.PoseInFrame of the base."""
    half = odometry.yaw_rad / 2
    return {
        "timestamp": timestamp(odometry.stamp_ns + offset_ns),
        "frame_id": "odom",
        "pose": {
            "position": {"x": odometry.x_m, "y": odometry.y_m, "z": 0.0},
            "orientation": {"x": 0.0, "y": 0.0, "z": math.sin(half), "w": math.cos(half)},
        },
    }


def log_line(line: dict[str, Any], stamp_ns: int) -> dict[str, Any]:
    """Return a foxglove.Log of a line of the run's log."""
    fields = "".join(f" {key}={value}" for key, value in line["fields"].items())
    return {
        "timestamp": timestamp(stamp_ns),
        "level": LEVELS.get(line["level"], 0),
        "message": line["event"] + fields,
        "name": line["logger"],
        "file": "",
        "line": 0,
    }


def timestamp(stamp_ns: int) -> dict[str, int]:
    """Return a time of foxglove's JSON."""
    return {"sec": stamp_ns // 10**9, "nsec": stamp_ns % 10**9}


def _corners(box: Box, size: tuple[int, int]) -> list[dict[str, float]]:
    width, height = size
    xs, ys = (box.x0, box.x1, box.x1, box.x0), (box.y0, box.y0, box.y1, box.y1)
    return [{"x": x * width, "y": y * height} for x, y in zip(xs, ys, strict=True)]


def _object(title: str, **properties: Any) -> dict[str, Any]:
    return {"type": "object", "title": title, "properties": properties, "required": list(properties)}


def _list(items: Any) -> dict[str, Any]:
    return {"type": "array", "items": items}


_NUMBER, _INTEGER, _TEXT = {"type": "number"}, {"type": "integer"}, {"type": "string"}
_TIME = _object("time", sec=_INTEGER, nsec=_INTEGER)
_POINT = _object("foxglove.Point2", x=_NUMBER, y=_NUMBER)
_COLOR = _object("foxglove.Color", r=_NUMBER, g=_NUMBER, b=_NUMBER, a=_NUMBER)
_PAIRS = _list(_object("foxglove.KeyValuePair", key=_TEXT, value=_TEXT))
_CIRCLES = _object(
    "foxglove.CircleAnnotation", timestamp=_TIME, position=_POINT, diameter=_NUMBER, thickness=_NUMBER,
    fill_color=_COLOR, outline_color=_COLOR, metadata=_PAIRS,
)  # fmt: skip
_POINTS = _object(
    "foxglove.PointsAnnotation", timestamp=_TIME, type=_INTEGER, points=_list(_POINT), outline_color=_COLOR,
    outline_colors=_list(_COLOR), fill_color=_COLOR, thickness=_NUMBER, metadata=_PAIRS,
)  # fmt: skip
_TEXTS = _object(
    "foxglove.TextAnnotation", timestamp=_TIME, position=_POINT, text=_TEXT, font_size=_NUMBER,
    text_color=_COLOR, background_color=_COLOR, metadata=_PAIRS,
)  # fmt: skip
_PLACE = _object("foxglove.Vector3", x=_NUMBER, y=_NUMBER, z=_NUMBER)
_TURN = _object("foxglove.Quaternion", x=_NUMBER, y=_NUMBER, z=_NUMBER, w=_NUMBER)
SCHEMAS = {
    "foxglove.ImageAnnotations": _object(
        "foxglove.ImageAnnotations", circles=_list(_CIRCLES), points=_list(_POINTS), texts=_list(_TEXTS)
    ),
    "foxglove.PoseInFrame": _object(
        "foxglove.PoseInFrame", timestamp=_TIME, frame_id=_TEXT,
        pose=_object("foxglove.Pose", position=_PLACE, orientation=_TURN),
    ),
    "foxglove.Log": _object(
        "foxglove.Log", timestamp=_TIME, level=_INTEGER, message=_TEXT, name=_TEXT, file=_TEXT, line=_INTEGER
    ),
}  # fmt: skip


def _file(
    name: str, package: str, message: str, fields: list[tuple[str, int, int, str]], needs: str
) -> bytes:
    """Return a FileDescriptorProto of one message, whose fields have name, number, type and type's name."""
    described = b""
    for field, number, kind, kind_name in fields:
        named = _part(6, kind_name.encode()) if kind_name else b""
        # 3: its number; 4: its label, optional; 5: its type.
        numbers = b"".join(
            _varint(at << 3) + _varint(value) for at, value in ((3, number), (4, 1), (5, kind))
        )
        described += _part(2, _part(1, field.encode()) + numbers + named)
    needed = _part(3, needs.encode()) if needs else b""
    body = _part(4, _part(1, message.encode()) + described)
    return _part(1, name.encode()) + _part(2, package.encode()) + needed + body + _part(12, b"proto3")


def _timestamp(stamp_ns: int) -> bytes:
    return _varint(1 << 3) + _varint(stamp_ns // 10**9) + _varint(2 << 3) + _varint(stamp_ns % 10**9)


def _fixed32(number: int, value: int) -> bytes:
    return _varint(number << 3 | 5) + value.to_bytes(4, "little")


def _part(number: int, content: bytes) -> bytes:
    """Return a field of bytes, or of a message."""
    return _varint(number << 3 | 2) + _varint(len(content)) + content


def _varint(value: int) -> bytes:
    out = bytearray()
    while value >= 0x80:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)
