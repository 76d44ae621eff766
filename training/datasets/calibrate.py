"""`vla-edge calibrate actions`: what a dataset's actions are like, and how to scale them for a net.

It writes `statistics.json`, as training keeps it beside a checkpoint, and `actions.yaml`, the section of a
training config (and so of the bundle that comes of it) that scales by them.
"""

import argparse
import json
import math
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from calibration.chart import BLUE, GREY, RED, Axes, grid
from calibration.verdict import Criterion, Verdict, add_result_options, conclude
from edge.actions.normalise import GRIPPER, STD_FLOOR
from edge.commands.arguments import ArgumentParser
from edge.errors import UsageError, write_hint
from edge.files import write_whole
from edge.records import Image
from training.datasets.source import EpisodeSource
from training.datasets.statistics import Span, compute_statistics

FEWEST_FRAMES, FEWEST_EPISODES = 1000, 10
OUTLIER_SPANS = 3.0  # so far beyond the 1st and 99th percentile, in spans between the two
FASTEST_M_S, FASTEST_RAD_S = 3.0, 8.0  # beyond these a base's speeds are in other units, or not speeds
MOST_APART = 1000.0  # times that the widest dimension spans the narrowest
CLIPPED = 0.2  # share of frames at a limit that looks clipped
ACTION = "action"  # the feature of a LeRobotDataset
_BINS = 60


def main(argv: list[str]) -> int:
    """Run the command and return its exit code."""
    options = _parser().parse_args(argv)
    source = _open(options.dataset, options.split, options.action_keys)
    statistics = compute_statistics([source])
    names = _columns(options.columns, statistics.action)
    values, at = _values(source)
    verdict = judge(source, statistics.action, names, values, at)
    out: Path = options.out or Path(f"{options.dataset.resolve().name}-actions")
    text = section(statistics.action, names, len(values), options.dataset)

    def save() -> str:
        files = {
            "statistics.json": json.dumps(asdict(statistics), indent=1, allow_nan=False),
            "actions.yaml": text,
        }
        try:
            for name, content in files.items():
                write_whole(out / name, content)
        except OSError as error:
            raise UsageError(f"can't write {out}: {error.strerror}", write_hint(error)) from error
        return (
            f"written: {', '.join(str(out / name) for name in files)}; the second goes into a training config"
        )

    return conclude(verdict, draw(statistics.action, values), out / "actions", save, options)


def _parser() -> ArgumentParser:
    parser = ArgumentParser(
        "calibrate actions", "Measure the actions of a dataset, and write how to scale them for a net."
    )
    parser.add_argument("dataset", type=Path, help="folder of a LeRobotDataset v3, or of CALVIN")
    parser.add_argument("--split", default="train", help="of a LeRobotDataset (%(default)s)")
    parser.add_argument(
        "--action-keys", type=_words, default=(ACTION,), metavar="KEY,KEY",
        help="features that are joined to the actions (action)",
    )  # fmt: skip
    parser.add_argument(
        "--columns", type=_words, default=(), metavar="NAME,NAME",
        help="the dimensions that a net shall learn; a gripper is the last (all)",
    )  # fmt: skip
    add_result_options(parser, "folder of what is written (DATASET-actions/)")
    return parser


def _words(text: str) -> tuple[str, ...]:
    words = tuple(word.strip() for word in text.split(","))
    if not all(words) or len(set(words)) < len(words):
        raise argparse.ArgumentTypeError(f"{text[:80]!r} is not NAME,NAME, each once")
    return words


def _open(path: Path, split: str, action_keys: Sequence[str]) -> EpisodeSource:
    """Open a dataset of either layout, its numbers alone. Raises UsageError."""
    # Imported here, because they need what only the extra brings.
    from training.datasets.calvin import CalvinSource
    from training.datasets.lerobot import LeRobotSource

    if not path.is_dir():
        raise UsageError(f"{path} is not a folder", "name the folder that holds meta/ and data/")
    if (path / "meta").is_dir():
        return LeRobotSource(path, split, cameras=(), state_keys=None, action_keys=action_keys)
    if not (path / "lang_annotations").is_dir():
        raise UsageError(
            f"{path} is not a dataset: it has neither meta/ nor lang_annotations/",
            "name the folder of a LeRobotDataset v3, or of a split of CALVIN",
        )
    return CalvinSource(path, cameras=())


def _columns(wanted: Sequence[str], span: Span) -> tuple[str, ...]:
    """Return the chosen dimensions. Raises UsageError for one that the dataset lacks."""
    if strange := [name for name in wanted if name not in span.names]:
        raise UsageError(
            f"the actions have no dimension {strange[0][:40]!r}", f"they have {', '.join(span.names)}"
        )
    return tuple(wanted) or span.names


def _values(source: EpisodeSource) -> tuple[NDArray[np.float64], list[tuple[int, int]]]:
    """Return all usable actions, (N, A), and the numbers of episode and frame of each."""
    parts: list[NDArray[np.float64]] = []
    at: list[tuple[int, int]] = []
    for index, episode in enumerate(source.episodes):
        usable = np.flatnonzero(episode.usable)
        parts.append(source.actions(index)[usable].astype(np.float64))
        at += [(episode.number, int(frame)) for frame in usable]
    return np.concatenate(parts), at


