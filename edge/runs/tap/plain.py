"""Records as plain JSON values and back, to the last bit.

Floats keep all their digits; NaN and the infinities, which JSON lacks, are the words "nan", "inf" and "-inf".
Frames are named by camera and seq: their images travel apart.
"""

import json
import math
import types
from collections.abc import Callable, Mapping
from dataclasses import fields, is_dataclass
from enum import Enum
from functools import cache
from typing import Any, TypeVar, Union, cast, get_args, get_origin, get_type_hints

import numpy as np

from edge.records import Frame

T = TypeVar("T")
FindFrame = Callable[[Mapping[str, Any]], Frame]  # a frame by what `to_plain` made of it


def to_plain(value: Any) -> Any:
    """Return a record, or what one holds, as a value that JSON can hold."""
    kind = cast("type[Any]", type(value))
    if value is None or kind is str or kind is int or kind is bool:
        return value
    if kind is float:
        return value if math.isfinite(value) else str(value)
    if names := _names(kind):
        return {name: to_plain(getattr(value, name)) for name in names}
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, np.ndarray | np.generic):
        return to_plain(cast(Any, value).tolist())
    if isinstance(value, Mapping):
        items = cast("Mapping[str, Any]", value).items()
        return {str(key): to_plain(each) for key, each in items}
    if isinstance(value, tuple | list):
        return [to_plain(each) for each in cast("list[Any]", value)]
    return str(value)


def to_line(value: Any) -> bytes:
    """Return a record as JSON in one line."""
    try:
        return _QUICK.encode(value).encode()
    except (TypeError, ValueError):  # a number that is not finite, or a key that is not a word
        return _PLAIN.encode(to_plain(value)).encode()


def _in_parts(value: Any) -> Any:
    """Return what JSON does not know itself in parts that it does, or that are taken apart next."""
    names = _names(cast("type[Any]", type(value)))
    return {name: getattr(value, name) for name in names} if names else to_plain(value)


_PLAIN = json.JSONEncoder(allow_nan=False, separators=(",", ":"))
_QUICK = json.JSONEncoder(allow_nan=False, separators=(",", ":"), check_circular=False, default=_in_parts)


def from_plain(kind: type[T], value: Any, find_frame: FindFrame | None = None) -> T:
    """Return the record of class `kind` that `to_plain` made `value` of.

    `find_frame` finds frames. Raises ValueError if the value is not of that class.
    """
    try:
        return _record(kind, value, find_frame)
    except (TypeError, KeyError, AttributeError) as error:
        raise ValueError(f"not a {kind.__name__}: {type(error).__name__}: {error}") from error


def _record(kind: type[T], value: Any, find_frame: FindFrame | None) -> T:
    if kind is Frame:
        if find_frame is None:
            raise ValueError("a frame, and nobody finds frames")
        return cast(T, find_frame(value))
    hints = _hints(kind)
    return kind(**{name: _value(hints[name], each, find_frame) for name, each in value.items()})


def origin_of(hint: Any) -> Any:
    """Return what a hint is a form of, as `get_origin` does; for an alias, what it stands for.

    numpy 2.5 declares NDArray so on Python 3.12 and later.
    """
    origin = get_origin(hint)
    return get_origin(origin.__value__) if hasattr(origin, "__value__") else origin


def _value(hint: Any, value: Any, find_frame: FindFrame | None) -> Any:
    origin, arguments = origin_of(hint), get_args(hint)
    if origin in (Union, types.UnionType):
        if value is None:
            return None
        (hint,) = (each for each in arguments if each is not type(None))
        return _value(hint, value, find_frame)
    if origin is np.ndarray:
        return np.array(value, np.float32) if value else np.zeros((0, 3), np.float32)
    if origin is tuple:
        return tuple(_value(arguments[0], each, find_frame) for each in value)
    if origin is not None and issubclass(origin, Mapping):
        return {key: _value(arguments[1], each, find_frame) for key, each in value.items()}
    if hint is float:
        return float(value)
    if is_dataclass(hint):
        return _record(cast("type[Any]", hint), value, find_frame)
    if isinstance(hint, type) and issubclass(hint, Enum):
        return hint(value)
    if not isinstance(value, hint):
        raise TypeError(f"{value!r:.40} is not of {hint}")
    return value


@cache
def _names(kind: type[Any]) -> tuple[str, ...]:
    """Return the names of a record's fields that travel; none of what is not a record."""
    if kind is Frame:
        return "camera", "seq", "stamp_ns", "source"
    return tuple(field.name for field in fields(kind)) if is_dataclass(kind) else ()


@cache
def _hints(kind: type[Any]) -> dict[str, Any]:
    return get_type_hints(kind)
