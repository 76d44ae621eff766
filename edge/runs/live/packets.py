"""What travels to the page's process: one packet each of a SOCK_SEQPACKET socket, whole or not at all."""

import json
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

MAX_BYTES = 1 << 20
WATCHED = b"W"  # the way back, twice a second: somebody looks at the page
_PICTURE = struct.Struct("<cBd")  # kind, length of the camera's name, stamp


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


State = Mapping[str, Any]
Packet = Settings | Picture | State


def pack(packet: Packet) -> bytes:
    """Return the bytes of a packet."""
    if isinstance(packet, Picture):
        camera = packet.camera.encode()[:255]
        return _PICTURE.pack(b"P", len(camera), packet.stamp_ms) + camera + packet.jpeg
    if isinstance(packet, Settings):
        facts = {"token": packet.token, "title": packet.title, "controls": packet.controls}
        return b"A" + json.dumps(facts).encode()
    return b"S" + json.dumps(packet, allow_nan=False).encode()


def unpack(data: bytes) -> Packet:
    """Return the packet. Raises ValueError for other bytes."""
    if data[:1] == b"A":
        return Settings(**json.loads(data[1:]))
    if data[:1] == b"S":
        return json.loads(data[1:])
    if data[:1] != b"P" or len(data) < _PICTURE.size:
        raise ValueError(f"a packet of kind {data[:1]!r} with {len(data)} bytes")
    _, length, stamp_ms = _PICTURE.unpack_from(data)
    jpeg = _PICTURE.size + length
    return Picture(data[_PICTURE.size : jpeg].decode(errors="replace"), stamp_ms, data[jpeg:])
