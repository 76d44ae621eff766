"""The page's server over real sockets: who is let in, what viewers get, and how a stop and a hand arrive."""

import asyncio
import contextlib
import random
import re
from typing import Any

import aiohttp
import pytest

from edge.motor.wire import ByHand, LetGo, Stop
from edge.records import StopCause
from edge.runs.live import server
from edge.runs.live.packets import Picture, Wish
from edge.runs.live.server import CROWDED, MOST_CONNECTIONS, MOST_VIEWERS, REFUSED
from edge.runs.live.viewers import IN_FLIGHT
from tests.edge.runs.live.serving import TOKEN, Look, serving

BEARER = {"Authorization": f"Bearer {TOKEN}"}


def test_the_button_reaches_the_motor_process_and_says_so_once_it_is_confirmed():
    """Fault 53."""

    async def press() -> None:
        async with serving() as page:
            told = asyncio.ensure_future(page.told())
            assert await page.stop() == (200, "stopping")
            stop = await told
            assert isinstance(stop, Stop) and stop.cause is StopCause.OPERATOR

    asyncio.run(press())


def test_a_stop_that_the_motor_process_does_not_confirm_is_not_said_to_have_arrived():
    async def press() -> None:
        async with serving() as page:
            page.confirms = False
            code, words = await page.stop()
            assert code == 503 and "press the emergency stop" in words
            page.motor.close()
            await asyncio.sleep(0.1)
            assert await page.stop() == (503, "the run is over")

    asyncio.run(press())


STRANGERS: list[dict[str, str]] = [
    {},
    {"Authorization": "Bearer wrong"},
    {"Authorization": TOKEN},
    {"Authorization": "Bearer "},
    {**BEARER, "Host": "evil.example"},
    {**BEARER, "Host": "evil.example:8080"},
    {**BEARER, "Host": "127.0.0.1.evil.example"},
    {**BEARER, "Origin": "http://evil.example"},
    {**BEARER, "Origin": "null"},
    {**BEARER, "Origin": "http://127.0.0.1:1"},
]


def test_no_stranger_stops_the_robot_and_no_other_page_does():
    async def try_all() -> None:
        async with serving() as page:
            for headers in STRANGERS:
                code, _ = await page.stop(headers)
                assert code in (401, 403, 421), headers
            for method, path in (("GET", "/stop"), ("PUT", "/stop"), ("POST", "/"), ("POST", "/live")):
                async with page.http.request(method, page.url + path, headers=BEARER) as answer:
                    assert answer.status in (404, 405)
            assert page.heard_nothing()
            told = asyncio.ensure_future(page.told())
            own = {"Origin": page.url, "Host": f"127.0.0.1:{page.port}"}
            assert (await page.stop(BEARER | own))[0] == 200
            await told

    asyncio.run(try_all())


@pytest.mark.parametrize("name", ["localhost", "127.0.0.1", "[::1]", "192.168.1.7"])
def test_a_name_of_this_machine_is_let_in(name: str):
    async def try_one() -> None:
        async with serving() as page, page.http.get(page.url, headers={"Host": f"{name}:9"}) as answer:
            assert answer.status == 200

    asyncio.run(try_one())


