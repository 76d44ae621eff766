"""The contract of all drivers: one parameter for each scheme."""

import contextlib
import math
import os
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from edge.errors import UsageError
from edge.motor.client import MotorProcess
from edge.plugins import MOTORS
from edge.records import ZERO, Odometry, Velocity
from sim.realtime.firmware import Firmware
from sim.realtime.terminal import open_pty
from tests.edge.motor.drivers.ardurover import RoverEnd, on_serial, on_udp
from tests.edge.motor.drivers.driver_contract import DriverCase, DriverContract
from tests.edge.motor.drivers.wheel_boards import WheelBoard


class Nothing:
    """No base at all."""

    address = "null://"

    def velocity(self) -> Velocity:
        return ZERO

    def unplug(self) -> None:
        """Do nothing: there is no cable."""


class Board:
    """The simulated base's firmware on a pseudo-terminal, polled by a thread."""

    def __init__(self, folder: Path) -> None:
        self._board, self._cable, port = open_pty()
        self.address = f"mavlink://{port}?bumper=1"
        self.pressed = False
        self._velocity = ZERO
        self._firmware = Firmware(
            self._board, self._apply, self._odometry, folder / "firmware.jsonl", bumper=lambda: self.pressed
        )
        self._unplugged = threading.Event()
        self._thread = threading.Thread(target=self._work)
        self._thread.start()

    def velocity(self) -> Velocity:
        return self._velocity

    def unplug(self) -> None:
        if not self._unplugged.is_set():
            self._unplugged.set()
            self._thread.join()
            os.close(self._cable)
            os.close(self._board)
            self._firmware.close()

    def _work(self) -> None:
        while not self._unplugged.wait(0.002):
            self._firmware.poll(time.monotonic_ns())

    def _apply(self, velocity: Velocity, armed: bool) -> None:
        self._velocity = velocity if armed else ZERO

    def _odometry(self) -> Odometry:
        return Odometry(time.monotonic_ns(), 1.0, 2.0, math.pi / 4, self._velocity)


def press(board: Board, pressed: bool) -> None:
    board.pressed = pressed


@contextlib.contextmanager
def nothing(folder: Path) -> Iterator[Nothing]:
    yield Nothing()


@contextlib.contextmanager
def board(folder: Path) -> Iterator[Board]:
    made = Board(folder)
    try:
        yield made
    finally:
        made.unplug()


@contextlib.contextmanager
def ardurover(folder: Path) -> Iterator[RoverEnd]:
    with on_serial() as end:
        yield end


@contextlib.contextmanager
def ardurover_sends(folder: Path) -> Iterator[RoverEnd]:
    with on_udp() as end:
        yield end


@contextlib.contextmanager
def ardurover_listens(folder: Path) -> Iterator[RoverEnd]:
    with on_udp(listens=True) as end:
        yield end


def arduino(folder: Path) -> WheelBoard:
    return WheelBoard("arduino", folder)


def waveshare(folder: Path) -> WheelBoard:
    return WheelBoard("waveshare", folder)


ARDUINO = "arduino:///dev/ttyACM0?counts_per_m=5000"
CASES = [
    DriverCase("null", nothing, ("null://x", "null://x?y"), (), moves=False, exclusive=False),
    DriverCase(
        "mavlink",
        board,
        (
            "mavlink://",
            "mavlink://host/dev/tty",
            "mavlink:///dev/ttyACM0?baud=fast",
            "mavlink:///dev/ttyACM0?baud=0",
            "mavlink:///dev/ttyACM0?timeout_s=nan",
            "mavlink:///dev/ttyACM0?speed=9600",
            "mavlink:///dev/ttyACM0?bumper=0",
            "mavlink:///dev/ttyACM0?bumper=9",
            "mavlink:///dev/tty\0x",
        ),
        ("mavlink:///dev/nowhere", "mavlink:///dev/null"),
        press=press,
    ),
    DriverCase(
        "mavlink",
        ardurover,
        ("mavlink:///dev/ttyACM0?mode=auto", "mavlink:///dev/ttyACM0?system=0", "mavlink:///dev/tty?omni=1"),
        (),
    ),
    DriverCase(
        "mavlink",
        ardurover_sends,
        ("mavlink://udp:14550", "mavlink://udp:0.0.0.0:0", "mavlink://udp:0.0.0.0:14550?baud=115200"),
        ("mavlink://udp:192.0.2.1:14550", "mavlink://udpin:127.0.0.1:14597?timeout_s=0.2"),
    ),
    DriverCase(
        "mavlink",
        ardurover_listens,
        ("mavlink://udpout:127.0.0.1:99999", "mavlink://tcp:127.0.0.1:5760", "mavlink://udpout:a b:1"),
        ("mavlink://udpout:127.0.0.1:9?timeout_s=0.2", "mavlink://udpout:nowhere.invalid:14550"),
    ),
    DriverCase(
        "arduino",
        arduino,
        (
            "arduino:///dev/ttyACM0",
            ARDUINO,
            "arduino:///dev/ttyACM0?track_m=0.2",
            "arduino://ttyACM0?counts_per_m=5000&track_m=0.2",
            f"{ARDUINO}&track_m=9",
            f"{ARDUINO}&track_m=0.2&baud=0",
            f"{ARDUINO}&track_m=0.2&pid_hz=1000",  # its steps would be too coarse
            f"{ARDUINO}&track_m=0.2&min_m_s=0.6",
            f"{ARDUINO}&track_m=0.2&speed=9",
        ),
        ("arduino:///dev/nowhere?counts_per_m=5000&track_m=0.2",),
    ),
    DriverCase(
        "waveshare",
        waveshare,
        (
            "waveshare://",
            "waveshare://ttyUSB0",
            "waveshare:///dev/ttyUSB0?cells=three",
            "waveshare:///dev/ttyUSB0?track_m=0",
            "waveshare:///dev/ttyUSB0?max_m_s=nan",
            "waveshare:///dev/ttyUSB0?counts_per_m=5000",
        ),
        ("waveshare:///dev/nowhere", "waveshare:///dev/null"),
    ),
]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.scheme)
class TestDriver(DriverContract):
    """All drivers that are built in."""


def test_no_driver_is_left_out():
    # That of ROS 2 is held to the contract where ROS is: tests/ros2/test_motors.py.
    assert {case.scheme for case in CASES} | {"ros2"} == set(MOTORS.built_in)


def test_a_line_too_slow_for_the_setpoints_is_refused_before_anything_moves(tmp_path: Path):
    with (
        board(tmp_path) as base,
        pytest.raises(UsageError, match=r"carries 14 setpoints .* 50 are") as caught,
    ):
        MotorProcess.start(f"{base.address}&baud=9600")
    assert "baud" in caught.value.hint
