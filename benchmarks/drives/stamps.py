"""Stamps of one drive, and the stages of its answers that follow from them. All ns of CLOCK_MONOTONIC."""

import os
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from edge.errors import UsageError

# In the order in which a frame goes through them. Waits are times in which nothing is computed for it.
MODEL = ("preprocess", "vision", "prefill", "decode", "head")
STAGES = (
    "camera",
    "capture",
    "submit",
    *MODEL,
    "parse",
    "next_frame",
    "plan",
    "send",
    "tick",
    "guard",
    "write",
)
WAITS = ("camera", "submit", "next_frame", "send", "tick")
SLOW = "VLA_EDGE_BENCH_SLOW"  # "vision=1.2": this stage takes 1.2 times as long, to test the benchmark
CHUNK_FIELDS = 6


@dataclass(frozen=True)
class Slowed:
    """A stage that is made slower, so that a test can see whether it is found."""

    stage: str = ""
    factor: float = 1.0

    @classmethod
    def of_environment(cls) -> "Slowed":
        """Return what VLA_EDGE_BENCH_SLOW says."""
        return cls.parse(os.environ.get(SLOW, ""))

    @classmethod
    def parse(cls, text: str) -> "Slowed":
        """Read "vision=1.2". Raises UsageError for another form, and for a stage that only waits."""
        if not text:
            return cls()
        stage, _, factor = text.partition("=")
        names = [name for name in STAGES if name not in WAITS]
        try:
            slowed = cls(stage, float(factor))
        except ValueError:
            slowed = cls(stage, 0.0)
        if stage not in names or not 1 <= slowed.factor <= 100:
            raise UsageError(
                f"{text[:40]!r} slows no stage", f"such as vision=1.2; the stages are {', '.join(names)}"
            )
        return slowed

    def spin(self, stage: str, begin_cpu_ns: int) -> None:
        """Compute for nothing until a stage has taken its factor more of its thread's time, if it is slowed.

        The thread's own time was `begin_cpu_ns` when the stage began.
        """
        if stage != self.stage:
            return
        now_ns = time.thread_time_ns()
        end_ns = now_ns + round((now_ns - begin_cpu_ns) * (self.factor - 1))
        while time.thread_time_ns() < end_ns:
            pass


@dataclass
class AnswerStamps:
    """What happened to the frame of one answer, in the runtime."""

    exposed: int
    infer_begins: int
    model_begins: int = 0
    model_ends: int = 0
    infer_ends: int = 0
    stages_ms: Mapping[str, float] = field(default_factory=dict[str, float])
    act_begins: int = 0
    act_ends: int = 0
    parse_ns: int = 0  # within the act
    passes: int = 0  # through decode
    cpu_ms: dict[str, float] = field(default_factory=dict[str, float])  # by stage, the thread's own
    chunk: tuple[int, int] | None = None  # t0_ns and decision of what the act returned


class FrameRead(NamedTuple):
    """When a frame was read, and what that took of the thread's own time."""

    begins: int
    ends: int
    cpu_ns: int = 0


@dataclass
class RuntimeStamps:
    """What happened in the runtime process."""

    reads: dict[int, FrameRead] = field(default_factory=dict[int, FrameRead])  # by frame stamp
    answers: dict[int, AnswerStamps] = field(default_factory=dict[int, AnswerStamps])  # by frame stamp
    turn_begins: int = 0  # when the loop looked for the frame that it now handles; 0 while it waits
    turns_ns: list[int] = field(default_factory=list[int])  # from that look to the next one
    first_infer_ms: float | None = None
    start_ns: int = 0  # when the drive started
    end_ns: int = 0
    cpu_begin_s: float = 0.0  # time of this process at the drive's start
    cpu_end_s: float = 0.0


def answer_stages(
    answer: AnswerStamps, read: FrameRead | None, chunk: Sequence[int] | None
) -> dict[str, float] | None:
    """Return the milliseconds of each stage of an answer, and "end_to_end" of its own two stamps.

    None if it never reached the motors: it was dropped, refused, or overtaken by the next one.
    """
    if read is None or chunk is None or not answer.act_ends or not answer.model_ends:
        return None
    _, _, came, step_begins, step_ends, written = chunk
    spans_ns = {
        "camera": read.begins - answer.exposed,
        "capture": read.ends - read.begins,
        "submit": answer.model_begins - read.ends,
        "parse": answer.infer_ends - answer.model_ends + answer.parse_ns,
        "next_frame": answer.act_begins - answer.infer_ends,
        "plan": answer.act_ends - answer.act_begins - answer.parse_ns,
        "send": came - answer.act_ends,
        "tick": step_begins - came,
        "guard": step_ends - step_begins,
        "write": written - step_ends,
    }
    row = {name: span / 1e6 for name, span in spans_ns.items()} | dict(answer.stages_ms)
    ordered = {name: row[name] for name in STAGES if name in row}
    return ordered | {"end_to_end": (written - answer.exposed) / 1e6}


def drive_rows(stamps: RuntimeStamps, motor: Mapping[str, Any]) -> dict[str, Any]:
    """Return the answers of a drive as columns, oldest first, and how many never reached the motors.

    "time_s" is when an answer's setpoint was written, from the drive's start; "cpu" has the stages
    whose thread's own time was measured.
    """
    chunks = {(chunk[0], chunk[1]): chunk for chunk in motor["chunks"] if len(chunk) == CHUNK_FIELDS}
    columns: dict[str, list[float]] = {}
    cpu: dict[str, list[float]] = {}
    times_s: list[float] = []
    unwritten = 0
    for frame_ns, answer in stamps.answers.items():
        read, chunk = stamps.reads.get(frame_ns), None if answer.chunk is None else chunks.get(answer.chunk)
        row = answer_stages(answer, read, chunk)
        if row is None or chunk is None or read is None:
            unwritten += answer.act_ends > 0
            continue
        times_s.append((chunk[5] - stamps.start_ns) / 1e9)
        for name, value in row.items():
            columns.setdefault(name, []).append(value)
        for name, value in {"capture": read.cpu_ns / 1e6, **answer.cpu_ms}.items():
            cpu.setdefault(name, []).append(value)
    end_to_end = columns.pop("end_to_end", [])
    return {
        "time_s": times_s,
        "stages": columns,
        "cpu": cpu,
        "end_to_end": end_to_end,
        "unwritten": unwritten,
    }


def peak_memory_mb() -> float:
    """Return the largest resident size of this process so far, MiB; not that of the one that started it."""
    status = Path("/proc/self/status").read_text()
    return float(status.partition("VmHWM:")[2].split()[0]) / 1024
