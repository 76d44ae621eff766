"""Recordings on disks that are full, or gone. The tap never notices; the end says what is missing."""

import errno
import subprocess
from itertools import count
from pathlib import Path

import pytest

from edge.runs.recording.recorder import Recorder
from edge.runs.recording.torn import McapReader
from edge.runs.tap.consumers import Spooled
from edge.runs.tap.options import Images, TapOptions
from edge.runs.tap.tap import QUEUED_IMAGES, Tap
from tests.edge.recording.events import END, HEADER, drive, frame, kept, start, tell
from tests.failing_disk import failing_disk
from tests.small_disk import small_disk
from tests.waiting import until


def test_a_full_disk_ends_the_recording_and_keeps_what_was_written(tmp_path: Path):
    """Fault 58."""
    with small_disk(tmp_path / "disk", 2) as disk:
        with start(disk) as tap:
            drive(tap, 40, size=(240, 320))
            report = tap.finish(END)
        assert tap.lost == 0
        (note,) = (each for each in report.notes if "run.mcap lacks" in each)
        assert note.endswith("No space left on device")
        found = [each.topic for each in McapReader(disk / "run.mcap").messages()]
        assert 2 <= found.count("/vla_edge/tick") < 40 and "/vla_edge/outcome" not in found


def test_a_card_that_is_pulled_is_said_to_be_gone(tmp_path: Path):
    (tmp_path / "run").mkdir()
    with small_disk(tmp_path / "card", 20) as card:
        options = TapOptions(str(tmp_path / "run"), str(card / "run.mcap"))
        with Tap(options, lambda inference: {}) as tap:
            drive(tap, 10)
            until((card / "run.mcap").exists)
            subprocess.run(["umount", "-l", card], check=True)
            drive(tap, 5)
            report = tap.finish(END)
    assert report.notes == (f"{card}/run.mcap is gone: was its card pulled?",) and report.files == ()
    assert (tmp_path / "run" / "decisions.jsonl").exists()


def test_a_card_with_errors_ends_the_recording_and_counts_what_it_lacks(tmp_path: Path):
    run = tmp_path / "run"
    run.mkdir()
    with failing_disk(tmp_path / "card") as card:
        file = card.folder / "run.mcap"
        with Tap(TapOptions(str(run), str(file)), lambda inference: {}) as tap:
            drive(tap, 20)
            until(lambda: file.exists() and file.stat().st_size > 0)
            card.fail("write", errno.EIO)
            drive(tap, 200)
            report = tap.finish(END)
        assert tap.lost == 0
        (note,) = report.notes
        assert note.startswith(f"{file} lacks ") and note.endswith(" events: Input/output error")
        assert len((run / "decisions.jsonl").read_text().splitlines()) == 74  # another disk takes its files
        card.fail("write", 0)
        assert "/vla_edge/outcome" not in [each.topic for each in McapReader(file).messages()]


def test_a_card_that_can_not_keep_what_it_took_ends_the_recording_within_five_seconds(tmp_path: Path):
    events = kept(200)
    with failing_disk(tmp_path / "card") as card:
        spool = Spooled(Recorder(card.folder / "run.mcap", Images.LOSSLESS))
        for event in events[:10]:
            spool.take(event)
        until(lambda: (card.folder / "run.mcap").exists())
        until(lambda: not spool._events)
        card.fail("fsync", errno.EIO)
        for event in events[10:]:
            spool.take(event)
        spool.end(whole=True)
        (note,) = spool.notes()
    after_s = (events[-spool.lost].stamp_ns - events[0].stamp_ns) / 1e9
    assert 5.0 <= after_s < 5.2
    assert note == f"{card.folder}/run.mcap lacks {spool.lost} events: Input/output error"


def test_a_card_that_fails_at_the_very_end_is_said_by_its_file(tmp_path: Path):
    with failing_disk(tmp_path / "card") as card:
        recorder = Recorder(card.folder / "run.mcap", Images.LOSSLESS)
        spool = Spooled(recorder)
        for event in kept(10):
            spool.take(event)
        until(lambda: recorder.bytes > 0 and not spool._events)
        card.fail("fsync", errno.EIO)
        spool.end(whole=True)
        assert spool.notes() == [f"{card.folder}/run.mcap may lack its end: Input/output error"]


def test_a_run_folder_on_a_card_with_errors_costs_its_files_alone(tmp_path: Path):
    with failing_disk(tmp_path / "card") as card, start(card.folder, recording=False) as tap:
        drive(tap, 20)
        until(lambda: (card.folder / "decisions.jsonl").exists())
        card.fail("write", errno.EIO)
        drive(tap, 30)
        notes = tap.finish(END).notes
    assert tap.lost == 0
    assert any("last30s.mcap lacks its end: Input/output error" in note for note in notes), notes
    assert any("decisions.jsonl lacks " in note and note.endswith("error") for note in notes), notes


@pytest.mark.slow
def test_a_disk_that_stalls_and_goes_on_costs_what_did_not_fit_and_memory_stays_bounded(tmp_path: Path):
    with failing_disk(tmp_path / "card") as card, start(card.folder) as tap:
        tap.on_header(HEADER)
        until((card.folder / "run.mcap").exists)
        seqs = count()
        for seq in (next(seqs) for _ in range(3)):
            tell(tap, seq, frame(seq, (720, 1280)))
        until(lambda: tap.waiting == 0)
        card.stall(3.0)
        for seq in (next(seqs) for _ in range(70)):  # 185 MiB; 64 may wait
            until(lambda: tap.waiting < QUEUED_IMAGES)
            tell(tap, seq, frame(seq, (720, 1280)))
        until(lambda: tap.waiting == 0)
        most_mib = peak_mib(tap.pid)
        report = tap.finish(END)
        (note,) = report.notes
        assert "events: the disk was too slow for them" in note
        topics = [each.topic for each in McapReader(card.folder / "run.mcap").messages()]
        lines = (card.folder / "decisions.jsonl").read_text().splitlines()
        assert len(lines) == 25  # none is lost: pictures do not wait for them
    lacks = int(note.split(" lacks ")[1].split()[0])
    assert topics[-1] == "/vla_edge/outcome" and 20 < topics.count("/camera/front") < 60
    assert lacks >= 73 - topics.count("/camera/front") and most_mib < 200, most_mib


def peak_mib(pid: int) -> int:
    """Return the most memory that a process has had."""
    status = Path(f"/proc/{pid}/status").read_text()
    return int(status.partition("VmHWM:")[2].split()[0]) >> 10
