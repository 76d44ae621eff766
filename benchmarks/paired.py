"""Several bundles in the same simulated rooms: what the gate of `vla-edge export --episodes` asks."""

import os
from collections.abc import Callable, Sequence
from pathlib import Path

from benchmarks.success import evaluate, measured_latency_s, targets
from edge.bundle.bundle import load_bundle
from edge.goals.goals import parse_goal
from edge.goals.vocabulary import check_target

MAX_S = 60.0  # simulated, per episode


def reached(
    folders: Sequence[Path], episodes: int, seed: int, told: Callable[[int], None]
) -> list[list[bool]]:
    """For each bundle, whether it reached its goal in the rooms seed, seed + 1, ...; targets as in
    `vla-edge eval`. All answer with the first one's latency, so that only what they answer differs."""
    first = load_bundle(folders[0], allow_unproved=True)
    goals = [check_target(first, parse_goal("find_object", name)) for name in targets(episodes, seed, None)]
    latency_s = measured_latency_s(first)
    found: list[list[bool]] = []
    for turn, folder in enumerate(folders):
        trials = evaluate(
            str(folder),
            goals,
            seed,
            latency_s,
            MAX_S,
            absent=False,
            jobs=min(os.cpu_count() or 1, episodes),
            allow_unproved=True,
            told=lambda trials, before=turn * episodes: told(before + len(trials)),
        )
        found.append([trial.episode.success for trial in trials])
    return found
