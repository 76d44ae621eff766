"""Runs on a base that ignores the magnitude of a speed (field case 30), judged by what its firmware got."""

import json
import time
from pathlib import Path

import pytest

from edge.cli import main
from tests.sim.realtime.test_process import SLACK_MS, moving, running
from tests.waiting import until

pytestmark = pytest.mark.realtime

BASE = "sim?fixed_speed_m_s=0.2&fixed_turn_rad_s=0.8"
DETECTED_MS = 50  # from the death of the runtime to the first zero, as for any base
ONE_SPEED = 1e-6


def is_one_speed(line: dict[str, float]) -> bool:
    """Return True if the setpoint is zero or the fixed speed, in the plane and in the turn."""
    way, turn = abs(complex(line["linear_x"], line["linear_y"])), abs(line["angular_z"])
    return min(way, abs(way - 0.2)) < ONE_SPEED and min(turn, abs(turn - 0.8)) < ONE_SPEED


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_every_setpoint_of_a_run_is_zero_or_the_fixed_speed(tmp_path: Path) -> None:
    command = ["run", "--goal", "find_object", "--target", "cup", "--robot", BASE, "--seed", "5000"]
    main([*command, "--max-seconds", "60", "--runs-dir", str(tmp_path)])
    (folder,) = tmp_path.iterdir()
    lines = [json.loads(line) for line in (folder / "firmware.jsonl").read_text().splitlines()]
    assert all(map(is_one_speed, lines))
    assert any(line["linear_x"] for line in lines) and any(line["angular_z"] for line in lines)
    assert json.loads((folder / "summary.json").read_text())["truth"]["bumps"] == 0


def killed_in_a_pulse(runs_dir: Path, bundle: Path) -> float:
    """SIGKILL of the runtime within a pulse of the base: ms until it was told to stand, for good."""
    with running(runs_dir, bundle, "--robot", BASE) as run:
        until(lambda: sum(moving(line) for line in run.setpoints()) > 20)
        until(lambda: moving(run.setpoints()[-1]))
        killed_ns = time.monotonic_ns()
        run.child.kill()
        zero_ms = run.zero_after_ms(killed_ns)
        assert all(map(is_one_speed, run.setpoints()))
        until(lambda: not run.setpoints()[-1]["armed"])
        return zero_ms


def test_sigkill_of_the_runtime_ends_a_pulse_at_once(tmp_path: Path, tiny_bundle: Path) -> None:
    """Fault 35: without a ramp, since this base knows none."""
    limit_ms = DETECTED_MS + SLACK_MS
    measured: list[float] = []
    while not measured or measured[-1] > limit_ms:
        assert len(measured) < 3, f"zero after {measured} ms (limit {limit_ms} ms)"
        measured.append(killed_in_a_pulse(tmp_path / str(len(measured)), tiny_bundle))
    print(f"zero {measured[-1]:.1f} ms after the SIGKILL (limit {limit_ms} ms)")


def test_max_speed_below_the_one_speed_is_refused_before_anything_moves(
    tmp_path: Path, tiny_bundle: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ["run", "--goal", "find_object", "--target", "cup", "--bundle", str(tiny_bundle)]
    assert main([*command, "--robot", BASE, "--max-speed", "0.1", "--runs-dir", str(tmp_path)]) == 2
    assert "--max-speed 0.1 is below the one speed that the base has, 0.2 m/s" in capsys.readouterr().err
    (folder,) = tmp_path.iterdir()
    assert not any(map(moving, map(json.loads, (folder / "firmware.jsonl").read_text().splitlines())))
