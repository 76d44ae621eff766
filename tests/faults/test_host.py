"""Faults 46 to 52: the machine that computes."""

import os
import re
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from sim.faults.gamepad import PRETENDED
from sim.faults.machine import orin, set_celsius, write
from tests.faults.conftest import FaultRecord
from tests.faults.rig import AGE_MS, FIRMWARE_MS, RAMP_MS, SLACK_MS, Rig, moving
from tests.small_disk import small_disk

pytestmark = [pytest.mark.realtime, pytest.mark.timeout(400)]
READINGS_MS = 2000  # two of them, once a second each
DAY_S = 86_400


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """A disk with 8 MiB, which only root can have."""
    with small_disk(tmp_path / "disk", 8) as folder:
        yield folder


@pytest.mark.slow
@pytest.mark.fault(46, "hot machine")
def test_a_hot_machine_drives_slower_and_then_stops(rig: Rig, fault: FaultRecord, tmp_path: Path):
    root = orin(tmp_path / "machine")
    with rig.rover("--root", str(root)) as run:
        run.drive.until_it_turns()
        set_celsius(root, 0, 96)
        time.sleep(3.5)
        slow = run.drive.setpoints()[-1]["angular_z"]
        hot_ns = time.monotonic_ns()
        set_celsius(root, 0, 101.5)
        end = run.drive.end()
    end.check("hot", 4, "tj-thermal 10", "hint: let it cool")
    fault.said(end)
    assert 0.2 < slow < 0.31
    fault.zero(run.drive.zero_after_ms(hot_ns), READINGS_MS + 100 + RAMP_MS + SLACK_MS)


@pytest.mark.slow
@pytest.mark.fault(47, "memory or disk low at the start")
def test_without_room_nothing_is_started(rig: Rig, fault: FaultRecord, tmp_path: Path, disk: Path):
    write(tmp_path / "machine", "/proc/meminfo", "MemTotal: 8000000 kB\nMemAvailable: 300000 kB")
    refusal = rig.refused("--root", str(tmp_path / "machine"))
    fault.said(refusal.check(5, "memory: 293 MiB are free", "hint: close what"))
    rig.refused("--runs-dir", str(disk / "runs")).check(2, "8 MiB free, a run needs 16")
    assert not list(disk.iterdir())


@pytest.mark.slow
@pytest.mark.fault(48, "a loop stalls for 200 ms")
def test_stalls_of_200_ms_stop_nothing(rig: Rig, fault: FaultRecord):
    with rig.rover("--max-seconds", "5") as run:
        run.drive.until_it_turns()
        for pid in (run.drive.pids["motor"], run.drive.child.pid):
            os.kill(pid, signal.SIGSTOP)
            time.sleep(0.2)
            os.kill(pid, signal.SIGCONT)
            time.sleep(0.5)
        end = run.drive.end()
    end.check_went_on()
    fault.said("goes on")


@pytest.mark.slow
@pytest.mark.fault(49, "wall clock steps")
def test_a_wall_clock_that_steps_changes_nothing(rig: Rig, fault: FaultRecord, tmp_path: Path):
    """A day ahead, then two back, for all processes of the run; its log shows both."""
    clock = tmp_path / "clock"
    clock.write_text("0")
    more = ("--max-seconds", "5", "--log-level", "debug")
    with rig.rover(*more, **PRETENDED, VLA_EDGE_CLOCK=str(clock)) as run:
        run.drive.until_it_turns()
        stepped_ns = time.monotonic_ns()
        for seconds in (DAY_S, -DAY_S):
            _replace(clock, str(seconds))
            time.sleep(1.0)
        end = run.drive.end()
    end.check_went_on()
    fault.said("goes on; only the times in run.log step")
    days = re.findall(r"^time=\d{4}-\d\d-(\d\d)T", (run.drive.folder / "run.log").read_text(), re.MULTILINE)
    assert len(set(days)) == 3
    assert all(map(moving, run.drive.setpoints(stepped_ns)[:60]))


def _replace(file: Path, text: str) -> None:
    draft = file.with_name("draft")
    draft.write_text(text)
    draft.replace(file)


@pytest.mark.slow
@pytest.mark.fault(50, "garbage collection or the interpreter's lock")
def test_a_pause_of_the_interpreter_stops_the_base(rig: Rig, fault: FaultRecord):
    """Native code keeps the interpreter's lock for 0.9 s: no thread of the runtime runs meanwhile."""
    with rig.rover(mode="gil") as run:
        paused_ns = run.drive.broke_ns()
        end = run.drive.end()
    end.check(
        "stale_chunk", 4, "this process halted for ", "and the motor process did not", "interpreter's lock"
    )
    fault.said(end)
    fault.zero(run.drive.zero_after_ms(paused_ns), AGE_MS + SLACK_MS)


@pytest.mark.slow
@pytest.mark.fault(51, "suspend and resume")
def test_a_computer_that_slept_does_not_drive_on(rig: Rig, fault: FaultRecord):
    """Its processes are stopped all at once; the base, a board of its own, stops by itself."""
    with rig.rover() as run:
        run.drive.until_it_turns()
        pids = [run.drive.child.pid, run.drive.pids["motor"]]
        slept_ns = time.monotonic_ns()
        for pid in pids:
            os.kill(pid, signal.SIGSTOP)
        time.sleep(2.0)
        woke_ns = time.monotonic_ns()
        for pid in pids:
            os.kill(pid, signal.SIGCONT)
        end = run.drive.end()
    assert (end.code, end.summary["outcome"]) == (4, "fault"), end.err
    fault.said(end)
    fault.zero(run.drive.zero_after_ms(slept_ns), FIRMWARE_MS + SLACK_MS)
    assert not any(map(moving, run.drive.setpoints(woke_ns)))


@pytest.mark.slow
@pytest.mark.fault(52, "telemetry lost")
def test_a_run_goes_on_without_its_telemetry(rig: Rig, fault: FaultRecord, tmp_path: Path):
    root = orin(tmp_path / "machine")
    with rig.rover("--root", str(root), "--max-seconds", "10") as run:
        run.drive.until_it_turns()
        for zone in (0, 1):
            (root / f"sys/class/thermal/thermal_zone{zone}/temp").unlink()
        end = run.drive.end()
    end.check_went_on()
    fault.said("goes on; run.log and summary.json say that it is lost")
    assert end.summary["machine"]["telemetry_lost"] == 1, end.summary["machine"]
