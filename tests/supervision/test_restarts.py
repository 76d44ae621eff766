"""The engine is started again within a run: real processes, judged by the base's firmware."""

import json
import os
import signal
import subprocess
import sys
import time
from itertools import pairwise
from pathlib import Path

import pytest

from edge import cli
from edge.replay.recording import RecordedRun
from edge.report.material import read_run
from sim.faults.gamepad import PRETENDED, Pad
from tests.faults.rig import BUSY, RAMP_MS, SLACK_MS, AtRover, Drive, Ended, Rig, moving
from tests.waiting import alive, until

pytestmark = [pytest.mark.realtime, pytest.mark.slow, pytest.mark.timeout(400)]
SILENT_MS = 2000  # the model may be silent for so long
NOTICED_MS = 100  # from an error in the runtime to the motor process


@pytest.fixture
def rig(tmp_path, tiny_bundle) -> Rig:
    return Rig(tmp_path, tiny_bundle)


def until_restart(drive: Drive) -> str:
    """Wait until the program is about to be replaced; return what is said."""
    assert drive.child.stderr is not None
    said = drive.child.stderr.readline()
    assert "the base stands, the engine is started again (1 of" in said, said
    return said


def stays_at_zero(drive: Drive, since_ns: int) -> bool:
    """True if nothing moves from the first zero after `since_ns` on."""
    drive.zero_after_ms(since_ns)
    return True


@pytest.mark.parametrize(
    ("mode", "cause", "noticed_ms"),
    [("gpu", "engine_fault", NOTICED_MS), ("hangs", "model_silent", SILENT_MS + NOTICED_MS)],
)
def test_the_base_stands_while_the_engine_starts_again_and_then_drives_on(rig: Rig, mode, cause, noticed_ms):
    with rig.rover("--restarts", "1", "--max-seconds", "9", mode=mode) as run:
        broke_ns = run.drive.broke_ns()
        pids = run.drive.pids
        zero_ms = run.drive.first_zero_ms(broke_ns)
        end = run.drive.end()
        lines = run.drive.setpoints(broke_ns + round(zero_ms * 1e6))
    end.check_went_on()
    assert zero_ms <= noticed_ms + RAMP_MS + SLACK_MS
    (restart,) = end.summary["restarts"]
    assert restart["cause"] == cause and 1.4 < restart["after_s"] < 6
    # The firmware got a zero all the while that the base stood, and moves after that.
    again = next(i for i, line in enumerate(lines) if moving(line))
    stood_s = (lines[again]["stamp_ns"] - lines[0]["stamp_ns"]) / 1e9
    assert abs(stood_s - restart["stood_s"]) < 1.0 and again > 25 * stood_s
    assert json.loads((run.drive.folder / "pids.json").read_text())["motor"] == pids["motor"]
    assert len(list(run.drive.folder.parent.iterdir())) == 1
    log = (run.drive.folder / "run.log").read_text()
    assert "engine restart" in log and "drives on" in log
    assert not alive(pids["motor"])


def test_an_engine_that_always_fails_is_started_as_often_as_allowed_and_then_ends_the_run(rig: Rig):
    with rig.rover("--restarts", "2", mode="engine") as run:
        end = run.drive.end(120)
        assert not moving(run.drive.setpoints()[-1]) and not run.drive.setpoints()[-1]["armed"]
    end.check("engine_fault", 4, "a shape that is not there (the engine had been started again 2 times)")
    assert len(end.summary["restarts"]) == 2
    assert all(each["stood_s"] > 0 for each in end.summary["restarts"])


def test_the_summary_names_the_recordings_before_and_after_each_restart_in_order(rig: Rig, tmp_path, capsys):
    recordings = tmp_path / "recordings"
    with rig.rover("--restarts", "2", "--record", str(recordings), mode="engine") as run:
        end = run.drive.end(120)
    assert len(end.summary["restarts"]) == 2
    name = run.drive.folder.name
    files = [str(recordings / f"{name}{more}.mcap") for more in ("", "-2", "-3")]
    assert end.summary["recordings"] == files
    assert sorted(map(str, recordings.iterdir())) == sorted(files)
    for number, file in enumerate(files):
        recorded = RecordedRun(Path(file))
        assert recorded.facts.ticks > 0 and recorded.facts.header["restarts"] == number
        assert recorded.facts.went_on is (number < 2)
    # What reads a recording says which part of the run it has, or takes all of them.
    replay = ["replay", files[1], "--bundle", str(rig.bundle), "--layer", "decision"]
    assert cli.main(replay) == 3  # the policy that drove breaks on purpose, the bundle's own does not
    assert "part 2 of 3 of its run" in capsys.readouterr().out
    page = tmp_path / "page.html"
    assert cli.main(["report", str(run.drive.folder), "--out", str(page)]) == 0
    assert read_run(run.drive.folder).recording.parts == 3
    assert cli.main(["convert", files[0], "--to", "rosbag2", "--out", str(tmp_path / "bag")]) == 0
    assert f"part 1 of 3 of its run; the next is {Path(files[1]).name}" in capsys.readouterr().out


