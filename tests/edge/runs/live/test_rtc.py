"""The picture by WebRTC: a client of aiortc's over real sockets, and what a person's hand may rely on."""

import asyncio
import contextlib
import os
import re
import sys
from collections.abc import AsyncIterator
from typing import Any

import cv2
import numpy as np
import psutil
import pytest
from hypothesis import given
from hypothesis import strategies as st

pytest.importorskip("aiortc")
from aiortc import RTCConfiguration, RTCPeerConnection, RTCRtpReceiver, RTCSessionDescription
from aiortc.mediastreams import MediaStreamTrack

from edge.motor.wire import ByHand
from edge.runs.live.packets import Picture
from edge.runs.live.rtc import way
from edge.runs.live.rtc.peer import _gather_at, bounded_offer
from edge.runs.live.rtc.strip import BLOCKS, NUMBERS, STRIP_PX, numbered
from tests.edge.runs.live.serving import Look, Serving, serving


def read_number(image: np.ndarray) -> int | None:
    """Read the strip as the page does."""
    row = image.shape[0] - STRIP_PX + 10
    wide = image.shape[1] // BLOCKS
    bits = [int(image[row, block * wide + wide // 2].mean() > 127) for block in range(BLOCKS)]
    word = int("".join(map(str, bits)), 2)
    number, check = word >> 4, 10
    for shift in (0, 4, 8, 12):
        check ^= number >> shift & 15
    return number if check == word & 15 else None


def picture(number: int) -> Picture:
    image = np.full((240, 320, 3), (40, 90, 140), np.uint8)
    cv2.putText(image, str(number), (30, 130), cv2.FONT_HERSHEY_SIMPLEX, 2.0, (255, 255, 255), 4)
    return Picture("front", float(number), cv2.imencode(".jpg", image)[1].tobytes(), [])


class Client:
    """A viewer that takes the picture by WebRTC; with `saws` it says which one it shows."""

    def __init__(self, look: Look, codec: str = "video/VP8") -> None:
        self.look, self.frames, self.numbers = look, list[np.ndarray](), list[int]()
        self.saws = True
        self.connection = RTCPeerConnection(RTCConfiguration(iceServers=[]))
        transceiver = self.connection.addTransceiver("video", direction="recvonly")
        codecs = RTCRtpReceiver.getCapabilities("video").codecs
        transceiver.setCodecPreferences([each for each in codecs if each.mimeType == codec])
        _gather_at(transceiver.receiver.transport.transport.iceGatherer, "127.0.0.1")
        self.connection.on("track", self._follow)
        self._task: asyncio.Task[None] | None = None

    async def offer(self) -> str:
        await self.connection.setLocalDescription(await self.connection.createOffer())
        return self.connection.localDescription.sdp

    async def send(self, offer: str) -> None:
        parts = [offer[at : at + 600] for at in range(0, len(offer), 600)]
        for part in parts:
            await self.look.socket.send_json({"offer": part, "last": part is parts[-1]})

    async def connect(self) -> dict[str, Any]:
        """Offer, take the answer, and return the message with it."""
        await self.send(await self.offer())
        while not (head := await self.look.next())["video"]["answer"]:
            pass
        await self.connection.setRemoteDescription(RTCSessionDescription(head["video"]["answer"], "answer"))
        return head

    async def until(self, condition: Any) -> dict[str, Any]:
        while not condition(head := await self.look.next()):
            pass
        return head

    def _follow(self, track: MediaStreamTrack) -> None:
        self._task = asyncio.ensure_future(self._take(track))

    async def _take(self, track: MediaStreamTrack) -> None:
        with contextlib.suppress(Exception):
            while True:
                frame: Any = await track.recv()
                self.frames = [*self.frames[-3:], frame.to_ndarray(format="bgr24")]
                number = read_number(self.frames[-1])
                if number is not None:
                    self.numbers.append(number)
                    if self.saws:
                        await self.look.socket.send_json({"saw": number})

    async def close(self) -> None:
        await self.connection.close()
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])


@contextlib.asynccontextmanager
async def client(page: Serving, codec: str = "video/VP8") -> AsyncIterator[Client]:
    async with page.look() as look:
        made = Client(look, codec)
        try:
            yield made
        finally:
            await made.close()


@contextlib.asynccontextmanager
async def filmed() -> AsyncIterator[Serving]:
    """Serve a page with a picture ten times a second."""
    async with serving() as page:

        async def film() -> None:
            for number in range(10**6):
                await page.send({"camera": "front"}, picture(number))
                await asyncio.sleep(0.1)

        films = asyncio.ensure_future(film())
        try:
            yield page
        finally:
            films.cancel()
            await asyncio.wait([films])


@contextlib.asynccontextmanager
async def shown() -> AsyncIterator[tuple[Serving, Client]]:
    """Yield a page and its viewer, who has seen two pictures by WebRTC."""
    async with filmed() as page, client(page) as viewer:
        await viewer.connect()
        await viewer.until(lambda head: len(viewer.numbers) > 1)
        yield page, viewer


def carried(head: dict[str, Any]) -> bool:
    return not head["pictures"]


@pytest.mark.parametrize("codec", ["video/VP8", "video/H264"])
def test_the_picture_goes_by_webrtc_while_the_page_says_that_it_shows_it(codec: str):
    async def look() -> None:
        async with filmed() as page, client(page, codec) as viewer:
            head = await viewer.connect()
            hosts = re.findall(r"a=candidate:\S+ 1 udp \d+ (\S+) \d+ typ (\S+)", head["video"]["answer"])
            assert hosts == [("127.0.0.1", "host")]
            for _ in range(12):  # a message without a picture may come between two pictures
                await viewer.until(lambda head: len(viewer.numbers) > 5 and carried(head))
            assert len(viewer.look.jpegs) > 0  # until the first picture came by WebRTC
            before, newest = len(viewer.look.jpegs), viewer.frames[-1]
            assert newest.shape == (240 + STRIP_PX, 320, 3)
            assert np.abs(newest[:100, :100].reshape(-1, 3).mean(0) - (40, 90, 140)).max() < 12
            await viewer.until(lambda head: len(viewer.numbers) > 12)
            assert len(viewer.look.jpegs) == before
            assert viewer.numbers == sorted(viewer.numbers)
            viewer.saws = False
            await viewer.until(lambda head: head["pictures"])  # the JPEGs go on

    asyncio.run(look())


@pytest.mark.realtime
def test_a_picture_that_stalls_takes_the_base_from_the_hand():
    async def hold() -> None:
        async with shown() as (page, viewer):
            await viewer.until(carried)
            socket = viewer.look.socket

            async def drive(condition: Any) -> dict[str, Any]:
                while True:
                    head = await viewer.look.next()
                    if condition(head):
                        return head
                    await socket.send_json({"drive": [0.5, 0.0]})

            await drive(lambda head: head["hand"] == "you" and not head["refused"])
            assert await page.told() == ByHand(0.5, 0.0)
            viewer.saws = False  # the messages go on, and are confirmed
            refused = await drive(lambda head: head["refused"])
            assert refused["refused"] == "the connection is too slow to drive" and carried(refused)
            # By JPEGs the hand is heeded again.
            head = await drive(lambda head: not head["refused"] and head["number"] > refused["number"] + 3)
            assert head["hand"] == "you"

    asyncio.run(hold())


def test_it_listens_and_speaks_at_the_pages_own_address_alone():
    async def look() -> None:
        async with shown():
            found = psutil.Process(os.getpid()).net_connections("udp")
            assert {each.laddr.ip for each in found} == {"127.0.0.1"} and len(found) == 2

    asyncio.run(look())


OFFER = "\r\n".join(
    [
        "v=0", "m=video 9 UDP/TLS/RTP/SAVPF 96", "a=candidate:1 1 udp 2113937151 0a-b.local 53079 typ host",
        "a=candidate:2 1 UDP 2113937150 10.1.2.3 53080 typ host generation 0",
        "a=candidate:3 1 tcp 1518280447 10.1.2.3 9 typ host tcptype active",
        "a=candidate:4 1 udp 1677729535 8.8.8.8 3478 typ srflx raddr 10.1.2.3 rport 1", "a=candidate:odd",
        "a=mid:0", "",
    ]
)  # fmt: skip


def test_an_offer_names_no_address_but_that_from_which_its_page_came():
    lines = bounded_offer(OFFER, "192.168.1.7").splitlines()
    assert [line for line in lines if "candidate" in line] == [
        "a=candidate:1 1 udp 2113937151 192.168.1.7 53079 typ host",
        "a=candidate:2 1 UDP 2113937150 192.168.1.7 53080 typ host generation 0",
    ]
    assert lines[-1] == "a=mid:0"


def test_what_is_not_an_offer_of_one_picture_gets_no_answer_and_the_jpegs_go_on(
    caplog: pytest.LogCaptureFixture,
):
    media = "m=video 9 UDP/TLS/RTP/SAVPF 96\r\n"
    bad = ["", "nonsense", OFFER, OFFER.replace("m=video", "m=audio"), OFFER + media]

    async def look() -> None:
        async with filmed() as page:
            for offer in bad:
                async with page.look() as look:
                    await look.socket.send_json({"offer": offer, "last": True})
                    for _ in range(4):
                        head = await look.next()
                    assert not head["video"]["answer"] and look.jpegs
            for message in ({"offer": 7}, {"offer": None}, {"saw": "x"}, {"saw": [1]}):
                async with page.look() as look:
                    await look.socket.send_json(message)
                    assert await look.closed() == 1008
            async with page.look() as look:
                for _ in range(way.MOST_OFFER // 900 + 1):
                    await look.socket.send_json({"offer": "x" * 900, "last": False})
                assert await look.closed() == 1008

    asyncio.run(look())
    told = [each.message for each in caplog.records if each.name == way.__name__]
    assert len(told) == len(bad) and all(each.startswith("no picture by WebRTC") for each in told)


def test_connections_are_bounded_and_given_free_by_a_viewer_that_is_gone(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(way, "MOST_PEERS", 1)

    async def look() -> None:
        async with filmed() as page, page.look() as other:
            assert (await other.next())["video"] == {"can": True, "answer": ""}
            async with client(page) as viewer:
                await viewer.connect()
                while (head := await other.next())["video"]["can"]:
                    pass
                await Client(other).send(await viewer.offer())  # all the same: it gets no answer
            while not (head := await other.next())["pictures"]:
                pass
            assert head["video"]["answer"] == ""
            async with page.look() as third:
                while not (await third.next())["video"]["can"]:
                    pass

    asyncio.run(look())


def test_a_connection_that_shows_nothing_is_closed(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(way, "GIVEN_UP_S", 0.5)

    async def look() -> None:
        async with filmed() as page, client(page) as viewer:
            viewer.saws = False
            await viewer.connect()
            await viewer.until(lambda head: not head["video"]["answer"] and head["video"]["can"])
            await viewer.until(lambda head: head["pictures"])

    asyncio.run(look())


def test_a_stop_arrives_while_a_picture_is_sent():
    async def press() -> None:
        async with shown() as (page, _):
            told = asyncio.ensure_future(page.told())
            assert (await page.stop())[0] == 200
            await told

    asyncio.run(press())


def test_without_aiortc_the_page_is_offered_nothing(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(way.importlib.util, "find_spec", lambda name: None)

    async def look() -> None:
        async with serving() as page, page.look() as look:
            await look.socket.send_json({"offer": OFFER, "last": True})
            await look.socket.send_json({"saw": 1})
            await page.send({"camera": "front"}, picture(1))
            while not (head := await look.next())["pictures"]:
                pass
            assert "video" not in head

    asyncio.run(look())


def test_an_aiortc_that_can_not_be_loaded_costs_the_page_nothing_else(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
):
    monkeypatch.setitem(sys.modules, "edge.runs.live.rtc.peer", None)

    async def look() -> None:
        async with serving() as page, page.look() as look:
            assert "video" not in await look.next()

    asyncio.run(look())
    assert "aiortc can't be loaded" in caplog.text


@given(st.integers(0, NUMBERS - 1), st.integers(20, 65), st.integers(1, 40))
def test_a_number_is_read_back(number: int, wide: int, tall: int):
    image = np.full((2 * tall + 1, 10 * wide + 1, 3), 200, np.uint8)
    found = numbered(image, number)
    assert found.shape == (2 * tall + STRIP_PX, 10 * wide, 3) and read_number(found) == number
    assert (found[: 2 * tall] == 200).all()


@pytest.mark.parametrize("value", [0, 255])
def test_neither_black_nor_white_is_a_number(value: int):
    assert read_number(np.full((60, 80, 3), value, np.uint8)) is None
