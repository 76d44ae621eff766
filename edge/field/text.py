"""The figures of a field day for people."""

from collections.abc import Mapping
from typing import Any


def text_of(document: Mapping[str, Any]) -> str:
    """Return the figures as lines of text."""
    trials = document["trials"]
    lines = [f"{document['sheet']}: {trials['driven']} of {trials['planned']} trials"]
    if trials["void"]:
        lines.append(f"{trials['void']} more did not count")
    bundles = document["bundles"]
    width = max((len(name) for each in bundles.values() for name in each["settings"]), default=0) + 11
    for name, each in bundles.items():
        lines += ["", *_bundle_lines(name, each, max(width, 14))]
    for comparison in document["comparisons"]:
        lines += ["", *_comparison_lines(comparison)]
    return "\n".join(lines)


def _bundle_lines(name: str, bundle: Mapping[str, Any], width: int) -> list[str]:
    lines = [f"{name} ({bundle['sha256'][:12]})", f"  {'success':<{width}}  {_share(bundle['success'])}"]
    for setting, figures in bundle["settings"].items():
        label = f"{setting} ({'seen' if figures['seen'] else 'unseen'})"
        lines.append(f"    {label:<{width - 2}}  {_share(figures)}")
    if (gap := bundle["gap"]) is not None:
        low, high = gap["newcombe95"]
        words = "" if low <= 0 <= high else ", it does better where it has been before"
        words = ", it does better where it has not been" if high < 0 else words
        lines.append(
            f"  {'seen - unseen':<{width}}  {gap['gap']:+.2f}  (95 %: {low:+.2f} to {high:+.2f}){words}"
        )
    lines.append(f"  {'interventions':<{width}}  {_interventions(bundle['interventions'])}")
    return lines


def _share(figures: Mapping[str, Any]) -> str:
    low, high = figures["wilson95"]
    return (
        f"{figures['share']:.2f}   (95 %: {low:.2f} to {high:.2f})  {figures['count']} of {figures['trials']}"
    )


def _interventions(figures: Mapping[str, Any]) -> str:
    low, high = figures["interval95_s"]
    driven, count = f"{figures['driven_s']:.0f} s driven", figures["count"]
    if not count:
        return f"none in {driven}: more than {low:.0f} s between two (95 %)"
    stops = ", ".join(f"{cause} {number}" for cause, number in figures["safety_stops"].items())
    by = f"{figures['by_person']} by a person" + (f", {stops} by safety" if stops else "")
    mean = figures["mean_time_between_s"]
    return f"{count} in {driven} ({by}): one every {mean:.0f} s (95 %: {low:.0f} to {high:.0f} s)"


def _comparison_lines(comparison: Mapping[str, Any]) -> list[str]:
    first, second = comparison["bundles"]
    pairs = comparison["pairs"]
    lines = [f"{first} against {second}, in the same {pairs} {'scene' if pairs == 1 else 'scenes'}"]
    if not pairs:
        return lines
    low, high = comparison["interval95"]
    lines += [
        f"  both {comparison['both']}, only {first} {comparison['only_first']}, only {second} "
        f"{comparison['only_second']}, neither {comparison['neither']}",
        f"  difference {comparison['difference']:+.2f} (95 %: {low:+.2f} to {high:+.2f}), "
        f"McNemar p {comparison['mcnemar_mid_p']:.3f} (mid-p; exact {comparison['mcnemar_exact']:.3f})",
        f"  {_verdict(comparison)}",
    ]
    return lines


def _verdict(comparison: Mapping[str, Any]) -> str:
    first, second = comparison["bundles"]
    if comparison["told_apart"]:
        better = first if comparison["difference"] > 0 else second
        return f"{better} is better"
    further = comparison["further_pairs"]
    if further is None:
        return "no difference was seen, and no number of trials would tell one of this size"
    return (
        f"not told apart: if they differ as much as here, {further} more of each bundle would tell "
        "(4 times in 5)"
    )
