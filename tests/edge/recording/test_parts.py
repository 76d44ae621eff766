"""Runs that were recorded into several files, as their engine was started again."""

import os
import signal
import time
from pathlib import Path

import pytest

from edge.records import DriveEnd, Outcome
from edge.report.material import read_run
from edge.runs.recording.run_tap import finished
from edge.runs.tap.ending import KeptTap
from edge.runs.tap.parts import part_of
from edge.runs.tap.tap import Tap
from tests.edge.recording.events import END, drive, start
from tests.edge.report.shown_run import record, run_folder
from tests.waiting import alive, until

FAULT = DriveEnd(Outcome.FAULT, "the engine broke", 4)


def handed_over(tap: Tap) -> KeptTap:
    """Hand a tap over as to the program that goes on: nobody else waits for its process."""
    kept = tap.hand_over()
    tap.close()
    tap._child.returncode = 0
    tap._socket.detach()
    return kept


def test_a_tap_that_was_handed_over_tells_its_files_and_what_they_lack_when_the_run_ends(tmp_path: Path):
    folders = [tmp_path / name for name in ("a", "b")]
    for folder in folders:
        folder.mkdir()
    first = start(folders[0])
    drive(first, 5, FAULT)
    until(lambda: first.waiting == 0)
    first._count, first.lost = first._count + 3, 3
    before = handed_over(first)
    with start(folders[1]) as second:
        drive(second, 5)
        files, notes = finished([second], END, [before])
    assert files == [str(folder / "run.mcap") for folder in folders]
    assert notes == [f"3 of {before.count} events of the drive are not recorded"]
    assert not alive(before.pid)


def test_a_recorder_that_was_killed_before_the_restart_is_said_and_its_torn_file_is_named(tmp_path: Path):
    first = start(tmp_path)
    drive(first, 5, FAULT)
    until((tmp_path / "run.mcap").exists)
    os.kill(first.pid, signal.SIGKILL)
    before = handed_over(first)
    files, notes = finished([], END, [before])
    assert files == [str(tmp_path / "run.mcap")]
    assert "ended early (signal 9)" in notes[0] and "vla-edge recover" in notes[0]


def test_a_recorder_that_hangs_before_the_restart_is_not_waited_for_beyond_the_deadline(tmp_path: Path):
    first = start(tmp_path)
    drive(first, 2, FAULT)
    until(lambda: first.waiting == 0)
    os.kill(first.pid, signal.SIGSTOP)
    before = handed_over(first)
    (note,) = before.report(time.monotonic() - 1).notes
    assert "was not done" in note and not alive(before.pid)


def test_a_program_that_could_not_be_replaced_still_tells_of_its_recording(tmp_path: Path):
    with start(tmp_path) as tap:
        drive(tap, 5, FAULT)
        tap.hand_over()
        report = tap.finish(FAULT)
    assert report.files == (str(tmp_path / "run.mcap"),) and report.notes == ()
    assert tap.finish(FAULT).files == ()


@pytest.fixture
def three(tmp_path: Path) -> list[Path]:
    """Three recordings of one run, and others that are not of it."""
    folder = run_folder(tmp_path / "runs")
    other = run_folder(tmp_path / "runs", f"{folder.name}-4")
    record(tmp_path / f"{other.name}.mcap", other, 0.2)
    (tmp_path / f"{folder.name}-5.mcap").write_bytes(b"torn")
    record(tmp_path / f"{folder.name}-recovered.mcap", folder, 0.2)
    names = [f"{folder.name}{more}.mcap" for more in ("", "-2", "-10")]
    return [record(tmp_path / name, folder, 0.5) for name in names]


def test_a_recording_knows_which_part_of_its_run_it_is(three: list[Path]):
    header = {"run": str(three[0].parent / "runs" / three[0].stem), "restarts": 1}
    part = part_of(three[1], header, went_on=True)
    assert part.files == tuple(three)
    assert part.words == f"part 2 of 3 of its run; the next is {three[2].name}"
    assert part_of(three[2], header, False).words.endswith(f"the one before is {three[1].name}")


@pytest.mark.parametrize(
    ("restarts", "went_on", "where"),
    [(0, False, ""), (1, False, "before"), (0, True, "after"), (2, True, "before and after")],
)
def test_a_part_whose_others_are_elsewhere_says_so(tmp_path: Path, restarts, went_on, where):
    alone = record(tmp_path / "a.mcap", tmp_path / "a", 0.2)
    words = part_of(alone, {"run": str(tmp_path / "a"), "restarts": restarts}, went_on).words
    assert words.endswith(f"what was {where} it is in another file") if where else words == ""


def test_a_report_of_a_run_shows_all_its_recordings_and_one_of_a_file_which_part_it_is(three: list[Path]):
    folder = three[0].parent / "runs" / three[0].stem
    for path in three:
        path.rename(folder / path.name)
    shown = read_run(folder)
    assert shown.recording is not None and shown.recording.parts == 3
    assert len(shown.recording.ticks) == 45 and len(shown.recording.images) == 15
    decisions = [each["decision"] for each in shown.recording.motor]
    assert decisions == sorted(set(decisions)) and shown.missing == []
    part = read_run(folder / three[1].name)
    assert part.recording is not None and len(part.recording.ticks) == 15
    assert any(f"part 2 of 3 of its run; the next is {three[2].name}" in each for each in part.missing)


def test_recordings_that_the_summary_names_are_found_and_missed_when_gone(
    three: list[Path],
):
    folder = run_folder(three[0].parent / "runs", "named", recordings=[str(each) for each in three])
    assert read_run(folder).recording.parts == 3  # type: ignore[union-attr]
    three[1].unlink()
    (missing,) = read_run(folder).missing
    assert missing == "1 of the run's 3 recordings: they are gone."
