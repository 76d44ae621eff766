"""What a base makes of commands is fitted, judged, written, and used by the motor process from then on."""

import json
import math
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from calibration.motors.axes import Axis, as_it_is, axes_of
from calibration.motors.command import values_of
from calibration.motors.fit import AxisFit, Floats, fit_axis, lagged, response
from calibration.motors.judge import draw, judge
from calibration.motors.programme import LEVELS, MEASURED_S, Level, Trace, level_s
from edge.base_spec import DEFAULT_BASE, BaseSpec, DriveKind
from edge.errors import UsageError
from edge.robots.choose import choose_robot
from edge.robots.robot_file import parse_robot_file, read_robot_file
from edge.robots.write import with_values
from edge.runtime.robot import PlainRobot
from tests.sim.realtime.rover import Rover

REPO = Path(__file__).parents[3]
AHEAD, SIDEWAYS, TURN = axes_of(DEFAULT_BASE)
TICK_S = 0.02
FILE = """cameras:
  front: {address: "file:///nowhere.mp4", mount: {vertical_fov_deg: 55, height_m: 0.35, forward_m: 0.1}}
motors: null://
base: {drive: holonomic, radius_m: 0.2, linear_m_s: 0.5, angular_rad_s: 1, dead_band_m_s: 0.1}
"""


def driven(
    axis: Axis,
    given: Callable[[Floats], Floats],
    delay_s: float = 0.0,
    lag_s: float = 0.06,
    noise: float = 0.0,
    aside: float = 0.0,
) -> Trace:
    """The trace of a base that makes this of commands, 50 times a second, without waiting for it."""
    parts: list[tuple[float, float]] = [(0.0, 0.4)]
    for share in LEVELS:
        for sign in (1, -1):
            command = sign * share * axis.highest
            parts += [(command, level_s(axis, command)), (0.0, 0.4)]
    ends_s = np.cumsum([seconds for _, seconds in parts])
    times_s = np.arange(0.0, ends_s[-1], TICK_S)
    wanted = np.array([parts[i][0] for i in np.searchsorted(ends_s, times_s, "right")])
    told = [0.0]
    for value in wanted[1:]:
        told.append(told[-1] + float(np.clip(value - told[-1], -axis.accel * TICK_S, axis.accel * TICK_S)))
    fine_s = np.arange(0.0, ends_s[-1], 0.004)
    held = np.array(told)[np.minimum((fine_s / TICK_S + 1e-9).astype(int), len(told) - 1)]
    moves = np.interp(times_s - delay_s, fine_s, lagged(given(held), lag_s))
    moves = moves + np.random.default_rng(0).normal(0, noise, len(moves)) if noise else moves
    rows = np.zeros((len(moves), 4))
    rows[:, 0], rows[:, 1 + axis.column] = times_s, moves
    rows[:, 1 + (axis.column + 1) % 3] = aside * moves
    measured = [(float(a), float(b), float(c), float(d)) for a, b, c, d in rows]
    trace = Trace(axis, list(zip(times_s.tolist(), told, strict=True)), measured)
    trace.read_s = [0.01] * len(measured)  # stamped as it was measured, in between ticks
    for (command, _), end_s in zip(parts, ends_s, strict=True):
        late = rows[(rows[:, 0] > end_s - MEASURED_S) & (rows[:, 0] <= end_s)]
        if command:
            along = late[:, 1 + axis.column]
            trace.levels.append(
                Level(command, float(along.mean()), float(along.std()), float(abs(aside * along.mean())))
            )
    return trace


def wheels(
    scale: float, dead_band: float, start: float = 0.0, lowest: float = 0.0
) -> Callable[[Floats], Floats]:
    return lambda commands: response(commands, scale, dead_band, max(start, dead_band), lowest)


@settings(max_examples=10)
@given(st.floats(0.5, 1.6), st.floats(0.0, 0.12), st.floats(0.0, 0.25), st.floats(0.02, 0.1))
def test_scale_dead_band_and_delay_are_found(scale: float, band: float, delay_s: float, lag_s: float) -> None:
    for axis in (AHEAD, TURN):
        fit = fit_axis(driven(axis, wheels(scale, band * axis.highest), delay_s, lag_s))
        assert fit.scale == pytest.approx(scale, rel=0.03)
        assert fit.dead_band == pytest.approx(band * axis.highest, rel=0.05, abs=0.012 * axis.highest)
        assert fit.delay_s == pytest.approx(delay_s, abs=0.01)
        assert fit.lag_s == pytest.approx(lag_s, abs=0.02)
        assert fit.error < 0.02


