"""What travels to the tap's process and back: events (a topic, JSON, an image's bytes), and words (JSON)."""

import json
import select
import socket
import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Protocol

# A topic's place here is its number on the wire; only ever add at the end.
TOPICS = (
    "options",  # what the process shall do: the first event
    "header",  # what runs: versions, goal, bundle, base, machine
    "start",
    "image",  # a camera's new image; the bytes are its pixels, or a JPEG
    "tick",  # what the policy was given at a frame, and what it decided
    "inference",
    "chunk",  # what was sent to the motor process
    "motor",  # a report of the motor process
    "log",
    "end",  # how the drive ended
    "outcome",  # how the run ended, judged: the last event of a run that was not cut short
    "machine",  # temperature, clocks, power, memory: from the process itself
    "stopped",  # a person ended the recording before the run's end: its last event
)
NUMBERS = {topic: number for number, topic in enumerate(TOPICS)}
MOST_BYTES = 1 << 28  # one event's
_HEAD = struct.Struct("<BQqII")  # topic, seq, stamp_ns, length of the line, length of the bytes


@dataclass(frozen=True)
class TapEvent:
    """One event."""

    topic: str
    seq: int  # counts all events of a run; a gap is an event that was dropped
    stamp_ns: int  # when it happened, CLOCK_MONOTONIC
    line: bytes  # JSON
    blob: bytes | memoryview = b""  # an image's

    @cached_property
    def data(self) -> dict[str, Any]:
        """The line as an object."""
        return json.loads(self.line)

    @property
    def size(self) -> int:
        """Its bytes in memory, about."""
        return len(self.line) + len(self.blob) + 200

    def head(self) -> bytes:
        """Return what goes before line and bytes on the wire."""
        return _HEAD.pack(NUMBERS[self.topic], self.seq, self.stamp_ns, len(self.line), len(self.blob))


class Readable(Protocol):
    """A file or a socket's stream of bytes."""

    def read(self, size: int, /) -> bytes:
        """Return so many bytes, fewer only at the end."""
        ...


def read_events(stream: Readable) -> Iterator[TapEvent]:
    """Yield events until the stream ends. Raises ValueError for what is not an event."""
    while len(head := stream.read(_HEAD.size)) == _HEAD.size:
        number, seq, stamp_ns, line_bytes, blob_bytes = _HEAD.unpack(head)
        if number >= len(TOPICS) or line_bytes + blob_bytes > MOST_BYTES:
            raise ValueError(f"topic {number} with {line_bytes + blob_bytes} bytes is not an event")
        line, blob = stream.read(line_bytes), stream.read(blob_bytes)
        if len(line) < line_bytes or len(blob) < blob_bytes:
            return
        yield TapEvent(TOPICS[int(number)], int(seq), int(stamp_ns), line, blob)


class TapLine:
    """The runtime's end of the line to the process: events there, words back. For one thread at a time."""

    def __init__(self, link: socket.socket, part: bytes = b"") -> None:
        """Use a socket, which stays another's to close; `part` is what was read of a line of words."""
        self.part = part
        self.link = link
        self._poll = select.poll()
        self._poll.register(link, select.POLLIN)

    def send(self, events: Sequence[bytes], blob: bytes | memoryview) -> None:
        """Send events, with the bytes of the last one. Raises OSError."""
        for part in (b"".join(events), blob):
            view = memoryview(part).cast("B")
            while view:
                view = view[self.link.send(view) :]

    def heard(self, wait_s: float = 0.0) -> list[dict[str, Any]]:
        """Return the words that are there; wait for the first one up to `wait_s`.

        Raises OSError if the process has ended.
        """
        words: list[dict[str, Any]] = []
        while self._poll.poll(0 if words else 1000 * wait_s):
            if not (heard := self.link.recv(4096)):
                if words:
                    break  # they count; the next call raises
                raise ConnectionError("nothing more will come")
            *lines, self.part = (self.part + heard).split(b"\n")
            words += map(json.loads, lines)
        return words

    def rest(self) -> Iterator[dict[str, Any]]:
        """Yield the words up to the last one. Raises OSError if the socket's time limit passes before."""
        with self.link.makefile("rb") as stream:
            while line := self.part + stream.readline():
                self.part = b""
                yield json.loads(line)
