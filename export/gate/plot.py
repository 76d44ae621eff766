"""A picture of what the gate measured: stages, the layers that add most error, and answers, with limits."""

import math
from pathlib import Path
from textwrap import fill
from typing import Any

from edge.errors import UsageError, install_hint
from export.gate.records import ActionAnswers, BoxAnswers, Parity

_GOOD, _BAD, _LIMIT = "#4477aa", "#cc3311", "#222222"
_NOISE = ("#bbbbbb", "#ddaa33")
NAME_CHARS = 34  # most characters of a layer's name: half of the width is for the bars
LINE_CHARS = 110  # beside the legend


def check_plot(path: Path) -> None:
    """Raise UsageError for a path or a machine that no picture can be drawn on, before hours of work."""
    if path.suffix.lower() != ".png":
        raise UsageError(f"--plot {path} is not a .png file")
    if not path.absolute().parent.is_dir():
        raise UsageError(f"there is no folder {path.absolute().parent} for --plot")
    try:
        import matplotlib  # noqa: F401
    except ImportError as error:
        raise UsageError("--plot needs matplotlib, which is not installed", install_hint("export")) from error


def plot_parity(path: Path, parity: Parity) -> None:
    """Write the picture. Raises UsageError if it can't be written."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(2, 2, figsize=(13, 8), layout="constrained")
    verdict = "passed" if not parity.failures else "too far: " + "; ".join(parity.failures)
    title = f"{parity.precision} against fp32, {parity.samples} questions\n{fill(verdict, LINE_CHARS)}"
    figure.suptitle(title, x=0.01, horizontalalignment="left")
    limits = parity.limits
    _stages(axes[0][0], parity, "cosine", "1 - cosine (lowest)", 1 - limits.stage_cosine)
    _stages(axes[0][1], parity, "sqnr_db", "signal to noise, dB (median)", limits.stage_sqnr_db)
    # One legend for both, outside, where it hides no bar.
    figure.legend(*axes[0][0].get_legend_handles_labels(), loc="outside upper right", ncols=4)
    _layers(axes[1][0], parity)
    _answers(axes[1][1], parity)
    try:
        figure.savefig(path, dpi=110)
    except OSError as error:
        path.unlink(missing_ok=True)
        raise UsageError(f"cannot write {path}: {error.strerror}", "give another --plot") from error
    finally:
        pyplot.close(figure)


def _stages(axes: Any, parity: Parity, what: str, title: str, limit: float) -> None:
    """Draw bars of each stage, with those of the noise beside them."""
    names = list(parity.stages)
    series = [(parity.precision, parity.stages), *((noise.of, noise.stages) for noise in parity.noise)]
    width = 0.8 / len(series)
    for index, (label, stages) in enumerate(series):
        found = [getattr(stages[name], what) if name in stages else math.nan for name in names]
        heights = [1 - value for value in found] if what == "cosine" else found
        colour = _GOOD if index == 0 else _NOISE[(index - 1) % len(_NOISE)]
        positions = [position + index * width for position in range(len(names))]
        axes.bar(positions, heights, width, label=label, color=colour)
    axes.axhline(limit, color=_LIMIT, linestyle="--", label="limit")
    if what == "cosine":
        axes.set_yscale("log")
    axes.set_xticks([position + 0.4 - width / 2 for position in range(len(names))], names)
    axes.set_title(title)


def _layers(axes: Any, parity: Parity) -> None:
    """Draw what the worst layers add to the error of their stage, in percent; NaN fills the bar."""
    found = [(stage, layer) for stage, layers in parity.worst.items() for layer in layers][::-1]
    shares = [layer.added * 100 for _, layer in found]
    known = [share for share in shares if math.isfinite(share)]
    most = max([1.0, *known])
    bars = [share if math.isfinite(share) else most for share in shares]
    colours = [_GOOD if math.isfinite(share) else _BAD for share in shares]
    axes.barh([f"{stage}: {short_name(layer.layer)}" for stage, layer in found], bars, color=colours)
    axes.tick_params(axis="y", labelsize=7)
    axes.set_title(
        "error that a layer adds, % of its signal" + (" (red: not a number)" if _BAD in colours else "")
    )


def short_name(layer: str) -> str:
    """Return the end of a layer's name, whole parts of it, and its operator without its node."""
    name, _, operator = layer.partition(" (")
    parts = name.split(".")
    kept = parts[-1:]
    while len(kept) < len(parts) and len(".".join(parts[-len(kept) - 1 :])) <= NAME_CHARS:
        kept = parts[-len(kept) - 1 :]
    dots = "" if len(kept) == len(parts) else "…"
    return f"{dots}{'.'.join(kept)}" + (f" ({operator.split()[0].rstrip(')')})" if operator else "")


def _answers(axes: Any, parity: Parity) -> None:
    """Draw each figure of the answers as a share of its limit."""
    rows = _shares(parity)
    axes.barh(
        [name for name, _, _ in rows],
        [share for _, share, _ in rows],
        color=[_GOOD if share <= 1 else _BAD for _, share, _ in rows],
    )
    for position, (_, share, text) in enumerate(rows):
        axes.text(share, position, f" {text}", va="center", fontsize=8)
    axes.axvline(1, color=_LIMIT, linestyle="--")
    axes.set_xlim(0, max([1.3, *(1.3 * share for _, share, _ in rows)]))
    axes.set_title("answers, as a share of their limit" if rows else "no answers could be compared")


def _shares(parity: Parity) -> list[tuple[str, float, str]]:
    """Return the name of each figure, its share of its limit, and the figure."""
    answers, limits = parity.answers, parity.limits
    rows: list[tuple[str, float, str]] = []
    if isinstance(answers, BoxAnswers):
        for name, lost, limit in (
            ("detections lost", answers.lost, limits.lost),
            ("detections gained", answers.gained, limits.gained),
            ("IoU, median", 1 - answers.iou_median, 1 - limits.iou_median),
            ("other words", 1 - answers.words_equal if answers.words else 0.0, 1 - limits.words_equal),
        ):
            rows.append((name, _share(lost, limit), f"{lost:.2%}"))
    elif isinstance(answers, ActionAnswers):
        if answers.equal is not None:
            rows.append(
                (
                    "other tokens",
                    _share(1 - answers.equal, 1 - limits.equal_tokens),
                    f"{1 - answers.equal:.2%}",
                )
            )
        else:
            rows.append(
                ("action, p99", _share(answers.p99_share, limits.action_share), f"{answers.p99_share:.2%}")
            )
    if parity.success is not None:
        less = parity.success.base - parity.success.other
        rows.append(("goals not reached", _share(max(0.0, less), limits.success_points), f"{less:.3f}"))
    return rows[::-1]


def _share(value: float, limit: float) -> float:
    return value / limit if limit > 0 else math.inf if value > 0 else 0.0
