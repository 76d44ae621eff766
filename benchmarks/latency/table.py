"""A result as tables for people."""

from collections.abc import Mapping
from typing import Any

from rich.console import Console
from rich.table import Table

from benchmarks.latency.statistics import PERCENTILES
from edge.commands.output import figure

WIDTH = 100
BUSY_LOAD = 1.5  # for each processor


def print_result(document: Mapping[str, Any]) -> None:
    """Print all bundles of a result, and how they differ."""
    console = Console(highlight=False, width=max(WIDTH, Console().width))
    machine = document["machine"]
    mode = f"power mode {machine['power_mode']}, governor {machine['governor']}"
    console.print(f"{machine['board']}, {machine['cpu']}, {mode}; commit {machine['commit']}")
    console.print(f"frames from {document['frames_from']}; bounds by {document['bound_from']}")
    loads = [each["heat"]["load_highest"] for each in document["bundles"].values()]
    if max(filter(None, loads), default=0.0) > BUSY_LOAD * machine["processors"]:
        console.print(
            f"this machine was busy (load {max(filter(None, loads)):.1f}): trust ratios of one command"
        )
    for name, figures in document["bundles"].items():
        console.print(_stages(name, figures))
        for line in lines_of(figures, document["power_from"]):
            console.print(line)
    for name, rows in document["differences"].items():
        by = document["bundles"][name]["compared_by"]
        console.print(_differences(f"{name} against {next(iter(document['bundles']))}, by {by}", rows))
    if "compared_with" in document:
        compared = document["compared_with"]
        for name in dict.fromkeys(row["bundle"] for row in compared["differences"]):
            rows = [row for row in compared["differences"] if row["bundle"] == name]
            console.print(_differences(f"{name} against {compared['file']}", rows))


def lines_of(figures: Mapping[str, Any], power_from: str) -> list[str]:
    """Return what a side shows besides its stages, a line each."""
    whole, late, warm = figures["end_to_end"], figures["deadlines"], figures["warm_up"]
    low, high = whole["p50_interval"]
    rate, memory, heat = figures["throughput"], figures["memory_mb"], figures["heat"]
    lines = [
        f"end to end  p50 {whole['p50']:.1f} ms (interval {low:.1f} to {high:.1f}), jitter "
        f"{whole['jitter_ms']:.1f} ms, {abs(whole['unaccounted_share']):.1%} of it in no stage",
        f"deadlines   {late['missed_ticks']} of {late['ticks']} motor ticks missed; "
        f"{late['late_answers']} of {figures['answers']} answers later than {late['late_ms']:.0f} ms; "
        f"{late['never_reached_the_motors']} never reached the motors",
        f"throughput  {rate['answers_per_s']:.1f} answers a second, {rate['frames_per_s']:.1f} frames",
        f"at first    first frame after {warm['start_s']:.1f} s, loaded in {warm['load_ms']:.0f} ms, "
        f"first inference {warm['first_inference_ms']:.1f} ms; the first {warm['answers']} answers "
        f"p50 {warm['end_to_end_p50']:.1f} ms, not counted above",
        f"memory      {memory['runtime']:.0f} MB runtime, {memory['motor']:.0f} MB motor process, at most",
    ]
    lines.append(f"energy      {_energy(figures, power_from)}")
    throttled = ", ".join(heat["throttled"]) or "nothing"
    lines.append(
        f"heat        {figure(heat['hottest_c'], 0)} °C at most, throttled: {throttled}, events "
        f"{heat['throttle_events']}; CPU {figure(heat['cpu_mhz_lowest'], 0)} MHz at least, GPU "
        f"{figure(heat['gpu_mhz_lowest'], 0)}; load {figure(heat['load_highest'], 1)} at most"
    )
    if not any("bound_ms" in row for row in figures["stages"].values()):
        lines.append(
            "bound       none: how fast this machine computes in the bundle's precision is not known"
        )
    if stopped := figures["stopped"]:
        lines.append(f"stopped     {len(stopped)} drives more by a safety rule: {stopped[-1]}")
    if figures["over_time"] is not None:
        over = figures["over_time"]
        lines.append(
            f"sustained   p50 {over['sustained']['p50']:.1f} ms at the end, "
            f"{over['start']['p50']:.1f} at the start: {over['sustained_ratio']:.2f} times; "
            f"p99 {over['sustained']['p99']:.1f}, {over['start']['p99']:.1f}"
        )
    return lines


def _energy(figures: Mapping[str, Any], power_from: str) -> str:
    if figures["power_w"] is None:
        return power_from
    return f"{figures['energy_j_per_action']:.3f} J an action, {figures['power_w']:.2f} W ({power_from})"


def _stages(name: str, figures: Mapping[str, Any]) -> Table:
    title = f"{name}: ms of {figures['answers']} answers in {figures['blocks']} drives"
    table = Table(title=title, pad_edge=False)
    for column in ("stage", *PERCENTILES, "bound", "x bound"):
        table.add_column(column, justify="left" if column == "stage" else "right", no_wrap=True)
    for stage, row in figures["stages"].items():
        bound = (figure(row.get("bound_ms")), figure(row.get("times_bound"), 1))
        label = f"{stage} (wait)" if row.get("waits") else stage
        table.add_row(label, *(f"{row[each]:.3f}" for each in PERCENTILES), *bound)
    table.add_section()
    whole = figures["end_to_end"]
    table.add_row("exposure to write", *(f"{whole[each]:.3f}" for each in PERCENTILES), "", "")
    return table


def _differences(title: str, rows: list[dict[str, Any]]) -> Table:
    table = Table(title=title, pad_edge=False)
    for column in ("stage", "ratio", "interval", "spread of one side", ""):
        table.add_column(column, no_wrap=True)
    for row in rows:
        verdict = ("slower" if row["ratio"] > 1 else "faster") if row["real"] else "no difference"
        limits = f"{row['low']:.3f} to {row['high']:.3f}"
        table.add_row(row["stage"], f"{row['ratio']:.3f}", limits, f"{row['spread']:.3f}", verdict)
    return table
