"""`vla-edge bench realtime`: the runtime in real time beside the simulator, and how it stands a SIGKILL.

Speed, latency and memory come from one run. Safety comes from many, each killed while the base drives and
judged by the firmware's own log.
"""

import contextlib
import itertools
import json
import math
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from statistics import median
from typing import Any

import psutil

from benchmarks.drives.blocks import endless_goal, failure
from benchmarks.stops.firmware_log import SLACK_MS, START_LIMIT_S, speed_of
from benchmarks.stops.signals import ALL_GONE_S, signal_once
from edge.board.steady import one_power_mode
from edge.bundle.bundle import load_bundle
from edge.bundle.choice import AUTO, AUTO_HELP
from edge.commands.arguments import ArgumentParser, non_negative_int, positive_float
from edge.commands.output import ProgressLine, duration, figure, print_json
from edge.errors import HardwareMissing, SafetyStop
from edge.perception.geometry import Pose
from sim.targets import make_scene, matching
from sim.world import surface_distance_m

AT_SPEED_M_S = 0.3
# On an idle machine, start and end included; a busy one takes twice to three times as long.
RUN_S, KILL_S = 6.0, 10.0
TARGET = "chair"
AHEAD_M, AHEAD_RAD = (
    2.0,
    0.4,
)  # a target that is farther away and nearer to straight ahead is driven to at once
MOST_TRIES = 3  # rooms for each kill


def _command(bundle: str, seed: int, seconds: float, runs: Path) -> list[str]:
    """Return the command of a run as long as possible."""
    goal = ["--goal", endless_goal(load_bundle(bundle).manifest), "--target", TARGET, "--seed", str(seed)]
    rest = ["--bundle", bundle, "--max-seconds", str(seconds), "--runs-dir", str(runs), "--json"]
    return [sys.executable, "-m", "edge.cli", "run", *goal, *rest]


def _peak_memory_mb(child: "subprocess.Popen[str]", seconds: float, progress: ProgressLine) -> float:
    """Return the largest resident size, MiB, of the runtime process while it lives."""
    peak, process, started_s = 0.0, psutil.Process(child.pid), time.monotonic()
    while child.poll() is None and (run_s := time.monotonic() - started_s) < seconds + START_LIMIT_S:
        progress.show("seconds of the run", round(min(run_s, seconds)), round(seconds))
        with contextlib.suppress(psutil.NoSuchProcess):
            peak = max(peak, process.memory_info().rss / 2**20)
        time.sleep(0.2)
    return peak


def measure_run(bundle: str, seconds: float, progress: ProgressLine) -> dict[str, Any]:
    """Return the figures of one run of `seconds`. Raises what the run ended with, if it failed."""
    with tempfile.TemporaryDirectory() as folder:
        command = _command(bundle, 1, seconds, Path(folder))
        child = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        peak_mb = _peak_memory_mb(child, seconds, progress)
        out, _ = child.communicate(timeout=START_LIMIT_S)
    summary = json.loads(out or "{}")
    if child.returncode not in (0, 3):
        raise failure(child.returncode, summary)
    return {
        "decisions_per_s": round(summary["decisions"] / summary["seconds"], 2),
        "latency_ms": summary["latency_ms"],
        "frame_to_motor_ms": summary["frame_to_motor_ms"],
        "missed_tick_share": round(summary["missed_ticks"] / max(1, summary["ticks"]), 5),
        "runtime_memory_mb": round(peak_mb, 1),
        "seconds": summary["seconds"],
    }


def kill_once(bundle: str, seed: int) -> dict[str, Any] | None:
    """Kill a runtime whose base drives; None if the base never reaches AT_SPEED_M_S with this seed."""
    return signal_once(
        lambda runs: _command(bundle, seed, START_LIMIT_S, runs),
        lambda setpoint: speed_of(setpoint) >= AT_SPEED_M_S,
        signal.SIGKILL,
    )


def open_rooms() -> Iterator[int]:
    """Yield seeds of rooms in which the base drives at once, because its target is far ahead of it."""
    for seed in itertools.count(1):
        scene = make_scene(seed, TARGET)
        start, target = Pose(*scene.start), matching(scene, TARGET)[0]
        bearing_rad = math.atan2(target.y_m - start.y_m, target.x_m - start.x_m) - start.yaw_rad
        if surface_distance_m(start, target) > AHEAD_M and math.cos(bearing_rad) > math.cos(AHEAD_RAD):
            yield seed


def kill_many(bundle: str, kills: int, progress: ProgressLine) -> list[dict[str, Any]]:
    """Kill so many runs at speed. Raises HardwareMissing if too few reach it."""
    done: list[dict[str, Any]] = []
    for seed in itertools.islice(open_rooms(), MOST_TRIES * kills):
        progress.show("kills", len(done), kills)
        kill = kill_once(bundle, seed)
        if kill is not None:
            done.append(kill)
        if len(done) == kills:
            return done
    raise HardwareMissing(
        f"the base reached {AT_SPEED_M_S} m/s in {len(done)} of {MOST_TRIES * kills} runs, not in {kills}",
        "is the machine overloaded?",
    )


