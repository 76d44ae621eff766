"""A result as one HTML file with plots: nothing in it is loaded from elsewhere."""

from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path
from string import Template
from typing import Any

from benchmarks.latency.plots import BLUE, GREY, ORANGE, RED, bars, lines
from benchmarks.latency.statistics import PERCENTILES
from benchmarks.latency.table import lines_of
from edge.commands.output import figure

TEMPLATE = Path(__file__).with_name("page.html")
_SERIES = {"celsius": "temperature, °C", "cpu_mhz": "CPU clock, MHz", "gpu_mhz": "GPU clock, MHz",
           "watts": "power, W", "load": "load of the machine"}  # fmt: skip


def page(document: Mapping[str, Any]) -> str:
    """Return the page of a result."""
    bundles = document["bundles"]
    parts = [_stacks(bundles)]
    for name, figures in bundles.items():
        parts += [_heading(name), _stage_table(figures), _facts(figures, document["power_from"])]
        parts += _over_time(figures["over_time"]) if figures["over_time"] else [_blocks(figures)]
    for name, rows in document["differences"].items():
        parts += [_heading(f"{name} against {next(iter(bundles))}"), _differences(rows)]
    if "compared_with" in document:
        compared = document["compared_with"]
        parts += [_heading(f"Against {compared['file']}"), _differences(compared["differences"])]
    machine = document["machine"]
    parts += [_heading("Machine"), _machine(machine), f"<p>Bounds by {escape(document['bound_from'])}.</p>"]
    subtitle = f"{machine['board']}, {machine['cpu']}, power mode {machine['power_mode']}, governor "
    subtitle += f"{machine['governor']}; frames from {document['frames_from']}; commit {machine['commit']}"
    title = f"From exposure to motor write: {', '.join(bundles)}"
    template = Template(TEMPLATE.read_text(encoding="utf-8"))
    return template.substitute(title=escape(title), subtitle=escape(subtitle), body="\n".join(parts))


def _heading(text: str) -> str:
    return f"<h2>{escape(text)}</h2>"


def _stacks(bundles: Mapping[str, Any]) -> str:
    rows = {
        name: [(stage, row["mean"], bool(row.get("waits"))) for stage, row in figures["stages"].items()]
        for name, figures in bundles.items()
    }
    return (
        _heading("Where the time goes")
        + "<p>Mean milliseconds of each stage, one after another. Pale: the frame waits.</p>"
        + bars(rows)
    )


def _stage_table(figures: Mapping[str, Any]) -> str:
    heads = "".join(f"<th>{escape(name)}</th>" for name in ("stage, ms", *PERCENTILES, "bound", "× bound"))
    rows: list[str] = []
    for stage, row in figures["stages"].items():
        cells = [f"{row[each]:.3f}" for each in PERCENTILES]
        cells += [figure(row.get("bound_ms")), figure(row.get("times_bound"), 1)]
        rows.append(_row([f"{stage} (wait)" if row.get("waits") else stage, *cells]))
    whole = [f"{figures['end_to_end'][each]:.3f}" for each in PERCENTILES]
    rows.append(_row(["exposure to write", *whole, "", ""], "total"))
    return f"<table><tr>{heads}</tr>{''.join(rows)}</table>"


def _row(cells: Sequence[str], kind: str = "") -> str:
    return f'<tr class="{kind}">' + "".join(f"<td>{escape(cell)}</td>" for cell in cells) + "</tr>"


def _facts(figures: Mapping[str, Any], power_from: str) -> str:
    told = (line.partition("  ") for line in lines_of(figures, power_from))
    items = (f"<dt>{escape(name)}</dt><dd>{escape(value.strip())}</dd>" for name, _, value in told)
    return f"<dl>{''.join(items)}</dl>"


def _blocks(figures: Mapping[str, Any]) -> str:
    drives = figures["by_block"]["end_to_end"]
    points = [(float(number), each[len(each) // 2]) for number, each in enumerate(drives, 1)]
    return lines("end to end, median of each drive, ms", {"": (BLUE, points)}, "drive {:g}")


def _over_time(over: Mapping[str, Any]) -> list[str]:
    windows = over["windows"]
    latency = {
        "p99": (ORANGE, [(each["t_s"], each["p99"]) for each in windows]),
        "p50": (BLUE, [(each["t_s"], each["p50"]) for each in windows]),
    }
    plots = [lines("end to end, ms", latency, "{:g} s")]
    for name, title in _SERIES.items():
        points = [(each["t_s"], each[name]) for each in windows if each[name] is not None]
        if points:
            plots.append(lines(title, {"": (RED if name == "celsius" else GREY, points)}, "{:g} s"))
    return plots


def _differences(rows: Sequence[Mapping[str, Any]]) -> str:
    named = "bundle" in rows[0] if rows else False
    heads = [*(["bundle"] if named else []), "stage", "ratio", "interval", "spread of one side", "verdict"]
    lines_: list[str] = ["<tr>" + "".join(f"<th>{escape(head)}</th>" for head in heads) + "</tr>"]
    for row in rows:
        verdict = ("slower" if row["ratio"] > 1 else "faster") if row["real"] else "no difference"
        limits = f"{row['low']:.3f} to {row['high']:.3f}"
        cells = [row["stage"], f"{row['ratio']:.3f}", limits, f"{row['spread']:.3f}", verdict]
        lines_.append(_row([*([row["bundle"]] if named else []), *cells], "total" if row["real"] else ""))
    return f"<table>{''.join(lines_)}</table>"


def _machine(machine: Mapping[str, Any]) -> str:
    flat = {**machine, **machine["versions"]}
    items = (
        f"<dt>{escape(name)}</dt><dd>{escape(str(value)) or '–'}</dd>"
        for name, value in flat.items()
        if name != "versions"
    )
    return f"<dl>{''.join(items)}</dl>"
