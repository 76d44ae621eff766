"""Words that drive, in real time: a real bundle, the real runtime and motor process, read at the firmware.

A run that a stall of the machine ended by another safety rule is tried again, three times at most.
"""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edge.bundle.bundle import write_bundle
from edge.policies.instructed import TURN_RAD, WAY_M
from tests.edge.model.open_bundles import open_bundle

pytestmark = pytest.mark.realtime

REPO = Path(__file__).parents[3]
INSTRUCTION = "go to the door"


def driven(tmp_path: Path, said: str, module: str, *more: str) -> tuple[dict[str, Any], float, float]:
    """Run an instruction by a model that always says the same: the summary, the way and the turn at the base.

    The way, in metres, and the turn, in radians, are the sums of the setpoints that the firmware applied.
    """
    own = {"prompts": {"instruct": "{target}"}, "goals": ("instruct",)}
    tmp_path.mkdir(exist_ok=True)
    write_bundle(tmp_path / "talker", open_bundle("smolvlm", said, INSTRUCTION, **own)[0])
    command = [sys.executable, "-m", module, *more, "--goal", "instruct", "--target", INSTRUCTION]
    command += ["--bundle", str(tmp_path / "talker"), "--runs-dir", str(tmp_path / "runs"), "--json"]
    command += ["--robot", "sim?width=64&height=48"]
    done = subprocess.run(command, cwd=REPO, env=os.environ, capture_output=True, text=True, timeout=100)
    assert "Traceback" not in done.stderr, done.stderr
    summary = json.loads(done.stdout)
    assert summary["exit_code"] == done.returncode
    log = Path(summary["folder"]) / "firmware.jsonl"
    lines = [json.loads(line) for line in log.read_text().splitlines()]
    rows = np.array([[each[key] for key in ("linear_x", "linear_y", "angular_z")] for each in lines])
    seconds = np.diff([each["stamp_ns"] for each in lines]) / 1e9
    assert not rows[-1].any()
    way_m = float(seconds @ np.hypot(rows[:-1, 0], rows[:-1, 1]))
    return summary, way_m, float(seconds @ np.abs(rows[:-1, 2]))


@pytest.mark.parametrize(
    ("said", "axis"), [("go forward", 0), pytest.param("왼쪽으로 도세요", 1, marks=pytest.mark.slow)]
)
def test_when_the_model_hangs_its_last_answer_moves_the_base_no_farther(tmp_path: Path, said: str, axis: int):
    """One answer came; the run ends by the model's silence, long after the base stands."""
    for attempt in range(3):
        summary, way_m, turn_rad = driven(tmp_path / str(attempt), said, "tests.edge.commands.instructed_run")
        assert way_m <= WAY_M and turn_rad <= TURN_RAD
        if summary["cause"] not in ("stale_frame", "stale_chunk", "machine_slow"):
            break
    assert (summary["outcome"], summary["cause"], summary["exit_code"]) == ("fault", "model_silent", 4)
    assert (way_m / WAY_M, turn_rad / TURN_RAD)[axis] > 0.5


@pytest.mark.slow
def test_answers_that_keep_coming_keep_the_robot_going_to_its_time_limit(tmp_path: Path):
    summary, way_m, turn_rad = driven(tmp_path, "turn left", "edge.cli", "run", "--max-seconds", "4")
    assert (summary["outcome"], summary["exit_code"]) == ("timeout", 3)
    assert summary["reason"].startswith('the model says "turn left", not that it is done; ')
    assert turn_rad > TURN_RAD and way_m == 0.0


@pytest.mark.slow
def test_a_model_that_says_stop_ends_the_run(tmp_path: Path):
    summary, way_m, turn_rad = driven(tmp_path, "stop", "edge.cli", "run")
    assert (summary["outcome"], summary["exit_code"]) == ("nothing", 3)
    assert summary["seconds"] < 6 and (way_m, turn_rad) == (0.0, 0.0)
