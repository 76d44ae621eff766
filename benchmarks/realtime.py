"""`vla-edge bench realtime`: the runtime in real time beside the simulator, and how it stands a SIGKILL.

Speed, latency and memory come from one run. Safety comes from many, each killed while the base drives and
judged by the firmware's own log.
"""

import contextlib
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median
from typing import Any

import psutil

from edge.bundle.bundle import load_bundle
from edge.bundle.choice import AUTO, AUTO_HELP
from edge.commands.arguments import ArgumentParser, non_negative_int, positive_float
from edge.errors import HardwareMissing
from edge.motor.limits import MotorLimits

AT_SPEED_M_S = 0.3
SLACK_MS = 50.0  # time from death to the first braking setpoint, and the firmware's rounding to a tick
START_LIMIT_S = 15.0  # time to start and to reach AT_SPEED_M_S
ALL_GONE_S = 6.0  # time after a kill by which all other processes have ended


def _command(bundle: str, seed: int, seconds: float, runs: Path) -> list[str]:
    """Return the command of a run as long as possible: it follows, and never arrives, if the bundle can."""
    kind = "follow_object" if "follow_object" in load_bundle(bundle).manifest.goals else "find_object"
    goal = ["--goal", kind, "--target", "chair", "--seed", str(seed)]
    rest = ["--bundle", bundle, "--max-seconds", str(seconds), "--runs-dir", str(runs), "--json"]
    return [sys.executable, "-m", "edge.cli", "run", *goal, *rest]


def _setpoints(log: Path) -> list[dict[str, Any]]:
    if not log.is_file():
        return []
    lines = log.read_text().split("\n")[:-1]  # the last one may be half written
    return [json.loads(line) for line in lines]


def _speed(s: dict[str, Any]) -> float:
    return (s["linear_x"] ** 2 + s["linear_y"] ** 2) ** 0.5


def _peak_memory_mb(child: "subprocess.Popen[str]", until_s: float) -> float:
    """Return the largest resident size, MiB, of the runtime process while it lives."""
    peak, process = 0.0, psutil.Process(child.pid)
    while child.poll() is None and time.monotonic() < until_s:
        with contextlib.suppress(psutil.NoSuchProcess):
            peak = max(peak, process.memory_info().rss / 2**20)
        time.sleep(0.2)
    return peak


def measure_run(bundle: str, seconds: float) -> dict[str, Any]:
    """Return the figures of one run of `seconds`."""
    with tempfile.TemporaryDirectory() as folder:
        command = _command(bundle, 1, seconds, Path(folder))
        child = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        peak_mb = _peak_memory_mb(child, time.monotonic() + seconds + START_LIMIT_S)
        out, _ = child.communicate(timeout=START_LIMIT_S)
    summary = json.loads(out)
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
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        command = _command(bundle, seed, START_LIMIT_S, folder)
        child = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            log = _await_speed(folder)
            if log is None:
                return None
            pids = json.loads((log.parent / "pids.json").read_text())
            os.kill(pids["runtime"], signal.SIGKILL)
            death_ns = time.monotonic_ns()
            child.wait()
            gone = _await_gone([pid for role, pid in pids.items() if role != "runtime"])
            return _judge(_setpoints(log), death_ns) | {"all_gone": gone}
        finally:
            if child.poll() is None:
                child.send_signal(signal.SIGINT)
                child.wait()


def _await_speed(runs: Path) -> Path | None:
    end_s = time.monotonic() + START_LIMIT_S
    while time.monotonic() < end_s:
        for log in runs.glob("*/firmware.jsonl"):
            setpoints = _setpoints(log)
            if setpoints and _speed(setpoints[-1]) >= AT_SPEED_M_S:
                return log
        time.sleep(0.01)
    return None


def _await_gone(pids: list[int]) -> bool:
    end_s = time.monotonic() + ALL_GONE_S
    while time.monotonic() < end_s:
        if not any(psutil.pid_exists(pid) for pid in pids):
            return True
        time.sleep(0.02)
    return False


def _judge(setpoints: list[dict[str, Any]], death_ns: int) -> dict[str, Any]:
    """Return the time from death to the first zero setpoint after which nothing moves, and its limit."""
    limits = MotorLimits()
    before = [s for s in setpoints if s["stamp_ns"] <= death_ns][-1]
    ramp_s = max(
        _speed(before) / limits.linear_decel_m_s2,
        abs(before["angular_z"]) / limits.angular_decel_rad_s2,
    )
    after = [s for s in setpoints if s["stamp_ns"] > death_ns]
    moving = [i for i, s in enumerate(after) if _speed(s) > 0 or s["angular_z"] != 0]
    still = after[moving[-1] + 1 :] if moving else after
    zero_ms = (still[0]["stamp_ns"] - death_ns) / 1e6 if still else None
    limit_ms = SLACK_MS + ramp_s * 1e3
    return {
        "speed_m_s": round(_speed(before), 3),
        "zero_ms": None if zero_ms is None else round(zero_ms, 1),
        "limit_ms": round(limit_ms, 1),
        "in_time": zero_ms is not None and zero_ms <= limit_ms,
    }


def main(argv: list[str]) -> int:
    """Run `vla-edge bench realtime` and return the exit code."""
    p = ArgumentParser("bench realtime", "the runtime beside the simulator: rates, latency, memory, SIGKILL")
    p.add_argument("--bundle", default=AUTO, help=AUTO_HELP)
    p.add_argument("--seconds", type=positive_float, default=30.0)
    p.add_argument("--kills", type=non_negative_int, default=20)
    p.add_argument("--json", action="store_true")
    a = p.parse_args(argv)
    figures = measure_run(a.bundle, a.seconds)
    kills: list[dict[str, Any]] = []
    for seed in range(1, 3 * a.kills + 1):
        if len(kills) == a.kills:
            break
        kill = kill_once(a.bundle, seed)
        if kill is not None:
            kills.append(kill)
    if len(kills) < a.kills:
        raise HardwareMissing(
            f"the base reached {AT_SPEED_M_S} m/s in {len(kills)} runs, {a.kills} are needed",
            "is the machine overloaded?",
        )
    if kills:
        times = [k["zero_ms"] for k in kills if k["zero_ms"] is not None]
        figures["kills"] = {
            "times": len(kills),
            "in_time": sum(k["in_time"] for k in kills),
            "all_gone": sum(k["all_gone"] for k in kills),
            "zero_ms_median": median(times),
            "zero_ms_max": max(times),
            "each": kills,
        }
    print(json.dumps(figures, indent=None if a.json else 2))
    return 0
