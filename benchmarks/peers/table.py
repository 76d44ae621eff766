"""A comparison for people: one table, the goals, and what was not measured."""

from collections.abc import Mapping
from typing import Any

from rich.console import Console
from rich.table import Table

PART_TITLES = {
    "decision": "a decision with a box",
    "loop": "a tick of the loop, 30 Hz, no model",
    "camera": "a camera's frame into the tensor",
}
MEASURE_TITLES = {"cpu_ms": "processor", "loop_ms": "processor of the loop", "ms": "clock"}


def print_comparison(document: Mapping[str, Any]) -> None:
    """Print it."""
    heads = "processor ms", "times ours (95 %)", "clock ms", "times ours (95 %)", "also"
    machine = document["machine"]
    table = Table("", *heads, title=f"beside others, 1 thread of {machine['cpu']}")
    for part, figures in document["parts"].items():
        table.add_section()
        table.add_row(f"[bold]{PART_TITLES[part]}[/]")
        for name, row in figures["peers"].items():
            cells = [_spread(row.get("cpu_ms")), _ratio(row.get("cpu_ms_times_ours"))]
            cells += [_spread(row.get("ms")), _ratio(row.get("ms_times_ours"))]
            table.add_row(f"  {name}", *cells, _also(row))
    console = Console(highlight=False, width=max(Console().width, 140))
    console.print(table)
    for goal in document["goals"]:
        console.print(_goal(goal))
    for name, why in document["unmeasured"].items():
        console.print(f"not measured: {name}: {why}")
    for part, figures in document["parts"].items():
        versions = ", ".join(f"{name} {version}" for name, version in figures["versions"].items())
        console.print(f"versions, {part}: {versions}")
    console.print(f"load of the machine before and after: {machine['load_before']}, {machine['load_after']}")


def _spread(row: Mapping[str, float] | None) -> str:
    return "-" if row is None else f"{row['p50']:.2f}"


def _ratio(row: Mapping[str, float] | None) -> str:
    return "-" if row is None else f"{row['median']:.2f} ({row['low']:.2f} to {row['high']:.2f})"


def _also(row: Mapping[str, Any]) -> str:
    if "same_text" in row:
        return f"{row['same_text']:.0%} of texts as fp32, IoU > {row['least_iou'] - 0.005:.2f}"
    if "loop_ms" in row:
        return f"loop {row['loop_ms']['p50']:.2f}, {_ratio(row['loop_ms_times_ours'])}"
    return ""


def _goal(goal: Mapping[str, Any]) -> str:
    times = "more than ours" if goal["times"] == 1 else f"{goal['times']:g} times ours or more"
    met = {None: "not measured", True: "met", False: "missed"}[goal["met"]]
    said = f"{goal['part']}, {goal['peer']}: {MEASURE_TITLES[goal['measure']]} {times}"
    return f"goal {met}: {said}; measured {_ratio(goal['measured'])}"
