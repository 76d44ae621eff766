"""Every message survives the way there and back; no other bytes are taken for one (faults 38, 66)."""

import dataclasses

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.motor.wire import (
    MAX_BYTES,
    Arm,
    ByHand,
    Failure,
    Hold,
    LetGo,
    Message,
    Quit,
    Stop,
    Touch,
    decode,
    encode,
)
from edge.records import ActionChunk, MotorState, MotorStatus, Odometry, Refusals, StopCause, Velocity

i64 = st.integers(-(2**63), 2**63 - 1)
number = st.floats(allow_nan=False)
text = st.text(st.characters(codec="utf-8"), max_size=120)
velocity = st.builds(Velocity, number, number, number)
odometry = st.builds(Odometry, i64, number, number, number, velocity)
status = st.builds(
    MotorStatus,
    stamp_ns=i64,
    state=st.sampled_from(MotorState),
    sent=velocity,
    reason=text,
    cause=st.sampled_from(StopCause),
    decision=i64,
    frame_to_motor_ns=i64,
    ticks=i64,
    missed_ticks=i64,
    refused=st.builds(Refusals, *[i64] * 8),
    odometry=st.none() | odometry,
    battery_fraction=st.none() | number,
    about=text,
    warning=text,
    by_hand=st.booleans(),
)
messages = st.one_of(
    status,
    st.just(Arm()),
    st.just(Quit()),
    st.just(LetGo()),
    st.builds(ByHand, number, number),
    st.builds(Stop, text, st.sampled_from(StopCause)),
    st.builds(Hold, text),
    st.builds(Touch, text),
    st.builds(Failure, st.integers(0, 255), text, text, st.booleans()),
)


@given(messages)
def test_messages_come_back_as_they_were(message: Message) -> None:
    assert decode(encode(message)) == message


@given(
    st.tuples(st.integers(0, 40), st.integers(0, 8)),
    st.data(),
    st.builds(
        dict,
        dt_s=st.floats(),
        t0_ns=i64,
        valid_until_ns=i64,
        confidence=st.floats(),
        decision=i64,
        by_way=st.booleans(),
    ),
)
def test_chunks_come_back_bit_by_bit(shape: tuple[int, int], data: st.DataObject, fields: dict) -> None:  # type: ignore[type-arg]
    """NaN and Inf travel: refusing them is the guard's task."""
    size = 4 * shape[0] * shape[1]
    values = np.frombuffer(data.draw(st.binary(min_size=size, max_size=size)), np.float32)
    chunk = ActionChunk(values.reshape(shape), **fields)
    back = decode(encode(chunk))
    assert isinstance(back, ActionChunk)
    assert back.values.dtype == np.float32
    assert back.values.shape == shape
    assert back.values.tobytes() == chunk.values.tobytes()
    for field in dataclasses.fields(ActionChunk):
        if field.name != "values":
            assert repr(getattr(back, field.name)) == repr(getattr(chunk, field.name))


@given(messages, st.data())
def test_one_changed_byte_is_noticed(message: Message, data: st.DataObject) -> None:
    packet = bytearray(encode(message))
    at = data.draw(st.integers(0, len(packet) - 1))
    packet[at] ^= data.draw(st.integers(1, 255))
    with pytest.raises(ValueError):
        decode(bytes(packet))


@given(messages, st.integers(1, 60))
def test_cut_or_padded_messages_are_noticed(message: Message, count: int) -> None:
    packet = encode(message)
    for altered in (packet[:-count], packet + bytes(count)):
        with pytest.raises(ValueError):
            decode(altered)


@given(st.binary(max_size=MAX_BYTES + 100))
def test_any_other_bytes_raise_only_value_error(packet: bytes) -> None:
    with pytest.raises(ValueError):
        decode(packet)


def test_a_valid_checksum_around_a_wrong_body_is_refused() -> None:
    """A peer with a bug, not a broken wire."""
    import zlib

    from edge.motor import wire

    bare = [wire._KINDS.index(kind) for kind in (Arm, Quit, LetGo)]
    for kind in range(len(wire._KINDS)):
        # Lengths of all bodies, a text that is not UTF-8, and a cause that does not exist.
        for payload in (b"", *(b"\xff" * size for size in (1, 90, 200, 300)), b"\1\0\xff", b"\xff\0\0"):
            crc = zlib.crc32(payload, zlib.crc32(bytes((wire.VERSION, kind))))
            packet = wire._HEADER.pack(b"vlaM", wire.VERSION, kind, len(payload), crc) + payload
            if payload or kind not in bare:
                with pytest.raises(ValueError):
                    decode(packet)


def test_what_does_not_fit_is_refused_when_sent() -> None:
    big = np.zeros((400, 3), np.float32)
    for chunk in (
        ActionChunk(big, 0.1, 0, 0, 1.0, 0),
        ActionChunk(big[:1], 0.1, 2**63, 0, 1.0, 0),
        ActionChunk(big[0], 0.1, 0, 0, 1.0, 0),
    ):
        with pytest.raises(ValueError):
            encode(chunk)


def test_long_and_odd_texts_are_cut_not_refused() -> None:
    back = decode(encode(Stop("멈춰" * 500 + "\ud800")))
    assert isinstance(back, Stop)
    assert back.reason.startswith("멈춰멈춰")
    assert len(back.reason.encode()) <= 512
