"""Row 36: a disk that fills up, or a card that is pulled, costs a drive its files and nothing else."""

import contextlib
import errno
import json
import shutil
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from edge.clock import VirtualClock
from edge.records import ZERO
from sim.realtime.room_time import SetpointLog
from tests.sim.realtime.test_process import Running, running
from tests.small_disk import fill, small_disk

pytestmark = pytest.mark.realtime


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """A small disk of its own, which only root can have."""
    with small_disk(tmp_path / "disk", 20) as folder:
        yield folder


def until_it_ends(run: Running) -> tuple[int, dict, list[str]]:
    """Exit code, printed summary, and the lines on stderr."""
    out, err = run.child.communicate(timeout=60)
    return run.child.returncode, json.loads(out), err.splitlines()


def test_row_36_a_full_disk_leaves_the_drives_own_end_and_one_more_line(disk: Path, tiny_bundle: Path):
    with running(disk / "runs", tiny_bundle, "--max-seconds", "3") as run:
        run.until_it_turns()
        fill(disk)
        code, summary, lines = until_it_ends(run)
    assert (code, summary["outcome"], summary["exit_code"]) == (3, "timeout", 3), lines
    assert summary["seconds"] >= 3 and summary["truth"]["setpoints_unlogged"] > 50
    (line,) = lines
    assert line.startswith("note: can't write ") and "summary.json: No space left on device" in line


@pytest.mark.slow
def test_row_36_a_pulled_card_leaves_the_drives_own_end_and_one_more_line(tmp_path: Path, tiny_bundle: Path):
    with running(tmp_path / "runs", tiny_bundle, "--max-seconds", "3") as run:
        run.until_it_turns()
        shutil.rmtree(run.folder)
        code, summary, lines = until_it_ends(run)
    assert (code, summary["outcome"]) == (3, "timeout"), lines
    (line,) = lines
    assert "summary.json: No such file or directory" in line and "run.log lacks" in line


def test_row_36_a_frozen_runtime_is_the_same_fault_on_a_full_disk(disk: Path, tiny_bundle: Path):
    with running(disk / "runs", tiny_bundle) as run:
        run.until_it_turns()
        fill(disk)
        run.child.send_signal(signal.SIGSTOP)
        with contextlib.suppress(subprocess.TimeoutExpired):
            run.child.wait(1.0)
        run.child.send_signal(signal.SIGCONT)
        code, summary, lines = until_it_ends(run)
    assert (code, summary["outcome"]) == (4, "fault"), lines
    # A machine that is busy enough to hold up the motor process too is named as such.
    assert summary["cause"] in ("stale_chunk", "machine_slow"), lines
    assert "the motor process stopped: " in lines[0], lines
    assert lines[0].startswith("error: ") and lines[1].startswith("hint: ")
    assert len(lines) == 3 and "No space left on device" in lines[2]


def test_a_base_obeys_though_its_setpoints_can_not_be_logged(disk: Path):
    log = SetpointLog(disk / "firmware.jsonl")
    log.write(ZERO, 1, armed=False)
    fill(disk)
    for stamp_ns in range(1000):
        log.write(ZERO, stamp_ns, armed=False)
    (disk / "ballast").unlink()
    log.write(ZERO, VirtualClock().now_ns(), armed=True)
    log.close()
    stamps = [json.loads(line)["armed"] for line in (disk / "firmware.jsonl").read_text().splitlines()]
    assert 0 < log.lost < 1001 and len(stamps) == 1002 - log.lost and stamps[-1] is True


def test_full_means_full(disk: Path):
    fill(disk)
    with pytest.raises(OSError) as full:
        (disk / "file").write_text("x")
    assert full.value.errno == errno.ENOSPC
