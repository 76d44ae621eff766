"""The operator stops a real run, at its terminal and from another; times are read in the firmware's log."""

import contextlib
import json
import signal
import time
from collections.abc import Generator
from pathlib import Path
from typing import Any

import pytest

from edge import cli
from tests.edge.runtime.terminal_child import Terminal, at_terminal
from tests.waiting import alive, until

pytestmark = pytest.mark.realtime
LIMIT_MS = 350  # 250 of braking


@contextlib.contextmanager
def turning(runs: Path, bundle: Path) -> Generator[tuple[Terminal, Path]]:
    """Yield the terminal and the folder of a run that turns at full speed."""
    arguments = ["--goal", "find_object", "--target", "red cup", "--runs-dir", str(runs)]
    with at_terminal("tests.edge.commands.turning_run", *arguments, "--bundle", str(bundle)) as terminal:
        until(lambda: list(runs.glob("*/stop.json")))
        folder = next(runs.iterdir())
        until(lambda: (folder / "firmware.jsonl").exists() and setpoints(folder)[-1]["angular_z"] > 0.5)
        yield terminal, folder


def setpoints(folder: Path) -> list[dict[str, float]]:
    return [json.loads(line) for line in (folder / "firmware.jsonl").read_text().splitlines()] or [
        {"angular_z": 0.0}
    ]


def check_stood(folder: Path, since_ns: int) -> None:
    after = [line for line in setpoints(folder) if line["stamp_ns"] >= since_ns]
    stood = next(i for i, line in enumerate(after) if line["angular_z"] == 0)
    took_ms = (after[stood]["stamp_ns"] - since_ns) / 1e6
    print(f"zero after {took_ms:.0f} ms")
    assert took_ms <= LIMIT_MS
    assert all(line["angular_z"] == 0 for line in after[stood:])


def summary(folder: Path) -> dict[str, Any]:
    return json.loads((folder / "summary.json").read_text())


def test_the_space_bar_stops_a_run(tmp_path: Path, tiny_bundle: Path):
    with turning(tmp_path / "runs", tiny_bundle) as (terminal, folder):
        pressed_ns = time.monotonic_ns()
        terminal.press(b" ")
        output, error = terminal.process.communicate(timeout=30)
        assert terminal.process.returncode == 4, error
        assert not terminal.raw
    check_stood(folder, pressed_ns)
    end = summary(folder)
    assert (end["outcome"], end["cause"], end["exit_code"]) == ("stopped", "operator", 4)
    assert end["reason"] == "stopped by the operator (space)" and end["reason"] in output
    assert not (folder / "stop.json").exists()


def test_vla_edge_stop_stops_a_run(tmp_path: Path, tiny_bundle: Path, capsys: pytest.CaptureFixture[str]):
    with turning(tmp_path / "runs", tiny_bundle) as (terminal, folder):
        told_ns = time.monotonic_ns()
        assert cli.main(["stop", "--runs-dir", str(tmp_path / "runs")]) == 0
        assert capsys.readouterr().out == f"stopped: {folder}\n"
        terminal.process.communicate(timeout=30)
        assert terminal.process.returncode == 4
    check_stood(folder, told_ns)
    assert summary(folder)["reason"] == "stopped by the operator (vla-edge stop)"


@pytest.mark.parametrize(
    "number",
    [*(pytest.param(n, marks=pytest.mark.slow) for n in (signal.SIGTERM, signal.SIGHUP)), signal.SIGINT],
)
def test_a_signal_restores_the_terminal(number: signal.Signals, tmp_path: Path, tiny_bundle: Path):
    with turning(tmp_path / "runs", tiny_bundle) as (terminal, folder):
        assert terminal.raw
        terminal.process.send_signal(number)
        terminal.process.communicate(timeout=30)
        assert terminal.process.returncode == 130
        assert not terminal.raw
    assert summary(folder)["cause"] == "interrupted"


def test_a_run_that_was_killed_is_stopped_by_its_motor_process(tmp_path: Path, tiny_bundle: Path):
    with turning(tmp_path / "runs", tiny_bundle) as (terminal, folder):
        pids = json.loads((folder / "pids.json").read_text())
        killed_ns = time.monotonic_ns()
        terminal.process.kill()
        # The base writes its log a little after the motor process has sent its last setpoint.
        until(lambda: not any(map(alive, pids.values())))
    check_stood(folder, killed_ns)
    assert cli.main(["stop", "--runs-dir", str(tmp_path / "runs")]) == 2  # its file is left, and nothing runs
