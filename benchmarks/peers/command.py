"""`vla-edge bench compare`: this runtime beside others, in one run.

The same weights, image and prompt through transformers, ONNX Runtime, OpenVINO and this runtime; the same
control loop through LeRobot's; the same camera through OpenCV's and LeRobot's. Each peer runs in an
environment of its own, which is installed once. All take turns, with one thread.
"""

import argparse
import os
import tempfile
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from benchmarks.cameras.serving import CODECS
from benchmarks.drives.telemetry import describe_machine
from benchmarks.peers.loops import LEROBOT_LOOPS
from benchmarks.peers.models import GPU_PEERS, PEERS
from benchmarks.peers.parts import PARTS, READERS, PartSettings
from benchmarks.peers.table import print_comparison
from benchmarks.peers.venv import CACHE, LEROBOT, MODELS
from benchmarks.peers.verdict import judged
from edge.board.steady import one_power_mode
from edge.board.tree import Tree
from edge.bundle.bundle import load_bundle
from edge.commands.arguments import ArgumentParser, non_negative_int, positive_float, positive_int
from edge.commands.output import ProgressLine, print_json
from edge.errors import UsageError


def main(argv: list[str]) -> int:
    """Run `vla-edge bench compare` and return the exit code."""
    a = _parser().parse_args(argv)
    cores = os.sched_getaffinity(0)
    cpu = max(cores) if a.cpu is None else a.cpu
    if cpu not in cores:
        raise UsageError(f"there is no core {cpu} to run on", f"--cpu {max(cores)}")
    load_bundle(a.bundle)
    chosen = [name for name in PARTS if name in (a.only or PARTS)]
    document: dict[str, Any] = {"parts": {}, "unmeasured": {}}
    described = describe_machine(Tree())
    with ExitStack() as stack:
        place = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="vla-edge-compare-")))
        machine = stack.enter_context(one_power_mode())
        progress = stack.enter_context(ProgressLine())
        settings = PartSettings(
            a.bundle, a.rounds, a.turns, a.seconds, a.codec, cpu, a.cache, set(a.without), place, progress
        )
        for name in chosen:
            document["parts"][name] = PARTS[name](settings, document["unmeasured"])
    document |= {
        "goals": judged(document["parts"]),
        "threads": 1,
        "machine": {**described, **machine, "load_after": round(os.getloadavg()[0], 2)},
    }
    print_json(document) if a.json else print_comparison(document)
    return 0


def _parser() -> argparse.ArgumentParser:
    p = ArgumentParser(
        "bench compare",
        "Measure a decision, a tick of the loop and a camera's frame of this runtime and others, in turns. "
        f"Installs the others: {MODELS.size}, and LeRobot: {LEROBOT.size}.",
    )
    p.add_argument("--only", action="append", choices=list(PARTS), help="this part alone; may be repeated")
    p.add_argument("--bundle", default="default-int8", help="this runtime's int8 bundle (%(default)s)")
    p.add_argument("--rounds", type=positive_int, default=100, help="decisions of each peer (%(default)s)")
    p.add_argument("--turns", type=positive_int, default=6, help="of each loop and camera (%(default)s)")
    p.add_argument("--seconds", type=positive_float, default=4.0, help="length of such a turn (%(default)g)")
    p.add_argument("--codec", choices=CODECS, default=CODECS[0], help="of the camera (%(default)s)")
    p.add_argument("--cpu", type=non_negative_int, help="the core of the decisions (default: the last)")
    p.add_argument("--cache", type=Path, default=CACHE, help="folder of the peers' packages (%(default)s)")
    p.add_argument(
        "--without",
        action="append",
        default=[],
        choices=(*PEERS, *GPU_PEERS, *LEROBOT_LOOPS, *READERS),
        metavar="PEER",
        help="leave a peer out; may be repeated",
    )
    p.add_argument("--json", action="store_true", help="print one JSON object")
    return p
