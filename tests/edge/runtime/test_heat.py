"""Fault 46, heat, and 52, lost telemetry: what they take from a drive, and what they leave alone."""

import itertools
import json
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.board.heat import HeatReading, HeatZone, Thermometer
from edge.board.tree import Tree
from edge.clock import MonotonicClock, VirtualClock
from edge.errors import HardwareMissing
from edge.records import ActionChunk, StopCause
from edge.runtime.ending import DriveStop
from edge.runtime.heat import (
    LOST_S,
    OVER_CURRENT_REST_S,
    REST_S,
    SLOW_FRACTION,
    THROTTLED_SLOW_S,
    THROTTLED_STOP_S,
    HeatLevel,
    HeatRules,
    HeatWatch,
    RestingWorker,
)
from sim.faults.machine import add_zone, orin, set_celsius, write
from tests.waiting import until

S = 1_000_000_000
COOL, REST, SLOW, STOP = HeatLevel


def reading(celsius: float, throttled: bool = False, over_currents: int = 0) -> HeatReading:
    zone = HeatZone("tj-thermal", celsius, throttle_c=99.0, critical_c=104.5)
    return HeatReading((zone,), ("gpu-throttle-alert",) if throttled else (), over_currents)


def levels(*celsius: float) -> list[HeatLevel]:
    rules = HeatRules()
    return [rules.update(reading(each), number * S) for number, each in enumerate(celsius)]


@pytest.mark.parametrize(
    ("celsius", "level"),
    [(90.9, COOL), (91, REST), (94.9, REST), (95, SLOW), (100.9, SLOW), (101, STOP), (130, STOP)],
)
def test_heat_takes_the_rate_then_the_speed_then_the_drive(celsius: float, level: HeatLevel):
    assert levels(celsius, celsius)[-1] is level


def test_the_limit_of_the_board_counts_if_it_is_lower():
    zone = HeatZone("tj-thermal", 98.0, throttle_c=99.0, critical_c=100.0)
    rules = HeatRules()
    rules.update(HeatReading((zone,), (), 0), 0)
    assert rules.update(HeatReading((zone,), (), 0), S) is STOP


@pytest.mark.parametrize(("celsius", "level"), [(96.9, SLOW), (97.0, STOP)])
def test_it_stops_3_degrees_below_the_temperature_at_which_the_board_shuts_down(
    celsius: float, level: HeatLevel
):
    zone = HeatZone("tj-thermal", celsius, throttle_c=99.0, critical_c=100.0)
    rules = HeatRules()
    rules.update(HeatReading((zone,), (), 0), 0)
    assert rules.update(HeatReading((zone,), (), 0), S) is level


def test_times_and_shares_are_those_of_the_page_about_safety():
    assert (THROTTLED_SLOW_S, THROTTLED_STOP_S, OVER_CURRENT_REST_S, LOST_S) == (10, 60, 30, 5)
    assert (REST_S, SLOW_FRACTION) == (0.15, 0.5)


def test_one_wrong_reading_changes_nothing():
    assert levels(50, 127, 50, 50) == [COOL] * 4


def test_a_level_is_left_when_it_is_clearly_cooler():
    assert levels(95, 95, 94, 92.1, 91.9, 88.1, 87.9) == [COOL, SLOW, SLOW, SLOW, REST, REST, COOL]


@given(st.lists(st.floats(-40, 150), min_size=2, max_size=30))
def test_no_level_is_higher_than_two_readings_in_a_row_ask_for(celsius: list[float]):
    found = levels(*celsius)
    for before, level, (first, second) in zip(found, found[1:], itertools.pairwise(celsius), strict=False):
        assert level <= max(before, levels(min(first, second), min(first, second))[-1])


def test_throttling_by_heat_rests_then_slows_then_stops():
    rules, found = HeatRules(), []
    for second in range(65):
        found.append(rules.update(reading(80, throttled=True), second * S))
    assert found[:2] == [COOL, REST]
    assert found.index(SLOW) == THROTTLED_SLOW_S + 1 and found.index(STOP) == THROTTLED_STOP_S + 1
    assert "gpu-throttle-alert" in rules.reason and "limit 60 s" in rules.reason
    assert rules.update(reading(80), 65 * S) is COOL and rules.reason == ""


def test_over_current_rests_the_model_and_never_stops():
    rules, found = HeatRules(), []
    for second in range(200):
        found.append(rules.update(reading(50, over_currents=min(second, 120) * 7 + 1000), second * S))
    assert found[0] is COOL and set(found[3:121]) == {REST}
    assert found[round(122 + OVER_CURRENT_REST_S)] is COOL


def test_zones_without_a_limit_are_not_judged(tmp_path: Path):
    add_zone(tmp_path, 0, "iwlwifi_1", 120, {"critical": 125})
    add_zone(tmp_path, 1, "acpitz", 96)
    assert not Thermometer(Tree(tmp_path)).judged
    add_zone(tmp_path, 2, "x86_pkg_temp", 96, {"passive": 0})
    nearest = Thermometer(Tree(tmp_path)).read().nearest
    assert nearest is not None and (nearest.name, nearest.throttle_c) == ("x86_pkg_temp", 100)


def chunk() -> ActionChunk:
    return ActionChunk(np.array([[0.4, 0.0, 0.8]], np.float32), 0.1, 0, S, 1.0, 0)


def watch(root: Path) -> HeatWatch:
    return HeatWatch(Tree(root), MonotonicClock(), period_s=0.02)


