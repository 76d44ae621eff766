"""The page over HTTP and WebSocket, by aiohttp: the only file that knows it."""

import asyncio
import contextlib
import json
import logging
import secrets
import socket
import time
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edge.runs.live.access import bears_token, is_own_host, is_same_origin, is_token
from edge.runs.live.hand import HandLine
from edge.runs.live.rtc.way import Peers, VideoWay
from edge.runs.live.viewers import Newest, Viewer

if TYPE_CHECKING:
    from aiohttp import web

MOST_VIEWERS = 32
MOST_CONNECTIONS = 96  # one more ends the oldest that is not a viewer's
IDLE_S = 15.0  # a connection without a request is ended
TOKEN_LIMIT_S = 3.0  # for a viewer to send it
MOST_BYTES = 1024  # in a body or a message that comes in
MOST_LINE_BYTES = 2048
PAGE = Path(__file__).with_name("page.html")
NOT_OURS = (
    ValueError,
    TypeError,
    KeyError,
    IndexError,
    RecursionError,
    OverflowError,
)  # by a foreign message
REFUSED, CROWDED = 4401, 4429  # codes by which the page learns why its socket was closed


class PageServer:
    """Serves one run's page until it is closed."""

    def __init__(self, newest: Newest, hand: HandLine, peers: Peers | None = None) -> None:
        """Serve what comes, with pictures by WebRTC if there are `peers`."""
        self._newest, self._hand, self._peers = newest, hand, peers
        self._token = newest.settings.token
        self._page = PAGE.read_text(encoding="utf-8")
        self._viewers: set[Viewer] = set()
        self._kept: set[asyncio.Task[Any]] = set()
        self._busy: set[asyncio.Transport | None] = set()  # connections whose request is being answered
        self._runner: web.AppRunner | None = None

    @property
    def watched(self) -> bool:
        """True while somebody looks at the page."""
        return bool(self._viewers)

    async def start(self, sockets: Sequence[socket.socket]) -> None:
        """Begin to answer at sockets that listen."""
        from aiohttp import web

        logging.getLogger("aiohttp.server").addFilter(_is_ours)
        app = web.Application(client_max_size=MOST_BYTES, middlewares=[self._guard()])
        app.add_routes(
            [web.get("/", self._show), web.post("/stop", self._stop), web.get("/live", self._follow)]
        )
        self._runner = web.AppRunner(
            app, access_log=None, keepalive_timeout=IDLE_S, max_line_size=MOST_LINE_BYTES,
            max_field_size=MOST_LINE_BYTES, lingering_time=0.5, shutdown_timeout=0.5,
        )  # fmt: skip
        await self._runner.setup()
        for each in sockets:
            await web.SockSite(self._runner, each).start()
        self._keep(self._sweep())

    async def close(self, patience_s: float) -> None:
        """Wait until every viewer knows how the run ended, at most so long, and stop serving."""
        end_s = time.monotonic() + patience_s
        while self._viewers and time.monotonic() < end_s:
            await asyncio.sleep(0.02)
        if self._peers is not None:
            await self._peers.close()
        for task in self._kept:
            task.cancel()
        if self._runner is not None:
            await self._runner.cleanup()

    async def _show(self, request: "web.Request") -> "web.Response":
        from aiohttp import web

        nonce, host = secrets.token_urlsafe(16), request.host
        policy = (
            f"default-src 'none'; script-src 'nonce-{nonce}'; style-src 'nonce-{nonce}'; "
            f"img-src blob: data:; connect-src 'self' ws://{host} wss://{host}; "
            "frame-ancestors 'none'; base-uri 'none'; form-action 'none'"
        )
        headers = {"Content-Security-Policy": policy, "Cache-Control": "no-store"}
        headers |= {"X-Content-Type-Options": "nosniff", "Referrer-Policy": "no-referrer"}
        text = self._page.replace("{{nonce}}", nonce)
        return web.Response(text=text, content_type="text/html", headers=headers)

    async def _stop(self, request: "web.Request") -> "web.Response":
        from aiohttp import web

        if not bears_token(request.headers.get("Authorization", ""), self._token):
            return web.json_response({"message": "the token is wrong"}, status=401)
        if not self._newest.settings.controls:
            return web.json_response({"message": "a recording: nothing moves"}, status=404)
        if await self._hand.stop():
            return web.json_response({"message": "stopping"})
        gone = "the motor process does not answer: press the emergency stop of the robot"
        return web.json_response({"message": gone if self._hand.there else "the run is over"}, status=503)

    async def _follow(self, request: "web.Request") -> "web.WebSocketResponse":
        from aiohttp import web

        # Pictures are compressed already.
        ws = web.WebSocketResponse(max_msg_size=MOST_BYTES, compress=False, timeout=1.0)
        await ws.prepare(request)
        if not await self._knows_token(ws):
            await ws.close(code=REFUSED, message=b"the token is wrong")
        elif len(self._viewers) >= MOST_VIEWERS:
            await ws.close(code=CROWDED, message=f"{MOST_VIEWERS} viewers look already".encode())
        else:
            await self._serve(ws, self._video_of(request))
        return ws

    async def _knows_token(self, ws: "web.WebSocketResponse") -> bool:
        with contextlib.suppress(asyncio.TimeoutError, *NOT_OURS):
            first: Any = json.loads(await ws.receive_str(timeout=TOKEN_LIMIT_S))
            return is_token(first["token"], self._token)
        return False

    def _video_of(self, request: "web.Request") -> VideoWay | None:
        if self._peers is None or request.transport is None:
            return None
        ends = (request.transport.get_extra_info(each)[0] for each in ("sockname", "peername"))
        return self._peers.way(*(each.removeprefix("::ffff:") for each in ends))

    async def _serve(self, ws: "web.WebSocketResponse", video: VideoWay | None) -> None:
        viewer = Viewer(self._newest, self._hand, ws.send_bytes, video)
        self._viewers.add(viewer)
        sender = self._keep(self._send(viewer, ws))
        try:
            async for message in ws:
                viewer.take(message.data)
        except NOT_OURS:
            await ws.close(code=1008, message=b"not a message of the page")
        finally:
            self._hand.lose(viewer)
            self._viewers.discard(viewer)
            sender.cancel()
            if video is not None:
                self._keep(video.close())

    async def _send(self, viewer: Viewer, ws: "web.WebSocketResponse") -> None:
        with contextlib.suppress(ConnectionError, RuntimeError):  # it has gone
            await viewer.serve()
            await ws.close(code=1000, message=b"over")
        self._viewers.discard(viewer)

    async def _sweep(self) -> None:
        """End connections that wait without a request, where they are old or too many."""
        since_s: dict[Any, float] = {}
        while self._runner is not None and (server := self._runner.server) is not None:
            now_s = time.monotonic()
            since_s = {each: since_s.get(each, now_s) for each in server.connections}
            waiting = [each for each in since_s if each.transport not in self._busy]
            late = [each for each in waiting if now_s - since_s[each] > IDLE_S]
            crowd = waiting[: max(0, len(since_s) - MOST_CONNECTIONS)]
            for each in {*late, *crowd}:
                each.force_close()
            await asyncio.sleep(0.1)

    def _keep(self, work: Any) -> asyncio.Task[Any]:
        task = asyncio.ensure_future(work)
        self._kept.add(task)
        task.add_done_callback(self._kept.discard)
        return task

    def _guard(self) -> Any:
        """Return what refuses foreign names and foreign pages before all else."""
        from aiohttp import web

        @web.middleware
        async def guard(
            request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
        ) -> web.StreamResponse:
            host = request.headers.get("Host", "")
            if not is_own_host(host):
                return web.json_response({"message": "not a name of this machine"}, status=421)
            if not is_same_origin(request.headers.get("Origin"), host):
                return web.json_response({"message": "a request of another page"}, status=403)
            self._busy.add(request.transport)
            try:
                return await handler(request)
            finally:
                self._busy.discard(request.transport)

        return guard


def _is_ours(record: logging.LogRecord) -> bool:
    """Return whether a line of aiohttp's is about us, and not about what a stranger sent instead of HTTP."""
    from aiohttp.http_exceptions import HttpProcessingError

    return not (record.exc_info and isinstance(record.exc_info[1], HttpProcessingError))