def test_noise_and_half_a_tick_between_measure_and_stamp_are_borne() -> None:
    trace = driven(AHEAD, wheels(0.8, 0.05), 0.12, noise=0.008)
    trace.read_s = [0.001] * len(trace.measured)  # stamped as it is read, once a tick
    trace.measured = [(row[0] + TICK_S / 2, *row[1:]) for row in trace.measured]
    fit = fit_axis(trace)
    assert fit.scale == pytest.approx(0.8, rel=0.05) and fit.dead_band == pytest.approx(0.05, rel=0.05)
    assert fit.delay_s == pytest.approx(0.12, abs=0.01)
    assert judge([fit], [trace]).good


@pytest.mark.parametrize(
    ("given", "lowest", "dead_band"),
    [
        (wheels(1.0, 0.0), 0.0, 0.0),
        (wheels(0.8, 0.05), 0.0, 0.05),
        (
            wheels(0.9, 0.0, start=0.1),
            0.11,
            0.0,
        ),  # at the first level that moves it
        (wheels(1.0, 0.0, lowest=0.1), 0.1, 0.0),  # never slower
    ],
)
def test_the_least_speed_that_really_moves_it_is_found(
    given: Callable[[Floats], Floats], lowest: float, dead_band: float
) -> None:
    """Field case 30."""
    fit = fit_axis(driven(AHEAD, given))
    assert fit.lowest == pytest.approx(lowest, abs=0.015)
    assert fit.dead_band == pytest.approx(dead_band, abs=0.005)


@pytest.mark.parametrize(
    ("trace", "what", "hint"),
    [
        (driven(AHEAD, wheels(-0.8, 0.0)), "ahead: direction", "swap the two wires of every motor"),
        (driven(TURN, wheels(-1.0, 0.0)), "turn: direction", "swap left and right"),
        (driven(AHEAD, wheels(0.5, 0.0), aside=0.8), "ahead: alone", "one wheel turns the other way"),
        (driven(AHEAD, wheels(0.9, 0.0), noise=0.06), "ahead: steady", "slipping"),
        (driven(AHEAD, wheels(0.9, 0.25)), "ahead: moved", "charge its battery"),
        (driven(TURN, wheels(3.0, 0.0)), "turn: scale", "its track is wrong"),
        (driven(AHEAD, wheels(1.0, 0.0), delay_s=0.35), "ahead: delay", "a cable in place of the radio"),
        (
            driven(AHEAD, lambda told: np.where(told > 0, told, 0.7 * told)),
            "ahead: both ways",
            "on the floor that it drives on",
        ),
        (
            driven(AHEAD, lambda told: told * (1 + 0.5 * np.sin(np.arange(len(told)) / 60))),
            "ahead: residual",
            "a cable that pulls",
        ),
    ],
)
def test_what_can_not_be_driven_by_is_refused_with_what_to_do(trace: Trace, what: str, hint: str) -> None:
    verdict = judge([fit_axis(trace)], [trace])
    assert not verdict.good
    bad = {each.what: each.hint for each in verdict.criteria if not each.met}
    assert hint in bad[what]
    assert what in verdict.refusal().message


def test_odometry_with_gaps_is_refused() -> None:
    trace = driven(AHEAD, wheels(1.0, 0.0))
    trace.measured = trace.measured[::10]
    assert [each.what for each in judge([fit_axis(trace)], [trace]).criteria if not each.met] == [
        "ahead: odometry"
    ]


def test_a_base_that_hardly_moves_tells_nothing() -> None:
    with pytest.raises(UsageError, match=r"ahead: it moved at 2 of 18 levels up to 0\.5 m/s") as refused:
        fit_axis(driven(AHEAD, wheels(1.0, 0.4)))
    assert "battery" in refused.value.hint


def test_the_picture_shows_every_axis() -> None:
    traces = [driven(axis, wheels(0.8, 0.05)) for axis in (AHEAD, TURN)]
    picture = draw([fit_axis(trace) for trace in traces], traces)
    assert picture.shape[0] > 600 and len(np.unique(picture.reshape(-1, 3), axis=0)) > 20


