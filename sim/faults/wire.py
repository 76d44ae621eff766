"""A line between the motor process and a base's board, which can be cut, repeated and damaged."""

import contextlib
import os
import select
import socket
import threading
import tty
from collections import deque
from collections.abc import Callable


class Wire:
    """Carries bytes between the board's port and a pseudo-terminal ("pty") or UDP ("udp") of its own.

    `to_board` makes of what the motor process sent what the board gets.
    """

    def __init__(self, board_port: str, kind: str) -> None:
        self.to_board: Callable[[bytes], list[bytes]] = lambda packet: [packet]
        self.cut = False
        self.sent: deque[bytes] = deque(maxlen=200)  # what the motor process sent last
        self._board = os.open(board_port, os.O_RDWR | os.O_NOCTTY | os.O_NONBLOCK)
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._carry, daemon=True)
        self._socket: socket.socket | None = None
        self._fds: list[int] = [self._board]
        if kind == "udp":
            self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as free:
                free.bind(("127.0.0.1", 0))
                self._peer = free.getsockname()
            self._socket.setblocking(False)
            self._end = self._socket.fileno()
            self.uri = f"mavlink://udp:127.0.0.1:{self._peer[1]}?timeout_s=10&omni=yes"
        else:
            self._end, line = os.openpty()
            tty.setraw(line)
            os.set_blocking(self._end, False)
            self._fds += [self._end, line]
            self.uri = f"mavlink://{os.ttyname(line)}?timeout_s=10&omni=yes"

    def tell_board(self, packet: bytes) -> None:
        os.write(self._board, packet)

    def _carry(self) -> None:
        while not self._over.is_set():
            ready = select.select([self._board, self._end], [], [], 0.05)[0]
            # A full line loses bytes, as a real one does.
            with contextlib.suppress(OSError):
                if self._board in ready:
                    self._to_runtime(os.read(self._board, 4096))
            with contextlib.suppress(OSError):
                if self._end in ready:
                    self._from_runtime(os.read(self._end, 4096))

    def _to_runtime(self, data: bytes) -> None:
        if self.cut:
            return
        if self._socket is not None:
            self._socket.sendto(data, self._peer)
        else:
            os.write(self._end, data)

    def _from_runtime(self, data: bytes) -> None:
        self.sent.append(data)
        for packet in [] if self.cut else self.to_board(data):
            os.write(self._board, packet)

    def __enter__(self) -> "Wire":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()
        for fd in self._fds:
            os.close(fd)
        if self._socket is not None:
            self._socket.close()
