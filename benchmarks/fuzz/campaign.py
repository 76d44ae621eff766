"""One target's inputs in a process of its own, whose memory is bounded and whose time is watched."""

import mmap
import multiprocessing
import os
import resource
import signal
import struct
import tempfile
import time
import traceback
from collections import Counter
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from pathlib import Path
from random import Random
from types import FrameType
from typing import Any

from benchmarks.fuzz.target import ACCEPTED, Check, FuzzTarget, MotionFromGarbage, outcome
from benchmarks.fuzz.targets import TARGETS

MEMORY_BYTES = 1 << 30  # that the process may take above what the reader has once it is set up
HANG_S = 60.0  # an input without an end: the process is killed
REPORT_S = 0.5
MOST_KEPT = 5  # files of one kind of flaw
_PROGRESS = struct.Struct("<q")


class TooSlow(BaseException):
    """An input takes longer than its target allows. It passes the handlers of the code under test."""


@dataclass
class FuzzFigures:
    """What became of a target's inputs."""

    target: str
    kinds: Counter[str] = field(default_factory=Counter[str])  # accepted or refused, by name
    crashes: Counter[str] = field(default_factory=Counter[str])  # exceptions that are not EdgeError, by name
    motion: int = 0  # motion from garbage
    seconds: float = 0.0
    kept: list[Path] = field(default_factory=list[Path])

    @property
    def inputs(self) -> int:
        """All inputs that were tried."""
        return self.kinds.total() + self.crashes.total() + self.motion

    @property
    def accepted(self) -> int:
        """Inputs that the code took as good."""
        return sum(count for kind, count in self.kinds.items() if kind.startswith(ACCEPTED))

    def row(self) -> dict[str, Any]:
        """Return the figures for JSON."""
        return {
            "target": self.target,
            "inputs": self.inputs,
            "accepted": self.accepted,
            "kinds": dict(self.kinds.most_common()),
            "not_edge_error": dict(self.crashes.most_common()),
            "motion_from_garbage": self.motion,
            "inputs_per_s": round(self.inputs / self.seconds, 1) if self.seconds else 0.0,
            "kept": [str(path) for path in self.kept],
        }


def input_of(name: str, seed: int, index: int) -> bytes:
    """Return the input with this number."""
    return TARGETS[name].make(Random(f"{seed}/{name}/{index}"))


def run_target(name: str, inputs: int, seed: int, keep: Path) -> FuzzFigures:
    """Run a target's inputs, and start its process again behind each input that ended it."""
    figures, first = FuzzFigures(name), 0
    progress = mmap.mmap(-1, _PROGRESS.size)
    context = multiprocessing.get_context("fork")
    while first < inputs:
        _PROGRESS.pack_into(progress, 0, first)
        ours, theirs = context.Pipe(duplex=False)
        child = context.Process(target=_work, args=(name, (first, inputs, seed), progress, theirs))
        child.start()
        theirs.close()
        _listen(figures, ours, child, progress, (seed, keep))
        child.join()
        first = _PROGRESS.unpack_from(progress)[0]
        if first < inputs:
            _note(figures, (seed, keep), first, f"the process ended with {child.exitcode}", "")
            first += 1
    return figures


def _listen(
    figures: FuzzFigures, ours: Connection, child: Any, progress: mmap.mmap, where: tuple[int, Path]
) -> None:
    at, since = -1, time.monotonic()
    while True:
        if ours.poll(REPORT_S):
            try:
                report = ours.recv()
            except EOFError:
                return
            if isinstance(report, tuple):
                _note(figures, where, *report)
            else:
                figures.kinds += report.kinds
                figures.seconds += report.seconds
        now = _PROGRESS.unpack_from(progress)[0]
        if now != at:
            at, since = now, time.monotonic()
        elif time.monotonic() - since > HANG_S:
            child.kill()


def _note(figures: FuzzFigures, where: tuple[int, Path], index: int, kind: str, text: str) -> None:
    """Count a flaw, and keep its input."""
    seed, keep = where
    motion = kind.startswith(MotionFromGarbage.__name__)
    figures.motion += motion
    figures.crashes[kind] += not motion
    if motion or figures.crashes[kind] <= MOST_KEPT:
        keep.mkdir(parents=True, exist_ok=True)
        file = keep / f"{figures.target}-{seed}-{index}.bin"
        file.write_bytes(input_of(figures.target, seed, index))
        file.with_suffix(".txt").write_text(f"{kind}\n{text}\n", encoding="utf-8", errors="replace")
        figures.kept.append(file)


def _work(name: str, span: tuple[int, int, int], progress: mmap.mmap, report: Connection) -> None:
    """Try the inputs from `first` to `end` in this process."""
    first, end, seed = span
    target = TARGETS[name]
    with tempfile.TemporaryDirectory(prefix="vla-edge-fuzz-") as folder:
        os.chdir(folder)
        check = target.open(Path(folder))
        bound_memory()
        signal.signal(signal.SIGPROF, _too_slow)
        done, started = FuzzFigures(name), time.perf_counter()
        for index in range(first, end):
            _PROGRESS.pack_into(progress, 0, index)
            flaw = _try(target, check, input_of(name, seed, index), done)
            if flaw:
                report.send((index, *flaw))
            if time.perf_counter() - started > REPORT_S:
                done.seconds = time.perf_counter() - started
                report.send(done)
                done, started = FuzzFigures(name), time.perf_counter()
        _PROGRESS.pack_into(progress, 0, end)
        done.seconds = time.perf_counter() - started
        report.send(done)


def bound_memory() -> None:
    """Let this process take MEMORY_BYTES more than it has; what needs more raises MemoryError."""
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[0])
    limit = pages * resource.getpagesize() + MEMORY_BYTES
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))


def _try(target: FuzzTarget, check: Check, data: bytes, done: FuzzFigures) -> tuple[str, str] | None:
    """Try one input. Returns the kind of flaw and its traceback; None if there is none."""
    signal.setitimer(signal.ITIMER_PROF, target.limit_s)
    try:
        kind = outcome(check, data)
    except (Exception, TooSlow) as error:  # noqa: BLE001 - whatever it is, it is what is looked for
        signal.setitimer(signal.ITIMER_PROF, 0)
        frame = traceback.extract_tb(error.__traceback__)[-1]
        where = f"{Path(frame.filename).name}:{frame.lineno}"
        return f"{type(error).__name__} in {where}", "".join(traceback.format_exception(error))[-8000:]
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
    done.kinds[kind] += 1
    return None


def _too_slow(_number: int, _frame: FrameType | None) -> None:
    raise TooSlow
