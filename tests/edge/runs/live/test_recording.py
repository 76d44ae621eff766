"""Recordings that a person begins and ends: the whole way from the page's words to the files."""

import json
import logging
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from edge.interfaces import Inference
from edge.replay.recording import RecordedRun, Tick, without_end
from edge.runs.live.packets import MAX_BYTES, Wish, pack_wish, unpack, unpack_wish
from edge.runs.recording.recorder import Recorder, completed_header
from edge.runs.recording.torn import McapReader
from edge.runs.tap.events import TapEvent
from edge.runs.tap.late import LateRecorder
from edge.runs.tap.options import Images, TapOptions
from edge.runs.tap.plain import to_line
from edge.runs.tap.tap import Tap
from tests.edge.recording.events import BOX, END, HEADER, frame, kept, tell
from tests.small_disk import fill, small_disk
from tests.waiting import until


class Recorded:
    """A tap with its process, and the page's end of its feed."""

    def __init__(self, tap: Tap, page: socket.socket) -> None:
        self.tap, self._page = tap, page
        self._seq = self._number = 0

    def drive(self, frames: int) -> None:
        for _ in range(frames):
            until(lambda: self.tap.waiting == 0)
            tell(self.tap, self._seq, frame(self._seq))
            self._seq += 1

    def until(self, **wanted: Any) -> dict[str, Any]:
        """Drive until the state of the recording is so; return it."""
        state: dict[str, Any] = {}

        def shown() -> bool:
            self.drive(1)
            try:
                while data := self._page.recv(MAX_BYTES):
                    packet = unpack(data)
                    state.update(packet["recording"] if isinstance(packet, dict) else {})
            except BlockingIOError:
                pass
            return all(state.get(name) == value for name, value in wanted.items())

        until(shown)
        return state

    def want(self, on: bool) -> int:
        self._number += 1
        for _ in range(2):  # the page says it again and again
            self._page.send(pack_wish(Wish(self._number, on)))
        return self._number


@contextmanager
def recorded(folder: Path, recording: Path | None = None, **more: Any) -> Iterator[Recorded]:
    here, there = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    here.setblocking(False)
    options = TapOptions(
        str(folder), str(recording or ""), page_fd=there.fileno(), later=str(folder / "a.mcap"), **more
    )
    with here, Tap(options, lambda inference: {"detections": [BOX], "reason": ""}) as tap:
        there.close()
        tap.on_header(HEADER)
        yield Recorded(tap, here)


def begin(run: Recorded) -> dict[str, Any]:
    return run.until(on=True, number=run.want(True))


def end(run: Recorded) -> dict[str, Any]:
    return run.until(done=True, number=run.want(False))


def topics(path: Path) -> list[str]:
    return [each.topic for each in McapReader(path).messages()]


def test_a_recording_begun_in_the_middle_is_whole_from_its_first_frame(tmp_path: Path):
    with recorded(tmp_path) as run:
        run.tap.on_start(10**12)
        run.until(on=False)  # its process knows of the drive
        run.drive(20)
        assert begin(run)["file"] == str(tmp_path / "a.mcap")
        run.drive(30)
        state = end(run)
        run.drive(10)
        report = run.tap.finish(END)
    assert report.notes == () and report.files == (state["file"],)
    assert state["bytes"] == (tmp_path / "a.mcap").stat().st_size and state["lost"] == 0 == run.tap.lost
    found = RecordedRun(tmp_path / "a.mcap")
    assert found.whole and found.facts.late and found.facts.stopped and found.facts.missing == 0
    assert not without_end(found.facts, found.whole)
    assert topics(tmp_path / "a.mcap")[:2] == ["/vla_edge/header", "/vla_edge/start"]
    assert found.facts.header["images"] == "lossless"
    ticks = [each for each in found.events() if isinstance(each, Tick)]
    assert len(ticks) >= 30 and ticks[0].observation.frame.seq > 15
    for each in ticks:
        assert (each.observation.frame.image == frame(each.observation.frame.seq).image).all()
        if each.answer is not None:
            assert found.inference(each.answer).frame.seq >= ticks[0].observation.frame.seq


def test_a_recording_begun_before_the_drive_lacks_nothing(tmp_path: Path):
    with recorded(tmp_path) as run:
        run.want(True)
        until(lambda: logging.getLogger("a.room").warning("loads") or run.tap._all_images)
        run.tap.on_start(10**12)
        run.drive(10)
        run.tap.finish(END)
    found = RecordedRun(tmp_path / "a.mcap")
    assert not found.facts.late and found.facts.missing == 0 and found.facts.outcome is not None
    assert [each.number for each in found.events() if isinstance(each, Tick)] == [*range(10)]


def test_beginning_twice_and_ending_nothing_change_nothing_and_each_recording_has_a_file(tmp_path: Path):
    with recorded(tmp_path) as run:
        run.tap.on_start(10**12)
        run.until(number=run.want(False), on=False)
        first = begin(run)["file"]
        assert begin(run)["file"] == first
        assert end(run)["file"] == end(run)["file"] == first
        assert begin(run)["file"] == str(tmp_path / "a-2.mcap")
        report = run.tap.finish(END)
    assert report.files == (first, str(tmp_path / "a-2.mcap")) and report.notes == ()
    assert topics(tmp_path / "a.mcap")[-1] == "/vla_edge/stopped"
    assert topics(tmp_path / "a-2.mcap")[-1] == "/vla_edge/outcome"


