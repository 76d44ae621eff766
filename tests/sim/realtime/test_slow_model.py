"""Models that answer late, in real time: a real bundle, runtime and motor process, read at the firmware.

Field case 34. A run that a stall of the machine ended is tried again, three times at most.
"""

import json
import os
import subprocess
import sys
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edge.motor.limits import MotorLimits

pytestmark = pytest.mark.realtime

REPO = Path(__file__).parents[3]
LIMITS = MotorLimits()
TICK_S = 0.02
LOOK_S = 0.15  # setpoints that stand for longer are a look, and not a turning point


def driven(tmp_path: Path, latency_ms: int, *more: str) -> tuple[dict[str, Any], list[dict[str, float]]]:
    """Run `head` with answers that take so long: the summary, and the firmware's setpoints."""
    for attempt in range(3):
        command = [sys.executable, "-m", "tests.edge.commands.slow_run", str(latency_ms), "--bundle", "head"]
        command += ["--goal", "find_object", "--target", "cup", "--json", *more]
        command += ["--runs-dir", str(tmp_path / str(attempt))]
        done = subprocess.run(command, cwd=REPO, env=os.environ, capture_output=True, text=True, timeout=150)
        assert "Traceback" not in done.stderr, done.stderr
        summary = json.loads(done.stdout)
        if summary["cause"] not in ("stale_frame", "stale_chunk", "motor_fault", "machine_slow"):
            break
    log = Path(summary["folder"]) / "firmware.jsonl"
    return summary, [json.loads(line) for line in log.read_text().splitlines()]


def moves(lines: list[dict[str, float]]) -> list[tuple[float, float]]:
    """Return metres and radians of each stretch of motion between two looks."""
    found: list[tuple[float, float]] = []
    stood_s = LOOK_S
    for line, after in pairwise(lines):
        seconds = (after["stamp_ns"] - line["stamp_ns"]) / 1e9
        way = float(np.hypot(line["linear_x"], line["linear_y"])) * seconds, abs(line["angular_z"]) * seconds
        if not any(way):
            stood_s += seconds
            continue
        if stood_s >= LOOK_S:
            found.append((0.0, 0.0))
        stood_s = 0.0
        found[-1] = found[-1][0] + way[0], found[-1][1] + way[1]
    return found


@pytest.mark.slow  # 18 s; tests/edge/policies/test_late.py has the same bound without processes
def test_each_look_of_a_very_slow_model_moves_the_base_once_and_within_its_bound(tmp_path: Path) -> None:
    small = ("--robot", "sim?width=96&height=72", "--seed", "5002", "--max-seconds", "14")
    summary, lines = driven(tmp_path, 1000, *small)
    assert (summary["outcome"], summary["exit_code"]) == ("timeout", 3), summary["reason"]
    assert summary["stop_look_move_s"] > 10
    found = moves(lines)
    assert len(found) >= 4, found
    for metres, radians in found:
        assert metres <= LIMITS.blind_m + TICK_S * LIMITS.linear_m_s
        assert radians <= LIMITS.blind_rad + TICK_S * LIMITS.angular_rad_s
    assert max(metres / LIMITS.blind_m + radians / LIMITS.blind_rad for metres, radians in found) > 0.5
    assert summary["refused_chunks"]["old"] == 0


@pytest.mark.slow
def test_a_model_of_240_ms_drives_more_slowly_and_arrives(tmp_path: Path) -> None:
    summary, lines = driven(tmp_path, 240, "--seed", "3")
    assert summary["outcome"] == "reached" and summary["truth"]["arrived"], summary["reason"]
    assert summary["slowed_s"] > 3 and 0.1 < summary["slowed_to_m_s"] < 0.4
    assert max(np.hypot(line["linear_x"], line["linear_y"]) for line in lines) < 0.4


@pytest.mark.slow
def test_a_model_of_400_ms_arrives(tmp_path: Path) -> None:
    summary, _ = driven(tmp_path, 400, "--seed", "3", "--max-seconds", "90")
    assert summary["outcome"] == "reached" and summary["truth"]["arrived"], summary["reason"]
