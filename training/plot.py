"""The curve of a run as a picture: `python -m training.plot training/runs/NAME/curve.jsonl OUT.png`."""

import json
import sys
from pathlib import Path


def plot(curve: Path, out: Path) -> None:
    """Losses on the left, what was found on held-out rooms on the right, over the steps."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    rows = [json.loads(line) for line in curve.read_text().splitlines()]
    figure, (left, right) = plt.subplots(1, 2, figsize=(10, 3.6))
    for name in ("dense", "tokens"):
        points = [(r["step"], r[name]) for r in rows if name in r]
        left.plot(*zip(*points, strict=True), label=name, lw=0.8)
    left.set(xlabel="step", ylabel="loss", yscale="log")
    left.legend()
    for name, label in (
        ("found", "found, all"),
        ("found_10px", "found, ≥ 10 px"),
        ("false", "false positives"),
    ):
        points = [(r["step"], r[name]) for r in rows if name in r]
        right.plot(*zip(*points, strict=True), label=label, marker=".")
    right.set(xlabel="step", ylim=(0, 1))
    right.legend()
    figure.tight_layout()
    figure.savefig(out, dpi=110)


if __name__ == "__main__":
    plot(Path(sys.argv[1]), Path(sys.argv[2]))
