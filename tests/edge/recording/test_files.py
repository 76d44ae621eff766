"""The files of a recording: whole, torn, and of what they are made."""

import io
import json
import random
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from mcap.reader import make_reader
from mcap.records import Chunk
from mcap.stream_reader import StreamReader, breakup_chunk

from edge.engines.protobuf import parts
from edge.errors import UsageError
from edge.replay.recording import IMAGE_DATA
from edge.replay.recovered import recover
from edge.runs.recording.foxglove import image_schema
from edge.runs.recording.images import as_jpeg, pixels_of
from edge.runs.recording.mcap_file import McapFile
from edge.runs.recording.recorder import Recorder
from edge.runs.recording.ring import Ring
from edge.runs.recording.torn import McapReader
from edge.runs.tap.events import TapEvent, read_events
from edge.runs.tap.options import Images
from edge.runs.tap.plain import to_line
from tests.edge.recording.events import END, frame, kept


@pytest.fixture(scope="module")
def recording(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("recording") / "run.mcap"
    file = McapFile(path)
    for event in kept(120):
        file.write(event)
    file.close()
    return path


def test_the_reader_of_the_registry_takes_a_recording(recording: Path):
    with recording.open("rb") as file:
        reader = make_reader(file, validate_crcs=True)
        summary = reader.get_summary()
        assert summary is not None and summary.statistics is not None
        schemas = {each.topic: summary.schemas[each.schema_id].name for each in summary.channels.values()}
        assert schemas["/camera/front"] == "foxglove.RawImage"
        assert schemas["/camera/front/boxes"] == "foxglove.ImageAnnotations"
        assert schemas["/pose"] == "foxglove.PoseInFrame" and schemas["/vla_edge/tick"] == "vla_edge.tick"
        boxes = [json.loads(m.data) for _, _, m in reader.iter_messages(topics=["/camera/front/boxes"])]
    assert len(boxes) == 120 and boxes[0]["texts"][0]["text"] == "cup 0.96"
    assert boxes[0]["points"][0]["points"][2] == {"x": 32.0, "y": 24.0}


@pytest.mark.parametrize(("images", "packed"), [(Images.LOSSLESS, ""), (Images.JPEG, "lz4")])
def test_lossless_images_are_not_packed_and_a_tick_names_the_image_that_it_saw(
    tmp_path: Path, images: Images, packed: str
):
    recorder = Recorder(tmp_path / "run.mcap", images)
    for event in kept(3):
        recorder.take(event)
    recorder.finish(True)
    with (tmp_path / "run.mcap").open("rb") as file:
        chunks = [each for each in StreamReader(file, emit_chunks=True).records if isinstance(each, Chunk)]
    assert {each.compression for each in chunks} == {packed} and all(each.uncompressed_crc for each in chunks)
    field, seen = IMAGE_DATA["foxglove.RawImage" if not packed else "foxglove.CompressedImage"], []
    for each in McapReader(tmp_path / "run.mcap").messages():
        if each.topic == "/camera/front":
            pixels = next(part for number, part in parts(memoryview(each.body)) if number == field)
            seen.append({"front": f"crc32:{zlib.crc32(pixels):08x}"})
        elif each.topic == "/vla_edge/tick":
            assert json.loads(each.body)["hashes"] == seen[-1]
    assert len(seen) == 3


def test_messages_are_as_their_schemas_say(recording: Path):
    import jsonschema

    validators: dict[int, Any] = {}
    with recording.open("rb") as file:
        for schema, channel, message in make_reader(file).iter_messages():
            if channel.message_encoding == "json":
                assert schema is not None
                if schema.id not in validators:
                    wanted = json.loads(schema.data)
                    kind = jsonschema.validators.validator_for(wanted)
                    kind.check_schema(wanted)
                    validators[schema.id] = kind(wanted)
                validators[schema.id].validate(_without_null(json.loads(message.data)))
    assert validators


def _without_null(value: object) -> object:
    if isinstance(value, dict):
        return {key: _without_null(each) for key, each in value.items() if each is not None}
    return [_without_null(each) for each in value] if isinstance(value, list) else value


def test_images_are_what_their_schema_says(recording: Path):
    from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

    files = descriptor_pb2.FileDescriptorSet.FromString(image_schema("RawImage"))
    pool = descriptor_pool.DescriptorPool()
    for each in files.file:
        pool.Add(each)
    kind = message_factory.GetMessageClass(pool.FindMessageTypeByName("foxglove.RawImage"))
    with recording.open("rb") as file:
        _, _, message = next(iter(make_reader(file).iter_messages(topics=["/camera/front"])))
    image = kind.FromString(message.data)
    assert (image.width, image.height, image.step, image.encoding) == (64, 48, 192, "rgb8")
    assert image.data == frame(0).image.tobytes()


def test_a_file_cut_anywhere_opens_up_to_its_last_whole_chunk(recording: Path, tmp_path: Path):
    content = recording.read_bytes()
    ends = _chunks(content)
    assert len(ends) > 3
    torn = tmp_path / "torn.mcap"
    for cut in random.Random(1).sample(range(8, len(content)), 200):
        torn.write_bytes(content[:cut])
        reader = McapReader(torn)
        found = sum(1 for _ in reader.messages())
        assert found == sum(count for end, count in ends if end <= cut), cut
        assert not reader.whole


def _chunks(content: bytes) -> list[tuple[int, int]]:
    """Where each chunk of a whole file ends, and how many messages are in it."""
    stream, found = io.BytesIO(content), []
    for record in StreamReader(stream, emit_chunks=True).records:
        if isinstance(record, Chunk):
            messages = [each for each in breakup_chunk(record) if type(each).__name__ == "Message"]
            found.append((stream.tell(), len(messages)))
    return found


def test_a_byte_that_changed_ends_what_can_be_read(recording: Path, tmp_path: Path):
    content = bytearray(recording.read_bytes())
    content[len(content) // 2] ^= 0x55
    (tmp_path / "bent.mcap").write_bytes(content)
    whole = sum(1 for _ in McapReader(recording).messages())
    assert 0 < sum(1 for _ in McapReader(tmp_path / "bent.mcap").messages()) < whole


def test_recover_makes_a_whole_file_and_says_that_the_run_has_no_end(recording: Path, tmp_path: Path):
    content = recording.read_bytes()
    (tmp_path / "torn.mcap").write_bytes(content[: len(content) * 2 // 3])
    found = recover(tmp_path / "torn.mcap", tmp_path / "whole.mcap")
    assert not found.was_whole and not found.ended and found.messages > 100
    with (tmp_path / "whole.mcap").open("rb") as file:
        assert sum(1 for _ in make_reader(file, validate_crcs=True).iter_messages()) == found.messages
    with pytest.raises(UsageError, match="is there already"):
        recover(tmp_path / "torn.mcap", tmp_path / "whole.mcap")


@pytest.mark.parametrize("content", [b"", b"\x89PNG\r\n", b"\x89MCAP0\r\n", b"\x89MCAP0\r\n" + bytes(50)])
def test_what_holds_nothing_is_refused(content: bytes, tmp_path: Path):
    (tmp_path / "a.mcap").write_bytes(content)
    with pytest.raises(UsageError):
        recover(tmp_path / "a.mcap", tmp_path / "b.mcap")
    assert not (tmp_path / "b.mcap").exists()


def test_events_travel_whole_or_not_at_all():
    events = kept(3)
    sent = b"".join(each.head() + each.line + bytes(each.blob) for each in events)
    assert list(read_events(io.BytesIO(sent))) == events
    for cut in range(0, len(sent), 97):
        assert (
            list(read_events(io.BytesIO(sent[:cut])))
            == events[: len(list(read_events(io.BytesIO(sent[:cut]))))]
        )
    with pytest.raises(ValueError, match="not an event"):
        list(read_events(io.BytesIO(b"\xff" * 40)))


def test_a_jpeg_is_smaller_and_about_the_same():
    event = kept(1, size=(240, 320))[1]
    small = as_jpeg(event, 160)
    assert small.data["width"] == 160 and small.data["height"] == 120 and small.data["encoding"] == "jpeg"
    assert len(small.blob) < len(event.blob) / 4
    np.testing.assert_array_equal(pixels_of(event), frame(0, (240, 320)).image)


def outcome(bad: bool) -> TapEvent:
    end = {"outcome": "fault" if bad else "reached"}
    return TapEvent("outcome", 10**6, 10**12 + 10**11, to_line({"end": end, "lost": 0}))


@pytest.mark.parametrize(("bad", "whole"), [(True, True), (False, True), (False, False)])
def test_the_last_seconds_are_kept_of_a_run_that_ends_badly(bad: bool, whole: bool, tmp_path: Path):
    ring = Ring(tmp_path / "last30s.mcap")
    for event in [*kept(1200), *([outcome(bad)] if whole else [])]:
        ring.take(event)
    assert ring.finish(whole) == []
    assert (tmp_path / "last30s.mcap").exists() == (bad or not whole)
    if not whole:
        found = list(McapReader(tmp_path / "last30s.mcap").messages())
        assert any(each.topic == "/vla_edge/header" for each in found)
        ticks = [each.stamp_ns for each in found if each.topic == "/vla_edge/tick"]
        assert 29.5e9 < ticks[-1] - ticks[0] <= 30e9
        images = sum(each.schema == "foxglove.CompressedImage" for each in found)
        assert 220 < images <= 301


def test_the_ring_stays_within_its_bytes():
    ring = Ring(Path("unused"), most_bytes=100_000)
    for event in kept(300):
        ring.take(event)
    assert sum(each.size for each in ring._events) <= 100_000


def test_an_end_record_says_how_the_run_ended(tmp_path: Path):
    file = McapFile(tmp_path / "a.mcap")
    file.write(TapEvent("outcome", 5, 10**12, to_line({"end": END, "lost": 0})))
    file.close()
    (found,) = McapReader(tmp_path / "a.mcap").messages()
    assert json.loads(found.body)["end"]["outcome"] == "timeout"
