"""Several bundles in the same simulated rooms, for the gate of `vla-edge export --episodes`."""

import os
from collections.abc import Callable, Sequence
from pathlib import Path

from benchmarks.success import EpisodeSettings, evaluate, measured_latency_s, targets
from edge.bundle.bundle import load_bundle
from edge.goals.goals import parse_goal
from edge.goals.vocabulary import check_target

MAX_S = 60.0  # simulated time of an episode


def reached(
    folders: Sequence[Path], episodes: int, seed: int, on_progress: Callable[[int], None]
) -> list[list[bool]]:
    """Return for each bundle whether it reached its goal in the rooms seed, seed + 1, ...

    Targets are those of `vla-edge eval`. All bundles answer with the first one's latency, so that only their
    answers differ. `on_progress` gets the number of episodes that are over.
    """
    first = load_bundle(folders[0], allow_unproved=True)
    goals = [check_target(first, parse_goal("find_object", name)) for name in targets(episodes, seed, None)]
    latency_s = measured_latency_s(first)
    found: list[list[bool]] = []
    for number, folder in enumerate(folders):
        trials = evaluate(
            EpisodeSettings(str(folder), latency_s, MAX_S, allow_unproved=True),
            goals,
            seed,
            jobs=min(os.cpu_count() or 1, episodes),
            on_progress=lambda trials, before=number * episodes: on_progress(before + len(trials)),
        )
        found.append([trial.episode.success for trial in trials])
    return found
