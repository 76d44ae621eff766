"""A run of three seconds as it is left behind, with or without its recording; nothing has driven."""

import json
import logging
from pathlib import Path
from typing import Any

import numpy as np

from edge.interfaces import Inference, PolicyStatus
from edge.records import (
    ActionChunk,
    Box,
    Detection,
    DriveEnd,
    Frame,
    MotorState,
    MotorStatus,
    Odometry,
    Outcome,
    Refusals,
    StopCause,
    Velocity,
)
from edge.runs.log import fields, format_line
from edge.runs.recording.images import as_jpeg
from edge.runs.recording.mcap_file import McapFile
from edge.runs.tap.events import TapEvent
from edge.runs.tap.messages import wall_minus_monotonic_ns
from edge.runs.tap.plain import to_line, to_plain

START_NS = 50_000_000_000
CUP = Detection(Box(0.2, 0.4, 0.6, 0.6), "cup", 0.97)
BAD = "</script><img src=x onerror=alert(1)> & \u2028"  # what a model may say


def summary(**changes: Any) -> dict[str, Any]:
    return {
        "outcome": "fault",
        "reason": "the cup bites",
        "cause": "contact",
        "hint": "wear gloves",
        "exit_code": 4,
        "goal": "find_object",
        "target": "cup",
        "seconds": 3.0,
        "distance_m": 1.5,
        "decisions": 30,
        "detections": 20,
        "contacts": [{"at_s": 2.0, "x_m": 1.0, "y_m": 0.0, "why": "bumper"}],
        "latency_ms": {"total": {"p50": 20.0, "p99": 30.0}},
        "frame_to_motor_ms": {"p50": 30.0, "p99": 40.0},
        "refused_chunks": {"early": 2, "old": 0},
        "bundle": {"name": "tiny", "sha256": "0" * 64},
        **changes,
    }


def log_line(seconds: float, event: str, level: int = logging.INFO, **values: object) -> str:
    record = logging.LogRecord("edge.test", level, "", 0, event, None, None)
    record.__dict__.update(fields(**values))
    line = format_line(record)
    before, _, rest = line.partition("stamp_ns=")
    return f"{before}stamp_ns={START_NS + round(seconds * 1e9)} {rest.partition(' ')[2]}\n"


def run_folder(runs: Path, name: str = "2026-01-01T00-00-00", **changes: Any) -> Path:
    folder = runs / name
    folder.mkdir(parents=True)
    log = [
        log_line(-5, "run starts", goal="find_object"),
        log_line(0, "drive started"),
        log_line(0.1, "policy", state="search"),
        log_line(1, "policy", state="approach"),
        log_line(
            2, "base stopped", logging.WARNING, state="ramping", cause="contact", reason="it touched = x"
        ),
        log_line(3, "drive ended", logging.WARNING, outcome="fault", reason="the cup bites"),
    ]
    (folder / "run.log").write_text("".join(log))
    (folder / "summary.json").write_text(json.dumps(summary(**changes)))
    decisions = [
        {"number": i, "at_s": i / 10, "said": BAD, "confidence": 0.9, "ms": 20.0, "state": "search",
         "read": {"detections": [to_plain(CUP)] if i > 9 else []}, "sent": {"first_row": [0.3, 0.0, 0.1]}}
        for i in range(30)
    ]  # fmt: skip
    (folder / "decisions.jsonl").write_text("".join(json.dumps(each) + "\n" for each in decisions))
    return folder


def record(path: Path, folder: Path, seconds: float = 3.0, jpeg: bool = False) -> Path:
    """Write a recording of the run: 30 frames, 10 answers and 50 reports of the motor process a second."""
    file = McapFile(path)
    header = {
        "format": 1, "goal": {"kind": "find_object", "target": "cup"}, "prompt": "detect cup",
        "camera": "front",
        "bundle": {"name": "tiny", "sha256": "0" * 64}, "run": str(folder), "images": "lossless",
        "wall_minus_monotonic_ns": wall_minus_monotonic_ns(), "commit": "abc", "arguments": ["run"],
    }  # fmt: skip
    machine = {"temperatures_c": {"cpu": 50.0}, "clocks_mhz": {}, "power_w": 9.0, "load": 1.0}
    _write(file, "machine", START_NS - 10**9, {**machine, "memory_available_bytes": 2**30, "throttled": []})
    _write(file, "header", START_NS, header)
    _write(file, "start", START_NS, {"stamp_ns": START_NS})
    rng = np.random.default_rng(0)
    for number in range(round(seconds * 30)):
        stamp_ns = START_NS + number * 10**9 // 30
        pixels = np.full((48, 64, 3), number % 256, np.uint8) + rng.integers(0, 8, (48, 64, 3), np.uint8)
        facts = {"camera": "front", "width": 64, "height": 48, "encoding": "rgb8"}
        image = TapEvent("image", 1, stamp_ns, json.dumps(facts).encode(), pixels.tobytes())
        file.write(as_jpeg(image) if jpeg else image)
        if number % 3 == 0:
            _write_answer(file, number, stamp_ns)
        _write_tick(file, number, stamp_ns)
        _write_status(file, number, stamp_ns + 20_000_000)
    end = DriveEnd(Outcome.FAULT, "the cup bites", 4, StopCause.CONTACT, seconds=seconds)
    _write(file, "end", START_NS + round(seconds * 1e9), to_plain(end))
    file.close()
    return path


def _write_answer(file: McapFile, number: int, stamp_ns: int) -> None:
    frame = Frame(np.zeros((1, 1, 3), np.uint8), stamp_ns - 40_000_000, number)
    answer = Inference(frame, BAD, 0.9, {"vision": 12.0, "decode": 8.0})
    read = {"detections": [CUP] if number > 30 else []}
    _write(
        file, "inference", stamp_ns, {"number": number, "inference": to_plain(answer), "read": to_plain(read)}
    )


def _write_tick(file: McapFile, number: int, stamp_ns: int) -> None:
    frame = {"camera": "front", "seq": number, "stamp_ns": stamp_ns, "image_ns": stamp_ns, "source": ""}
    chunk = ActionChunk(np.array([[0.3, 0.0, 0.1]], np.float32), 0.1, stamp_ns, stamp_ns + 10**9, 0.9, number)
    status = PolicyStatus("approach" if number > 30 else "search", detection=CUP if number > 30 else None)
    _write(file, "tick", stamp_ns + 10_000_000, {
        "camera": "front", "frames": {"front": {**frame, "height": 48, "width": 64}}, "odometry": None,
        "inference": None, "decided": to_plain(chunk), "doubt": "", "policy": to_plain(status),
        "queue_depth": 0,
    })  # fmt: skip


def _write_status(file: McapFile, number: int, stamp_ns: int) -> None:
    odometry = Odometry(stamp_ns, number / 60, 0.0, 0.0, Velocity(0.29))
    status = MotorStatus(
        stamp_ns, MotorState.FOLLOWING, Velocity(0.28, 0.0, 0.1), "jerk" if number == 40 else "",
        decision=number, frame_to_motor_ns=20_000_000, refused=Refusals(early=min(number, 2)),
        odometry=odometry, contacts=int(number > 60),
    )  # fmt: skip
    _write(file, "motor", stamp_ns, to_plain(status))


def _write(file: McapFile, topic: str, stamp_ns: int, value: Any) -> None:
    file.write(TapEvent(topic, 1, stamp_ns, to_line(value)))
