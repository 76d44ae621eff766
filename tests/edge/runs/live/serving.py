"""A page that is served in a test's own event loop, over real sockets whose far ends the test holds."""

import asyncio
import contextlib
import json
import socket
import struct
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import aiohttp

from edge.motor.wire import ByHand, LetGo, Message, Stop, decode
from edge.runs.live.client import listen
from edge.runs.live.packets import Packet, Settings, Wish, pack, unpack_wish
from edge.runs.live.process import serve

TOKEN = "the-right-token"


@dataclass
class Serving:
    """The ends of a page's sockets."""

    port: int
    feed: socket.socket
    motor: socket.socket
    http: aiohttp.ClientSession
    confirms: bool = True  # the motor process's end confirms a stop

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    async def send(self, *packets: Packet) -> None:
        for packet in packets:
            await asyncio.get_running_loop().sock_sendall(self.feed, pack(packet))

    async def told(self, kinds: tuple[type[Any], ...] = (Stop, ByHand, LetGo)) -> Message:
        """Return the next message at the motor process's end, as which it answers."""
        while True:
            packet = await asyncio.wait_for(asyncio.get_running_loop().sock_recv(self.motor, 4096), 20)
            message = decode(packet)
            if isinstance(message, Stop) and self.confirms:
                self.motor.send(packet)
            if isinstance(message, kinds):
                return message

    async def wished(self, wish: Wish) -> None:
        """Wait until a wish has come."""
        while True:
            word = await asyncio.wait_for(asyncio.get_running_loop().sock_recv(self.feed, 64), 20)
            if (found := unpack_wish(word)) is not None and found.number >= wish.number:
                assert found == wish
                return

    def heard_nothing(self) -> bool:
        with contextlib.suppress(BlockingIOError):
            return not self.motor.recv(4096)
        return True

    async def stop(self, headers: dict[str, str] | None = None) -> tuple[int, str]:
        """Press the button; return the code of the answer and its words."""
        given = {"Authorization": f"Bearer {TOKEN}"} if headers is None else headers
        async with self.http.post(f"{self.url}/stop", headers=given) as answer:
            return answer.status, (await answer.json())["message"]

    @contextlib.asynccontextmanager
    async def look(self, token: object = TOKEN) -> AsyncIterator["Look"]:
        async with self.http.ws_connect(f"{self.url}/live") as viewer:
            await viewer.send_json({"token": token})
            yield Look(viewer)


class Look:
    """A viewer."""

    def __init__(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        self.socket = socket
        self.jpegs: list[bytes] = []

    async def next(self, confirm: bool = True) -> dict[str, Any]:
        """Return the next message's line."""
        data = await self.socket.receive_bytes(timeout=20)
        (length,) = struct.unpack(">I", data[:4])
        head = json.loads(data[4 : 4 + length])
        at = 4 + length
        for _, _, size, _ in head["pictures"]:
            self.jpegs.append(data[at : at + size])
            at += size
        assert at == len(data)
        if confirm:
            await self.socket.send_json({"seen": head["number"]})
        return head

    async def closed(self) -> int | None:
        """Wait for the end; return its code."""
        while (message := await self.socket.receive(timeout=20)).type is aiohttp.WSMsgType.BINARY:
            pass
        return self.socket.close_code if message.type is not aiohttp.WSMsgType.TEXT else -1


@contextlib.asynccontextmanager
async def serving(controls: bool = True) -> AsyncIterator[Serving]:
    feed_here, feed_there = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    motor_here, motor_there = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    listening = listen("127.0.0.1", 0)
    for each in (feed_here, motor_here):
        each.setblocking(False)
    port = listening.getsockname()[1]
    feed_here.send(pack(Settings(TOKEN, "find_object cup", controls)))
    page = asyncio.ensure_future(serve(feed_there, motor_there, [listening]))
    with feed_here, motor_here, feed_there, motor_there, listening:
        async with aiohttp.ClientSession() as session:
            yield Serving(port, feed_here, motor_here, session)
        feed_here.close()
        await asyncio.wait_for(page, 20)
