"""One viewer of the page by itself: what it may say, and by what it has seen it may drive."""

import asyncio
import contextlib
import json
import socket
import struct
import time
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from edge.motor.wire import ByHand, LetGo, Stop, decode
from edge.runs.live import viewers
from edge.runs.live.hand import HandLine
from edge.runs.live.packets import Picture, Settings, Wish
from edge.runs.live.viewers import IN_FLIGHT, Newest, Viewer


class Way:
    """A picture beside the messages, as far as a viewer asks about it."""

    def __init__(self) -> None:
        self.answer, self.saw_s, self.can, self.works = "", 0.0, True, True
        self.took: list[tuple[Any, Any]] = []
        self.shows: list[int] = []

    def take_offer(self, part: Any, last: Any) -> None:
        self.took.append((part, last))

    def saw(self, number: int) -> None:
        self.shows.append(number)


class Page:
    """A viewer, with what was sent to it and to the motor process."""

    def __init__(self, controls: bool, way: Way | None) -> None:
        here, self._motor = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._motor.setblocking(False)
        self.newest, self.hand = Newest(Settings("t", "find a cup", controls)), HandLine(here)
        self.sent: list[dict[str, Any]] = []
        self.jpegs: list[bytes] = []
        self.viewer = Viewer(self.newest, self.hand, self._take, way)

    async def _take(self, data: bytes) -> None:
        (length,) = struct.unpack(">I", data[:4])
        self.sent.append(json.loads(data[4 : 4 + length]))
        self.jpegs.append(data[4 + length :])

    def say(self, **message: Any) -> None:
        self.viewer.take(json.dumps(message))

    def told(self) -> list[Any]:
        found: list[Any] = []
        with contextlib.suppress(BlockingIOError):
            while packet := self._motor.recv(4096):
                found.append(decode(packet))
        return found

    async def until_sent(self, number: int) -> None:
        while len(self.sent) < number:
            await asyncio.sleep(0.005)

    def close(self) -> None:
        self.hand.close()
        self._motor.close()


def run(body: Callable[[Page], Awaitable[None]], controls: bool = True, way: Way | None = None) -> None:
    async def begin() -> None:
        page = Page(controls, way)
        serving = asyncio.ensure_future(page.viewer.serve())
        try:
            await asyncio.wait_for(body(page), 20)
        finally:
            serving.cancel()
            page.close()

    asyncio.run(begin())


def test_a_hand_drives_by_the_age_of_what_was_confirmed_and_not_of_what_was_sent():
    async def drive(page: Page) -> None:
        await page.until_sent(IN_FLIGHT)
        page.say(seen=1, drive=[0.5, -0.25])
        assert page.told() == [ByHand(0.5, -0.25)] and page.viewer.refused == ""
        page.viewer._sent_s[1] -= 0.6  # as if it had been sent so long ago; the second one is fresh
        page.say(drive=[0.5, 0.0])
        assert page.told() == [] and page.viewer.refused == "the connection is too slow to drive"
        page.say(seen=2, drive=[0.5, 0.0])
        assert page.told() == [ByHand(0.5, 0.0)] and page.viewer.refused == ""
        page.say(let_go=True)
        assert page.told() == [LetGo()] and page.hand.holder is None

    run(drive)


@pytest.mark.parametrize("works", [True, False])
def test_a_picture_that_goes_apart_must_have_been_seen_too(works: bool):
    way = Way()
    way.works = works

    async def drive(page: Page) -> None:
        page.newest.take(Picture("front", 1.0, b"jpeg"))
        await page.until_sent(1)
        way.saw_s = time.monotonic() - 0.6
        page.say(seen=1, drive=[0.5, 0.0])
        assert (page.told() == []) is works  # without it, the picture was in the message
        way.saw_s = time.monotonic()
        page.say(drive=[0.5, 0.0])
        assert page.told() == [ByHand(0.5, 0.0)]

    run(drive, way=way)


def test_an_old_message_does_not_become_fresh_by_a_fresh_picture():
    way = Way()

    async def drive(page: Page) -> None:
        await page.until_sent(1)
        page.say(seen=1)
        page.viewer._sent_s[1] -= 0.6
        way.saw_s = time.monotonic()
        page.say(drive=[0.5, 0.0])
        assert page.told() == []

    run(drive, way=way)


def test_nobody_confirms_what_was_not_sent_or_less_than_before():
    async def confirm(page: Page) -> None:
        await page.until_sent(2)
        for number in (-1, 3, 99):
            with pytest.raises(ValueError, match="was never sent"):
                page.say(seen=number)
        page.say(seen=2)
        with pytest.raises(ValueError, match="was never sent"):
            page.say(seen=1)
        page.say(seen=2)

    run(confirm)


