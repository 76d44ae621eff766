"""Encode the messages between the runtime and the motor process, one per packet of a SOCK_SEQPACKET pair.

Layout: magic (4 bytes), version (u8), kind (u8), payload length (u16), CRC-32 of all the rest (u32), payload.
Little-endian. `decode(encode(message))` gives the message back.
"""

import struct
import zlib
from dataclasses import dataclass, fields
from functools import lru_cache
from operator import attrgetter
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge.records import ActionChunk, MotorState, MotorStatus, Odometry, Refusals, StopCause, Velocity

VERSION = 8
MAX_BYTES = 4096  # a longer packet is refused unread
MAX_TEXT_BYTES = 512  # longer texts are cut

_MAGIC = b"vlaM"
_HEADER = struct.Struct("<4sBBHI")
_CHUNK = struct.Struct("<HHdqqdq??")
_STATUS = struct.Struct("<qBB3dqqqqBq3d8q")
_ODOMETRY = struct.Struct("<q6d")
_BATTERY = struct.Struct("<d")
_FAILURE = struct.Struct("<B?")
_CAUSE = struct.Struct("<B")
_BY_HAND = struct.Struct("<2d")
_TEXT_SIZE = struct.Struct("<H")
_STATES: tuple[MotorState, ...] = tuple(MotorState)
_CAUSES: tuple[StopCause, ...] = tuple(StopCause)
_counts_of = attrgetter(*(field.name for field in fields(Refusals)))
_refusals = lru_cache(16)(Refusals)  # most reports have those of the one before


@dataclass(frozen=True, slots=True)
class Arm:
    """Allow motion."""


@dataclass(frozen=True, slots=True)
class Stop:
    """Brake to zero and latch."""

    reason: str
    cause: StopCause = StopCause.REQUESTED


@dataclass(frozen=True, slots=True)
class Hold:
    """Brake to zero without latching, until the next chunk."""

    reason: str


@dataclass(frozen=True, slots=True)
class Touch:
    """Take note that the base touches something, as its picture shows."""

    reason: str


@dataclass(frozen=True, slots=True)
class Quit:
    """Brake to zero, disarm, exit."""


@dataclass(frozen=True, slots=True)
class Failure:
    """The last message of the motor process: why it did not start, or why it exits."""

    exit_code: int  # an exit code of edge.errors
    message: str
    hint: str
    of_package: bool = False  # the code of an installed package failed: a PluginError


@dataclass(frozen=True, slots=True)
class ByHand:
    """How a person at the live page drives, in shares of the highest speeds; not from the runtime."""

    ahead: float  # [-1, 1]
    turn: float  # [-1, 1], to the left


@dataclass(frozen=True, slots=True)
class LetGo:
    """That person has let go: the policy may drive again."""


Message = ActionChunk | Arm | Stop | Quit | MotorStatus | Failure | Hold | Touch | ByHand | LetGo
_KINDS: tuple[type[Any], ...] = (
    ActionChunk, Arm, Stop, Quit, MotorStatus, Failure, Hold, Touch, ByHand, LetGo
)  # fmt: skip
_CRC_OF_HEAD = tuple(zlib.crc32(bytes((VERSION, kind))) for kind in range(len(_KINDS)))


def encode(message: Message) -> bytes:
    """Make one packet. Raises ValueError for a chunk over MAX_BYTES or a number over 64 bits."""
    try:
        payload = _payload(message)
    except struct.error as error:
        raise ValueError(f"{type(message).__name__} does not fit its message: {error}") from error
    if _HEADER.size + len(payload) > MAX_BYTES:
        raise ValueError(f"message of {_HEADER.size + len(payload)} bytes (limit {MAX_BYTES})")
    kind = _KINDS.index(type(message))
    crc = zlib.crc32(payload, _CRC_OF_HEAD[kind])
    return _HEADER.pack(_MAGIC, VERSION, kind, len(payload), crc) + payload


def decode(packet: bytes) -> Message:
    """Read the message in one packet. Raises ValueError if `encode` did not make these bytes."""
    if not _HEADER.size <= len(packet) <= MAX_BYTES:
        raise ValueError(f"message of {len(packet)} bytes is not in [{_HEADER.size}, {MAX_BYTES}]")
    magic, version, kind, length, crc = _HEADER.unpack_from(packet)
    payload = packet[_HEADER.size :]
    if magic != _MAGIC or version != VERSION:
        raise ValueError(f"message of another protocol: {magic!r} version {version}")
    if kind >= len(_KINDS) or length != len(payload):
        raise ValueError(f"message kind {kind} with {len(payload)} of {length} bytes")
    if crc != zlib.crc32(payload, _CRC_OF_HEAD[int(kind)]):
        raise ValueError("message is corrupted: its checksum differs")
    try:
        return _message(_KINDS[int(kind)], payload)
    except (struct.error, IndexError, UnicodeDecodeError) as error:
        raise ValueError(f"message of kind {kind} does not hold what it should: {error}") from error


def _payload(message: Message) -> bytes:
    match message:
        case ActionChunk():
            return _pack_chunk(message)
        case MotorStatus():
            return _pack_status(message)
        case Stop():
            return _CAUSE.pack(_CAUSES.index(message.cause)) + _pack_text(message.reason)
        case Hold() | Touch():
            return _pack_text(message.reason)
        case ByHand():
            return _BY_HAND.pack(message.ahead, message.turn)
        case Failure():
            head = _FAILURE.pack(message.exit_code, message.of_package)
            return head + _pack_text(message.message) + _pack_text(message.hint)
        case _:
            return b""


