"""`python -m benchmarks.stops`: what it judges and says; a real kill and stop among the slow tests."""

import json
import signal
from typing import Any

import pytest

from benchmarks.stops import __main__ as stops
from edge.commands.output import ProgressLine
from edge.errors import HardwareMissing, UsageError

STOP = {"zero_ms": 240.0, "all_gone": True, "gap_ms": 21.0}


def with_stops(monkeypatch: pytest.MonkeyPatch, *found: dict[str, Any] | None) -> None:
    left = list(found)
    monkeypatch.setattr(stops, "signal_once", lambda command, wanted, number: left.pop(0))


def test_a_run_that_is_never_fast_is_replaced_but_not_without_end(monkeypatch: pytest.MonkeyPatch):
    with_stops(monkeypatch, None, STOP, None, STOP)
    row = stops.measure_stops(signal.SIGKILL, 2, "auto", ProgressLine())
    assert (row["times"], row["max_ms"], row["held"]) == (2, 240.0, True)
    with_stops(monkeypatch, STOP, *[None] * 5)
    with pytest.raises(HardwareMissing, match="in 1 of 6 runs, not in 2"):
        stops.measure_stops(signal.SIGKILL, 2, "auto", ProgressLine())


@pytest.mark.parametrize(
    ("worst", "arguments", "code", "said"),
    [
        ({}, ["--stop", "0"], 0, ""),
        ({"zero_ms": 300.0}, ["--stop", "0"], 0, ""),
        ({"zero_ms": 300.1}, ["--stop", "0"], 4, "SIGKILL: p99 300 ms (limit 300 ms)\n"),
        ({"zero_ms": 550.1}, ["--kill", "0", "--stop", "3"], 4, "SIGSTOP: p99 550 ms (limit 550 ms)\n"),
        ({"zero_ms": None}, ["--stop", "0"], 4, "SIGKILL: p99 - ms (limit 300 ms)\n"),
        ({"zero_ms": 400.0, "gap_ms": 80.0}, ["--stop", "0"], 4, "80 ms apart before a signal"),
        ({"all_gone": False}, ["--stop", "0"], 4, "after 1 of 3 another process lived on for 6 s"),
    ],
)
def test_a_promise_that_is_missed_fails_the_command(
    worst: dict[str, Any],
    arguments: list[str],
    code: int,
    said: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
):
    with_stops(monkeypatch, STOP, STOP | worst, STOP)
    assert stops.main(["--kill", "3", *arguments]) == code
    captured = capsys.readouterr()
    assert said in captured.err and ("error: " in captured.err) == bool(code)
    assert "ramp 250 ms" in captured.out and "load average" in captured.out


def test_machines_get_one_object_with_the_machine_in_it(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    with_stops(monkeypatch, STOP, STOP | {"zero_ms": 150.0}, STOP | {"zero_ms": None})
    assert stops.main(["--kill", "3", "--stop", "0", "--json"]) == 4
    printed = json.loads(capsys.readouterr().out)
    row = printed["stops"]["SIGKILL"]
    assert (row["p50_ms"], row["p99_ms"], row["zeros_ms"]) == (240.0, None, [240.0, 150.0, None])
    assert printed["ramp_ms"] == 250.0 and "board" in printed["machine"] and len(printed["load_average"]) == 2


def test_nothing_to_measure_is_refused():
    with pytest.raises(UsageError, match="nothing to measure"):
        stops.main(["--kill", "0", "--stop", "0"])


@pytest.mark.slow
@pytest.mark.realtime
def test_a_base_at_full_speed_stands_after_a_kill_and_after_a_stop(capsys: pytest.CaptureFixture[str]):
    assert stops.main(["--kill", "1", "--stop", "1", "--json"]) == 0
    rows = json.loads(capsys.readouterr().out)["stops"]
    assert rows["SIGKILL"]["zeros_ms"][0] > 100 and rows["SIGSTOP"]["zeros_ms"][0] > 300