def test_a_base_is_measured_without_what_was_measured_before() -> None:
    base = BaseSpec(ahead_scale=0.8, ahead_offset_m_s=0.05, turn_scale=0.9, delay_s=0.1, min_speed_m_s=0.05)
    assert as_it_is(base, 0.5, 1.0) == DEFAULT_BASE
    car = BaseSpec(drive=DriveKind.ACKERMANN, wheel_base_m=0.3)
    assert [axis.name for axis in axes_of(car)] == ["ahead"]
    assert [axis.name for axis in axes_of(BaseSpec(drive=DriveKind.DIFFERENTIAL))] == ["ahead", "turn"]
    with pytest.raises(UsageError, match=r"goes at 0\.2 m/s whatever it is told"):
        as_it_is(BaseSpec(fixed_speed_m_s=0.2, fixed_turn_rad_s=0.8), 0.2, 0.8)


def fitted(scale: float = 0.8, lowest: float = 0.0) -> list[AxisFit]:
    fit = fit_axis(driven(AHEAD, wheels(1.0, 0.0)))
    changed = {"scale": scale, "dead_band": 0.05, "lowest": lowest, "delay_s": 0.121}
    return [replace(fit, axis=axis, **changed) for axis in (AHEAD, SIDEWAYS, TURN)]


def test_what_was_measured_is_written_and_used_by_a_run(tmp_path: Path) -> None:
    path = tmp_path / "robot.yaml"
    path.write_text(with_values(FILE, values_of(parse_robot_file(FILE, path), fitted()), path))
    base = read_robot_file(path).base
    assert (base.ahead_scale, base.sideways_scale, base.turn_scale) == (0.8, 0.8, 0.8)
    assert (base.ahead_offset_m_s, base.turn_offset_rad_s, base.delay_s) == (0.05, 0.05, 0.121)
    assert base.dead_band_m_s == 0 and base.lowest_m_s == 0  # it is jumped over now
    assert base.linear_m_s == pytest.approx(0.8 * (0.5 - math.hypot(0.05, 0.05)))


def test_a_robot_of_a_package_takes_what_was_measured(tmp_path: Path) -> None:
    path = tmp_path / "robot.yaml"
    text = "opens: sim\n"
    path.write_text(with_values(text, values_of(parse_robot_file(text, path), fitted(lowest=0.07)), path))
    lines = path.read_text().splitlines()
    assert lines[:3] == ["opens: sim", "base:", "  ahead_scale: 0.8"] and lines[-1] == "  delay_s: 0.121"
    setup = choose_robot(str(path), True, None).setup(PlainRobot({"front": "shm://x"}, "null://"), "front")
    assert (setup.base.ahead_scale, setup.base.lowest_m_s, setup.base.radius_m) == (0.8, 0.07, 0.2)
    assert any("answers 121 ms late" in each for each in setup.cautions)
    with pytest.raises(UsageError, match=r"base\.radius_m does not go with `opens`"):
        parse_robot_file("opens: sim\nbase: {delay_s: 0.1, radius_m: 0.3}\n", path)


def test_a_base_that_goes_the_other_way_is_never_written(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="goes the other way"):
        values_of(parse_robot_file(FILE, tmp_path / "robot.yaml"), fitted(-0.8))


def calibrate(tmp_path: Path, query: str, *options: str) -> "subprocess.Popen[str]":
    """Start the command at a simulated robot."""
    (tmp_path / "robot.yaml").write_text(f'opens: "sim?{query}"\n')
    command = [
        sys.executable,
        "-m",
        "edge.cli",
        "calibrate",
        "motors",
        str(tmp_path / "robot.yaml"),
        *options,
    ]
    environment = {**os.environ, "PYTHONPATH": str(REPO)}
    pipes: dict[str, Any] = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    return subprocess.Popen([*command, *options], cwd=tmp_path, env=environment, text=True, **pipes)


def setpoints(tmp_path: Path) -> list[dict[str, float]]:
    lines = (tmp_path / "robot-calibration" / "firmware.jsonl").read_text().splitlines()
    return [json.loads(line) for line in lines]


@pytest.mark.realtime
def test_without_consent_nothing_moves(tmp_path: Path) -> None:
    _, said = calibrate(tmp_path, "scale=0.8").communicate("y\n", timeout=60)
    assert "nothing has moved" in said and "clear 1.4 m" in said
    assert not any(line["armed"] for line in setpoints(tmp_path))


