"""Writes the events of a run into one MCAP file, chunk by chunk, so that a torn one opens up to its last."""

import os
from collections.abc import Generator
from contextlib import contextmanager, suppress
from pathlib import Path

import edge
from edge.runs.tap.events import TapEvent
from edge.runs.tap.messages import EventMessage, EventMessages, wall_minus_monotonic_ns

CHUNK_BYTES = 1 << 20
FLUSH_NS = 1_000_000_000  # a crash of this process loses no more
SYNC_NS = 5_000_000_000  # nor a loss of power more than that


class McapFile:
    """One MCAP file under way. Raises OSError if its file can't be written, and lets go of it."""

    def __init__(self, path: Path, packed: bool = True) -> None:
        """Create the file; it must not be there. `packed`: by LZ4, which makes little of lossless images."""
        from mcap.writer import CompressionType, Writer  # a third of a second that only this process spends

        self.path = path
        self._file = path.open("xb")
        self._writer = Writer(
            self._file, CHUNK_BYTES, CompressionType.LZ4 if packed else CompressionType.NONE
        )
        self._writer.start("", f"vla-edge {edge.__version__}")
        self._schemas: dict[str, int] = {}
        self._channels: dict[str, int] = {}
        self._messages = EventMessages()
        self._flushed_ns = self._synced_ns = 0
        self.bytes = 0  # that went into the file

    def write(self, event: TapEvent) -> None:
        """Write an event, and what Foxglove shows of it."""
        with self._let_go():
            for message in self._messages.of(event):
                self._add(message, event)
            if event.topic == "header":
                self._writer.add_metadata("vla_edge", {"header": event.line.decode()})
            self._flush(event.stamp_ns)
            self.bytes = self._file.tell()

    def close(self) -> None:
        """Write the index and close the file."""
        with self._let_go():
            self._writer.finish()
            self._file.flush()
            self.bytes = self._file.tell()
            os.fsync(self._file.fileno())
            self._file.close()

    @contextmanager
    def _let_go(self) -> Generator[None]:
        """Close the file if it can't be written, so that its card can be taken away."""
        try:
            yield
        except OSError:
            with suppress(OSError):
                self._file.close()
            raise

    def _add(self, message: EventMessage, event: TapEvent) -> None:
        topic, schema = message.topic, message.schema
        if schema not in self._schemas:
            self._schemas[schema] = self._writer.register_schema(schema, *message.schema_content())
        if topic not in self._channels:
            self._channels[topic] = self._writer.register_channel(
                topic, message.encoding, self._schemas[schema]
            )
        stamp_ns = event.stamp_ns + wall_minus_monotonic_ns()
        self._writer.add_message(
            self._channels[topic], stamp_ns, message.body, stamp_ns, event.seq & 0xFFFFFFFF
        )

    def _flush(self, stamp_ns: int) -> None:
        if stamp_ns - self._flushed_ns >= FLUSH_NS:
            self._writer.flush()
            self._flushed_ns = stamp_ns
        if stamp_ns - self._synced_ns >= SYNC_NS:
            os.fdatasync(self._file.fileno())
            self._synced_ns = stamp_ns
