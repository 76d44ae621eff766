# ruff: noqa: E501 - its tables stay tables
"""What comes over wires: the motor process's messages, boards, MAVLink, shared frames, a gamepad."""

import contextlib
import math
import os
import struct
import threading
import time
import zlib
from functools import lru_cache, partial
from pathlib import Path
from random import Random
from typing import Any

import numpy as np

from benchmarks.fuzz.mutate import mutated
from benchmarks.fuzz.target import ACCEPTED, Check, Flaw, FuzzTarget, MotionFromGarbage
from edge.cameras.shm import SHARED_MEMORY, FrameRing, ShmCamera
from edge.clock import MonotonicClock
from edge.interfaces import Feedback
from edge.motor.drivers.open import open_motors
from edge.motor.guard import Guard
from edge.motor.limits import MotorLimits
from edge.motor.operator.gamepad import EVENT, Gamepad, PadSettings, PadState
from edge.motor.wire import Arm, Stop, decode, encode
from edge.records import ZERO, ActionChunk, Velocity

_NOW_NS, _TICK_NS = 10**12, 20_000_000
_NUMBERS = (b"0", b"-1", b"1e999", b"NaN", b"Infinity", b"9" * 400, b"1e-400", b"2147483648", b'"x"', b"[]", b"true")  # fmt: skip


def _check_velocity(found: Velocity, linear: float, angular: float) -> None:
    parts = (found.linear_x_m_s, found.linear_y_m_s, found.angular_z_rad_s)
    if (
        not all(map(math.isfinite, parts))
        or max(map(abs, parts[:2])) > linear + 1e-9
        or abs(parts[2]) > angular + 1e-9
    ):
        raise MotionFromGarbage(f"beyond the limits: {found}")


def make_wire(rng: Random) -> bytes:
    """Make a packet with changed bytes; half of them with a checksum that holds."""
    values = np.array([[rng.choice((0.1, 5.0, math.nan, math.inf, -1e30)) for _ in range(3)]], np.float32)
    times = (rng.choice((0.1, 0.0, -1.0, math.nan)), _NOW_NS, rng.choice((_NOW_NS + 10**8, 2**63 - 1, 0)))
    chunk = ActionChunk(values, *times, rng.choice((0.9, math.nan, -5.0)), rng.choice((0, 1, 2**62)))
    good = encode(rng.choice((chunk, chunk, Arm(), Stop("x" * rng.randrange(600)))))
    if rng.random() < 0.5:
        return mutated(rng, good)
    payload = good[12:] if rng.random() < 0.5 else mutated(rng, good[12:])[:4000]
    kind = rng.choice((good[5], good[5], rng.randrange(10)))
    crc = zlib.crc32(payload, zlib.crc32(bytes((good[4], kind))))
    return struct.pack("<4sBBHI", good[:4], good[4], kind, len(payload), crc) + payload


def open_wire(_: Path) -> Check:
    """Return the check of a packet at the motor process: read, and followed by an armed guard."""
    limits = MotorLimits()

    def check(data: bytes) -> str:
        try:
            message = decode(data)
        except ValueError:
            return "refused"
        guard = Guard(limits)
        guard.arm(_NOW_NS - _TICK_NS)
        if isinstance(message, ActionChunk):
            guard.follow(message, _NOW_NS)
        for tick in range(60):
            velocity = guard.step(_NOW_NS + tick * _TICK_NS)
            _check_velocity(velocity, limits.linear_m_s, limits.angular_rad_s)
            if velocity != ZERO and not isinstance(message, ActionChunk):
                raise MotionFromGarbage(f"{message} moves")
        if velocity != ZERO:
            raise MotionFromGarbage(f"still moves after {60 * _TICK_NS / 1e9} s: {velocity}")
        return f"{ACCEPTED}, {type(message).__name__}"

    return check


@lru_cache
def _mavlink() -> Any:
    from edge.motor.drivers.mavlink import stream

    return stream.mav


