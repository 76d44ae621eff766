"""The command line of `vla-edge bench latency`."""

import argparse
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.drives.blocks import DriveSettings, Side, measure, sides_of
from benchmarks.drives.pictures import noisy_pictures
from benchmarks.drives.stamps import Slowed
from benchmarks.drives.telemetry import Telemetry, describe_machine
from benchmarks.latency.compare import FORM, compare_results, compare_sides, read_result, regressions
from benchmarks.latency.result import Figures, bounds_of, figures_of
from edge.board.steady import one_power_mode
from edge.board.tree import Tree
from edge.bundle.choice import AUTO
from edge.commands.arguments import ArgumentParser, add_engine, parallel_int, positive_float, positive_int
from edge.commands.output import ProgressLine, duration, print_json
from edge.errors import UsageError
from edge.files import whole_file
from export.planner.boards import find_board

REGRESSED = 3
BLOCKS, SECONDS = 8, 6.0
START_S = 4.0  # what a drive takes beside its seconds
_DEFAULT_BOARD_BYTES = 2**25  # read to measure this machine's bandwidth


def main(argv: list[str]) -> int:
    """Run `vla-edge bench latency`; return 0, or REGRESSED if --compare or the last bundle shows it."""
    a = _arguments(argv)
    old = read_result(a.compare) if a.compare is not None else None
    Slowed.parse(a.slow)
    sides = sides_of(a.bundles, a.slow)
    blocks = 1 if a.minutes else a.blocks
    seconds = a.minutes * 60 if a.minutes else a.seconds
    total_s = len(sides) * blocks * (seconds + START_S)
    names = ", ".join(side.label for side in sides)
    print(f"{names}: from exposure to motor write, about {duration(total_s)}", file=sys.stderr)
    with tempfile.TemporaryDirectory() as folder:
        settings = _settings(a, seconds, Path(folder))
        document = _measured(a, sides, blocks, settings)
    rows = compare_results(document, old, a.across) if old is not None else []
    if old is not None:
        document["compared_with"] = {"file": str(a.compare), "machine": old["machine"], "differences": rows}
    return _report(a, document, rows)


def _arguments(argv: list[str]) -> argparse.Namespace:
    p = ArgumentParser(
        "bench latency",
        "Measure real drives from the exposure of a frame to the write at the motors, stage by stage. "
        "Pictures are shown at 30 Hz and nothing moves, unless a camera or a robot is named. Several bundles "
        "take turns in blocks and are compared with the first.",
    )
    p.add_argument("bundles", nargs="*", default=["default"], help="names or folders (default)")
    p.add_argument("--blocks", type=positive_int, default=BLOCKS, help="drives of each bundle (%(default)s)")
    p.add_argument("--seconds", type=positive_float, default=SECONDS, help="length of a drive (%(default)g)")
    p.add_argument("--minutes", type=positive_float, help="one long drive each: what the machine sustains")
    p.add_argument("--camera", help="a camera's address, with motors that move nothing")
    p.add_argument("--robot", help="a robot that really drives, such as sim")
    p.add_argument("--rate-hz", type=positive_float, default=30.0, help="pictures a second (%(default)g)")
    p.add_argument("--threads", type=parallel_int, default=1, help="threads of the engine (%(default)s)")
    add_engine(p)
    p.add_argument("--bandwidth-gb-s", type=positive_float, help="measured bandwidth for the bounds")
    p.add_argument("--compare", type=Path, metavar="OLD", help="an older --json; exit 3 if a stage is slower")
    p.add_argument(
        "--across", action="store_true", help="compare other machines and power modes all the same"
    )
    p.add_argument("--html", type=Path, metavar="FILE", help="write a page with plots")
    p.add_argument("--slow", default="", help=argparse.SUPPRESS)  # the last bundle: vision=1.2
    p.add_argument("--json", action="store_true", help="print one JSON object")
    a = p.parse_args(argv)
    if a.camera and a.robot:
        raise UsageError("--camera and --robot don't go together", "leave one of them out")
    if AUTO in a.bundles and len(a.bundles) > 1:
        raise UsageError(f"{AUTO} is one of the other bundles", "name the bundles that are to be compared")
    return a


def _settings(a: argparse.Namespace, seconds: float, folder: Path) -> DriveSettings:
    settings = DriveSettings(seconds, rate_hz=a.rate_hz, threads=a.threads, engine=a.engine)
    if a.camera:
        return replace(settings, hardware=("--camera", a.camera, "--motors", "null://"))
    if a.robot:
        return replace(settings, hardware=("--robot", a.robot))
    pictures = folder / "pictures.npy"
    np.save(pictures, noisy_pictures())
    return replace(settings, pictures=pictures)


def _measured(
    a: argparse.Namespace, sides: Sequence[Side], blocks: int, settings: DriveSettings
) -> dict[str, Any]:
    """Measure, and return the document of --json."""
    board = find_board("this", _DEFAULT_BOARD_BYTES)
    if a.bandwidth_gb_s:
        board = replace(board, bandwidth_bytes_s=a.bandwidth_gb_s * 1e9)
    described = describe_machine(Tree())
    with one_power_mode() as machine, Telemetry() as telemetry, ProgressLine() as progress:
        total = blocks * len(sides)
        found, stops = measure(sides, blocks, settings, lambda done: progress.show("drives", done, total))
    figures: dict[str, Figures] = {}
    for side in sides:
        parts = found[side.label]
        samples = [telemetry.during(block["start_ns"], block["end_ns"]) for block in parts]
        bounds = bounds_of(side.bundle, board, parts[0]["passes"])
        figures[side.label] = figures_of(parts, samples, bounds) | {"stopped": stops[side.label]}
    first = figures[sides[0].label]
    compared = {side.label: compare_sides(first, figures[side.label]) for side in sides[1:] if blocks > 1}
    shown = ("stages", "end_to_end", "energy_j_per_action", "power_w", "throughput", "deadlines")
    return {
        "form": FORM,
        **{name: first[name] for name in shown},
        "bundles": figures,
        "differences": compared,
        "frames_from": a.camera or a.robot or f"pictures at {a.rate_hz:g} Hz",
        "power_from": telemetry.meter.source or telemetry.meter.lacks,
        "bound_from": f"{board.bandwidth_bytes_s / 1e9:.4g} GB/s: {board.source}",
        "machine": {**described, **machine},
    }


def _report(a: argparse.Namespace, document: dict[str, Any], rows: Sequence[Mapping[str, Any]]) -> int:
    """Print and write the result; return the exit code."""
    if a.html is not None:
        from benchmarks.latency.page import page

        with whole_file(a.html) as draft:
            draft.write_text(page(document), encoding="utf-8")
    if a.json:
        print_json(document)
    else:
        from benchmarks.latency.table import print_result

        print_result(document)
    slower = regressions(rows)
    for row in slower:
        print(
            f"slower: {row['bundle']}: {row['stage']} takes {row['ratio']:.2f} times as long as before "
            f"(interval {row['low']:.2f} to {row['high']:.2f}; one side from itself {row['spread']:.2f})",
            file=sys.stderr,
        )
    return REGRESSED if slower else 0
