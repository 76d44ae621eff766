"""The page's process: `python -m edge.runs.live.process --feed N --motor N --listen N`, numbers of sockets.

`edge.runs.live.client` starts it, in a session of its own. It serves what comes over the feed, takes stops
and a hand to the motor process by a line of its own, and ends when the feed does.
"""

import argparse
import asyncio
import contextlib
import signal
import socket
import sys

from edge.runs.live.hand import HandLine
from edge.runs.live.packets import MAX_BYTES, WATCHED, Settings, pack_wish, unpack
from edge.runs.live.rtc.way import Peers
from edge.runs.live.server import PageServer
from edge.runs.live.viewers import Newest

WATCHED_PERIOD_S = 0.5
END_S = 1.0  # for viewers to learn how the run ended


async def serve(feed: socket.socket, motor: socket.socket | None, listening: list[socket.socket]) -> None:
    """Serve until the feed ends."""
    feed.setblocking(False)
    loop = asyncio.get_running_loop()
    settings = unpack(await loop.sock_recv(feed, MAX_BYTES))
    assert isinstance(settings, Settings)
    newest, hand = Newest(settings), HandLine(motor)
    server = PageServer(newest, hand, Peers.where_installed(newest))
    await server.start(listening)
    telling = asyncio.ensure_future(_tell(feed, server, newest))
    with contextlib.suppress(ConnectionResetError):
        while data := await loop.sock_recv(feed, MAX_BYTES):
            packet = unpack(data)
            if not isinstance(packet, Settings):
                newest.take(packet)
    newest.end()
    telling.cancel()
    await server.close(END_S)
    hand.close()


async def _tell(feed: socket.socket, server: PageServer, newest: Newest) -> None:
    """Let the sender know while somebody looks, without which it need not encode pictures, and of wishes.

    The newest wish is said again and again: a recorder that begins anew with its engine hears it too.
    """
    while True:
        newest.wished.clear()
        with contextlib.suppress(OSError):  # it has not read, or has gone
            if newest.wish is not None:
                feed.send(pack_wish(newest.wish))
            if server.watched:
                feed.send(WATCHED)
        with contextlib.suppress(asyncio.TimeoutError):
            await asyncio.wait_for(newest.wished.wait(), WATCHED_PERIOD_S)


def main(argv: list[str]) -> int:
    """Serve the page of one run; returns the exit code."""
    for each in (signal.SIGINT, signal.SIGHUP):  # from a terminal they are for the runtime
        signal.signal(each, signal.SIG_IGN)
    parser = argparse.ArgumentParser(prog="python -m edge.runs.live.process")
    parser.add_argument("--feed", type=int, required=True)
    parser.add_argument("--motor", type=int)
    parser.add_argument("--listen", type=int, action="append", required=True)
    options = parser.parse_args(argv)
    feed, *listening = (socket.socket(fileno=fd) for fd in (options.feed, *options.listen))
    motor = None if options.motor is None else socket.socket(fileno=options.motor)
    asyncio.run(serve(feed, motor, listening))
    return 0


if __name__ == "__main__":  # pragma: no cover - runs in a process of its own
    sys.exit(main(sys.argv[1:]))