def main(argv: list[str]) -> int:
    """Run `vla-edge bench realtime` and return the exit code."""
    p = ArgumentParser("bench realtime", "Measure the runtime beside the simulator, and kill it at speed.")
    p.add_argument("--bundle", default=AUTO, help=AUTO_HELP)
    p.add_argument(
        "--seconds",
        type=positive_float,
        default=30.0,
        help="length of the measured run (%(default)g)",
    )
    p.add_argument(
        "--kills",
        type=non_negative_int,
        default=5,
        help=f"runs that are killed at speed, about {KILL_S:.0f} s each (%(default)s)",
    )
    p.add_argument("--json", action="store_true", help="print one JSON object")
    a = p.parse_args(argv)
    kills = f", then a SIGKILL at {AT_SPEED_M_S} m/s in each of {a.kills} more" if a.kills else ""
    print(
        f"a run of {a.seconds:g} s{kills}: about {duration(a.seconds + RUN_S + KILL_S * a.kills)} "
        "if nothing else runs",
        file=sys.stderr,
    )
    with one_power_mode() as machine, ProgressLine() as progress:
        figures = measure_run(a.bundle, a.seconds, progress)
        if a.kills:
            figures["kills"] = _summary(kill_many(a.bundle, a.kills, progress))
    print_json(figures | {"machine": machine}) if a.json else print(_table(figures))
    trouble = _trouble(figures.get("kills"))
    if trouble is None:
        return 0
    print(f"error: {trouble.message}\nhint: {trouble.hint}", file=sys.stderr)  # the figures stay printed
    return trouble.exit_code


def _trouble(kills: dict[str, Any] | None) -> SafetyStop | None:
    """Return what a kill showed to be unsafe; None if every base stopped in time and nothing lived on."""
    if kills is None or kills["in_time"] == kills["all_gone"] == kills["times"]:
        return None
    if kills["in_time"] < kills["times"]:
        what = f"{kills['times'] - kills['in_time']} of {kills['times']} bases did not stop in time"
    else:
        left = kills["times"] - kills["all_gone"]
        what = f"after {left} of {kills['times']} kills another process lived on for {ALL_GONE_S:.0f} s"
    late = [kill for kill in kills["each"] if not (kill["in_time"] and kill["all_gone"])]
    gap_ms = max(kill["gap_ms"] for kill in late)
    if gap_ms > SLACK_MS:
        what += (
            f"; this machine was short of time: already before the kill setpoints came {gap_ms:.0f} ms apart"
        )
        return SafetyStop(what, "close what else uses this machine, and measure again")
    return SafetyStop(what, "measure again, with more --kills: what repeats is a fault")


def _summary(kills: list[dict[str, Any]]) -> dict[str, Any]:
    times_ms = [kill["zero_ms"] for kill in kills if kill["zero_ms"] is not None]
    return {
        "times": len(kills),
        "in_time": sum(kill["in_time"] for kill in kills),
        "all_gone": sum(kill["all_gone"] for kill in kills),
        "zero_ms_median": median(times_ms) if times_ms else None,
        "zero_ms_max": max(times_ms, default=None),
        "each": kills,
    }


def _excess_ms(kill: dict[str, Any]) -> float:
    """Return by how much a kill came over its limit, ms; infinite if its base never stood."""
    return math.inf if kill["zero_ms"] is None else kill["zero_ms"] - kill["limit_ms"]


def _table(figures: dict[str, Any]) -> str:
    def milliseconds(row: dict[str, float | None]) -> str:
        return f"{figure(row['p50'], 1)} ms, p99 {figure(row['p99'], 1)} ms"

    lines = [
        f"decisions       {figures['decisions_per_s']:.1f} a second, over {figures['seconds']:.0f} s",
        f"model           {milliseconds(figures['latency_ms']['total'])}",
        f"frame to motor  {milliseconds(figures['frame_to_motor_ms'])}",
        f"motor ticks     {figures['missed_tick_share']:.2%} missed",
        f"memory          {figures['runtime_memory_mb']:.0f} MB in the runtime process",
    ]
    if kills := figures.get("kills"):
        count, slowest = kills["times"], figure(kills["zero_ms_max"], 0)
        worst = max(kills["each"], key=_excess_ms)
        brake_ms = worst["limit_ms"] - SLACK_MS
        lines += [
            f"SIGKILL         at {AT_SPEED_M_S} m/s: {kills['in_time']} of {count} bases stopped in time",
            f"                (after {figure(kills['zero_ms_median'], 0)} ms, {slowest} ms at most;",
            f"                limit {worst['limit_ms']:.0f} ms: {brake_ms:.0f} to brake from "
            f"{worst['speed_m_s']:.2f} m/s, {SLACK_MS:.0f} to notice);",
            f"                {kills['all_gone']} times all other processes ended by themselves",
        ]
    return "\n".join(lines)