def test_no_more_messages_wait_for_a_viewer_than_two_and_confirming_one_lets_one_go():
    async def wait(page: Page) -> None:
        await page.until_sent(2)
        await asyncio.sleep(0.3)
        assert [each["number"] for each in page.sent] == [1, 2]
        page.say(seen=1)
        await page.until_sent(3)
        await asyncio.sleep(0.3)
        assert len(page.sent) == 3

    run(wait)


def test_what_was_confirmed_is_forgotten_however_long_somebody_looks():
    async def look(page: Page) -> None:
        for number in range(1, 9):
            await page.until_sent(number)
            page.say(seen=number)
        assert len(page.viewer._sent_s) <= IN_FLIGHT + 1 and len(page.viewer._by_video) <= IN_FLIGHT + 1

    run(look, way=Way())


def test_a_viewer_that_confirms_nothing_is_let_go(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(viewers, "FROZEN_S", 0.2)

    async def freeze(page: Page) -> None:
        await page.viewer.serve()
        assert len(page.sent) >= 2

    async def begin() -> None:
        page = Page(True, None)
        await asyncio.wait_for(freeze(page), 10)
        page.close()

    asyncio.run(begin())


def test_a_stop_goes_out_whatever_else_a_message_holds():
    async def stop(page: Page) -> None:
        page.say(stop=True)
        page.say(stop=1, let_go=1)
        assert [type(each) for each in page.told()] == [Stop, Stop]

    run(stop)


@pytest.mark.parametrize(
    "text",
    ["[]", "3", '"stop"', "null", "{", '{"seen": "x"}', '{"drive": 1}', '{"drive": [1]}',
     '{"drive": [1, 2, 3]}', '{"drive": ["a", 0]}', '{"record": 1}', '{"record": null}', '{"seen": 1e999}'],
)  # fmt: skip
def test_what_no_page_says_is_an_error_and_moves_nothing(text: str):
    async def say(page: Page) -> None:
        with pytest.raises((ValueError, TypeError, OverflowError)):
            page.viewer.take(text)
        assert page.told() == [] and page.hand.holder is None and page.newest.wish is None

    run(say)


def test_wishes_are_counted_and_a_recording_takes_none():
    async def wish(page: Page) -> None:
        page.say(record=True)
        assert page.newest.wish == Wish(1, True) and page.newest.wished.is_set()
        page.say(record=False)
        assert page.newest.wish == Wish(2, False)
        await page.until_sent(1)
        page.say(seen=1)
        while page.sent[-1]["wish"] != 2:
            await asyncio.sleep(0.01)
            page.say(seen=len(page.sent))

    async def none(page: Page) -> None:
        page.say(record=True)
        assert page.newest.wish is None

    run(wish)
    run(none, controls=False)


def test_a_viewer_is_told_who_drives_and_why_it_does_not():
    async def tell(page: Page) -> None:
        await page.until_sent(1)
        assert (page.sent[0]["hand"], page.sent[0]["refused"]) == ("nobody", "")
        page.say(seen=1, drive=[0.1, 0.0])
        await page.until_sent(2)
        assert page.sent[1]["hand"] == "you"
        page.hand.holder = "somebody"
        page.say(seen=2, drive=[0.1, 0.0])
        await page.until_sent(3)
        assert (page.sent[2]["hand"], page.sent[2]["refused"]) == ("other", "somebody else drives")
        assert page.sent[2]["controls"] is True and page.sent[2]["over"] is False
        page.say(seen=3, let_go=1)
        assert page.viewer.refused == "" and page.hand.holder == "somebody"

    run(tell)


def test_pictures_go_once_and_the_one_that_goes_apart_not_at_all():
    way = Way()

    async def look(page: Page) -> None:
        page.newest.take({"camera": "front", "motor": "holding"})
        page.newest.take(Picture("front", 1.0, b"front"))
        page.newest.take(Picture("wrist", 1.0, b"wrist"))
        await page.until_sent(2)  # the first went before they came
        assert [each[0] for each in page.sent[1]["pictures"]] == ["wrist"] and page.jpegs[1] == b"wrist"
        way.works = False
        page.say(seen=2)
        await page.until_sent(3)
        assert page.jpegs[2] == b"front"
        page.say(seen=3)
        await page.until_sent(4)
        assert page.jpegs[3] == b"" and page.sent[3]["video"] == {"can": True, "answer": ""}
        page.say(offer="v=0", last=True)
        page.say(saw=7)
        assert way.took == [("v=0", True)] and way.shows == [7]

    run(look, way=way)


def test_the_clock_is_that_of_the_stamps_also_of_a_recording():
    async def live(page: Page) -> None:
        page.newest.take({"at_ms": 5.0})
        assert page.newest.now_ms == pytest.approx(time.monotonic() * 1e3, abs=200)

    async def recorded(page: Page) -> None:
        page.newest.take({"at_ms": 5000.0})
        assert page.newest.now_ms == pytest.approx(5000.0, abs=200)
        page.newest.take({"at_ms": 9000.0})
        assert page.newest.now_ms == pytest.approx(9000.0, abs=200)

    run(live)
    run(recorded, controls=False)