def test_a_viewer_of_another_page_or_with_another_token_sees_nothing(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(server, "TOKEN_LIMIT_S", 0.3)

    async def try_all() -> None:
        async with serving() as page:
            for headers in ({"Origin": "http://evil.example"}, {"Host": "evil.example"}):
                with pytest.raises(aiohttp.WSServerHandshakeError):
                    await page.http.ws_connect(f"{page.url}/live", headers=headers)
            for token in ("wrong", "", None, 7, ["x"], {}):
                async with page.look(token) as viewer:
                    assert await viewer.closed() == REFUSED
            async with page.http.ws_connect(f"{page.url}/live") as silent:
                assert (await silent.receive(timeout=20)).type is aiohttp.WSMsgType.CLOSE
            assert page.heard_nothing()

    asyncio.run(try_all())


def test_the_page_runs_its_own_script_alone_and_loads_nothing_from_elsewhere():
    async def get() -> None:
        async with serving() as page, page.http.get(page.url) as answer:
            text, policy = await answer.text(), answer.headers["Content-Security-Policy"]
        (nonce,) = set(re.findall(r'nonce="([^"]+)"', text))
        assert f"script-src 'nonce-{nonce}'" in policy and "default-src 'none'" in policy
        assert "frame-ancestors 'none'" in policy and answer.headers["Cache-Control"] == "no-store"
        assert TOKEN not in text and not re.search(r"https?:|src=|href=|@import|url\(| on\w+=\"", text)

    asyncio.run(get())


def test_a_viewer_gets_the_newest_state_and_picture():
    async def look() -> None:
        async with serving() as page:
            await page.send({"motor": "holding", "path": [[0, 0], [1, 2]]}, Picture("front", 1.5, b"one"))
            async with page.look() as viewer:
                head = await viewer.next()
                assert (head["title"], head["state"], head["path"]) == (
                    "find_object cup",
                    {"motor": "holding"},
                    [[0, 0], [1, 2]],
                )
                assert head["pictures"] == [["front", 1.5, 3, []]] and viewer.jpegs == [b"one"]
                await page.send(Picture("front", 2.5, b"second"), Picture("wrist", 2.0, b"w"), {"motor": "x"})
                while head["state"]["motor"] != "x":
                    head = await viewer.next()
                assert viewer.jpegs == [b"one", b"second", b"w"] and "path" not in head

    asyncio.run(look())


def test_a_viewer_that_confirms_nothing_gets_no_more_and_the_others_go_on():
    async def look() -> None:
        async with serving() as page, page.look() as frozen, page.look() as viewer:
            for _ in range(IN_FLIGHT):
                await frozen.next(confirm=False)
            for number in range(12):
                await page.send(Picture("front", float(number), b"jpeg"))
                await viewer.next()
            with pytest.raises(asyncio.TimeoutError):
                await frozen.socket.receive(timeout=0.3)
            await frozen.socket.send_json({"seen": IN_FLIGHT})
            assert (await frozen.next())["pictures"] == [["front", 11.0, 4, []]]

    asyncio.run(look())


def test_the_end_of_the_run_reaches_every_viewer():
    async def look() -> None:
        async with serving() as page, page.look() as viewer:
            await viewer.next()
            await page.send({"end": {"outcome": "reached"}})
            page.feed.close()
            while not (head := await viewer.next())["over"]:
                pass
            assert head["state"]["end"]["outcome"] == "reached"
            assert await viewer.closed() == 1000

    asyncio.run(look())


async def drive(viewer: Look, ahead: float = 0.5, turn: float = 0.0) -> dict[str, Any]:
    head = await viewer.next()
    await viewer.socket.send_json({"drive": [ahead, turn]})
    return head


def test_one_hand_drives_at_a_time():
    """Fault 56."""

    async def hold() -> None:
        async with serving() as page, page.look() as first, page.look() as second:
            await drive(first, 0.5, -0.25)
            assert await page.told() == ByHand(0.5, -0.25)
            await drive(second)
            while (head := await second.next())["refused"] != "somebody else drives":
                pass
            assert head["hand"] == "other" and (await first.next())["hand"] == "you" and page.heard_nothing()
            await second.socket.send_json({"let_go": True})
            await first.socket.send_json({"let_go": True})
            assert await page.told() == LetGo()
            await drive(second)
            assert await page.told() == ByHand(0.5, 0.0)

    asyncio.run(hold())


def test_a_hand_whose_page_is_gone_has_not_let_go_and_another_may_take_the_base():
    async def lose() -> None:
        async with serving() as page, page.look() as second:
            async with page.look() as first:
                await drive(first)
                assert await page.told() == ByHand(0.5, 0.0)
            while (await second.next())["hand"] != "nobody":
                pass
            assert page.heard_nothing()
            await drive(second, -1.0)
            assert await page.told() == ByHand(-1.0, 0.0)

    asyncio.run(lose())


def test_who_has_seen_nothing_for_half_a_second_does_not_drive():
    async def lag() -> None:
        async with serving() as page, page.look() as viewer:
            await viewer.next()
            await asyncio.sleep(0.6)
            await viewer.socket.send_json({"drive": [1.0, 0.0]})
            while not (head := await viewer.next())["refused"]:
                pass
            assert head["refused"] == "the connection is too slow to drive" and page.heard_nothing()

    asyncio.run(lag())


def test_a_wish_to_record_reaches_the_recorder_and_is_said_again():
    async def want() -> None:
        async with serving() as page, page.look() as viewer:
            for number, on in ((1, True), (2, True), (3, False)):
                await viewer.next()
                await viewer.socket.send_json({"record": on})
                for _ in range(2):
                    await page.wished(Wish(number, on))
            while (await viewer.next())["wish"] != 3:
                pass

    asyncio.run(want())


def test_nobody_records_a_recording():
    async def want() -> None:
        async with serving(controls=False) as page, page.look() as viewer:
            await viewer.socket.send_json({"record": True})
            for _ in range(3):
                head = await viewer.next()
            assert head["wish"] == 0

    asyncio.run(want())


MALFORMED = [
    "", "{",
    "[]", "7", "null", '{"drive": 7}', '{"drive": [1]}', '{"drive": [1, 2, 3]}', '{"drive": ["a", 0]}',
    '{"seen": 1e999}', '{"seen": "x"}', '{"seen": 99999}', '{"seen": -1}', "[" * 900, '{"drive": [[], {}]}',
    "x" * 2000, '{"record": 1}', '{"record": null}', '{"record": "on"}',
]  # fmt: skip


def test_a_message_that_no_page_sends_ends_its_viewer_alone_and_moves_nothing():
    async def send() -> None:
        async with serving() as page, page.look() as good:
            for text in MALFORMED:
                async with page.look() as viewer:
                    await viewer.socket.send_str(text)
                    assert await viewer.closed() in (1008, 1009), text
            for value in ("NaN", "Infinity", "1e999"):
                async with page.look() as viewer:
                    await viewer.socket.send_str(f'{{"drive": [{value}, 0]}}')
                    while not (head := await viewer.next())["refused"]:
                        pass
                    assert head["refused"] == "not a number"
            assert page.heard_nothing() and (await good.next())["hand"] == "nobody"

    asyncio.run(send())


def test_garbage_instead_of_http_neither_ends_the_server_nor_stops_the_robot():
    good = b"POST /stop HTTP/1.1\r\nHost: localhost\r\nContent-Length: 4\r\nX: y\r\n\r\nbody"

    async def send() -> None:
        rng = random.Random(1)
        async with serving() as page:
            for _ in range(60):
                data = bytearray(good)
                for _ in range(rng.randrange(1, 8)):
                    data[rng.randrange(len(data))] = rng.randrange(256)
                reader, writer = await asyncio.open_connection("127.0.0.1", page.port)
                with contextlib.suppress(ConnectionError):
                    writer.write(bytes(data) + b"A" * rng.choice((0, 0, 9000)))
                    writer.write_eof()
                    assert b" 200 " not in (await asyncio.wait_for(reader.read(), 20)).partition(b"\r\n")[0]
                writer.close()
            assert page.heard_nothing()
            told = asyncio.ensure_future(page.told())
            assert (await page.stop())[0] == 200
            await told

    asyncio.run(send())


def test_a_stop_arrives_while_silent_clients_hold_connections_and_many_look():
    async def press() -> None:
        async with serving() as page, contextlib.AsyncExitStack() as stack:
            for _ in range(MOST_CONNECTIONS + 20):
                _, writer = await asyncio.open_connection("127.0.0.1", page.port)
                writer.write(b"POST /stop HTTP/1.1\r\nX: ")
                stack.callback(writer.close)
            for _ in range(MOST_VIEWERS):
                await (await stack.enter_async_context(page.look())).next()
            async with page.look() as late:
                assert await late.closed() == CROWDED
            told = asyncio.ensure_future(page.told())
            assert (await page.stop())[0] == 200
            await told

    asyncio.run(press())


def test_nobody_stops_or_drives_a_recording():
    async def press() -> None:
        async with serving(controls=False) as page:
            assert (await page.stop())[0] == 404
            assert page.heard_nothing()

    asyncio.run(press())
