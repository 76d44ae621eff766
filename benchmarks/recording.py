"""What recording costs a drive: `python -m benchmarks.recording [--pairs N] [--seconds S]`.

Runs of the simulated robot, by turns kept as every run is (the last seconds) and recorded. Of each:
the time from frame to motors as its summary has it, and the processor time of runtime and recorder from the
drive's start on, as shares of one core.
"""

import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median
from typing import Any

from edge.child import child_environment
from edge.commands.arguments import ArgumentParser, positive_float, positive_int
from edge.commands.output import print_json

WAYS: dict[str, list[str]] = {"kept": [], "recorded": ["--record"]}
_TICKS = os.sysconf("SC_CLK_TCK")


def cpu_s(pid: int) -> float | None:
    """Return the processor time of a process so far; None if it has gone."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    except (FileNotFoundError, ProcessLookupError):
        return None
    return (int(stat[11]) + int(stat[12])) / _TICKS


def one_run(folder: Path, seconds: float, extra: list[str], size: list[str]) -> dict[str, Any]:
    """Drive once, and return what it took."""
    runs, recordings = folder / "runs", folder / "recordings"
    command = [
        sys.executable,
        "-m",
        "edge.cli",
        "run",
        "--goal",
        "find_object",
        "--target",
        "cup",
        "--absent",
    ]
    command += ["--max-seconds", str(seconds), "--runs-dir", str(runs), "--json", *size]
    command += [each for name in extra for each in (name, str(recordings))]
    child = subprocess.Popen(command, stdout=subprocess.PIPE, env=child_environment(), text=True)
    started = _await_start(child, runs)
    pids = {"runtime": child.pid, "recorder": json.loads((started / "pids.json").read_text())["recorder"]}
    begin_s, before = time.monotonic(), {role: cpu_s(pid) or 0.0 for role, pid in pids.items()}
    newest, took_s = dict(before), 0.0
    while child.poll() is None and took_s < seconds - 0.5:
        time.sleep(0.1)
        newest |= {role: found for role, pid in pids.items() if (found := cpu_s(pid)) is not None}
        took_s = time.monotonic() - begin_s
    out, _ = child.communicate(timeout=60)
    summary = json.loads(out)
    shares = {f"{role}_core": round((newest[role] - before[role]) / took_s, 4) for role in pids}
    written = sum(each.stat().st_size for each in recordings.glob("*")) if recordings.exists() else 0
    figures = summary["frame_to_motor_ms"]
    return {
        "outcome": summary["outcome"], "frame_to_motor_p50_ms": figures["p50"],
        "frame_to_motor_p99_ms": figures["p99"], **shares, "mb_s": round(written / seconds / 1e6, 2),
    }  # fmt: skip


def _await_start(child: "subprocess.Popen[str]", runs: Path) -> Path:
    while child.poll() is None:
        for log in runs.glob("*/run.log"):
            if '"drive started"' in log.read_text():
                return log.parent
        time.sleep(0.05)
    sys.exit("the run ended before its drive began")


def main(argv: list[str]) -> int:
    """Measure by turns, print one JSON object, and return the exit code."""
    parser = ArgumentParser("benchmarks.recording", "Measure what recording costs a drive.")
    parser.add_argument("--pairs", type=positive_int, default=5, help="runs of each kind (%(default)s)")
    parser.add_argument("--seconds", type=positive_float, default=10.0, help="length of a run (%(default)g)")
    parser.add_argument("--robot", default="sim", help='such as "sim?width=640&height=480" (%(default)s)')
    options = parser.parse_args(argv)
    found: dict[str, list[dict[str, Any]]] = {way: [] for way in WAYS}
    for _ in range(options.pairs):
        for way, extra in WAYS.items():
            with tempfile.TemporaryDirectory() as folder:
                found[way].append(one_run(Path(folder), options.seconds, extra, ["--robot", options.robot]))
            print(f"{way}: {found[way][-1]}", file=sys.stderr)
    names = [name for name in found["kept"][0] if name != "outcome"]
    medians = {
        way: {name: median(each[name] for each in runs if each[name] is not None) for name in names}
        for way, runs in found.items()
    }
    print_json({"medians": medians, "runs": found, "load": os.getloadavg()})
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
