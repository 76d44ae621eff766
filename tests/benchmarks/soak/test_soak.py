"""The soak itself, for a moment: what it writes down, and how it goes on."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.waiting import until

pytestmark = [pytest.mark.slow, pytest.mark.realtime, pytest.mark.timeout(400)]
REPO = Path(__file__).parents[3]


def soak(state: Path, *arguments: str) -> "subprocess.Popen[str]":
    command = [sys.executable, "-m", "benchmarks.soak", "--state", str(state), *arguments]
    return subprocess.Popen(command, cwd=REPO, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


def records(state: Path) -> list[dict[str, object]]:
    file = state / "soak.jsonl"
    return [json.loads(line) for line in file.read_text().splitlines()] if file.exists() else []


def test_runs_are_judged_written_down_and_gone_on_from(tmp_path: Path):
    with soak(tmp_path, "--only", "35,63", "--long-minutes", "0", "--minutes", "5") as child:
        until(lambda: len(records(tmp_path)) >= 2, 200)
        child.send_signal(signal.SIGINT)
        out, _ = child.communicate(timeout=60)
    assert child.returncode == 0 and "0 of " in out and "runs broke a rule" in out, out
    done = records(tmp_path)
    killed = next(each for each in done if each["number"] == 35)
    assert killed["end"] == "killed" and killed["violations"] == [] and done[0]["seed"] == 1
    with soak(tmp_path, "--only", "63", "--minutes", "0.01") as child:
        child.communicate(timeout=120)
    seeds = [each["seed"] for each in records(tmp_path)]
    assert len(seeds) > len(done) and seeds == list(range(1, len(seeds) + 1))


def test_a_soak_that_is_killed_leaves_nothing_and_goes_on(tmp_path: Path):
    """The run under way ends by itself, since its runtime is told by nobody else."""
    child = soak(tmp_path, "--only", "0", "--long-minutes", "0", "--minutes", "5")
    until(lambda: list(tmp_path.rglob("firmware.jsonl")), 60)
    time.sleep(1.0)
    os.kill(child.pid, signal.SIGKILL)
    child.communicate(timeout=60)
    assert records(tmp_path) == []
    (log,) = tmp_path.rglob("firmware.jsonl")
    until(lambda: not json.loads(log.read_text().splitlines()[-1])["armed"], 60)


def test_a_number_that_can_not_be_injected_is_refused(tmp_path: Path):
    with soak(tmp_path, "--only", "13") as child:
        out, _ = child.communicate(timeout=60)
    assert child.returncode == 2 and out.startswith("error: --only '13' can't be injected"), out
