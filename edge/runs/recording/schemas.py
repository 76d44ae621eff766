"""The JSON schemas of this project's own messages, made from the records that they hold."""

import types
from collections.abc import Mapping
from dataclasses import is_dataclass
from enum import Enum
from typing import Any, Union, cast, get_args, get_type_hints

import numpy as np

from edge.interfaces import Inference, PolicyStatus
from edge.records import ActionChunk, DriveEnd, Frame, MotorStatus, Odometry
from edge.runs.tap.plain import origin_of

_WHOLE, _NUMBER, _TEXT = {"type": "integer"}, {"type": "number"}, {"type": "string"}
_ANY = {"type": "object"}


def _object(**properties: Any) -> dict[str, Any]:
    return {"type": "object", "properties": properties}


def _schema(hint: Any) -> dict[str, Any]:
    """Return the schema of what `to_plain` makes of a value of this type."""
    origin, arguments = origin_of(hint), get_args(hint)
    if origin in (Union, types.UnionType):
        return _schema(next(each for each in arguments if each is not type(None)))
    if origin is np.ndarray:
        return {"type": "array", "items": {"type": "array", "items": _NUMBER}}
    if origin is tuple:
        return {"type": "array", "items": _schema(arguments[0])}
    if origin is not None and issubclass(origin, Mapping):
        return _ANY
    if hint is Frame:
        return _FRAME
    if is_dataclass(hint):
        hints = get_type_hints(cast("type[Any]", hint))
        return _object(**{name: _schema(each) for name, each in hints.items()})
    if isinstance(hint, type) and issubclass(hint, Enum):
        return _TEXT
    if hint is bool:
        return {"type": "boolean"}
    return _WHOLE if hint is int else _NUMBER if hint is float else _TEXT


_FRAME = _object(camera=_TEXT, seq=_WHOLE, stamp_ns=_WHOLE, source=_TEXT)
SCHEMAS: dict[str, dict[str, Any]] = {
    "header": _ANY,
    "start": _object(stamp_ns=_WHOLE),
    "tick": _object(
        camera=_TEXT,
        frames={"type": "object", "description": "by camera; image_ns: stamp of the frame with its pixels"},
        odometry=_schema(Odometry),
        inference={**_WHOLE, "description": "number of the inference that the policy was given"},
        decided={**_schema(ActionChunk), "description": "the policy's chunk, before anything limits it"},
        doubt=_TEXT,
        policy=_schema(PolicyStatus),
        queue_depth=_WHOLE,
        all_images={"type": "boolean", "description": "every new image was offered, not few of them"},
        lost={**_WHOLE, "description": "events that were dropped so far"},
        hashes={"type": "object", "description": "CRC-32 of each image as it is stored, by camera"},
    ),
    "inference": _object(number=_WHOLE, inference=_schema(Inference), read=_ANY),
    "chunk": _schema(ActionChunk),
    "motor": _schema(MotorStatus),
    "end": _schema(DriveEnd),
    "outcome": _object(end=_schema(DriveEnd), lost=_WHOLE),
    "stopped": _object(last={**_WHOLE, "description": "number of the last event before it"}),
    "machine": _object(
        temperatures_c=_ANY,
        throttled={"type": "array", "items": _TEXT},
        clocks_mhz=_ANY,
        power_w=_NUMBER,
        memory_available_bytes=_WHOLE,
        load=_NUMBER,
    ),
}


def named(schema: dict[str, Any], topic: str) -> dict[str, Any]:
    """Return the schema with its title."""
    return {"title": f"vla_edge.{topic}", **schema}
