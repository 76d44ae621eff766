"""`python -m benchmarks.peers`: one decision with a box by this runtime and by others, in one run.

Everything has one thread on the same core, takes turns on the same pictures, and generates as many tokens
under the same rules. The others are transformers in eager torch, ONNX Runtime without this runtime's engine,
and OpenVINO, in fp32 and quantized by its own NNCF.
"""

import argparse
import json
import os
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from benchmarks.peers.models import PEERS
from benchmarks.peers.turns import WARM_UP, PeerProcess, figures, take_turns, write_job
from benchmarks.peers.venv import CACHE, SIZE, make_venv
from edge.board.steady import one_power_mode
from edge.bundle.bundle import find_bundle, load_bundle
from edge.bundle.choice import choose_here
from edge.commands.arguments import ArgumentParser, non_negative_int, positive_int
from edge.errors import EdgeError, UsageError

FIRST = PEERS[0]


def main(argv: list[str]) -> int:
    """Run it; returns the exit code."""
    a = _parser().parse_args(argv)
    cpu = max(os.sched_getaffinity(0)) if a.cpu is None else a.cpu
    if cpu not in os.sched_getaffinity(0):
        raise UsageError(f"there is no core {cpu} to run on", f"--cpu {max(os.sched_getaffinity(0))}")
    names = [name for name in PEERS if name not in a.without]
    if FIRST in a.without or "vla-edge fp32" in a.without:
        raise UsageError(f"all is compared with '{FIRST}' and 'vla-edge fp32'", "leave out others")
    bundle = load_bundle(a.bundle)
    console = Console(stderr=True)
    python = make_venv(a.cache, console.print)
    load_before = os.getloadavg()[0]
    with tempfile.TemporaryDirectory(prefix="vla-edge-peers-") as place:
        job = write_job(Path(place))
        workers: list[PeerProcess] = []
        try:
            for name in names:
                console.print(f"opening {name} ...")
                workers.append(PeerProcess(python, name, job, find_bundle(a.bundle), cpu, a.cache))
            with one_power_mode() as machine:
                found = take_turns(workers, job.pictures, a.rounds, _progress(console, a.rounds))
        finally:
            for worker in workers:
                worker.close()
    report = {
        "peers": figures(found, FIRST),
        "processor": _processor(),
        "machine": machine,
        "int8_by": choose_here().reason,
        "core": cpu,
        "threads": 1,
        "load": [round(load_before, 2), round(os.getloadavg()[0], 2)],
        "versions": workers[0].versions,
        "bundle": bundle.origin(),
        "pictures": job.pictures,
        "rounds": a.rounds,
    }
    print(json.dumps(report)) if a.json else _print(report)
    return 0


def _parser() -> argparse.ArgumentParser:
    p = ArgumentParser("benchmarks.peers", f"a decision by this runtime and by others; installs {SIZE}")
    p.prog = "python -m benchmarks.peers"
    p.add_argument("--bundle", default="default-int8", help="this runtime's int8 bundle (%(default)s)")
    p.add_argument("--rounds", type=positive_int, default=100, help="decisions of each peer (%(default)s)")
    p.add_argument("--cpu", type=non_negative_int, help="the core for all of them (default: the last)")
    p.add_argument("--cache", type=Path, default=CACHE, help="folder of their packages (%(default)s)")
    p.add_argument("--without", action="append", default=[], choices=PEERS, help="leave a peer out")
    p.add_argument("--json", action="store_true", help="print figures as JSON")
    return p


def _progress(console: Console, rounds: int) -> Callable[[int], None]:
    def report(done: int) -> None:
        if done % 10 == 0:
            console.print(f"{done} of {rounds + WARM_UP} turns")

    return report


def _processor() -> str:
    lines = Path("/proc/cpuinfo").read_text().splitlines() if Path("/proc/cpuinfo").is_file() else []
    return next(
        (line.partition(":")[2].strip() for line in lines if line.startswith("model name")), "unknown"
    )


def _print(report: dict[str, Any]) -> None:
    title = f"a decision with a box, {report['rounds']} turns, 1 thread of {report['processor']}"
    heads = "ms p50 (p10 to p90)", "times faster", "processor ms", "times faster"
    table = Table("", *heads, "text as fp32", title=title)
    for name, row in report["peers"].items():
        keys = "ms", "times_faster", "cpu_ms", "times_faster_cpu"
        cells = [f"{row[k]['p50']:.1f} ({row[k]['p10']:.1f} to {row[k]['p90']:.1f})" for k in keys]
        same = f"{row['same_text']:.0%}, IoU {row['least_iou']:.2f} or more"
        table.add_row(name, *cells, same)
    Console(width=max(Console().width, 130)).print(table)
    print("versions:", ", ".join(f"{name} {version}" for name, version in report["versions"].items()))
    print(f"load of the machine before and after: {report['load'][0]}, {report['load'][1]}")


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    except EdgeError as error:
        print(f"error: {error}", file=sys.stderr)
        if error.hint:
            print(f"hint: {error.hint}", file=sys.stderr)
        sys.exit(error.exit_code)
