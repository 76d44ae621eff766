"""`python -m benchmarks.stops`: how soon a base at full speed stands when its runtime is killed or stopped.

Each signal is sent into a run of its own at the simulated robot. What counts is the firmware's own log, not
the word of any process. Exit code 4 if the 99th percentile misses its limit or a process lives on.
"""

import argparse
import math
import os
import signal
import sys
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.stops.firmware_log import SLACK_MS, speed_of
from benchmarks.stops.full_speed import LIMITS
from benchmarks.stops.signals import ALL_GONE_S, STOPPED_S, signal_once
from edge.board.steady import one_power_mode
from edge.bundle.choice import AUTO, AUTO_HELP
from edge.commands.arguments import non_negative_int
from edge.commands.output import ProgressLine, duration, figure, print_json, run_program
from edge.errors import HardwareMissing, SafetyStop, UsageError

FULL = 0.99  # share of the full speed and turn rate from which on a base drives at full speed
TURN_RATE = FULL * LIMITS.angular_rad_s
SPEED = FULL * LIMITS.linear_m_s
RAMP_MS = 1e3 * max(
    LIMITS.linear_m_s / LIMITS.linear_decel_m_s2, LIMITS.angular_rad_s / LIMITS.angular_decel_rad_s2
)
# By signal: the first setpoint of zero comes by then.
BOUNDS_MS = {
    signal.SIGKILL: SLACK_MS + RAMP_MS,
    signal.SIGSTOP: SLACK_MS + 1e3 * LIMITS.zero_age_s,
}
RUN_S = 6.0  # a run with its start and its end, on an idle machine
MOST_TRIES = 3  # runs for each signal


def _at_full_speed(setpoint: dict[str, Any]) -> bool:
    return speed_of(setpoint) >= SPEED and setpoint["angular_z"] >= TURN_RATE


def _command(bundle: str, seed: int, runs: Path) -> list[str]:
    goal = ["--goal", "find_object", "--target", "chair", "--seed", str(seed), "--bundle", bundle]
    rest = ["--max-seconds", "20", "--runs-dir", str(runs), "--json"]
    return [sys.executable, "-m", "benchmarks.stops.full_speed", *goal, *rest]


def measure_stops(number: signal.Signals, times: int, bundle: str, progress: ProgressLine) -> dict[str, Any]:
    """Return the figures of so many runs. Raises HardwareMissing if too few reach full speed."""
    done: list[dict[str, Any]] = []
    for seed in range(1, MOST_TRIES * times + 1):
        progress.show(number.name, len(done), times)
        stop = signal_once(partial(_command, bundle, seed), _at_full_speed, number)
        if stop is not None:
            done.append(stop)
        if len(done) == times:
            return summary_of(number, done)
    raise HardwareMissing(
        f"the base reached full speed in {len(done)} of {MOST_TRIES * times} runs, not in {times}",
        "is the machine overloaded? `vla-edge run` tells why a run does not start",
    )


def summary_of(number: signal.Signals, stops: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Return the figures of the stops, times in ms; a base that never stood counts as infinitely late."""
    times_ms = [math.inf if stop["zero_ms"] is None else stop["zero_ms"] for stop in stops]
    # The nearest rank: no time is made up between two that were measured, and inf stays inf.
    p50, p99 = (float(np.percentile(times_ms, q, method="inverted_cdf")) for q in (50, 99))
    return {
        "times": len(stops),
        "limit_ms": BOUNDS_MS[number],
        "p50_ms": _finite(p50),
        "p99_ms": _finite(p99),
        "max_ms": _finite(max(times_ms)),
        "held": p99 <= BOUNDS_MS[number],
        "all_gone": sum(stop["all_gone"] for stop in stops),
        "zeros_ms": [_finite(time_ms) for time_ms in times_ms],
        "gap_ms": max(stop["gap_ms"] for stop in stops),
    }


def _finite(time_ms: float) -> float | None:
    return None if math.isinf(time_ms) else time_ms


def trouble_of(stops: dict[str, dict[str, Any]]) -> SafetyStop | None:
    """Return which promise was broken; None if all were kept."""
    for name, row in stops.items():
        if not row["held"]:
            what = f"{name}: p99 {figure(row['p99_ms'], 0)} ms (limit {row['limit_ms']:.0f} ms)"
            hint = "measure again, on a machine with nothing else to do: what repeats is a fault"
            if row["gap_ms"] > SLACK_MS:
                what += f"; setpoints came {row['gap_ms']:.0f} ms apart before a signal: the machine is late"
            return SafetyStop(what, hint)
        if row["all_gone"] < row["times"]:
            left = row["times"] - row["all_gone"]
            what = f"{name}: after {left} of {row['times']} another process lived on for {ALL_GONE_S:.0f} s"
            return SafetyStop(what, "see their run.log; what lives on may hold the port")
    return None


def table_of(stops: dict[str, dict[str, Any]], loads: Sequence[float]) -> str:
    """Return the figures for people."""
    lines = [
        f"full speed {LIMITS.linear_m_s:g} m/s and {LIMITS.angular_rad_s:g} rad/s: ramp {RAMP_MS:.0f} ms"
    ]
    for name, row in stops.items():
        p50, p99, worst = (figure(row[f"{key}_ms"], 1) for key in ("p50", "p99", "max"))
        lines.append(
            f"{name}  {row['times']} times: zero after {p50} ms, p99 {p99}, max {worst} "
            f"(limit {row['limit_ms']:.0f}); {row['all_gone']} times nothing lived on"
        )
    return "\n".join([*lines, f"load average {loads[0]:.1f} at the start, {loads[1]:.1f} at the end"])


def main(argv: list[str]) -> int:
    """Measure, print, and return the exit code."""
    p = argparse.ArgumentParser(
        prog="python -m benchmarks.stops", description="Kill and stop the runtime of a base at full speed."
    )
    p.add_argument("--kill", type=non_negative_int, default=50, help="SIGKILLs (%(default)s)")
    p.add_argument("--stop", type=non_negative_int, default=20, help="SIGSTOPs (%(default)s)")
    p.add_argument("--bundle", default=AUTO, help=AUTO_HELP)
    p.add_argument("--json", action="store_true", help="print one JSON object")
    a = p.parse_args(argv)
    wanted = {
        number: times for number, times in ((signal.SIGKILL, a.kill), (signal.SIGSTOP, a.stop)) if times
    }
    if not wanted:
        raise UsageError("nothing to measure", "give --kill or --stop a number above 0")
    seconds = RUN_S * (a.kill + a.stop) + STOPPED_S * a.stop
    print(f"about {duration(seconds)} if nothing else runs", file=sys.stderr)
    loads = [os.getloadavg()[0]]
    with one_power_mode() as machine, ProgressLine() as progress:
        stops = {
            number.name: measure_stops(number, times, a.bundle, progress) for number, times in wanted.items()
        }
    loads.append(os.getloadavg()[0])
    if a.json:
        ramp = {"ramp_ms": RAMP_MS, "load_average": loads}
        print_json(ramp | {"stops": stops, "machine": machine | {"cores": os.cpu_count()}})
    else:
        print(table_of(stops, loads))
    trouble = trouble_of(stops)
    if trouble is None:
        return 0
    print(f"error: {trouble.message}\nhint: {trouble.hint}", file=sys.stderr)  # the figures stay printed
    return trouble.exit_code


if __name__ == "__main__":
    run_program(main)