def _stop_command(run: AtRover) -> None:
    # In this process: a new one may take longer to begin than the engine to start again.
    cli.main(["stop", "--runs-dir", str(run.drive.folder.parent)])


def _interrupt(run: AtRover) -> None:
    run.drive.child.send_signal(signal.SIGINT)


@pytest.mark.parametrize(
    ("stop", "cause", "code"), [(_stop_command, "operator", 4), (_interrupt, "interrupted", 130)]
)
def test_a_stop_by_a_person_during_the_restart_ends_the_run_and_nothing_moves(rig: Rig, stop, cause, code):
    with rig.rover("--restarts", "1", mode="gpu") as run:
        broke_ns = run.drive.broke_ns()
        until_restart(run.drive)
        time.sleep(0.1)
        stop(run)
        end = run.drive.end()
        assert (end.cause, end.code) == (cause, code), end.err
        assert [each["stood_s"] for each in end.summary["restarts"]] == [None]
        assert stays_at_zero(run.drive, broke_ns)


def test_a_gamepads_stop_during_the_restart_is_heeded(rig: Rig, tmp_path):
    """The motor process reads it while there is no runtime to speak of."""
    rover = ("--restarts", "1", "--gamepad", str(tmp_path / "pad"))
    with Pad(tmp_path) as pad, rig.rover(*rover, mode="gpu", **PRETENDED) as run:
        broke_ns = run.drive.broke_ns()
        until_restart(run.drive)
        time.sleep(0.1)
        pad.press("east")
        end = run.drive.end()
        assert stays_at_zero(run.drive, broke_ns)
    end.check("operator", 4, "stopped by the operator (gamepad)")


def test_a_runtime_that_is_killed_during_the_restart_leaves_a_base_that_stands(rig: Rig):
    with rig.rover("--restarts", "1", mode="gpu") as run:
        broke_ns = run.drive.broke_ns()
        motor = run.drive.pids["motor"]
        until_restart(run.drive)
        time.sleep(0.3)
        os.kill(run.drive.child.pid, signal.SIGKILL)
        until(lambda: not alive(motor))
        until(lambda: not run.drive.setpoints()[-1]["armed"])
        assert stays_at_zero(run.drive, broke_ns)


def test_a_stop_that_is_not_the_engines_starts_nothing_again(rig: Rig):
    with rig.rover("--restarts", "3", mode="jump") as run:
        end: Ended = run.drive.end()
    end.check("jumping_chunk", 4)
    assert end.summary["restarts"] == []


def test_a_run_whose_engine_fails_once_reaches_the_cup_all_the_same(tmp_path):
    """The bundle's own policy at the simulator, whose process goes on while the program is replaced."""
    for attempt in range(3):
        folder = tmp_path / str(attempt)
        folder.mkdir()
        command = [sys.executable, "-m", "sim.faults.run", "--goal", "find_object", "--target", "red cup"]
        command += ["--seed", "3", "--max-seconds", "90", "--restarts", "1", "--json"]
        done = subprocess.run(
            [*command, "--runs-dir", str(folder / "runs")],
            env={
                **os.environ,
                "VLA_EDGE_BREAKS": "fails",
                "VLA_EDGE_BREAK_S": "2",
                "VLA_EDGE_BROKE": str(folder / "broke_ns"),
            },
            capture_output=True,
            text=True,
            check=False,
            timeout=150,
        )
        summary = json.loads(done.stdout)
        if summary["cause"] not in BUSY:
            break
    assert (summary["outcome"], done.returncode) == ("reached", 0), done.stderr
    assert summary["truth"]["arrived"] and summary["truth"]["bumps"] == 0
    (restart,) = summary["restarts"]
    assert restart["cause"] == "engine_fault" and restart["stood_s"] > 0
    lines = [
        json.loads(line) for line in (Path(summary["folder"]) / "firmware.jsonl").read_text().splitlines()
    ]
    moves = [moving(line) for line in lines]
    # It moved, stood for the restart, and moved again, in one and the same simulation.
    stood_s = max(
        (lines[j]["stamp_ns"] - lines[i]["stamp_ns"]) / 1e9
        for i, j in pairwise([i for i, each in enumerate(moves) if each])
    )
    assert abs(stood_s - restart["stood_s"]) < 1.0
