"""What the page's server takes at most, of anybody: sizes, connections, viewers, patience."""

import asyncio
import contextlib
import re
import time
from pathlib import Path

import aiohttp
import pytest

from edge.runs.live import process, server, viewers
from edge.runs.live.server import PAGE
from edge.runs.live.viewers import IN_FLIGHT
from tests.edge.runs.live.serving import TOKEN, serving

BEARER = {"Authorization": f"Bearer {TOKEN}"}
DOCS = Path(__file__).parents[4] / "docs" / "live-page.md"


def test_limits_are_those_that_the_docs_and_the_page_state():
    docs = " ".join(DOCS.read_text().split())
    assert f"At most {server.MOST_VIEWERS} look at once" in docs
    assert f"Requests are at most {server.MOST_BYTES >> 10} KiB" in docs and server.MOST_BYTES == 1024
    assert f"connections without a request end after {server.IDLE_S:g} s" in docs
    assert f"after {viewers.FROZEN_S:g} s it is let go" in docs
    page = PAGE.read_text()
    assert (
        f"event.code === {server.REFUSED}) refused" in page and f"event.code === {server.CROWDED} ?" in page
    )


async def answer_to(port: int, request: bytes) -> bytes:
    """Return the first line of what a raw request gets."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(request)
    answer = await asyncio.wait_for(reader.read(4096), 20)
    writer.close()
    return answer.partition(b"\r\n")[0]


def test_long_requests_are_refused_and_stop_nothing_nor_fill_the_terminal(caplog: pytest.LogCaptureFixture):
    host = b"Host: localhost\r\nAuthorization: Bearer " + TOKEN.encode() + b"\r\n"
    long = b"a" * (server.MOST_LINE_BYTES + 1)

    async def send() -> None:
        async with serving() as page:
            for request in (
                b"POST /stop?" + long + b" HTTP/1.1\r\n" + host + b"\r\n",
                b"POST /stop HTTP/1.1\r\n" + host + b"X: " + long + b"\r\n\r\n",
                b"POST /stop HTTP/1.1\r\n" + host + long + b": x\r\n\r\n",
            ):
                assert b" 400 " in await answer_to(page.port, request), request[:40]
            assert page.heard_nothing()

    asyncio.run(send())
    assert caplog.records == []


def test_a_message_of_a_viewer_is_at_most_one_kibibyte():
    async def send() -> None:
        async with serving() as page:
            async with page.look() as viewer:
                await viewer.socket.send_str('{"x": "' + "a" * (server.MOST_BYTES - 10) + '"}')  # it fits
                await viewer.next()
                await viewer.socket.send_str('{"stop": "' + "a" * (server.MOST_BYTES - 12) + '"}')
                assert await viewer.closed() == 1009
            assert page.heard_nothing()

    asyncio.run(send())


def test_one_viewer_more_than_may_look_is_told_so_and_a_place_that_is_free_again_is_taken(
    monkeypatch: pytest.MonkeyPatch,
):
    monkeypatch.setattr(server, "MOST_VIEWERS", 2)

    async def look() -> None:
        async with serving() as page, page.look() as first:
            await first.next()
            async with page.look() as second:
                await second.next()
                async with page.look() as third:
                    assert await third.closed() == server.CROWDED
            await asyncio.sleep(0.1)
            async with page.look() as fourth:
                await fourth.next()

    asyncio.run(look())


def test_connections_without_a_request_end_when_they_are_old_and_a_viewer_stays(
    monkeypatch: pytest.MonkeyPatch,
):
    monkeypatch.setattr(server, "IDLE_S", 0.2)

    async def wait() -> None:
        async with serving() as page, page.look() as viewer:
            reader, writer = await asyncio.open_connection("127.0.0.1", page.port)
            writer.write(b"POST /stop HTTP/1.1\r\nX: ")
            begun_s = time.monotonic()
            assert await asyncio.wait_for(reader.read(), 20) == b"" and time.monotonic() - begun_s >= 0.15
            writer.close()
            for _ in range(4):
                await viewer.next()

    asyncio.run(wait())


def test_of_too_many_connections_the_oldest_without_a_request_end(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(server, "MOST_CONNECTIONS", 4)

    async def crowd() -> None:
        async with serving() as page, page.look() as viewer:
            await viewer.next()
            ends = []
            for _ in range(6):
                ends.append(await asyncio.open_connection("127.0.0.1", page.port))
                await asyncio.sleep(0.01)
            closed = [asyncio.ensure_future(reader.read()) for reader, _ in ends]
            await asyncio.sleep(0.4)
            # The viewer's and three others are four.
            assert [each.done() for each in closed] == [True, True, True, False, False, False]
            await viewer.next()
            for each, (_, writer) in zip(closed, ends, strict=True):
                each.cancel()
                writer.close()

    asyncio.run(crowd())


def test_as_many_connections_as_there_may_be_stay(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(server, "MOST_CONNECTIONS", 6)

    async def crowd() -> None:
        async with serving() as page, page.look() as viewer:
            await viewer.next()
            ends = [await asyncio.open_connection("127.0.0.1", page.port) for _ in range(4)]
            closed = [asyncio.ensure_future(reader.read()) for reader, _ in ends]
            await asyncio.sleep(0.3)
            assert not any(each.done() for each in closed)
            for each, (_, writer) in zip(closed, ends, strict=True):
                each.cancel()
                writer.close()

    asyncio.run(crowd())


def test_a_viewer_that_confirms_nothing_does_not_hold_up_the_end(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(process, "END_S", 0.3)

    async def end() -> float:
        async with serving() as page, page.look() as frozen:
            for _ in range(IN_FLIGHT):
                await frozen.next(confirm=False)
            begun_s = time.monotonic()
            page.feed.close()
            with contextlib.suppress(aiohttp.ClientError, TypeError):
                await frozen.closed()
            return time.monotonic() - begun_s

    assert 0.25 < asyncio.run(end()) < 5


def test_every_answer_forbids_what_a_page_of_others_could_do_with_it():
    async def get() -> set[str]:
        nonces = set[str]()
        async with serving() as page:
            for _ in range(2):
                async with page.http.get(page.url) as answer:
                    assert answer.headers["X-Content-Type-Options"] == "nosniff"
                    assert answer.headers["Referrer-Policy"] == "no-referrer"
                    (nonce,) = set(re.findall(r'nonce="([^"]+)"', await answer.text()))
                    nonces.add(nonce)
        return nonces

    nonces = asyncio.run(get())
    assert len(nonces) == 2 and all(len(each) >= 22 for each in nonces)  # 128 bits
