"""Draws the curves of runs.

python -m training.plot OUT.png training/runs/default/curve.jsonl                   the default model's
python -m training.plot OUT.png training/runs/fc/curve.jsonl .../lstm/curve.jsonl   policies, side by side
"""

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np

Rows = list[dict[str, Any]]
_SMOOTH = 10  # rows of a policy's curve that are averaged


def plot(curves: list[Path], out: Path) -> None:
    """Write the picture. A policy's name is that of its folder."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    rows = {curve.parent.name: [json.loads(line) for line in curve.open()] for curve in curves}
    figure, axes = plt.subplots(1, 2, figsize=(10, 3.6))
    if "dense" in next(iter(rows.values()))[0]:
        _plot_grounder(axes[0], axes[1], next(iter(rows.values())))
    else:
        _plot_policies(axes[0], axes[1], rows)
    figure.tight_layout()
    figure.savefig(out, dpi=110)


def _plot_grounder(left: Any, right: Any, rows: Rows) -> None:
    """Plot losses on the left, shares of objects found in held-out rooms on the right, over the steps."""
    for name in ("dense", "tokens"):
        left.plot(*_points(rows, name), label=name, lw=0.8)
    left.set(xlabel="step", ylabel="loss", yscale="log")
    left.legend()
    for name, label in (
        ("found", "found, all"),
        ("found_10px", "found, ≥ 10 px"),
        ("false", "false positives"),
    ):
        right.plot(*_points(rows, name), label=label, marker=".")
    right.set(xlabel="step", ylim=(0, 1))
    right.legend()


def _plot_policies(left: Any, right: Any, runs: dict[str, Rows]) -> None:
    """Plot losses of continuous heads left, of tokens right: training as lines, validation as dots."""
    for name, rows in runs.items():
        side = right if any("sim/accuracy" in row for row in rows) else left
        steps, losses = _points(rows, "loss")
        smooth = np.convolve(losses, np.full(_SMOOTH, 1 / _SMOOTH), "valid")
        (line,) = side.plot(steps[_SMOOTH - 1 :], smooth, label=name, lw=0.8)
        side.plot(*_points(rows, "validation"), color=line.get_color(), marker=".", ls="")
    for side, what in ((left, "Huber loss of poses"), (right, "cross entropy of tokens")):
        side.set(xlabel="step", ylabel=what)
        side.legend()


def _points(rows: Rows, name: str) -> tuple[list[int], list[float]]:
    found = [(row["step"], row[name]) for row in rows if name in row]
    return [step for step, _ in found], [value for _, value in found]


if __name__ == "__main__":
    plot([Path(argument) for argument in sys.argv[2:]], Path(sys.argv[1]))
