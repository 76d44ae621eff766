"""How often a checkpoint under training reaches its goal, for a config's `validation.success`."""

import tempfile
from pathlib import Path

from benchmarks.success import EpisodeSettings, evaluate, summarize, targets
from edge.bundle.bundle import load_bundle, write_bundle
from edge.goals.goals import parse_goal
from edge.goals.vocabulary import check_target
from export.sources.build import SourceOptions, build_bundle

EPISODES, SEED = 20, 3000  # rooms that neither demonstrations nor published figures use
_LATENCY_S, _MAX_S = 0.02, 40.0


def in_simulation(folder: Path, episodes: int = EPISODES) -> float:
    """Return the share of simulated rooms, [0, 1], in which the policy in `folder` finds its target.

    It is exported as it would be to drive, with the default bundle's floor net. That takes a minute or two.
    """
    default = load_bundle("default")
    with tempfile.TemporaryDirectory() as place:
        out = Path(place) / "bundle"
        bundle = build_bundle(folder, SourceOptions("head", floor=default.read("floor")))
        write_bundle(out, bundle)
        goals = [check_target(bundle, parse_goal("find_object", t)) for t in targets(episodes, SEED, None)]
        trials = evaluate(EpisodeSettings(str(out), _LATENCY_S, _MAX_S), goals, SEED, jobs=1)
    return summarize(trials, absent=False)["success"]
