"""The figures of a field day: each bundle's, and what tells the bundles apart."""

import math
from collections import Counter
from collections.abc import Sequence
from itertools import groupby
from typing import Any

from edge.field.proportions import gap95, mcnemar, paired95, pairs_needed, time_between95, wilson95
from edge.field.results import TrialResult

SIGNIFICANT = 0.05


def figures(results: Sequence[TrialResult], bundles: Sequence[str]) -> dict[str, Any]:
    """Return the figures of the results that count, as a document of JSON.

    Every bundle is compared with the first one, by the scenes in which both drove.
    """
    by_bundle = {name: [each for each in results if each.bundle == name] for name in bundles}
    driven = [name for name, trials in by_bundle.items() if trials]
    return {
        "bundles": {name: _bundle(by_bundle[name]) for name in driven},
        "comparisons": [
            _comparison(by_bundle[driven[0]], by_bundle[name], (driven[0], name)) for name in driven[1:]
        ],
    }


def _bundle(trials: Sequence[TrialResult]) -> dict[str, Any]:
    settings = groupby(sorted(trials, key=lambda t: (not t.seen, t.setting)), key=lambda t: t.setting)
    seen = [each for each in trials if each.seen]
    unseen = [each for each in trials if not each.seen]
    return {
        "sha256": trials[0].bundle_sha256,
        "success": _success(trials),
        "seen": _success(seen),
        "unseen": _success(unseen),
        "gap": _gap(seen, unseen),
        "settings": {name: _with_seen(list(group)) for name, group in settings},
        "interventions": _interventions(trials),
        "outcomes": dict(Counter(each.outcome for each in trials)),
    }


def _with_seen(trials: Sequence[TrialResult]) -> dict[str, Any]:
    return {"seen": trials[0].seen, **(_success(trials) or {})}


def _success(trials: Sequence[TrialResult]) -> dict[str, Any] | None:
    if not trials:
        return None
    count = sum(each.success for each in trials)
    low, high = wilson95(count, len(trials))
    return {"count": count, "trials": len(trials), "share": count / len(trials), "wilson95": [low, high]}


def _gap(seen: Sequence[TrialResult], unseen: Sequence[TrialResult]) -> dict[str, Any] | None:
    """Return how much more often a bundle succeeds where it has been before; None without both."""
    if not seen or not unseen:
        return None
    counts = [
        sum(each.success for each in seen),
        len(seen),
        sum(each.success for each in unseen),
        len(unseen),
    ]
    return {"gap": counts[0] / counts[1] - counts[2] / counts[3], "newcombe95": list(gap95(*counts))}


def _interventions(trials: Sequence[TrialResult]) -> dict[str, Any]:
    by_person = sum(each.interventions for each in trials)
    stops = Counter(each.cause or each.outcome for each in trials if each.safety_stop)
    count = by_person + stops.total()
    seconds = math.fsum(each.seconds for each in trials)
    low, high = time_between95(seconds, count)
    return {
        "count": count,
        "by_person": by_person,
        "safety_stops": dict(stops),
        "driven_s": round(seconds, 2),
        "mean_time_between_s": seconds / count if count else None,
        "interval95_s": [low, high if math.isfinite(high) else None],
    }


def _comparison(
    first: Sequence[TrialResult], second: Sequence[TrialResult], names: tuple[str, str]
) -> dict[str, Any]:
    scenes = {each.key[1:]: each.success for each in second}
    pairs = [(each.success, scenes[each.key[1:]]) for each in first if each.key[1:] in scenes]
    both, only_first, only_second = (
        pairs.count(each) for each in ((True, True), (True, False), (False, True))
    )
    counts = {"both": both, "only_first": only_first, "only_second": only_second}
    counts["neither"] = len(pairs) - sum(counts.values())
    document: dict[str, Any] = {"bundles": list(names), "pairs": len(pairs), **counts}
    if not pairs:
        return document
    exact, mid_p = mcnemar(only_first, only_second)
    needed = pairs_needed(len(pairs), only_first, only_second)
    differ = mid_p < SIGNIFICANT
    return {
        **document,
        "difference": (only_first - only_second) / len(pairs),
        "interval95": list(paired95(len(pairs), only_first, only_second)),
        "mcnemar_exact": exact,
        "mcnemar_mid_p": mid_p,
        "told_apart": differ,
        "pairs_needed": needed,
        "further_pairs": 0 if differ else None if needed is None else max(1, needed - len(pairs)),
    }