def test_a_hot_machine_slows_the_chunk_and_keeps_its_curve(tmp_path: Path):
    with watch(orin(tmp_path, 96)) as heat:
        until(lambda: heat.level is SLOW)
        heat.check()
        np.testing.assert_allclose(heat.slowed(chunk()).values, [[0.2, 0.0, 0.4]], rtol=1e-6)
        assert heat.slowed(chunk()).values.dtype == np.float32
        set_celsius(tmp_path, 0, 60)
        until(lambda: heat.level is COOL)
        assert heat.slowed(chunk()).values[0, 0] == np.float32(0.4)
        figures = heat.to_json()
    assert figures["hottest"] == "tj-thermal" and figures["hottest_c"] == 96
    assert heat.figures.rest_s >= heat.figures.slow_s > 0


def test_too_hot_stops_the_drive_with_what_is_hot(tmp_path: Path):
    with watch(orin(tmp_path, 101)) as heat:
        until(lambda: heat.level is STOP)
        with pytest.raises(DriveStop, match=r"too hot: tj-thermal 101 °C \(throttles at 99\)") as stop:
            heat.check()
    assert stop.value.cause is StopCause.HOT and stop.value.exit_code == 4 and "doctor" in stop.value.hint


def test_fault_52_lost_telemetry_is_noted_and_the_drive_goes_on(tmp_path: Path):
    clock = VirtualClock()
    with HeatWatch(Tree(orin(tmp_path, 96)), clock, period_s=0.02) as heat:
        until(lambda: heat.level is SLOW)
        for number in (0, 1):
            (tmp_path / f"sys/class/thermal/thermal_zone{number}/temp").unlink()
        time.sleep(0.1)  # until no reading is under way
        clock.advance(round(LOST_S * S) + 1)
        heat.check()
        heat.check()
        assert heat.figures.lost == 1 and heat.level is SLOW  # what was known last still holds
        set_celsius(tmp_path, 0, 50)
        until(lambda: heat.level is COOL)
        heat.check()
        assert heat.figures.lost == 1


def test_a_machine_without_sensors_drives_as_ever(tmp_path: Path):
    with watch(tmp_path) as heat:
        heat.check()
        assert heat.level is COOL and heat.to_json()["hottest"] is None


class _Idle:
    busy = False

    def submit(self, observation: object) -> None: ...

    def poll(self) -> str:
        return "an inference"


def test_the_model_rests_between_inferences_while_it_is_hot():
    clock, level = VirtualClock(), [COOL]
    worker = RestingWorker(_Idle(), lambda: level[0], clock)  # type: ignore[arg-type]
    assert not worker.busy
    worker.poll()
    assert not worker.busy
    level[0] = REST
    assert worker.busy
    clock.advance(round(REST_S * S))
    assert not worker.busy


@pytest.mark.realtime
@pytest.mark.slow
def test_fault_46_a_hot_machine_drives_slower_and_then_stops(tmp_path: Path):
    """Judged at the firmware of the simulated base, which searches in a room without its target."""
    root, runs = orin(tmp_path / "machine"), tmp_path / "runs"
    options = [
        "--goal",
        "find_object",
        "--target",
        "cup",
        "--robot",
        "sim?width=160&height=120",
        "--absent",
        "--seed",
        "3",
        "--json",
    ]
    command = [
        sys.executable,
        "-m",
        "edge.cli",
        "run",
        *options,
        "--root",
        str(root),
        "--runs-dir",
        str(runs),
    ]
    run = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)

    def turns(begin_ns: int = 0, end_ns: int = 1 << 62) -> list[float]:
        texts = [log.read_text().rpartition("\n")[0] for log in runs.glob("*/firmware.jsonl")]
        rows = [json.loads(line) for text in texts for line in text.splitlines()]
        return [abs(row["angular_z"]) for row in rows if begin_ns <= row["stamp_ns"] < end_ns]

    try:
        until(lambda: run.poll() is not None or sum(turn > 0.8 for turn in turns()) > 20, 40)
        heated_ns = time.monotonic_ns()
        set_celsius(root, 0, 96)
        time.sleep(2.5)  # two readings, and the ramp
        slow_ns = time.monotonic_ns()
        time.sleep(2.5)
        hot_ns = time.monotonic_ns()
        set_celsius(root, 0, 101.5)
        out, err = run.communicate(timeout=20)
    finally:
        run.kill()
        run.wait()
    summary = json.loads(out)
    assert summary["cause"] == "hot" and run.returncode == 4, err
    assert max(turns(end_ns=heated_ns)) > 0.8
    assert 0.3 < max(turns(slow_ns, hot_ns)) < 0.46
    assert turns()[-1] == 0
    assert summary["machine"]["slow_s"] > 2 and summary["machine"]["hottest"] == "tj-thermal"
    assert "the machine is too hot: tj-thermal 10" in err and "hint: let it cool" in err


def test_fault_47_no_run_begins_without_memory(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    from edge import cli

    write(tmp_path, "/proc/meminfo", "MemTotal: 8000000 kB\nMemAvailable: 300000 kB\nSwapTotal: 0 kB")
    runs = tmp_path / "runs"
    arguments = ["--goal", "find_object", "--target", "cup", "--root", str(tmp_path), "--runs-dir", str(runs)]
    assert cli.main(["run", *arguments]) == HardwareMissing.exit_code
    err = capsys.readouterr().err
    assert "memory: 293 MiB are free, a run with this model needs" in err and "hint: close what" in err
    assert not runs.exists()
