"""What the tap's process says to the runtime: one JSON object a line."""

import json
import select
import socket
from collections.abc import Iterator
from typing import Any


class WordReader:
    """Reads what comes from the far end of a socket. It is for one thread at a time."""

    def __init__(self, end: socket.socket) -> None:
        """Read from a socket, which stays another's to close."""
        self.over = False  # nothing more will come
        self._end = end
        self._poll = select.poll()
        self._poll.register(end, select.POLLIN)
        self._part = b""  # what came of a line

    def heard(self, wait_s: float = 0.0) -> list[dict[str, Any]]:
        """Return the words that are there; wait for the first one up to `wait_s`. Raises OSError."""
        words: list[dict[str, Any]] = []
        while not self.over and self._poll.poll(0 if words else 1000 * wait_s):
            heard = self._end.recv(4096)
            self.over = not heard
            *lines, self._part = (self._part + heard).split(b"\n")
            words += map(json.loads, lines)
        return words

    def rest(self) -> Iterator[dict[str, Any]]:
        """Yield the words up to the last one. Raises OSError if the socket's time limit passes before."""
        with self._end.makefile("rb") as stream:
            while line := self._part + stream.readline():
                self._part = b""
                yield json.loads(line)