@pytest.mark.realtime
@pytest.mark.slow
def test_a_base_without_odometry_is_refused(tmp_path: Path) -> None:
    run = calibrate(tmp_path, "wheels=dead", "--yes")
    _, said = run.communicate(timeout=60)
    assert run.returncode == 4 and "no odometry" in said


@pytest.mark.realtime
@pytest.mark.slow
@pytest.mark.parametrize("by", ["a signal", "vla-edge stop"])
def test_a_person_stops_it_and_nothing_is_written(by: str, tmp_path: Path) -> None:
    run = calibrate(tmp_path, "scale=0.8&speed_m_s=0.3", "--yes")
    deadline_s = time.monotonic() + 60
    log = tmp_path / "robot-calibration" / "firmware.jsonl"
    while not (log.exists() and any(line["linear_x"] > 0.05 for line in setpoints(tmp_path))):
        assert time.monotonic() < deadline_s and run.poll() is None
        time.sleep(0.05)
    if by == "a signal":
        run.send_signal(signal.SIGTERM)
    else:
        stop = [sys.executable, "-m", "edge.cli", "stop", str(tmp_path / "robot-calibration")]
        subprocess.run(stop, cwd=REPO, check=True, timeout=60)
    _, said = run.communicate(timeout=60)
    assert run.returncode == (130 if by == "a signal" else 4), said
    last = setpoints(tmp_path)[-1]
    assert last["linear_x"] == 0 and not last["armed"]
    assert "base" not in (tmp_path / "robot.yaml").read_text()


@pytest.mark.realtime
@pytest.mark.slow
@pytest.mark.parametrize(
    ("befalls", "above_m_s", "said_of_it"),
    [("emergency 1", 0.05, "emergency"), ("stuck 1", 0.3, "it is held")],
)
def test_a_fault_or_a_contact_ends_it_and_nothing_is_written(
    befalls: str, above_m_s: float, said_of_it: str, tmp_path: Path
) -> None:
    with Rover(tmp_path) as rover:
        path = tmp_path / "own.yaml"
        path.write_text(before := FILE.replace("null://", f'"{rover.uri}"'))
        command = [sys.executable, "-m", "edge.cli", "calibrate", "motors", str(path), "--yes"]
        run = subprocess.Popen(command, cwd=REPO, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        deadline_s = time.monotonic() + 90
        while not any(line["linear_x"] > above_m_s for line in rover.lines()):
            assert time.monotonic() < deadline_s and run.poll() is None
            time.sleep(0.02)
        rover.tell(befalls)
        _, said = run.communicate(timeout=60)
        assert run.returncode == 4 and said_of_it in said, said
        assert rover.lines()[-1]["linear_x"] == 0 and not rover.lines()[-1]["armed"]
        assert path.read_text() == before


@pytest.mark.realtime
@pytest.mark.slow
@pytest.mark.timeout(400)
def test_a_simulated_base_is_measured_in_real_time(tmp_path: Path) -> None:
    query = "drive=differential&scale=0.8&dead_band=0.05&turn_scale=1.2&turn_dead_band=0.1&delay_ms=120"
    run = calibrate(tmp_path, query, "--yes", "--json")
    out, said = run.communicate(timeout=300)
    assert run.returncode == 0, said
    found = json.loads(out)["figures"]
    assert found["ahead"]["scale"] == pytest.approx(0.8, rel=0.05)
    assert found["ahead"]["dead_band"] == pytest.approx(0.05, rel=0.05)
    assert found["turn"]["scale"] == pytest.approx(1.2, rel=0.05)
    assert found["turn"]["dead_band"] == pytest.approx(0.1, rel=0.05)
    assert all(each["delay_s"] == pytest.approx(0.12, abs=0.012) for each in found.values())
    measured = read_robot_file(tmp_path / "robot.yaml").measured
    assert measured["ahead_scale"] == pytest.approx(0.8, rel=0.05)


@pytest.mark.realtime
@pytest.mark.slow
@pytest.mark.timeout(200)
def test_a_reversed_base_ends_early_and_says_what_to_swap(tmp_path: Path) -> None:
    run = calibrate(tmp_path, "scale=-0.9", "--yes", "--save-anyway")
    out, said = run.communicate(timeout=200)
    assert run.returncode == 2 and "goes the other way" in said and "BAD ahead: direction" in out
    assert "base" not in (tmp_path / "robot.yaml").read_text()
