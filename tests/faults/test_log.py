"""Faults 58 to 61: what a run writes. None of them changes its end."""

import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from edge import cli
from tests.faults.conftest import FaultRecord
from tests.faults.rig import AGE_MS, FIRMWARE_MS, SLACK_MS, Rig
from tests.small_disk import fill, small_disk
from tests.waiting import until

pytestmark = [pytest.mark.realtime, pytest.mark.timeout(400)]


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """A small disk of its own, which only root can have."""
    with small_disk(tmp_path / "disk", 20) as folder:
        yield folder


@pytest.mark.slow
@pytest.mark.fault(58, "disk full")
def test_a_fault_is_the_same_on_a_full_disk(rig: Rig, fault: FaultRecord, disk: Path):
    for mode, ends in (("", (None, 3)), ("silent", ("stale_chunk", 4))):
        (disk / "ballast").unlink(missing_ok=True)
        runs = disk / f"runs{mode}"
        runs.mkdir()
        with rig.rover("--max-seconds", "5", mode=mode, runs=runs) as run:
            until(lambda: run.drive.child.poll() is not None or run.drive.turns)
            fill(disk)
            end = run.drive.end()
        if mode:
            end.check(*ends, "the motor process stopped", "No space left on device")
            fault.zero(run.drive.zero_after_ms(run.drive.broke_ns()), AGE_MS + SLACK_MS)
        else:
            end.check_went_on()
            assert end.err.count("\n") == 1 and "No space left on device" in end.err
            fault.said(end)


@pytest.mark.slow
@pytest.mark.fault(59, "recorder dies")
def test_a_run_whose_folder_is_gone_drives_on_and_counts_what_is_lost(rig: Rig, fault: FaultRecord):
    with rig.rover("--max-seconds", "4", "--log-level", "debug") as run:
        run.drive.until_it_turns()
        gone_ns = time.monotonic_ns()
        run.drive.folder.rename(run.drive.folder.with_name("away"))
        end = run.drive.end()
    end.check_went_on()
    fault.said(end)
    lost = int(end.err.partition("run.log lacks ")[2].split()[0])
    assert lost > 20 and end.err.count("\n") == 1
    assert all(line["angular_z"] > 0.3 for line in run.drive.setpoints(gone_ns)[:40])


@pytest.mark.slow
def test_a_run_whose_recorder_is_killed_drives_on_and_counts_what_is_lost(rig: Rig, tmp_path: Path):
    """Fault 59 once more: a process of its own records."""
    with rig.rover("--max-seconds", "4", "--record", str(tmp_path / "recordings")) as run:
        run.drive.until_it_turns()
        gone_ns = time.monotonic_ns()
        os.kill(run.drive.pids["recorder"], signal.SIGKILL)
        end = run.drive.end()
    end.check_went_on()
    assert "the recorder ended early (signal 9)" in end.err and "are not recorded" in end.err
    assert end.err.count("\n") == 1
    assert all(line["angular_z"] > 0.3 for line in run.drive.setpoints(gone_ns)[:40])


@pytest.mark.slow
@pytest.mark.fault(60, "power cut")
def test_when_all_ends_at_once_only_the_last_messages_are_lost(rig: Rig, fault: FaultRecord):
    """All processes of the computer at once; what a disk's own cache loses beyond that is not tried."""
    with rig.rover("--log-level", "debug") as run:
        run.drive.until_it_turns()
        pids = run.drive.pids
        cut_ns = time.monotonic_ns()
        for pid in (pids["runtime"], pids["motor"]):
            os.kill(pid, signal.SIGKILL)
        fault.zero(run.drive.zero_after_ms(cut_ns), FIRMWARE_MS + SLACK_MS)
    fault.said("nothing: its folder has no summary.json")
    assert not (run.drive.folder / "summary.json").exists()
    *lines, _ = (run.drive.folder / "run.log").read_text().split("\n")
    assert all(line.startswith("time=") and " event=" in line for line in lines)
    newest_ns = int(lines[-1].partition(" stamp_ns=")[2].split()[0])
    assert cut_ns - newest_ns < 500_000_000
    assert cli.main(["stop", "--runs-dir", str(run.drive.folder.parent)]) == 2  # nothing runs any more


@pytest.mark.slow
@pytest.mark.fault(61, "slow card")
def test_a_card_that_takes_nothing_does_not_hold_up_a_run(rig: Rig, fault: FaultRecord):
    """Writing run.log never comes back, as on a card that is busy with itself."""
    with rig.rover("--max-seconds", "4", "--log-level", "debug") as run:
        run.drive.until_it_turns()
        slow_ns = time.monotonic_ns()
        log = run.drive.folder / "run.log"
        os.mkfifo(log.with_name("fifo"))
        log.with_name("fifo").replace(log)
        end = run.drive.end()
    end.check_went_on()
    fault.said(end)
    assert "run.log lacks " in end.err and end.err.count("\n") == 1
    assert all(line["angular_z"] > 0.3 for line in run.drive.setpoints(slow_ns)[:40])
    assert (run.drive.folder / "summary.json").exists()
