"""What travels to the page's process: one packet each of a SOCK_SEQPACKET socket, whole or not at all."""

import json
import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

MAX_BYTES = 1 << 20
WATCHED = b"W"  # the way back, twice a second: somebody looks at the page
_WISH = struct.Struct("<cI?")  # kind, number, on; the way back too: somebody wants a recording, or its end
_PICTURE = struct.Struct("<cH")  # kind, length of a line of JSON


@dataclass(frozen=True, slots=True)
class Settings:
    """How the page is served: the first packet."""

    token: str
    title: str  # the goal, for people
    controls: bool  # False: a recording, which nobody stops or drives


@dataclass(frozen=True, slots=True)
class Picture:
    """The newest image of one camera."""

    camera: str
    stamp_ms: float  # CLOCK_MONOTONIC
    jpeg: bytes
    boxes: Sequence[Sequence[Any]] = ()  # each its corners y0, x0, y1, x1 and its words


@dataclass(frozen=True, slots=True)
class Wish:
    """What somebody wants on the page: that the run is recorded, or not."""

    number: int  # counts the wishes of a run; one is heeded once, and sent again and again
    on: bool


State = Mapping[str, Any]
Packet = Settings | Picture | State


def pack(packet: Packet) -> bytes:
    """Return the bytes of a packet."""
    if isinstance(packet, Picture):
        line = json.dumps([packet.camera[:99], packet.stamp_ms, packet.boxes]).encode()
        return _PICTURE.pack(b"P", len(line)) + line + packet.jpeg
    if isinstance(packet, Settings):
        facts = {"token": packet.token, "title": packet.title, "controls": packet.controls}
        return b"A" + json.dumps(facts).encode()
    return b"S" + json.dumps(packet, allow_nan=False).encode()


def pack_wish(wish: Wish) -> bytes:
    """Return the bytes of a wish."""
    return _WISH.pack(b"R", wish.number, wish.on)


def unpack_wish(data: bytes) -> Wish | None:
    """Return the wish; None for other bytes."""
    if data[:1] != b"R" or len(data) != _WISH.size:
        return None
    _, number, on = _WISH.unpack(data)
    return Wish(number, on)


def unpack(data: bytes) -> Packet:
    """Return the packet. Raises ValueError for other bytes."""
    if data[:1] == b"A":
        return Settings(**json.loads(data[1:]))
    if data[:1] == b"S":
        return json.loads(data[1:])
    if data[:1] != b"P" or len(data) < _PICTURE.size:
        raise ValueError(f"a packet of kind {data[:1]!r} with {len(data)} bytes")
    jpeg = _PICTURE.size + _PICTURE.unpack_from(data)[1]
    camera, stamp_ms, boxes = json.loads(data[_PICTURE.size : jpeg])
    return Picture(camera, stamp_ms, data[jpeg:], boxes)
