"""Recordings on disks that are full, or gone. The tap never notices; the end says what is missing."""

import subprocess
from pathlib import Path

from edge.runs.recording.torn import McapReader
from edge.runs.tap.options import TapOptions
from edge.runs.tap.tap import Tap
from tests.edge.recording.events import END, drive, start
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