def _message(kind: type[Any], payload: bytes) -> Message:
    reader = _Reader(payload)
    message: Message
    if kind is ActionChunk:
        message = _read_chunk(reader)
    elif kind is MotorStatus:
        message = _read_status(reader)
    elif kind is Stop:
        (cause,) = reader.unpack(_CAUSE)
        message = Stop(reader.text(), _CAUSES[int(cause)])
    elif kind is Hold:
        message = Hold(reader.text())
    elif kind is Touch:
        message = Touch(reader.text())
    elif kind is ByHand:
        message = ByHand(*reader.unpack(_BY_HAND))
    elif kind is Failure:
        exit_code, of_package = reader.unpack(_FAILURE)
        message = Failure(exit_code, reader.text(), reader.text(), of_package)
    else:
        message = kind()
    if reader.left:
        raise ValueError(f"{reader.left} bytes too many")
    return message


class _Reader:
    def __init__(self, payload: bytes) -> None:
        self._payload = payload
        self._at = 0

    @property
    def left(self) -> int:
        return len(self._payload) - self._at

    def take(self, size: int) -> bytes:
        if size > self.left:
            raise ValueError(f"{self.left} of {size} bytes are there")
        self._at += size
        return self._payload[self._at - size : self._at]

    def unpack(self, layout: struct.Struct) -> tuple[Any, ...]:
        values = layout.unpack_from(self._payload, self._at)  # raises struct.error if they are not all there
        self._at += layout.size
        return values

    def text(self) -> str:
        (size,) = self.unpack(_TEXT_SIZE)
        return self.take(size).decode() if size else ""


def _pack_text(text: str) -> bytes:
    if not text:
        return _TEXT_SIZE.pack(0)
    # The text is cut between characters. Lone surrogates are replaced: UTF-8 can't hold them.
    raw = text.encode(errors="replace")[:MAX_TEXT_BYTES].decode(errors="ignore").encode()
    return _TEXT_SIZE.pack(len(raw)) + raw


def _pack_chunk(chunk: ActionChunk) -> bytes:
    if chunk.values.ndim != 2:
        raise ValueError(f"chunk has shape {chunk.values.shape}, not (rows, dims)")
    rows, dims = chunk.values.shape
    fields = (rows, dims, chunk.dt_s, chunk.t0_ns, chunk.valid_until_ns, chunk.confidence, chunk.decision)
    return _CHUNK.pack(*fields, chunk.by_way, chunk.back) + chunk.values.astype("<f4").tobytes()


def _read_chunk(reader: _Reader) -> ActionChunk:
    rows, dims, dt_s, t0_ns, valid_until_ns, confidence, decision, by_way, back = reader.unpack(_CHUNK)
    content = reader.take(rows * dims * 4)  # before there is memory for them
    values: NDArray[np.float32] = np.empty((int(rows), int(dims)), np.float32)
    values[:] = np.ndarray(values.shape, "<f4", content)
    return ActionChunk(values, dt_s, t0_ns, valid_until_ns, confidence, decision, by_way, back)


def _pack_velocity(velocity: Velocity) -> tuple[float, float, float]:
    return velocity.linear_x_m_s, velocity.linear_y_m_s, velocity.angular_z_rad_s


def _pack_status(status: MotorStatus) -> bytes:
    odometry, battery = status.odometry, status.battery_fraction
    packed = _STATUS.pack(
        status.stamp_ns,
        _STATES.index(status.state),
        _CAUSES.index(status.cause),
        *_pack_velocity(status.sent),
        status.decision,
        status.frame_to_motor_ns,
        status.ticks,
        status.missed_ticks,
        (odometry is not None) | (battery is not None) << 1 | status.by_hand << 2,
        status.contacts,
        *_pack_velocity(status.touched),
        *_counts_of(status.refused),
    )
    if odometry is not None:
        pose = (odometry.x_m, odometry.y_m, odometry.yaw_rad)
        packed += _ODOMETRY.pack(odometry.stamp_ns, *pose, *_pack_velocity(odometry.velocity))
    if battery is not None:
        packed += _BATTERY.pack(battery)
    return packed + b"".join(map(_pack_text, (status.reason, status.about, status.warning)))


def _read_status(reader: _Reader) -> MotorStatus:
    values = reader.unpack(_STATUS)
    stamp_ns, state, cause, x, y, angular, decision, frame_to_motor_ns, ticks, missed_ticks, has = values[:11]
    odometry = battery = None
    if has & 1:
        odometry_ns, x_m, y_m, yaw_rad, *velocity = reader.unpack(_ODOMETRY)
        odometry = Odometry(odometry_ns, x_m, y_m, yaw_rad, Velocity(*velocity))
    if has & 2:
        (battery,) = reader.unpack(_BATTERY)
    return MotorStatus(
        stamp_ns=stamp_ns,
        state=_STATES[int(state)],
        sent=Velocity(x, y, angular),
        reason=reader.text(),
        cause=_CAUSES[int(cause)],
        decision=decision,
        frame_to_motor_ns=frame_to_motor_ns,
        ticks=ticks,
        missed_ticks=missed_ticks,
        refused=_refusals(*values[15:]),
        odometry=odometry,
        battery_fraction=battery,
        about=reader.text(),
        warning=reader.text(),
        contacts=values[11],
        touched=Velocity(*values[12:15]),
        by_hand=bool(has & 4),
    )
