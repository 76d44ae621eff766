"""Reads MCAP files that may be cut off anywhere: all that lies in whole chunks."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from importlib import import_module
from pathlib import Path
from typing import Any

from edge.errors import UsageError

MOST_CHUNK_BYTES = 1 << 28  # a chunk is 1 MiB, or one larger image
MAGIC = b"\x89MCAP0\r\n"
_NAME_ONE = "name a recording; `vla-edge run --record DIR` makes one"


@dataclass(frozen=True, slots=True)
class Stored:
    """One message of a file."""

    topic: str
    schema: str  # its name; empty without one
    stamp_ns: int  # by the file's clock
    sequence: int
    body: bytes


class McapReader:
    """The messages of one file, in the order in which they were written."""

    def __init__(self, path: Path) -> None:
        """Look at the file. Raises UsageError if it is not an MCAP file."""
        self.path = path
        self.whole = False  # once all was read: the file has its end
        self.schemas: dict[int, Any] = {}
        self.channels: dict[int, Any] = {}
        self.metadata: dict[str, dict[str, str]] = {}
        try:
            with path.open("rb") as file:
                magic = file.read(len(MAGIC))
        except OSError as error:
            raise UsageError(f"can't read {path}: {error.strerror}", _NAME_ONE) from error
        if magic != MAGIC:
            raise UsageError(f"{path} is not a recording: it does not begin as MCAP files do", _NAME_ONE)

    def messages(self) -> Iterator[Stored]:
        """Yield the messages of all whole chunks; `whole` tells in the end whether the file was cut off."""
        from mcap.records import Channel, Footer, Message, Metadata, Schema

        self.whole = False
        for record in self._records():
            if isinstance(record, Schema):
                self.schemas[record.id] = record
            elif isinstance(record, Channel):
                self.channels[record.id] = record
            elif isinstance(record, Metadata):
                self.metadata[record.name] = dict(record.metadata)
            elif isinstance(record, Footer):
                self.whole = True
            elif isinstance(record, Message) and record.channel_id in self.channels:
                channel = self.channels[record.channel_id]
                schema = self.schemas.get(channel.schema_id)
                name = "" if schema is None else schema.name
                yield Stored(channel.topic, name, record.log_time, record.sequence, record.data)

    def _records(self) -> Iterator[Any]:
        """Yield records, those of chunks too, until the end or where the file is torn."""
        from mcap.records import Chunk
        from mcap.stream_reader import StreamReader, breakup_chunk

        with self.path.open("rb") as file:
            records = iter(StreamReader(file, emit_chunks=True, record_size_limit=MOST_CHUNK_BYTES).records)
            while True:
                try:
                    record = next(records, None)
                    if record is None:
                        return
                    inner = (
                        breakup_chunk(_unpacked(record), validate_crc=True)
                        if isinstance(record, Chunk)
                        else [record]
                    )
                except Exception:  # noqa: BLE001 - any bytes may follow where a file was torn
                    return
                yield from inner


def _unpacked(chunk: Any) -> Any:
    """Return a chunk uncompressed. Raises ValueError if it is larger than it says, or otherwise packed."""
    if chunk.uncompressed_size > MOST_CHUNK_BYTES or chunk.compression not in ("", "lz4"):
        raise ValueError("not a chunk of ours")
    if not chunk.compression:
        return chunk
    frame: Any = import_module("lz4.frame")  # it has no type information
    data: bytes = frame.LZ4FrameDecompressor().decompress(chunk.data, max_length=chunk.uncompressed_size)
    if len(data) != chunk.uncompressed_size:
        raise ValueError("a chunk of another size than it says")
    return replace(chunk, compression="", data=data)
