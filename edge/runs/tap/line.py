"""The line from the tap to its process: events there, words back."""

import json
import select
import socket
from collections.abc import Callable, Sequence
from typing import Any


class TapLine:
    """The runtime's end of the socket. Its methods raise OSError if the process has ended.

    `on_word` takes what the process says.
    """

    def __init__(self, control: socket.socket, on_word: Callable[[dict[str, Any]], None]) -> None:
        self._socket, self._on_word = control, on_word
        self._words = b""  # what the process said, up to a line's end
        self._heard = select.poll()
        self._heard.register(control, select.POLLIN)

    def send(self, events: Sequence[bytes], blob: bytes | memoryview) -> None:
        """Send events, with the bytes of the last one, and take what the process has said meanwhile."""
        for part in (b"".join(events), blob):
            view = memoryview(part).cast("B")
            while view:
                view = view[self._socket.send(view) :]
        self._heed()

    def last_word(self) -> dict[str, Any] | None:
        """Wait for what the process says once its files are done; None if it has gone without."""
        with self._socket.makefile("rb") as stream:
            while line := self._words + stream.readline():
                self._words, word = b"", json.loads(line)
                if "files" in word:
                    return word
                self._on_word(word)
        return None

    def _heed(self) -> None:
        """Take what the process says. Never waits."""
        while self._heard.poll(0):
            if not (heard := self._socket.recv(4096)):
                return
            *lines, self._words = (self._words + heard).split(b"\n")
            for line in lines:
                self._on_word(json.loads(line))
