"""`bench realtime`: what it says before and after, and which rooms it kills in."""

import itertools
import json
import math
from typing import Any

import pytest

from benchmarks import realtime
from benchmarks.drives.blocks import failure
from benchmarks.realtime import AHEAD_M, TARGET, kill_many, main, open_rooms
from benchmarks.stops.firmware_log import judge_stop
from edge.commands.output import ProgressLine
from edge.errors import EdgeError, HardwareMissing, SafetyStop
from sim.targets import make_scene, matching

KILL = {
    "speed_m_s": 0.31,
    "zero_ms": 170.0,
    "limit_ms": 200.0,
    "in_time": True,
    "gap_ms": 11.0,
    "all_gone": True,
}
RUN = {
    "decisions_per_s": 30.0,
    "latency_ms": {"total": {"p50": 9.0, "p99": None}},
    "frame_to_motor_ms": {"p50": 17.0, "p99": 33.0},
    "missed_tick_share": 0.0,
    "runtime_memory_mb": 183.2,
    "seconds": 5.0,
}


def test_the_target_of_each_room_is_far_ahead_of_the_base() -> None:
    seeds = list(itertools.islice(open_rooms(), 6))
    assert len(set(seeds)) == 6
    for seed in seeds:
        scene = make_scene(seed, TARGET)
        x_m, y_m, yaw_rad = scene.start
        target = matching(scene, TARGET)[0]
        ahead_m = (target.x_m - x_m) * math.cos(yaw_rad) + (target.y_m - y_m) * math.sin(yaw_rad)
        beside_m = (target.y_m - y_m) * math.cos(yaw_rad) - (target.x_m - x_m) * math.sin(yaw_rad)
        assert ahead_m > AHEAD_M and abs(beside_m) < 0.5 * ahead_m


def test_a_room_in_which_the_base_does_not_drive_is_replaced_but_not_without_end(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    outcomes: list[dict[str, Any] | None] = [None, KILL, None, None, KILL]
    monkeypatch.setattr(realtime, "kill_once", lambda bundle, seed: outcomes.pop(0))
    assert kill_many("default", 2, ProgressLine()) == [KILL, KILL]
    outcomes[:] = [KILL, *[None] * 5]
    with pytest.raises(HardwareMissing, match="in 1 of 6 runs, not in 2"):
        kill_many("default", 2, ProgressLine())
    assert outcomes == []


def test_people_get_words_machines_one_object_and_both_are_told_how_long_it_takes(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(realtime, "measure_run", lambda bundle, seconds, progress: dict(RUN))
    monkeypatch.setattr(realtime, "kill_once", lambda bundle, seed: KILL)
    assert main(["--seconds", "5", "--kills", "2"]) == 0
    captured = capsys.readouterr()
    assert captured.err.startswith(
        "a run of 5 s, then a SIGKILL at 0.3 m/s in each of 2 more: about 31 s if nothing else runs\n"
    )
    assert "{" not in captured.out and "None" not in captured.out
    assert (
        "model           9.0 ms, p99 - ms" in captured.out and "2 of 2 bases stopped in time" in captured.out
    )
    assert main(["--seconds", "5", "--kills", "0", "--json"]) == 0
    printed = json.loads(capsys.readouterr().out)
    assert printed.pop("machine").keys() == {"board", "l4t", "power_mode", "throttled"}
    assert printed == RUN


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"zero_ms": 467.0, "in_time": False, "gap_ms": 80.0}, "short of time: already before the kill"),
        ({"zero_ms": None, "in_time": False}, "1 of 2 bases did not stop in time\n"),
        ({"all_gone": False}, "after 1 of 2 kills another process lived on for 6 s\n"),
    ],
)
def test_a_base_that_stops_late_fails_the_command_and_its_limit_is_told(
    change: dict[str, Any], said: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    kills = [KILL, KILL | change]
    monkeypatch.setattr(realtime, "measure_run", lambda bundle, seconds, progress: dict(RUN))
    monkeypatch.setattr(realtime, "kill_once", lambda bundle, seed: kills.pop())
    assert main(["--kills", "2"]) == SafetyStop.exit_code
    captured = capsys.readouterr()
    assert said in captured.err and "short of time" not in captured.err.replace(said, "")
    assert "limit 200 ms: 150 to brake from 0.31 m/s, 50 to notice" in captured.out


def test_a_gap_between_setpoints_counts_only_before_the_death() -> None:
    line = {"linear_x": 0.3, "linear_y": 0.0, "angular_z": 0.0}
    stamps_ms = (0, 500, 1100, 1110, 1190, 1400)  # the first gap is long past at the death
    setpoints = [line | {"stamp_ns": ms * 1_000_000} for ms in stamps_ms]
    setpoints[-1] = setpoints[-1] | {"linear_x": 0.0}
    judged = judge_stop(setpoints, 1_600 * 1_000_000 - 400 * 1_000_000)
    assert judged["gap_ms"] == 600.0 and judged["zero_ms"] == 200.0
    assert judge_stop(setpoints, 2_110 * 1_000_000)["gap_ms"] == 210.0
    assert judge_stop(setpoints[2:], 1_200 * 1_000_000)["gap_ms"] == 80.0


@pytest.mark.parametrize(
    ("exit_code", "document", "kind"),
    [
        (4, {"reason": "newest frame is 252 ms old", "hint": "see the camera"}, SafetyStop),
        (5, {"error": "no renderer", "hint": "install one", "exit_code": 5}, HardwareMissing),
        (-9, {}, EdgeError),
    ],
)
def test_a_measured_run_that_fails_gives_its_reason_and_its_exit_code(
    exit_code: int, document: dict[str, Any], kind: type[EdgeError]
) -> None:
    error = failure(exit_code, document)
    assert type(error) is kind and error.hint == document.get("hint", "")
    assert (document.get("reason") or document.get("error") or "exit code -9") in error.message


@pytest.mark.slow
@pytest.mark.realtime
def test_a_run_is_measured_and_another_is_killed_at_speed(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--seconds", "3", "--kills", "1", "--json"]) == 0
    figures = json.loads(capsys.readouterr().out)
    assert figures["decisions_per_s"] > 1 and figures["kills"]["times"] == 1
    assert figures["kills"]["in_time"] == figures["kills"]["all_gone"] == 1
