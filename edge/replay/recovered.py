"""Makes a whole MCAP file of a torn one."""

from dataclasses import dataclass
from pathlib import Path

from edge.errors import UsageError, write_hint
from edge.files import whole_file
from edge.runs.recording.mcap_file import CHUNK_BYTES
from edge.runs.recording.torn import McapReader


@dataclass(frozen=True, slots=True)
class Recovered:
    """What was found in a file."""

    messages: int
    seconds: float  # from its first message to its last
    was_whole: bool
    ended: bool  # it has an end record, the run's or a person's: its runtime did not crash


def recover(source: Path, target: Path) -> Recovered:
    """Write all whole chunks of a file into a new one, with its index.

    Raises UsageError if the source is not a recording or has nothing in it, if the target is there, and if it
    can't be written.
    """
    if target.exists():
        raise UsageError(f"{target} is there already", "name another file: --out FILE")
    reader = McapReader(source)
    try:
        with whole_file(target) as draft:
            found = _copy(reader, draft)
            if not found.messages:
                raise UsageError(
                    f"nothing can be recovered of {source}: it was cut off within its first chunk",
                    "a run's last second is lost where its recorder was killed; decisions.jsonl may have it",
                )
    except OSError as error:
        raise UsageError(f"can't write {target}: {error.strerror}", write_hint(error)) from error
    return found


def _copy(reader: McapReader, draft: Path) -> Recovered:
    from mcap.writer import CompressionType, Writer

    count, first_ns, last_ns, ended = 0, 0, 0, False
    channels: dict[str, int] = {}
    with draft.open("wb") as file:
        writer = Writer(file, CHUNK_BYTES, CompressionType.LZ4)
        writer.start("", "vla-edge recover")
        schemas: dict[str, int] = {}
        for message in reader.messages():
            if message.topic not in channels:
                channel = next(each for each in reader.channels.values() if each.topic == message.topic)
                schema = reader.schemas.get(channel.schema_id)
                if schema is not None and schema.name not in schemas:
                    schemas[schema.name] = writer.register_schema(schema.name, schema.encoding, schema.data)
                number = 0 if schema is None else schemas[schema.name]
                channels[message.topic] = writer.register_channel(
                    message.topic, channel.message_encoding, number
                )
            at_ns = message.stamp_ns
            writer.add_message(channels[message.topic], at_ns, message.body, at_ns, message.sequence)
            first_ns = min(first_ns or at_ns, at_ns)
            last_ns = max(last_ns, at_ns)
            ended |= message.topic in ("/vla_edge/outcome", "/vla_edge/stopped")
            count += 1
        for name, data in reader.metadata.items():
            writer.add_metadata(name, data)
        writer.finish()
    return Recovered(count, (last_ns - first_ns) / 1e9, reader.whole, ended)
