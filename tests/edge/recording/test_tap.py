"""The tap and its process: what is kept, and what a drive notices of a process that is killed, or hangs."""

import contextlib
import json
import logging
import os
import signal
import socket
import time
from pathlib import Path

import pytest

from edge.child import child_environment
from edge.records import DriveEnd, Outcome
from edge.runs.recording.decisions import DecisionList
from edge.runs.tap import tap as tap_module
from edge.runs.tap.consumers import Spooled
from edge.runs.tap.events import TapEvent
from edge.runs.tap.options import Images
from edge.runs.tap.plain import to_line
from edge.runs.tap.tap import QUEUED_EVENTS
from tests.edge.recording.events import END, drive, frame, kept, start, tell
from tests.waiting import alive, until

FAULT = DriveEnd(Outcome.FAULT, "camera gone", 4)


def messages(path: Path) -> list[tuple[str, dict[str, object]]]:
    from edge.runs.recording.torn import McapReader

    return [
        (each.topic, json.loads(each.body))
        for each in McapReader(path).messages()
        if not each.topic.startswith("/camera") or each.topic.endswith("boxes")
    ]


def test_a_drive_is_kept_with_its_log_and_its_end(tmp_path: Path):
    with start(tmp_path) as tap:
        drive(tap, 30)
        logging.getLogger("a.room").warning("base warns")
        report = tap.finish(END)
    assert report.notes == () and report.files == (str(tmp_path / "run.mcap"),)
    found = messages(tmp_path / "run.mcap")
    topics = [topic for topic, _ in found]
    assert topics.count("/vla_edge/tick") == 30 and topics.count("/vla_edge/inference") == 10
    assert topics[-1] == "/vla_edge/outcome" and found[-1][1]["lost"] == 0
    header = next(body for topic, body in found if topic == "/vla_edge/header")
    assert header["commit"] is None or len(str(header["commit"])) >= 40
    assert any(body.get("message") == "base warns" for topic, body in found if topic == "/log")
    assert any(topic == "/vla_edge/machine" for topic in topics)
    lines = [json.loads(line) for line in (tmp_path / "decisions.jsonl").read_text().splitlines()]
    assert [line["number"] for line in lines] == list(range(1, 11))
    assert lines[0]["asked"] == "detect cup" and lines[0]["said"] == "<loc0256>cup"
    assert lines[0]["read"]["detections"][0]["label"] == "cup" and lines[0]["sent"]["decision"] == 0
    assert not alive(tap.pid) and (tmp_path / "last30s.mcap").exists()  # its outcome is a timeout


