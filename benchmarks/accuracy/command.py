"""`vla-edge bench accuracy`: bundles beside each other and fp32: decisions, actions, success, latency."""

import argparse
import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from benchmarks.accuracy.decisions import answer_figures, decide_in_turns, decision_figures, pictures_of
from benchmarks.drives.telemetry import describe_machine
from benchmarks.precision import check_fp32
from benchmarks.success import EpisodeSettings, evaluate, measured_latency_s, targets, wilson95
from edge.board.steady import one_power_mode
from edge.board.tree import Tree
from edge.bundle.bundle import Bundle, load_bundle
from edge.commands.arguments import ArgumentParser, non_negative_int, positive_int
from edge.commands.output import ProgressLine, print_json
from edge.errors import UsageError
from edge.files import whole_file
from edge.goals.goals import parse_goal
from edge.goals.vocabulary import check_target

MAX_S = 60.0  # simulated time of an episode


def main(argv: list[str]) -> int:
    """Run `vla-edge bench accuracy` and return the exit code."""
    a = _arguments(argv)
    bundles = {name: load_bundle(name, allow_unproved=a.allow_unproved) for name in (a.against, *a.bundles)}
    reference = bundles[a.against]
    check_fp32(reference)
    described = describe_machine(Tree())
    print(
        f"{', '.join(bundles)}: {a.pictures} pictures, then {a.rooms} rooms each of some seconds",
        file=sys.stderr,
    )
    with one_power_mode() as machine, ProgressLine() as progress:
        pictures = pictures_of(a.pictures)
        turns = decide_in_turns(
            bundles, pictures, lambda done: progress.show("pictures", done, len(pictures))
        )
        rows: dict[str, dict[str, Any]] = {}
        for name, bundle in bundles.items():
            rows[name] = decision_figures(turns[name], turns[a.against])
            progress.show(f"answers of {name}")
            rows[name]["answers"] = answer_figures(bundle, reference, pictures)
            rows[name] |= _success(name, bundle, a, progress)
            rows[name]["bundle"] = bundle.origin()
    for name in rows:
        rows[name]["on_front"] = name in front(rows)
    document = {
        "reference": a.against,
        "bundles": rows,
        "rooms": a.rooms,
        "seed": a.seed,
        "machine": {**described, **machine, "load_after": round(os.getloadavg()[0], 2)},
    }
    if a.html is not None:
        from benchmarks.accuracy.page import page

        with whole_file(a.html) as draft:
            draft.write_text(page(document), encoding="utf-8")
    print_json(document) if a.json else _print(document)
    return 0


def _arguments(argv: list[str]) -> argparse.Namespace:
    p = ArgumentParser(
        "bench accuracy",
        "Measure bundles beside each other and beside an fp32 one: what they decide about the same pictures, "
        "how far their commands are apart, how often they reach their goal in simulated rooms, how long a "
        "decision takes.",
    )
    p.add_argument("bundles", nargs="+", help="names or folders")
    p.add_argument("--against", default="default", help="the fp32 bundle (%(default)s)")
    p.add_argument("--pictures", type=positive_int, default=80, help="that all see (%(default)s)")
    p.add_argument("--rooms", type=non_negative_int, default=8, help="that each drives in (%(default)s)")
    p.add_argument("--seed", type=non_negative_int, default=9000, help="seed of the first room (%(default)s)")
    p.add_argument(
        "--allow-unproved", action="store_true", help="also a bundle that failed its export's gate"
    )
    p.add_argument("--html", type=Path, metavar="FILE", help="write a page: success by latency")
    p.add_argument("--json", action="store_true", help="print one JSON object")
    a = p.parse_args(argv)
    a.bundles = [name for name in dict.fromkeys(a.bundles) if name != a.against]
    if not a.bundles:
        raise UsageError(
            f"'{a.against}' is compared with itself", "name another bundle, or --against another"
        )
    return a


def _success(name: str, bundle: Bundle, a: argparse.Namespace, progress: ProgressLine) -> dict[str, Any]:
    """Drive in the rooms with the bundle's own latency; without rooms nothing is said of success."""
    if a.rooms == 0:
        return {"success": None}
    goals = [check_target(bundle, parse_goal("find_object", each)) for each in targets(a.rooms, a.seed, None)]
    latency_s = measured_latency_s(bundle)
    trials = evaluate(
        EpisodeSettings(name, latency_s, MAX_S, allow_unproved=a.allow_unproved),
        goals,
        a.seed,
        jobs=min(os.cpu_count() or 1, a.rooms),
        on_progress=lambda over: progress.show(f"rooms of {name}", len(over), a.rooms),
    )
    reached = sum(trial.episode.success for trial in trials)
    return {
        "success": reached / a.rooms,
        "wilson95": [round(value, 4) for value in wilson95(reached, a.rooms)],
        "collisions": sum(trial.episode.bumps > 0 for trial in trials) / a.rooms,
        "latency_ms": round(latency_s * 1e3, 1),
        "failed_seeds": [trial.seed for trial in trials if not trial.episode.success],
    }


def front(rows: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """Return the bundles than which no other is as quick and as good, and one of both better.

    Quickest first. Without rooms it is the quickest alone.
    """
    points = {name: (row["cpu_ms"]["p50"], -(row["success"] or 0.0)) for name, row in rows.items()}
    best = [
        name
        for name, (ms, loss) in points.items()
        if not any(a <= ms and b <= loss and (a, b) != (ms, loss) for a, b in points.values())
    ]
    return sorted(best, key=points.__getitem__)


def _print(document: Mapping[str, Any]) -> None:
    reference = document["reference"]
    heads = "processor ms", f"times {reference}", "decisions differ", "off by m/s", "off by rad/s", "success"
    table = Table("", *heads, title=f"beside {reference}; * no other is quicker and better")
    for name, row in document["bundles"].items():
        times = row["cpu_times_reference"]
        table.add_row(
            f"{name}{' *' if row['on_front'] else ''}",
            f"{row['cpu_ms']['p50']:.2f}",
            f"{times['median']:.2f} ({times['low']:.2f} to {times['high']:.2f})",
            f"{row['differ']:.1%}",
            f"{row['error_m_s']['mean']:.3f}",
            f"{row['error_rad_s']['mean']:.3f}",
            success_text(row),
        )
    Console(highlight=False, width=max(Console().width, 120)).print(table)
    for name, row in document["bundles"].items():
        if name != reference:
            print(f"answers of {name} beside {reference}'s: {answers_text(row['answers'])}")
    machine = document["machine"]
    print(f"{document['rooms']} rooms from seed {document['seed']}; load {machine['load_before']} to "
          f"{machine['load_after']}")  # fmt: skip


def answers_text(answers: Mapping[str, Any] | None) -> str:
    """Return how a bundle's answers differ from the reference's, for people."""
    if answers is None:
        return "of another kind"
    if "texts_differ" in answers:
        lost, gained = answers["boxes_lost"], answers["boxes_gained"]
        return f"{answers['texts_differ']:.1%} of texts; boxes {lost:.1%} lost, {gained:.1%} gained"
    return f"99 % within {answers['p99_share_of_span']:.2%} of the span"


def success_text(row: Mapping[str, Any]) -> str:
    """Return a bundle's success with its interval, for people."""
    if row["success"] is None:
        return "-"
    low, high = row["wilson95"]
    return f"{row['success']:.2f} ({low:.2f} to {high:.2f})"
