"""`vla-edge bench loop`: what the runtime itself costs, without a model.

The drive is a real one, but for its policy: it answers at once that the base shall go straight on.
"""

import contextlib
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table

from benchmarks.drives.blocks import Block, DriveSettings, Side, drive
from benchmarks.drives.pictures import noisy_pictures
from benchmarks.drives.telemetry import describe_machine
from edge.board.steady import one_power_mode
from edge.board.tree import Tree
from edge.child import child_environment
from edge.commands.arguments import ArgumentParser, positive_float
from edge.commands.output import ProgressLine, duration, print_json

GOALS = {"runtime_cpu_ms": 1.0, "motor_cpu_ms": 1.0, "start_s": 2.0, "import_cli_ms": 50.0}
TICK_MS = 20.0
IMPORTS = 7
_IMPORT = "import time; b = time.perf_counter(); import edge.cli; print((time.perf_counter() - b) * 1e3)"
_BUSY = "while True: pass"
_START_S = 4.0


def loop_figures(block: Block) -> dict[str, Any]:
    """Return what a drive without a model took."""
    during = [each for each in block["writes_ns"] if block["start_ns"] <= each <= block["end_ns"]]
    return {
        "runtime_cpu_ms": round(block["runtime_cpu_s"] * 1e3 / max(1, block["frames"]), 4),  # for each frame
        "motor_cpu_ms": round(block["motor_cpu_s"] * 1e3 / max(1, len(block["writes_ns"]) - 1), 4),  # a tick
        "start_s": round(block["start_s"], 3),  # from the start of the process to the first frame
        "tick_jitter_ms": tick_jitter(during),
        "missed_ticks": block["missed_ticks"],
        "ticks": block["ticks"],
        "runtime_memory_mb": round(block["runtime_memory_mb"], 1),
        "motor_memory_mb": round(block["motor_memory_mb"], 1),
    }


def tick_jitter(writes_ns: Sequence[int]) -> dict[str, float]:
    """Return by how much the time between two setpoints differs from a tick, ms."""
    off_ms = np.abs(np.diff(np.asarray(writes_ns, np.float64)) / 1e6 - TICK_MS)
    p50, p99, highest = np.percentile(off_ms, [50, 99, 100])
    return {"p50": round(float(p50), 4), "p99": round(float(p99), 4), "max": round(float(highest), 4)}


def import_ms() -> float:
    """Return how long `import edge.cli` takes in a fresh interpreter, the median of IMPORTS."""
    command = [sys.executable, "-c", _IMPORT]
    runs = [
        subprocess.run(command, capture_output=True, check=True, env=child_environment())
        for _ in range(IMPORTS)
    ]
    return round(median(float(run.stdout) for run in runs), 2)


@contextlib.contextmanager
def busy(processes: int) -> Iterator[None]:
    """Keep so many processes busy meanwhile."""
    children = [subprocess.Popen([sys.executable, "-c", _BUSY]) for _ in range(processes)]
    try:
        yield
    finally:
        for child in children:
            child.kill()
            child.wait()


def main(argv: list[str]) -> int:
    """Run `vla-edge bench loop` and return the exit code."""
    p = ArgumentParser(
        "bench loop",
        "Measure what the runtime itself costs, by a drive without a model: processor time, jitter of the "
        "motor ticks alone and beside busy processes, start, import, memory.",
    )
    p.add_argument("--seconds", type=positive_float, default=10.0, help="length of a drive (%(default)g)")
    p.add_argument("--json", action="store_true", help="print one JSON object")
    a = p.parse_args(argv)
    print(f"two drives, about {duration(2 * (a.seconds + _START_S))}", file=sys.stderr)
    processors = len(os.sched_getaffinity(0))
    side = Side("loop", "default")
    described = describe_machine(Tree())
    with tempfile.TemporaryDirectory() as folder, one_power_mode() as machine, ProgressLine() as progress:
        progress.show("pictures")
        pictures = Path(folder) / "pictures.npy"
        np.save(pictures, noisy_pictures())
        settings = DriveSettings(a.seconds, pictures, module="benchmarks.drives.no_model")
        progress.show("a drive alone")
        alone = loop_figures(drive(side, settings))
        progress.show(f"a drive beside {processors} busy processes")
        with busy(processors):
            loaded = loop_figures(drive(side, settings))
        progress.show("imports")
        figures = {**alone, "import_cli_ms": import_ms()}
    met = {name: figures[name] <= limit for name, limit in GOALS.items()}
    document = {
        **figures,
        "beside_busy_processes": {"processes": processors, **loaded},
        "goals": GOALS,
        "met": met,
        "machine": {**described, **machine},
    }
    print_json(document) if a.json else _print(document)
    return 0


def _print(document: dict[str, Any]) -> None:
    table = Table("", "alone", "beside busy processes", "goal", title="the runtime without a model")
    loaded = document["beside_busy_processes"]
    rows = {
        "runtime, processor ms a frame": "runtime_cpu_ms",
        "motor process, processor ms a tick": "motor_cpu_ms",
        "start to first frame, s": "start_s",
        "import edge.cli, ms": "import_cli_ms",
        "runtime, MB": "runtime_memory_mb",
        "motor process, MB": "motor_memory_mb",
    }
    for label, name in rows.items():
        goal = f"{GOALS[name]:g}, {'met' if document['met'][name] else 'missed'}" if name in GOALS else ""
        table.add_row(label, f"{document[name]:.3g}", f"{loaded[name]:.3g}" if name in loaded else "", goal)
    for share in ("p50", "p99", "max"):
        values = (each["tick_jitter_ms"][share] for each in (document, loaded))
        table.add_row(f"tick off by, ms {share}", *(f"{value:.3f}" for value in values), "")
    ticks = (f"{each['missed_ticks']} of {each['ticks']}" for each in (document, loaded))
    table.add_row("ticks missed", *ticks, "")
    Console(highlight=False).print(table)
    print(f"load of the machine before: {document['machine']['load_before']}")
