"""Success by latency as one HTML file: nothing in it is loaded from elsewhere."""

from collections.abc import Mapping
from html import escape
from string import Template
from typing import Any

from benchmarks.accuracy.command import answers_text, front, success_text
from benchmarks.latency.page import TEMPLATE
from benchmarks.latency.plots import scatter


def page(document: Mapping[str, Any]) -> str:
    """Return the page of a result."""
    rows, machine = document["bundles"], document["machine"]
    points = {
        name: (row["cpu_ms"]["p50"], row["success"], *row["wilson95"])
        for name, row in rows.items()
        if row["success"] is not None
    }
    body = [_table(rows)]
    if points:
        title = "share of rooms whose target is reached, by processor ms of a decision"
        note = "Bars: 95 % intervals. The line joins bundles than which none is both quicker and better."
        body.insert(0, scatter(title, points, front(rows)) + f"<p>{note}</p>")
    subtitle = f"{machine['board']}, {machine['cpu']}, load {machine['load_before']} to "
    subtitle += f"{machine['load_after']}; {document['rooms']} rooms from seed {document['seed']}; "
    subtitle += f"commit {machine['commit']}"
    title = f"Accuracy beside {document['reference']}: {', '.join(rows)}"
    template = Template(TEMPLATE.read_text(encoding="utf-8"))
    return template.substitute(title=escape(title), subtitle=escape(subtitle), body="\n".join(body))


def _table(rows: Mapping[str, Mapping[str, Any]]) -> str:
    heads = "", "processor ms", "decisions differ", "off by m/s", "off by rad/s", "answers", "success"
    lines = ["<tr>" + "".join(f"<th>{head}</th>" for head in heads) + "</tr>"]
    for name, row in rows.items():
        cells = [
            name,
            f"{row['cpu_ms']['p50']:.2f}",
            f"{row['differ']:.1%}",
            f"{row['error_m_s']['mean']:.3f}",
        ]
        cells += [f"{row['error_rad_s']['mean']:.3f}", answers_text(row["answers"]), success_text(row)]
        kind = ' class="total"' if row["on_front"] else ""
        lines.append(f"<tr{kind}>" + "".join(f"<td>{escape(cell)}</td>" for cell in cells) + "</tr>")
    return f"<table>{''.join(lines)}</table>"