def judge(
    source: EpisodeSource,
    span: Span,
    names: Sequence[str],
    values: NDArray[np.float64],
    at: Sequence[tuple[int, int]],
) -> Verdict:
    """Return the verdict about the chosen dimensions of actions (N, A)."""
    chosen = [span.names.index(name) for name in names]
    still = [span.names[i] for i in chosen if not _moves(span, i)]
    moving = [i for i in chosen if _moves(span, i) and span.names[i] != GRIPPER]
    wild = [row for i in moving if (row := _outlier(span, i, values[:, i], at))]
    odd = [row for i in moving if (row := _odd_unit(span, i))]
    widths = [span.q99[i] - span.q01[i] for i in moving]
    apart = max(widths) / min(widths) if widths else 1.0
    episodes = len(source.episodes)
    criteria = [
        Criterion(
            "frames", f"{len(values)} of {episodes} episodes", f"{FEWEST_FRAMES} of {FEWEST_EPISODES}",
            len(values) >= FEWEST_FRAMES and episodes >= FEWEST_EPISODES, "record more demonstrations",
        ),
        Criterion(
            "every dimension moves", ", ".join(still) or "all do", "all of them", not still,
            f"leave out what never moves: --columns {','.join(n for n in names if n not in still)}",
        ),
        Criterion(
            "outliers", "; ".join(wild) or "none",
            f"within {OUTLIER_SPANS:g} spans of q01 and q99", not wild,
            "look at those frames: a wrong recording, or a jump of a joint from -pi to pi?",
        ),
        Criterion(
            "units", "; ".join(odd) or "plausible", "m/s and rad/s of a base", not odd,
            "convert them to metres and radians a second, and record or write the dataset again",
        ),
        Criterion(
            "spans", f"{apart:.3g} times apart", f"at most {MOST_APART:g} times", apart <= MOST_APART,
            "is one of the dimensions in other units than the rest?",
        ),
    ]  # fmt: skip
    figures = {"robot": source.robot, "rate_hz": source.rate_hz, "count": len(values), **asdict(span)}
    notes = [
        f"{span.names[i]:<16} q01 {span.q01[i]:+9.4g}  q99 {span.q99[i]:+9.4g}  mean {span.mean[i]:+9.4g}  "
        f"std {span.std[i]:9.4g}{_clipped(values[:, i])}"
        for i in chosen
    ]
    return Verdict(f"actions of {source.path}", criteria, figures, notes)


def _moves(span: Span, i: int) -> bool:
    return span.std[i] > STD_FLOOR and (span.names[i] == GRIPPER or span.q99[i] > span.q01[i])


def _outlier(span: Span, i: int, column: NDArray[np.float64], at: Sequence[tuple[int, int]]) -> str:
    """Return the farthest value and where it is, if it is far beyond all others; else nothing."""
    beyond = np.maximum(column - span.q99[i], span.q01[i] - column)
    far = int(np.argmax(beyond))
    if beyond[far] <= OUTLIER_SPANS * (span.q99[i] - span.q01[i]):
        return ""
    episode, frame = at[far]
    return f"{span.names[i]} {column[far]:.4g} in episode {episode}, frame {frame}"


def _odd_unit(span: Span, i: int) -> str:
    """Return a base's speed that can't be in m/s or rad/s; nothing for what is plausible."""
    limits = {"linear": FASTEST_M_S, "angular": FASTEST_RAD_S}
    limit = limits.get(span.names[i].partition("_")[0], math.inf)
    top = max(abs(span.q01[i]), abs(span.q99[i]))
    return f"{span.names[i]} up to {top:.4g}" if top > limit else ""


def _clipped(column: NDArray[np.float64]) -> str:
    """Say how much of a column is at its limits, if that is so much that it looks clipped."""
    share = max(float((column == column.min()).mean()), float((column == column.max()).mean()))
    return f"  {share:.0%} at one limit" if share > CLIPPED and column.min() < column.max() else ""


def section(span: Span, names: Sequence[str], frames: int, dataset: Path) -> str:
    """Return the section `actions` of a training config that scales by the 1st and 99th percentile."""
    poses = [span.names.index(name) for name in names if name != GRIPPER]
    low, high = ([f"{figures[i]:.6g}" for i in poses] for figures in (span.q01, span.q99))
    lines = [
        f"# 1st and 99th percentile of {frames} frames of {dataset.resolve().name}.",
        "actions:",
        f"  columns: [{', '.join(names)}]",
        "  scaling: limits",
        f"  low: [{', '.join(low)}]",
        f"  high: [{', '.join(high)}]",
    ]
    return "\n".join(lines) + "\n"


def draw(span: Span, values: NDArray[np.float64]) -> Image:
    """Return a histogram of each dimension; red: the 1st and 99th percentile, grey: the mean."""
    charts: list[Image] = []
    for i, name in enumerate(span.names):
        column = values[:, i]
        low, high = float(column.min()), float(column.max())
        margin = 0.05 * (high - low) or 0.5
        counts, edges = np.histogram(column, _BINS, (low - margin, high + margin))
        chart = Axes(name, (low - margin, high + margin), (0, 1.1 * float(counts.max())), (360, 260))
        chart.bars(edges, counts, BLUE)
        for at, colour in ((span.q01[i], RED), (span.q99[i], RED), (span.mean[i], GREY)):
            chart.line([[at, 0], [at, 1.1 * float(counts.max())]], colour)
        chart.label("", "frames")
        charts.append(chart.image)
    return grid([charts[first : first + 3] for first in range(0, len(charts), 3)])