def test_the_events_of_a_frame_leave_once_the_drive_waits(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(tap_module, "_LATEST_S", 60.0)
    with start(tmp_path) as tap:
        tap.await_process([])  # what came before leaves by itself
        tell(tap, 0, frame(0))
        before = tap.waiting
        time.sleep(0.1)
        assert tap.waiting == before > 0
        tap.on_wait()
        until(lambda: tap.waiting == 0)
        tap.finish(END)


def test_a_drive_that_ends_well_leaves_its_decisions_only(tmp_path: Path):
    with start(tmp_path, recording=False) as tap:
        drive(tap, 10, DriveEnd(Outcome.REACHED, "arrived", 0))
        assert tap.finish(DriveEnd(Outcome.REACHED, "arrived", 0)).notes == ()
    assert [each.name for each in tmp_path.iterdir()] == ["decisions.jsonl"]


def test_a_false_arrival_keeps_the_last_seconds(tmp_path: Path):
    """What denies it is known only once the drive has ended."""
    with start(tmp_path, recording=False) as tap:
        drive(tap, 10, DriveEnd(Outcome.REACHED, "arrived", 0))
        tap.finish(DriveEnd(Outcome.FALSE_ARRIVAL, "false arrival", 3))
    assert (tmp_path / "last30s.mcap").exists()


def test_without_the_ring_nothing_is_kept_of_a_fault(tmp_path: Path):
    with start(tmp_path, recording=False, ring=False) as tap:
        drive(tap, 10, FAULT)
        tap.finish(FAULT)
    assert not (tmp_path / "last30s.mcap").exists()


def test_a_recorder_that_is_killed_costs_its_events_and_says_so(tmp_path: Path):
    """Fault 59."""
    with start(tmp_path) as tap:
        drive(tap, 10)
        os.kill(tap.pid, signal.SIGKILL)
        until(lambda: not alive(tap.pid))
        longest_s = 0.0
        for seq in range(10, 1300):
            seen = frame(seq)
            before_s = time.perf_counter()
            tell(tap, seq, seen)
            longest_s = max(longest_s, time.perf_counter() - before_s)
        report = tap.finish(END)
    assert tap.lost > 200
    assert any("ended early (signal 9)" in note and "vla-edge recover" in note for note in report.notes)
    assert f"{tap.lost} of " in report.notes[-1]
    assert longest_s < 2.0  # a thread that waited for a dead process would never come back


def test_a_recorder_that_hangs_fills_a_bounded_queue(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(tap_module, "SEND_S", 0.2)
    monkeypatch.setattr(tap_module, "FINISH_S", 0.2)
    with start(tmp_path) as tap:
        drive(tap, 3)
        os.kill(tap.pid, signal.SIGSTOP)
        for seq in range(3, 1500):
            tell(tap, seq, frame(seq))
            assert tap.waiting <= QUEUED_EVENTS and tap._images_waiting <= tap_module.QUEUED_IMAGES
        report = tap.finish(END)
    assert tap.lost > 1000 and "was not done" in report.notes[0]
    assert not alive(tap.pid)


def test_no_image_is_lost_while_the_recorder_starts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """A slow board needs seconds for that, and what lacks an image can't be replayed."""
    (tmp_path / "sitecustomize.py").write_text("import time; time.sleep(1)")
    path = child_environment()["PYTHONPATH"]
    slow = {**os.environ, "PYTHONPATH": f"{tmp_path}:{path}"}
    monkeypatch.setattr(tap_module, "child_environment", lambda: slow)
    checked: list[int] = []
    with start(tmp_path) as tap:
        tap.await_process([lambda: checked.append(tap.pid)])
        for seq in range(30):
            tell(tap, seq, frame(seq, (240, 320)))
            time.sleep(0.02)
        report = tap.finish(END)
    assert report.notes == () and tap.lost == 0
    assert len(checked) > 10


@pytest.mark.parametrize("sent", [signal.SIGKILL, signal.SIGSTOP])
def test_a_recorder_that_never_starts_is_not_waited_for_without_end(
    tmp_path: Path, sent: signal.Signals, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(tap_module, "_STALLED_S", 0.5 if sent == signal.SIGSTOP else 20.0)
    monkeypatch.setattr(tap_module, "FINISH_S", 0.2)
    with start(tmp_path) as tap:
        os.kill(tap.pid, sent)
        begin_s = time.monotonic()
        tap.await_process([])
        assert time.monotonic() - begin_s < 10
        assert tap.finish(END).notes


def test_whoever_waits_for_the_recorder_can_be_interrupted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(tap_module, "FINISH_S", 0.2)

    def interrupt() -> None:
        raise KeyboardInterrupt

    with start(tmp_path) as tap:
        os.kill(tap.pid, signal.SIGSTOP)
        with pytest.raises(KeyboardInterrupt):
            tap.await_process([interrupt])
        os.kill(tap.pid, signal.SIGCONT)
        tap.finish(END)


def test_a_runtime_that_goes_without_a_word_leaves_the_last_seconds_and_no_end(tmp_path: Path):
    """Fault 60: as when it was killed."""
    tap = start(tmp_path)
    drive(tap, 20)
    until(lambda: tap.waiting == 0)
    time.sleep(0.1)
    tap._socket.shutdown(socket.SHUT_RDWR)
    tap._child.wait(20)
    logging.root.removeHandler(tap._log)
    tap._queue.put(None)
    tap._socket.close()
    assert (tmp_path / "last30s.mcap").exists()
    topics = [topic for topic, _ in messages(tmp_path / "run.mcap")]
    assert "/vla_edge/tick" in topics and "/vla_edge/outcome" not in topics


def test_images_of_a_run_that_is_not_recorded_are_few(tmp_path: Path):
    with start(tmp_path, recording=False) as tap:
        offered = [tap._image("front", frame(seq)) for seq in range(30)]
        tap.finish(END)
    assert 8 <= sum(each is not None for each in offered) <= 11


def test_an_image_that_is_shown_again_is_sent_once(tmp_path: Path):
    from dataclasses import replace

    with start(tmp_path) as tap:
        seen = frame(0)
        first = tap._image("front", seen)
        assert tap._image("front", replace(seen, seq=1, stamp_ns=seen.stamp_ns + 5)) == first
        tap.finish(END)


class Stalling:
    """A consumer whose disk takes nothing for a while."""

    name = "slow.mcap"

    def __init__(self, error: Exception | None = None) -> None:
        self.took = 0
        self.blocked, self.error = True, error

    def take(self, event: TapEvent) -> None:
        if self.error is not None:
            raise self.error
        while self.blocked:
            time.sleep(0.001)
        self.took += 1

    def finish(self, whole: bool) -> list[str]:
        return []


def test_a_disk_that_stalls_loses_nothing_within_the_spool_and_counts_what_is_beyond():
    """Fault 61: the spool holds 5 s and more; this one holds half of what comes."""
    events = kept(200)
    size = sum(each.size for each in events)
    slow = Stalling()
    spool = Spooled(slow, most_bytes=size // 2)
    for event in events:
        spool.take(event)
        assert spool._bytes <= size // 2
    slow.blocked = False
    spool.end(whole=True)
    (note,) = spool.notes()
    assert slow.took + spool.lost == len(events) and 0 < spool.lost < len(events)
    assert note == f"slow.mcap lacks {spool.lost} events: the disk was too slow for them"


def test_pictures_neither_fill_the_queue_of_who_takes_none_nor_count_as_lost():
    events = kept(40)
    slow = Stalling()
    spool = Spooled(slow, most_bytes=sum(each.size for each in events if each.topic != "image"), images=False)
    for event in events:
        spool.take(event)
    slow.blocked = False
    spool.end(whole=True)
    assert spool.notes() == [] and slow.took == sum(each.topic != "image" for each in events)


def test_a_queue_that_is_drained_takes_more_in_all_than_it_holds_at_once():
    events = kept(60)
    quick = Stalling()
    quick.blocked = False
    spool = Spooled(quick, most_bytes=max(each.size for each in events) * 2)
    for event in events:
        until(lambda: not spool._events)
        spool.take(event)
    spool.end(whole=True)
    assert spool.notes() == [] and quick.took == len(events)


def test_a_bug_in_one_consumer_is_named_and_counted():
    spool = Spooled(Stalling(ValueError("odd")))
    for event in kept(1):
        spool.take(event)
    spool.end(whole=True)
    assert spool.notes() == ["slow.mcap lacks 4 events: unexpected ValueError: odd"]


def test_a_disk_that_is_full_ends_one_consumer_and_says_so():
    """Fault 58."""
    spool = Spooled(Stalling(OSError(28, "No space left on device")))
    for event in kept(20):
        spool.take(event)
    spool.end(whole=True)
    assert spool.notes() == ["slow.mcap lacks 61 events: No space left on device"]


def test_a_folder_that_is_gone_costs_lines_and_takes_them_again_when_it_is_back(tmp_path: Path):
    folder = tmp_path / "run"
    decisions = DecisionList(folder / "decisions.jsonl")
    inference = {
        "frame": {"camera": "front", "seq": 1, "stamp_ns": 5, "source": ""},
        "text": "a",
        "cut": False,
    }
    inference |= {"confidence": 1.0, "stages_ms": {}}
    for number in range(6):
        if number == 4:
            folder.mkdir()
        line = to_line({"number": number, "inference": inference, "read": {}})
        decisions.take(TapEvent("inference", number, number, line))
    assert decisions.finish(True) == ["decisions.jsonl lacks 3 lines: No such file or directory"]
    assert len((folder / "decisions.jsonl").read_text().splitlines()) == 3


def test_a_video_has_the_frames_of_the_drive(tmp_path: Path):
    import cv2

    with start(tmp_path, recording=False, video=str(tmp_path / "video.mp4")) as tap:
        tap.on_start(10**12)
        for seq in range(30):
            tell(tap, seq, frame(seq, (240, 320)))
            time.sleep(0.01)
        assert tap.finish(END).notes == ()
    video = cv2.VideoCapture(str(tmp_path / "video.mp4"))
    with contextlib.closing(_Video(video)):
        assert (video.get(cv2.CAP_PROP_FRAME_WIDTH), video.get(cv2.CAP_PROP_FRAME_HEIGHT)) == (640, 568)
        assert video.get(cv2.CAP_PROP_FRAME_COUNT) >= 2


class _Video:
    def __init__(self, video: object) -> None:
        self.close = video.release  # type: ignore[attr-defined]


def test_jpegs_are_recorded_where_they_are_asked_for(tmp_path: Path):
    from edge.runs.recording.torn import McapReader

    with start(tmp_path, images=Images.JPEG) as tap:
        drive(tap, 10)
        tap.finish(END)
    kinds = {each.schema for each in McapReader(tmp_path / "run.mcap").messages() if "camera" in each.topic}
    assert kinds == {"foxglove.CompressedImage", "foxglove.ImageAnnotations"}
