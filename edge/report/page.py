"""Runs as one HTML file: nothing in it is loaded from elsewhere."""

import json
from collections.abc import Sequence
from html import escape
from pathlib import Path
from string import Template
from typing import Any

from edge.report.material import RunMaterial, part
from edge.report.pictures import drawn_picture, frames_of
from edge.report.series import plots_of, spans_of
from edge.report.story import events_of, headline_of, words_of

HERE = Path(__file__).parent
PICTURE_BYTES = 6_000_000  # in base64, for all runs on a page
PATH_PERIOD_S = 0.1
_DRAWN = {"path.png": "path from above, in the true room if it is known", "frames.png": "pictures with boxes"}


def page(runs: Sequence[RunMaterial]) -> str:
    """Return the page of some runs."""
    documents = [run_document(run, PICTURE_BYTES // len(runs)) for run in runs]
    names = ", ".join(run.name for run in runs[:3]) + (" …" if len(runs) > 3 else "")
    # In a script no "<" may begin a tag, and "&" stays itself.
    data = json.dumps(documents, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    return Template((HERE / "page.html").read_text(encoding="utf-8")).substitute(
        title=escape(f"Runs: {names}" if len(runs) > 1 else f"Run {names}"),
        style=(HERE / "page.css").read_text(encoding="utf-8"),
        script=(HERE / "page.js").read_text(encoding="utf-8"),
        data=data.replace("<", "\\u003c").replace("\u2028", "\\u2028").replace("\u2029", "\\u2029"),
    )


def run_document(run: RunMaterial, picture_bytes: int) -> dict[str, Any]:
    """Return what the page shows of a run, as a document of JSON."""
    drawn = {name: drawn_picture(path) for name in _DRAWN if (path := run.picture(name)) is not None}
    frames = frames_of(run, max(picture_bytes - len(drawn.get("path.png", "")), picture_bytes // 4))
    if frames:  # the strip says nothing that they don't
        drawn.pop("frames.png", None)
    return {
        "name": run.name,
        "row": _row(run),
        "headline": headline_of(run),
        "words": words_of(run),
        "missing": run.missing,
        "events": events_of(run),
        "spans": spans_of(run),
        "plots": plots_of(run),
        "path": _path(run),
        "frames": frames,
        "drawn": [[_DRAWN[name], data] for name, data in drawn.items() if data],
        "facts": _facts(run),
    }


def _row(run: RunMaterial) -> list[Any]:
    """Return the run's row of the table: see the heads in page.js."""
    summary = run.summary or {}
    trial = run.trial
    verdict = (
        "" if trial is None else "void" if trial["void"] else "reached" if trial["reached"] else "not reached"
    )
    late = part(summary, "frame_to_motor_ms").get("p99")
    model = part(part(summary, "latency_ms"), "total").get("p50")
    return [
        run.name,
        part(summary, "bundle").get("name", ""),
        " ".join(filter(None, (summary.get("goal"), summary.get("target")))),
        summary.get("outcome", "no end"),
        summary.get("cause") or "",
        verdict,
        summary.get("seconds"),
        summary.get("distance_m"),
        len(summary.get("contacts") or []),
        model,
        late,
    ]


def _path(run: RunMaterial) -> list[list[float]]:
    """Return seconds, x and y in metres and heading in radians of the base, at most ten a second."""
    points: list[list[float]] = []
    for status in run.recording.motor if run.recording is not None else []:
        odometry = status["odometry"]
        if odometry is None:
            continue
        t = run.seconds(status["stamp_ns"])
        if not points or t - points[-1][0] >= PATH_PERIOD_S:
            points.append([t, *(round(odometry[key], 3) for key in ("x_m", "y_m", "yaw_rad"))])
    return points


def _facts(run: RunMaterial) -> list[list[str]]:
    """Return what drove, on what, by names and values."""
    summary, recording = run.summary or {}, run.recording
    header = {} if recording is None else recording.header
    bundle = part(summary or header, "bundle")
    facts = {
        "bundle": " ".join(str(value) for value in bundle.values()),
        "engine": summary.get("engine") or header.get("engine", ""),
        "robot": summary.get("robot", ""),
        "asked": header.get("prompt", ""),
        "base": _short(part(summary, "base") or part(header, "base")),
        "mount": _short(part(summary, "mount") or part(header, "mount")),
        "machine": _short(part(summary, "machine") or part(header, "machine")),
        "truth": _short(part(summary, "truth")),
        "commit": header.get("commit") or "",
        "versions": _short(part(header, "packages")),
        "command": " ".join(header.get("arguments") or []),
        "folder": str(run.folder or ""),
    }
    return [[name, value] for name, value in facts.items() if value]


def _short(values: dict[str, Any]) -> str:
    return ", ".join(f"{key} {value:.4g}" if isinstance(value, float) else f"{key} {value}"
                     for key, value in values.items() if value not in (None, "", {}, []))  # fmt: skip
