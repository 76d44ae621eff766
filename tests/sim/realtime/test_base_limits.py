"""A whole run on a base of half the speed that can't go sideways, judged by what its firmware was told."""

import json
import math
from itertools import pairwise
from pathlib import Path

import pytest

from edge.cli import main
from edge.motor.limits import MotorLimits
from sim.bases import parse_base

pytestmark = [pytest.mark.realtime, pytest.mark.slow]

BASE = "drive=differential&speed_m_s=0.25&turn_rad_s=0.5"
TICK_S = 0.02


@pytest.mark.timeout(300)
def test_no_setpoint_of_a_run_leaves_the_limits_of_its_base(tmp_path: Path) -> None:
    command = ["run", "--goal", "find_object", "--target", "cup", "--robot", f"sim?{BASE}", "--seed", "5000"]
    main([*command, "--max-seconds", "60", "--runs-dir", str(tmp_path)])
    (folder,) = tmp_path.iterdir()
    lines = [json.loads(line) for line in (folder / "firmware.jsonl").read_text().splitlines()]
    limits = MotorLimits.of(parse_base(BASE))
    assert all(line["linear_y"] == 0 for line in lines)
    assert 0.1 < max(abs(line["linear_x"]) for line in lines) <= limits.linear_m_s + 1e-6
    assert 0.3 < max(abs(line["angular_z"]) for line in lines) <= limits.angular_rad_s + 1e-6
    for before, after in pairwise(lines):
        # A late tick integrates over two periods at most.
        gained = math.fabs(after["linear_x"]) - math.fabs(before["linear_x"])
        assert gained <= limits.linear_accel_m_s2 * 2 * TICK_S + 1e-6