def make_mavlink(rng: Random) -> bytes:
    """Make packets of a base with hostile values; some with changed bytes."""
    mav = _mavlink()
    codec = mav.MAVLink(None, srcSystem=1, srcComponent=1)
    number = rng.choice((0.0, 1.0, math.nan, math.inf, -3e38))
    whole, byte = rng.choice((0, 1, 2**32 - 1)), rng.randrange(256)
    messages = (
        mav.MAVLink_heartbeat_message(10, 3, byte, rng.choice((15, whole)), rng.choice((4, byte)), 3),
        mav.MAVLink_odometry_message(whole, 20, 12, *[number] * 3, [number] * 4, *[number] * 6, [number] * 21, [0.0] * 21),
        mav.MAVLink_attitude_message(whole, *[number] * 6),
        mav.MAVLink_local_position_ned_message(whole, *[number] * 6),
        mav.MAVLink_statustext_message(byte % 8, rng.randbytes(50), whole % 65536, byte),
        mav.MAVLink_command_ack_message(rng.choice((400, 176, 65535)), byte),
        mav.MAVLink_param_value_message(b"GUID_TIMEOUT", number, 9, 1, 0),
        mav.MAVLink_button_change_message(whole, 0, byte),
        mav.MAVLink_sys_status_message(0, 0, 0, 0, 0, 0, byte - 128, 0, 0, 0, 0, 0, 0),
    )  # fmt: skip
    packets: list[bytes] = []
    for sequence in range(rng.randrange(1, 6)):
        codec.seq = sequence
        packet = bytes(rng.choice(messages).pack(codec))
        packets.append(mutated(rng, packet) if rng.random() < 0.4 else packet)
    return b"".join(packets)


def open_mavlink(_: Path) -> Check:
    """Return the check of all that a base says over MAVLink."""
    from edge.motor.drivers.mavlink.address import parse_address
    from edge.motor.drivers.mavlink.commands import Commands
    from edge.motor.drivers.mavlink.report import BaseReport
    from edge.motor.drivers.mavlink.stream import MavStream
    from edge.motor.drivers.mavlink.vehicle import Vehicle

    def check(data: bytes) -> str:
        commands = Commands(1, 191)
        commands.pack(_mavlink().MAV_CMD_COMPONENT_ARM_DISARM, 1.0, now_ns=0)
        report = BaseReport(Vehicle(1, 3), commands, parse_address("mavlink:///dev/x?bumper=1"), 0)
        messages = MavStream(1, 191).feed(data, 1)
        for message in messages:
            report.hear(message, 1)
            _check_feedback(report.feedback(2))
        heartbeats = sum(message.get_type() == "HEARTBEAT" for message in messages)
        if report.guided and not heartbeats:
            raise Flaw("guided without a heartbeat")
        return f"{ACCEPTED}, {'some' if messages else 'no'} messages"

    return check


def _check_feedback(found: Feedback) -> None:
    if found.battery_fraction is not None and not 0 <= found.battery_fraction <= 1:
        raise Flaw(f"a battery of {found.battery_fraction}")
    if found.odometry is not None:
        odometry, velocity = found.odometry, found.odometry.velocity
        numbers = (
            odometry.x_m,
            odometry.y_m,
            odometry.yaw_rad,
            velocity.linear_x_m_s,
            velocity.angular_z_rad_s,
        )
        if not all(map(math.isfinite, numbers)):
            raise Flaw(f"odometry that is not finite: {odometry}")


_WAVESHARE = b'{"T":1001,"L":0.1,"R":0.1,"odl":10,"odr":10,"v":1180}\r\n'
_ARDUINO = b"120 -340\r\nOK\r\n"


def _lines(good: bytes, numbers: tuple[bytes, ...], rng: Random) -> bytes:
    """Make answers of a board with other numbers and bytes."""
    lines = [good.replace(rng.choice(numbers), rng.choice(_NUMBERS)) for _ in range(rng.randrange(1, 4))]
    content = b"".join(lines)
    return (mutated(rng, content) if rng.random() < 0.7 else content)[:2000]


def _open_board(address: str, good: bytes, zero: bytes, _: Path) -> Check:
    """Return the check of a driver at a pseudo-terminal. It is never told to move, so it must not move."""
    board, cable = os.openpty()
    os.set_blocking(board, False)
    opened = threading.Event()

    def answer() -> None:
        while not opened.wait(0.05):
            with contextlib.suppress(BlockingIOError):
                os.write(board, good)

    thread = threading.Thread(target=answer)
    thread.start()
    try:
        motors = open_motors(address.format(os.ttyname(cable)))
    finally:
        opened.set()
        thread.join()

    def check(data: bytes) -> str:
        os.write(board, data)
        _check_feedback(motors.read())
        if motors.write(ZERO) != ZERO:
            raise MotionFromGarbage("a base that was told to stand moves")
        sent = b""
        with contextlib.suppress(BlockingIOError):
            sent = os.read(board, 65536)
        wrong = [line for line in sent.replace(b"\r", b"\n").split(b"\n") if _moves(line, zero)]
        if wrong:
            raise MotionFromGarbage(f"sent {wrong[0]!r}")
        return ACCEPTED

    return check


