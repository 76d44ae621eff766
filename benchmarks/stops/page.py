"""`python -m benchmarks.stops.page`: how soon the live page's button stops a base.

Each press goes to a run of its own at the simulated robot, whose base turns; in every other run the runtime
is stopped by SIGSTOP just before. What counts is the firmware's own log: when it applies the first setpoint
that brakes, and the first zero. A base that turns slowly takes 25 ms to brake, so its zero tells how long the
button takes; from full speed the ramp comes on top. Exit code 4 if a 99th percentile misses its limit.
"""

import argparse
import http.client
import json
import math
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks.drives.no_model import AtOneVelocity
from benchmarks.stops.firmware_log import await_setpoint, read_setpoints
from benchmarks.stops.full_speed import CirclingRun
from edge.bundle.bundle import load_bundle
from edge.bundle.choice import AUTO
from edge.commands.arguments import non_negative_int
from edge.commands.output import ProgressLine, duration, figure, print_json, run_program
from edge.commands.run_arguments import choose_hardware, run_arguments
from edge.errors import HardwareMissing, SafetyStop
from edge.goals.goals import parse_goal
from edge.interfaces import Policy
from edge.motor.limits import MotorLimits
from edge.perception.apparent_size import ApparentSize
from edge.records import Velocity
from edge.runs.live.client import PAGE_FILE
from edge.runs.setup import Setup

LIMIT_MS = 100.0  # from the press to the first setpoint that brakes
DECEL_RAD_S2 = MotorLimits().angular_decel_rad_s2
SPEEDS_RAD_S = {"slow": 0.1, "full": 1.0}
RUN_S = 7.0  # a run, on an idle machine
START_S = 60.0  # for a run to turn its base, on a busy one
MOST_TRIES = 3
SPEED = "VLA_EDGE_BENCH_RAD_S"


class TurningRun(CirclingRun):
    """A run without a model that turns in place."""

    def _make_policy(self, setup: Setup, size: ApparentSize | None) -> Policy:
        return AtOneVelocity(Velocity(0.0, 0.0, float(os.environ[SPEED])))


def press_once(seed: int, speed_rad_s: float, suspended: bool) -> dict[str, Any] | None:
    """Press the button of one run; return the times in ms, None if its base never turned as it should."""
    with tempfile.TemporaryDirectory() as name:
        goal = ["--goal", "find_object", "--target", "chair", "--seed", str(seed), "--bundle", AUTO]
        rest = ["--max-seconds", "20", "--runs-dir", name, "--json", "--web", "0", "--no-ring"]
        child = subprocess.Popen(
            [sys.executable, "-m", "benchmarks.stops.page", "--run", *goal, *rest],
            env={**os.environ, SPEED: str(speed_rad_s)},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        try:
            log = await_setpoint(Path(name), lambda each: each["angular_z"] >= 0.99 * speed_rad_s, START_S)
            if log is None:
                return None
            access = json.loads((log.parent / PAGE_FILE).read_text())
            if suspended:
                os.kill(child.pid, signal.SIGSTOP)
            pressed_ns = time.monotonic_ns()
            code = _post(access["port"], access["token"])
            answered_ms = (time.monotonic_ns() - pressed_ns) / 1e6
            os.kill(child.pid, signal.SIGCONT)
            exit_code = child.wait()
            times = _times(read_setpoints(log), pressed_ns, speed_rad_s)
            return {**times, "answered_ms": answered_ms, "code": code, "exit_code": exit_code}
        finally:
            if child.poll() is None:
                child.send_signal(signal.SIGCONT)
                child.terminate()
                child.wait()


def _post(port: int, token: str) -> int:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5.0)
    try:
        connection.request("POST", "/stop", headers={"Authorization": f"Bearer {token}"})
        return connection.getresponse().status
    finally:
        connection.close()


def _times(setpoints: Sequence[dict[str, Any]], pressed_ns: int, speed_rad_s: float) -> dict[str, float]:
    after = [each for each in setpoints if each["stamp_ns"] > pressed_ns]
    moving = [number for number, each in enumerate(after) if each["angular_z"] != 0]
    zeros = after[moving[-1] + 1 :] if moving else after
    brakes = [each for each in after if each["angular_z"] < 0.98 * speed_rad_s]
    first = [(found[0]["stamp_ns"] - pressed_ns) / 1e6 if found else math.inf for found in (brakes, zeros)]
    return {"brakes_ms": first[0], "zero_ms": first[1]}


