"""The page's line to the motor process by itself: what is confirmed, whose hand drives, and how long."""

import asyncio
import contextlib
import math
import socket
import time
from collections.abc import AsyncIterator, Awaitable, Callable

import pytest

from edge.motor.wire import ByHand, LetGo, Message, Stop, decode
from edge.runs.live import hand
from edge.runs.live.hand import SEEN_S, HandLine


class Motor:
    """The motor process's end, and the time that the line goes by."""

    def __init__(self, end: socket.socket) -> None:
        self.end, self.now_s = end, 100.0

    def told(self) -> list[Message]:
        found: list[Message] = []
        with contextlib.suppress(BlockingIOError):
            while packet := self.end.recv(4096):
                found.append(decode(packet))
        return found

    def confirm(self) -> None:
        self.end.send(b"x")

    def fill(self, line: socket.socket) -> None:
        """Leave no room in the line."""
        with contextlib.suppress(BlockingIOError):
            while True:
                line.send(b"x" * 4096)


@contextlib.asynccontextmanager
async def lined() -> AsyncIterator[tuple[HandLine, Motor]]:
    here, there = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    there.setblocking(False)
    motor = Motor(there)
    line = HandLine(here, lambda: motor.now_s)
    with here, there:
        yield line, motor
        line.close()


def run(body: Callable[[HandLine, Motor], Awaitable[None]]) -> None:
    async def begin() -> None:
        async with lined() as (line, motor):
            await body(line, motor)

    asyncio.run(begin())


def test_the_confirmation_of_one_stop_is_not_that_of_the_next():
    """A motor process that has answered once and hangs since has not heard the second press."""

    async def press(line: HandLine, motor: Motor) -> None:
        first = asyncio.ensure_future(line.stop())
        await asyncio.sleep(0)
        motor.confirm()
        assert await first
        assert not await line.stop()
        assert [type(each) for each in motor.told()] == [Stop, Stop]

    run(press)


def test_a_line_that_takes_nothing_refuses_a_stop_and_a_hand_at_once():
    """The page's one thread serves everybody: it must never wait for the motor process."""

    async def press(line: HandLine, motor: Motor) -> None:
        assert line._line is not None and not line._line.getblocking()
        motor.fill(line._line)
        begun_s = time.monotonic()
        assert not line.send_stop()
        assert line.drive("a", 0.1, 0.0, motor.now_s) == "the motor process is gone" and line.holder is None
        assert not await line.stop()
        assert time.monotonic() - begun_s < hand.CONFIRM_S  # nothing was sent, so nothing is waited for

    run(press)


@pytest.mark.parametrize("number", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("at", [0, 1])
def test_what_is_not_a_number_drives_nothing(number: float, at: int):
    async def drive(line: HandLine, motor: Motor) -> None:
        values = [0.25, 0.25]
        values[at] = number
        assert line.drive("a", *values, motor.now_s) == "not a number"
        assert line.holder is None and motor.told() == []

    run(drive)


def test_a_hand_drives_by_what_it_saw_half_a_second_ago_and_no_longer():
    async def drive(line: HandLine, motor: Motor) -> None:
        assert SEEN_S == 0.5
        assert line.drive("a", 0.5, -0.5, motor.now_s - 0.5) == ""
        assert line.drive("a", 0.5, -0.5, motor.now_s - 0.501) == "the connection is too slow to drive"
        assert motor.told() == [ByHand(0.5, -0.5)]
        assert line.holder == "a"  # it has not let go

    run(drive)


def test_nobody_takes_the_base_from_a_hand_and_lets_go_for_another():
    async def drive(line: HandLine, motor: Motor) -> None:
        assert line.drive("a", 0.5, 0.0, motor.now_s) == ""
        assert line.drive("b", 0.5, 0.0, motor.now_s) == "somebody else drives"
        line.let_go("b")
        line.lose("b")
        assert line.holder == "a" and motor.told() == [ByHand(0.5, 0.0)]
        line.let_go("a")
        assert line.holder is None and motor.told() == [LetGo()]
        assert line.drive("b", 0.1, 0.0, motor.now_s) == ""

    run(drive)


def test_a_viewer_that_is_gone_has_not_let_go_and_another_may_take_the_base():
    async def drive(line: HandLine, motor: Motor) -> None:
        assert line.drive("a", 0.5, 0.0, motor.now_s) == ""
        line.lose("a")
        assert motor.told() == [ByHand(0.5, 0.0)] and line.holder is None
        assert line.drive("b", -0.5, 0.0, motor.now_s) == "" and line.holder == "b"

    run(drive)


def test_a_line_whose_motor_process_is_gone_is_closed_and_says_so():
    async def end(line: HandLine, motor: Motor) -> None:
        assert line.there
        motor.end.close()
        await asyncio.sleep(0.01)
        assert not line.there and not line.send_stop() and not await line.stop()
        line.close()  # once more changes nothing

    run(end)


def test_a_recording_has_no_line_and_stops_nothing():
    async def none() -> None:
        line = HandLine(None)
        assert not line.there and not line.send_stop() and not await line.stop()
        assert line.drive("a", 0.0, 0.0, time.monotonic()) == "the motor process is gone"
        line.close()

    asyncio.run(none())


def test_a_motor_process_that_dies_with_a_stop_unread_has_not_confirmed_it():
    async def press(line: HandLine, motor: Motor) -> None:
        pressed = asyncio.ensure_future(line.stop())
        await asyncio.sleep(0)
        motor.end.close()  # what it has not read makes the line fail instead of end
        assert not await pressed
        assert not line.there

    run(press)
