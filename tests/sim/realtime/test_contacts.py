"""A base that drives against something, in real time: a real bundle, runtime and motor process.

Judged by the setpoints that its firmware applied. A run that a stall of the machine ended by another safety
rule is tried again, three times at most.
"""

import json
import os
import subprocess
import sys
from itertools import groupby
from pathlib import Path

import numpy as np
import pytest

from edge.bundle.bundle import write_bundle
from edge.motor.way import BACK_M, BACK_M_S
from tests.edge.model.open_bundles import open_bundle

pytestmark = [pytest.mark.realtime, pytest.mark.slow, pytest.mark.timeout(400)]

REPO = Path(__file__).parents[3]
STALLED = ("stale_frame", "stale_chunk", "machine_slow", "model_silent", "motor_fault")


def test_it_stops_goes_back_a_little_and_on_and_the_third_contact_ends_the_run(tmp_path: Path):
    """A model that always says "go forward" drives the base against what stands there, again and again."""
    own = {"prompts": {"instruct": "{target}"}, "goals": ("instruct",)}
    write_bundle(tmp_path / "talker", open_bundle("smolvlm", "go forward", "go on", **own)[0])
    command = [sys.executable, "-m", "edge.cli", "run", "--goal", "instruct", "--target", "go on", "--json"]
    command += ["--bundle", str(tmp_path / "talker"), "--robot", "sim?width=64&height=48"]
    for attempt in range(3):
        more = ["--runs-dir", str(tmp_path / str(attempt)), "--max-seconds", "60"]
        done = subprocess.run(
            [*command, *more], cwd=REPO, env=os.environ, capture_output=True, text=True, timeout=120
        )
        assert "Traceback" not in done.stderr, done.stderr
        summary = json.loads(done.stdout)
        if summary["cause"] not in STALLED:
            break
    assert (summary["cause"], summary["exit_code"], done.returncode) == ("contact", 4, 4), summary["reason"]
    assert "its bumper is pressed" in summary["reason"]
    lines = [
        json.loads(line) for line in (Path(summary["folder"]) / "firmware.jsonl").read_text().splitlines()
    ]
    speeds = np.array([line["linear_x"] for line in lines])
    metres = speeds[:-1] * np.diff([line["stamp_ns"] for line in lines]) / 1e9
    signs = [(sign, sum(each)) for sign, each in _stretches(metres)]
    assert [sign for sign, _ in signs] == [1, -1, 1, -1, 1], signs
    backs_m = [-way_m for sign, way_m in signs if sign < 0]
    assert all(BACK_M / 2 <= back_m <= BACK_M + BACK_M_S * 0.02 for back_m in backs_m), backs_m
    assert speeds.min() >= -BACK_M_S - 1e-3 and speeds[-1] == 0.0
    assert not any(line["linear_y"] or line["angular_z"] for line in lines)


def _stretches(metres: np.ndarray) -> list[tuple[int, list[float]]]:
    """Return the ways between two changes of the direction; standing is left out."""
    moved = [float(way_m) for way_m in metres if way_m != 0.0]
    return [(sign, list(ways)) for sign, ways in groupby(moved, key=lambda way_m: int(np.sign(way_m)))]
