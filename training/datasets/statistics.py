"""Statistics of a dataset's numbers: computed once, kept as JSON beside a checkpoint."""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge.errors import UsageError, reason_of
from edge.files import foreign_json, write_whole
from training.datasets.source import LATE, EpisodeSource, count_unusable

QUANTILES = {"q01": 0.01, "q10": 0.1, "q50": 0.5, "q90": 0.9, "q99": 0.99}
_FIGURES = ("min", "max", "mean", "std", "q01", "q99")
_AGAIN = "remove the file to compute it again from this dataset"


def describe(values: NDArray[Any]) -> dict[str, list[Any]]:
    """Compute figures for each column of (N, dims), N > 0, by the keys of a LeRobotDataset.

    They are min, max, mean, std (of the population), quantiles; and N as `count`.
    """
    values = np.asarray(values, np.float64)
    found = {"min": values.min(0), "max": values.max(0), "mean": values.mean(0), "std": values.std(0)}
    found |= dict(zip(QUANTILES, np.quantile(values, list(QUANTILES.values()), axis=0), strict=True))
    figures: dict[str, list[Any]] = {key: value.tolist() for key, value in found.items()}
    return figures | {"count": [len(values)]}


@dataclass(frozen=True, slots=True)
class Span:
    """Figures of one feature, one for each of its numbers, in its own units."""

    names: tuple[str, ...]
    min: tuple[float, ...]
    max: tuple[float, ...]
    mean: tuple[float, ...]
    std: tuple[float, ...]
    q01: tuple[float, ...]
    q99: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class Statistics:
    """Figures of one robot's demonstrations."""

    robot: str
    rate_hz: float
    count: int  # frames
    state: Span
    action: Span


def compute_statistics(sources: Sequence[EpisodeSource]) -> Statistics:
    """Compute over all usable frames of all sources. Raises UsageError if their robots differ."""
    first = sources[0]
    for other in sources[1:]:
        if _about(other) != _about(first):
            raise UsageError(
                f"{other.path} and {first.path} are of different robots", _difference(other, first)
            )
    every = [(source, i, e.usable) for source in sources for i, e in enumerate(source.episodes)]
    states = np.concatenate([source.states(i)[usable] for source, i, usable in every])
    actions = np.concatenate([source.actions(i)[usable] for source, i, usable in every])
    if not len(actions):
        raise UsageError(f"{first.path}: no frame can be used: {count_unusable(first)}", LATE)
    spans = [
        Span(names, **{key: tuple(describe(values)[key]) for key in _FIGURES})
        for names, values in ((first.state_names, states), (first.action_names, actions))
    ]
    return Statistics(first.robot, first.rate_hz, len(actions), *spans)


def stored_statistics(path: Path, sources: Sequence[EpisodeSource]) -> Statistics:
    """Read the statistics in `path`; if it does not exist, compute them and write it, whole or not at all.

    Raises UsageError if the file is unreadable, or belongs to another robot than the sources.
    """
    if not path.exists():
        statistics = compute_statistics(sources)
        try:
            write_whole(path, json.dumps(asdict(statistics), indent=1, allow_nan=False))
        except OSError as error:
            raise UsageError(f"can't write {path}: {error.strerror}", "is the disk full?") from error
        return statistics
    statistics = _read(path)
    for source in sources:
        found = (statistics.robot, statistics.rate_hz, statistics.state.names, statistics.action.names)
        if found != _about(source):
            wanted = _about(source)
            odd = next(f"{a!r}, wanted {b!r}" for a, b in zip(found, wanted, strict=True) if a != b)
            raise UsageError(f"{path}: statistics of another robot than {source.path}: {odd}", _AGAIN)
    return statistics


def _about(source: EpisodeSource) -> tuple[str, float, tuple[str, ...], tuple[str, ...]]:
    return source.robot, source.rate_hz, source.state_names, source.action_names


def _difference(a: EpisodeSource, b: EpisodeSource) -> str:
    return next(f"{x!r} and {y!r}" for x, y in zip(_about(a), _about(b), strict=True) if x != y)


def _read(path: Path) -> Statistics:
    try:
        found = foreign_json(path.read_bytes())
        state, action = (Span(**{k: tuple(v) for k, v in found.pop(w).items()}) for w in ("state", "action"))
        for span in (state, action):
            figures = np.array([getattr(span, key) for key in _FIGURES], np.float64)
            if figures.shape != (len(_FIGURES), len(span.names)) or not np.isfinite(figures).all():
                raise ValueError(f"want one finite number for each of {', '.join(span.names)}")
        return Statistics(**found, state=state, action=action)
    except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
        raise UsageError(f"{path} is not a file of statistics: {reason_of(error)}", _AGAIN) from error
