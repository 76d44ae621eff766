"""What recording costs a drive: `python -m benchmarks.drives.recording [--pairs N] [--seconds S]`.

Runs of the simulated robot, by turns kept as every run is (the last seconds) and recorded. Of each:
the time from frame to motors as its summary has it, and the processor time of runtime and recorder from the
drive's start on, as shares of one core.

`--cost WIDTHxHEIGHT` needs no idle machine: it hands the events of a drive at 30 Hz to a tap, each frame once
the recorder is done with the one before, and divides the processor time of both ends by the drive's length.
"""

import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median
from typing import Any

import cv2
import numpy as np

from benchmarks.drives.pictures import noisy_pictures
from edge.child import child_environment
from edge.commands.arguments import ArgumentParser, image_size, positive_float, positive_int
from edge.commands.output import print_json
from edge.interfaces import Inference, PolicyStatus
from edge.records import (
    ZERO,
    ActionChunk,
    Box,
    Detection,
    DriveEnd,
    Frame,
    Goal,
    MotorState,
    MotorStatus,
    Observation,
    Odometry,
    Outcome,
)
from edge.runs.tap.options import Images, TapOptions
from edge.runs.tap.tap import Tap
from sim.render import CameraSpec

WAYS: dict[str, list[str]] = {"kept": [], "recorded": ["--record"]}
ENDS = ("runtime_core", "recorder_core")
RATE_HZ = 30
COST_S = 10.0
SHAPE = (CameraSpec().height, CameraSpec().width, 3)
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


def cost(width: int, height: int, seconds: float) -> dict[str, dict[str, float]]:
    """Return the shares of one core that both ends of a tap need, by what is kept."""
    images = [
        np.asarray(cv2.resize(each, (width, height), interpolation=cv2.INTER_LINEAR), np.uint8)
        for each in noisy_pictures().reshape(-1, *SHAPE)
    ]
    found: dict[str, dict[str, float]] = {}
    for way in ("kept", "lossless", "jpeg"):
        begun = _tapped(images, way, 1.0)
        whole = _tapped(images, way, 1.0 + seconds)
        found[way] = {name: round((whole[name] - begun[name]) / seconds, 4) for name in ENDS}
        found[way]["mb_s"] = round((whole["bytes"] - begun["bytes"]) / seconds / 1e6, 2)
    return found


def _tapped(images: list[Any], way: str, seconds: float) -> dict[str, float]:
    """Hand so many seconds of a drive to a tap; return the processor time of both ends."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "run.mcap"
        kept = Images.JPEG if way == "jpeg" else Images.LOSSLESS
        options = TapOptions(folder, "" if way == "kept" else str(file), kept)
        before, own_s = resource.getrusage(resource.RUSAGE_CHILDREN), time.process_time()
        tap = Tap(options, lambda inference: {"detections": [], "reason": ""})
        first_ns = time.monotonic_ns()
        for seq in range(round(seconds * RATE_HZ)):
            _tell(tap, seq, first_ns + round(seq * 1e9 / RATE_HZ), images[seq % len(images)])
            _until_idle(tap)
        if notes := tap.finish(DriveEnd(Outcome.REACHED, "", 0)).notes:
            sys.exit(f"not all was recorded: {'; '.join(notes)}")
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        return {
            "runtime_core": time.process_time() - own_s,
            "recorder_core": after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime,
            "bytes": file.stat().st_size if file.exists() else 0,
        }


def _until_idle(tap: Tap) -> None:
    """Wait until nothing waits for the recorder and all of its threads sleep."""
    idle = 0
    while idle < 3:  # between two looks it may just have been woken
        time.sleep(0.0005)
        stats = [each.read_text() for each in Path(f"/proc/{tap.pid}/task").glob("*/stat")]
        asleep = all(stat.rsplit(")", 1)[1].split()[0] == "S" for stat in stats)
        idle = idle + 1 if asleep and not tap.waiting else 0


def _tell(tap: Tap, seq: int, stamp_ns: int, image: Any) -> None:
    """Tell of one frame, an answer, a chunk and two reports of the motor process."""
    frame = Frame(image.copy(), stamp_ns, seq)
    chunk = ActionChunk(np.zeros((5, 3), np.float32), 0.1, stamp_ns, stamp_ns + 500_000_000, 1.0, seq)
    odometry = Odometry(stamp_ns, 0.1, 0.2, 0.3, ZERO)
    for half in (0, 1):
        report = MotorStatus(stamp_ns + half, MotorState.FOLLOWING, ZERO, decision=seq, odometry=odometry)
        tap.on_status(report)
    observation = Observation({"front": frame}, Goal("find_object", "cup"), odometry)
    inference = Inference(frame, "<loc0256><loc0256><loc0512><loc0512>cup", 0.96, {"vision": 3.0})
    box = Detection(Box(0.25, 0.25, 0.5, 0.5), "cup", 0.96)
    tap.on_step(observation, inference, chunk, "")
    tap.on_frame(observation, PolicyStatus("approach", detection=box))
    tap.on_inference(inference)
    tap.on_chunk(chunk)


def main(argv: list[str]) -> int:
    """Measure by turns, print one JSON object, and return the exit code."""
    parser = ArgumentParser("benchmarks.drives.recording", "Measure what recording costs a drive.")
    parser.add_argument("--pairs", type=positive_int, default=5, help="runs of each kind (%(default)s)")
    parser.add_argument("--seconds", type=positive_float, default=10.0, help="length of a run (%(default)g)")
    parser.add_argument("--robot", default="sim", help='such as "sim?width=640&height=480" (%(default)s)')
    parser.add_argument("--cost", type=image_size, metavar="WIDTHxHEIGHT", help="measure without drives")
    options = parser.parse_args(argv)
    if options.cost is not None:
        height, width = options.cost
        print_json({"width": width, "height": height, **cost(width, height, COST_S)})
        return 0
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