def measure_presses(kind: str, times: int, progress: ProgressLine) -> dict[str, Any]:
    """Return the figures of so many presses. Raises HardwareMissing if too few runs turn."""
    done: list[dict[str, Any]] = []
    for seed in range(1, MOST_TRIES * times + 1):
        progress.show(kind, len(done), times)
        found = press_once(seed, SPEEDS_RAD_S[kind], suspended=bool(len(done) % 2))
        done += [found] if found is not None else []
        if len(done) == times:
            return _summary(SPEEDS_RAD_S[kind], done)
    raise HardwareMissing(
        f"the base turned in {len(done)} of {MOST_TRIES * times} runs, not in {times}",
        "is the machine overloaded? `vla-edge run` tells why a run does not start",
    )


def _summary(speed_rad_s: float, done: Sequence[dict[str, Any]]) -> dict[str, Any]:
    rows = {key: _row([each[key] for each in done]) for key in ("brakes_ms", "zero_ms", "answered_ms")}
    ramp_ms = 1e3 * speed_rad_s / DECEL_RAD_S2
    return {
        "times": len(done),
        "ramp_ms": ramp_ms,
        "confirmed": sum(each["code"] == 200 for each in done),
        "ended_by_operator": sum(each["exit_code"] == SafetyStop.exit_code for each in done),
        **rows,
        "held": rows["brakes_ms"]["p99"] <= LIMIT_MS and rows["zero_ms"]["p99"] <= LIMIT_MS + ramp_ms,
        "zeros_ms": sorted(round(each["zero_ms"], 1) for each in done),
    }


def _row(values: Sequence[float]) -> dict[str, float]:
    ordered = sorted(values)
    # The nearest rank: no time is made up between two that were measured.
    return {
        name: round(ordered[max(0, math.ceil(share * len(ordered)) - 1)], 1)
        for name, share in (("p50", 0.5), ("p99", 0.99), ("max", 1.0))
    }


def _table(kinds: dict[str, dict[str, Any]]) -> str:
    lines: list[str] = []
    for kind, row in kinds.items():
        lines.append(
            f"{kind}, {SPEEDS_RAD_S[kind]:g} rad/s: {row['times']} presses, ramp {row['ramp_ms']:.0f} ms"
        )
        for key, words in (("brakes_ms", "brakes"), ("zero_ms", "zero"), ("answered_ms", "confirmed")):
            p50, p99, most = (figure(row[key][each], 1) for each in ("p50", "p99", "max"))
            lines.append(f"  {words} after {p50} ms, p99 {p99}, max {most}")
        lines.append(
            f"  {row['confirmed']} confirmed, {row['ended_by_operator']} runs ended with exit code 4"
        )
    return "\n".join(lines)


def main(argv: list[str]) -> int:
    """Measure, print, and return the exit code."""
    if argv[:1] == ["--run"]:
        return _run(argv[1:])
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.stops.page", description="Press the live page's button at a moving base."
    )
    parser.add_argument("--slow", type=non_negative_int, default=30, help="at 0.1 rad/s (%(default)s)")
    parser.add_argument("--full", type=non_negative_int, default=30, help="at full speed (%(default)s)")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    options = parser.parse_args(argv)
    wanted = {kind: times for kind in SPEEDS_RAD_S if (times := getattr(options, kind))}
    print(f"about {duration(RUN_S * sum(wanted.values()))} if nothing else runs", file=sys.stderr)
    with ProgressLine() as progress:
        kinds = {kind: measure_presses(kind, times, progress) for kind, times in wanted.items()}
    loads = os.getloadavg()
    if options.json:
        print_json({"limit_ms": LIMIT_MS, "presses": kinds, "load_average": loads})
    else:
        print(f"{_table(kinds)}\nload average {loads[1]:.1f} over five minutes, {os.cpu_count()} cores")
    if all(row["held"] and row["confirmed"] == row["times"] for row in kinds.values()):
        return 0
    print(f"error: a stop came later than {LIMIT_MS:.0f} ms and its ramp, or unconfirmed", file=sys.stderr)
    return SafetyStop.exit_code


def _run(argv: list[str]) -> int:
    options = run_arguments().parse_args(argv)
    goal = parse_goal(options.goal, options.target)
    bundle = load_bundle(options.bundle, allow_unproved=options.allow_unproved)
    return TurningRun(options, goal, bundle, choose_hardware(options)).go().exit_code


if __name__ == "__main__":
    run_program(main)