def _moves(line: bytes, zero: bytes) -> bool:
    return line.startswith((b'{"T":1,', b"m ")) and line != zero


@lru_cache
def _ring() -> bytes:
    name = f"vla-edge-fuzz-{os.getpid()}"
    with FrameRing.create(name, 6, 8, 2) as ring:
        ring.write(np.zeros((6, 8, 3), np.uint8), time.monotonic_ns())
        return (SHARED_MEMORY / name).read_bytes()


def make_shm(rng: Random) -> bytes:
    """Make a ring of frames with other words in its header, or other bytes."""
    content = bytearray(_ring())
    if rng.random() < 0.7:
        at = rng.choice((0, 8, 16, 24, 32, 64, 72, 80))
        struct.pack_into("<Q", content, at, rng.choice((0, 1, 2, 3, 2**31, 2**63, 2**64 - 1)))
        return bytes(content)
    return mutated(rng, bytes(content))


def open_shm(_: Path) -> Check:
    """Return the check of the camera of shared memory."""
    name = f"vla-edge-fuzz-{os.getpid()}-in"

    def check(data: bytes) -> str:
        path = SHARED_MEMORY / name
        path.write_bytes(data)
        try:
            with ShmCamera(name, MonotonicClock()) as camera:
                camera.latest(1e9)
        finally:
            path.unlink(missing_ok=True)
        return ACCEPTED

    return check


def make_gamepad(rng: Random) -> bytes:
    """Make events of a device, behind two bytes that are the lowest and highest value of its stick."""
    events: list[bytes] = []
    for _ in range(rng.randrange(1, 30)):
        value = rng.choice((0, 1, -1, 32767, -32768, 2**31 - 1, -(2**31)))
        code = rng.choice((0, 1, 3, 0x131, 0x137, 65535))
        events.append(EVENT.pack(rng.randrange(2**40), 0, rng.choice((0, 1, 3, 65535)), code, value))
    content = b"".join(events)
    return rng.randbytes(2) + (mutated(rng, content) if rng.random() < 0.4 else content)


def open_gamepad_events(_: Path) -> Check:
    """Return the check of a gamepad: it drives within its limits, and not without its dead man's button."""
    deadman = 0x137

    def check(data: bytes) -> str:
        low, high = (*data[:2], 0, 0)[:2]
        ours, theirs = os.pipe()
        settings = PadSettings(0x131, deadman, 0.3, 0.8)
        state = PadState(frozenset(), (0.0, 0.0))
        with (
            os.fdopen(theirs, "wb", 0) as out,
            Gamepad(ours, settings, ((low, high), (low, high)), lambda: state) as pad,
        ):
            pad.begin()
            pad.takeover(0)
            out.write(data[2:])
            stop = pad.read()
            driven = pad.takeover(1)
        events = [EVENT.unpack_from(data, at)[2:] for at in range(2, len(data) - EVENT.size + 1, EVENT.size)]
        held = any(kind == 1 and code == deadman and value for kind, code, value in events)
        if driven is None and not held:
            raise MotionFromGarbage("the policy drives without the dead man's button")
        if driven is not None:
            _check_velocity(driven, 0.3, 0.8)
            if driven != ZERO and not held:
                raise MotionFromGarbage(f"{driven} without the dead man's button")
        return f"{ACCEPTED}, {'stops' if stop else 'drives' if driven else 'hands on'}"

    return check


TARGETS = {
    "wire": FuzzTarget("messages of the motor process", make_wire, open_wire),
    "mavlink": FuzzTarget("what a base says over MAVLink", make_mavlink, open_mavlink),
    "waveshare": FuzzTarget(
        "answers of Waveshare's boards",
        partial(_lines, _WAVESHARE, (b"0.1", b"10", b"1180", b"1001")),
        partial(_open_board, "waveshare://{}", _WAVESHARE, b'{"T":1,"L":0.0000,"R":0.0000}'),
    ),
    "arduino": FuzzTarget(
        "answers of ROSArduinoBridge",
        partial(_lines, _ARDUINO, (b"120", b"-340")),
        partial(_open_board, "arduino://{}?counts_per_m=5000&track_m=0.2", _ARDUINO, b"m 0 0"),
    ),
    "shm": FuzzTarget("frames in shared memory", make_shm, open_shm),
    "gamepad": FuzzTarget("events of a gamepad", make_gamepad, open_gamepad_events),
}