def test_a_recording_of_the_whole_run_is_ended_on_the_page_and_replays_up_to_there(tmp_path: Path):
    with recorded(tmp_path, recording=tmp_path / "a.mcap") as run:
        run.tap.on_start(10**12)
        run.until(on=True, file=str(tmp_path / "a.mcap"))
        run.drive(10)
        end(run)
        run.drive(10)
        run.tap.finish(END)
    found = RecordedRun(tmp_path / "a.mcap")
    assert found.facts.stopped and not found.facts.late and found.facts.missing == 0
    assert next(each.number for each in found.events() if isinstance(each, Tick)) == 0


def test_what_needs_frames_from_before_the_recording_is_left_out(tmp_path: Path):
    """A frame whose pixels were sent before, and an answer about one."""
    recorder = Recorder(tmp_path / "a.mcap", Images.LOSSLESS)
    header, *drive = kept(4, first=40)
    late = LateRecorder(
        recorder, completed_header(header), TapEvent("start", 2, 10**12, b'{"stamp_ns":1000000000000}')
    )
    answers = {40: (12, 39), 41: (13, 40), 42: (14, 41)}  # at the tick of a frame, about another
    seq, taken = 100, list[TapEvent]()
    for each in drive[1:]:  # without the pixels of frame 40
        told = {**each.data, **({"all_images": True} if each.topic == "tick" else {})}
        shown = told["frames"]["front"]["seq"] if each.topic == "tick" else -1
        if shown in answers:
            told["inference"] = answers[shown][0]
        taken.append(TapEvent(each.topic, seq := seq + 1, each.stamp_ns, to_line(told), each.blob))
        if shown in answers:
            number, about = answers[shown]
            answer = {"number": number, "inference": Inference(frame(about), "cup", 0.9, {}), "read": {}}
            taken.append(TapEvent("inference", seq := seq + 1, each.stamp_ns, to_line(answer)))
    for each in taken:
        late.take(each)
    assert late.finish(True) == []
    found = RecordedRun(tmp_path / "a.mcap")
    assert found.facts.late and found.facts.missing == 0 and [*found.facts.inferences] == [14]
    ticks = [each for each in found.events() if isinstance(each, Tick)]
    assert [(each.observation.frame.seq, each.answer) for each in ticks] == [(41, None), (42, 14), (43, None)]
    assert found.inference(14).frame.seq == 41


def test_a_recording_waits_until_the_drive_gives_all_of_its_images(tmp_path: Path):
    header, seen, tick, _ = kept(1)
    late = LateRecorder(Recorder(tmp_path / "a.mcap", Images.LOSSLESS), header, header)
    late.take(seen)
    for given in (False, True):
        assert not (tmp_path / "a.mcap").exists()
        late.take(TapEvent("tick", 9, tick.stamp_ns, to_line({**tick.data, "all_images": given})))
    assert late.finish(True) == [] and topics(tmp_path / "a.mcap").count("/vla_edge/tick") == 1


def test_a_recording_that_saw_no_frame_leaves_no_file_and_says_so(tmp_path: Path):
    with recorded(tmp_path) as run:
        run.tap.on_start(10**12)
        run.until(on=False)  # as above
        run.want(True)
        until(lambda: logging.getLogger("a.room").warning("stands") or run.tap._all_images)
        run.want(False)
        until(lambda: logging.getLogger("a.room").warning("stands") or not run.tap._all_images)
        state = run.until(done=True)
        assert state["trouble"] == f"{tmp_path}/a.mcap: no frame came meanwhile"
        assert begin(run)["file"] == str(tmp_path / "a.mcap")
        run.drive(3)
        report = run.tap.finish(END)
    assert report.files == (str(tmp_path / "a.mcap"),)
    assert report.notes == (f"{tmp_path}/a.mcap: no frame came meanwhile",)


def test_images_are_all_sent_while_somebody_records_and_few_otherwise(tmp_path: Path):
    with recorded(tmp_path) as run:
        run.tap.on_start(10**12)
        run.drive(3)
        assert not run.tap._all_images
        begin(run)
        until(lambda: run.drive(1) or run.tap._all_images)
        end(run)
        until(lambda: run.drive(1) or not run.tap._all_images)
        run.tap.finish(END)


def test_a_disk_without_space_is_told_in_words_and_the_drive_goes_on(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
):
    with small_disk(tmp_path / "disk", 24) as disk, recorded(tmp_path / "disk") as run:
        run.tap.on_start(10**12)
        begin(run)
        fill(disk)
        state = run.until(on=False, trouble="No space left on device")
        state = run.until(number=run.want(True), on=False)
        assert "recordings folder" in state["trouble"] and "0 MiB free" in state["trouble"]
        (disk / "ballast").unlink()
        assert begin(run)["trouble"] == ""
        run.drive(3)
        report = run.tap.finish(END)
        assert report.files == (str(disk / "a.mcap"), str(disk / "a-2.mcap"))
        assert RecordedRun(disk / "a-2.mcap").whole
    assert any("a.mcap" in note and "No space left" in note for note in report.notes)
    told = {(each.message, each.fields.get("why", "")) for each in caplog.records if hasattr(each, "fields")}  # type: ignore[attr-defined]
    assert ("recording failed", "No space left on device") in told
    assert any(event == "recording refused" and "0 MiB free" in why for event, why in told)


def test_a_wish_is_read_back_and_nothing_else_is_one():
    assert unpack_wish(pack_wish(Wish(7, True))) == Wish(7, True)
    for other in (b"", b"W", b"R", b"R" + bytes(9), json.dumps({"on": True}).encode()):
        assert unpack_wish(other) is None
