"""Two sides that took turns, or two results, are compared."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from benchmarks.latency.result import Figures
from benchmarks.latency.statistics import (
    MIN_BLOCKS,
    StageDifference,
    paired_differences,
    unpaired_differences,
)
from edge.errors import UsageError, reason_of

FORM = "vla-edge bench latency 1"
SAME = ("board", "l4t", "power_mode", "cpu", "processors", "governor", "architecture")


def compare_sides(first: Figures, other: Figures) -> list[dict[str, Any]]:
    """Compare two sides that took turns."""
    return _listed(paired_differences(first["by_block"], other["by_block"]))


def compare_results(now: Mapping[str, Any], old: Mapping[str, Any], across: bool) -> list[dict[str, Any]]:
    """Compare each bundle with the one of that name in an older result.

    Raises UsageError if they are of different machines or power modes and `across` is False, or if they have
    no bundle in common, or too few blocks.
    """
    differing = [name for name in SAME if now["machine"].get(name) != old["machine"].get(name)]
    if differing and not across:
        name = differing[0]
        raise UsageError(
            f"the older result is of another machine or mode: its {name} is {old['machine'].get(name)!r}, "
            f"now it is {now['machine'].get(name)!r}",
            "measure both in the same mode of the same machine, or compare them all the same: --across",
        )
    common = [name for name in now["bundles"] if name in old["bundles"]]
    if not common:
        raise UsageError("the older result has none of these bundles", f"it has {', '.join(old['bundles'])}")
    parts = [each["bundles"][name]["by_block"]["end_to_end"] for each in (now, old) for name in common]
    if min(map(len, parts)) < MIN_BLOCKS:
        raise UsageError(
            f"fewer than {MIN_BLOCKS} blocks don't show how much a machine differs from itself", "--blocks 8"
        )
    if any(now["bundles"][name]["compared_by"] != old["bundles"][name]["compared_by"] for name in common):
        raise UsageError(
            "the older result is of another engine or number of threads", "give the same --threads"
        )
    found: list[dict[str, Any]] = []
    for name in common:
        before, after = (each["bundles"][name]["by_block"] for each in (old, now))
        found += [{"bundle": name, **row} for row in _listed(unpaired_differences(before, after))]
    return found


def regressions(rows: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """Return what really became slower, the worst stage first."""
    slower = [row for row in rows if row["real"] and row["ratio"] > 1]
    return sorted(slower, key=lambda row: (row["stage"] == "end_to_end", -row["ratio"]))


def read_result(file: Path) -> dict[str, Any]:
    """Read an older result. Raises UsageError if it is not one."""
    try:
        document = json.loads(file.read_text())
    except OSError as error:
        raise UsageError(f"cannot read {file}: {error.strerror}", "give a file that --json wrote") from error
    except ValueError as error:
        raise UsageError(
            f"{file} is not JSON: {reason_of(error)}", "give a file that --json wrote"
        ) from error
    if not isinstance(document, dict) or document.get("form") != FORM:
        raise UsageError(
            f"{file} is not a result of this benchmark", "`vla-edge bench latency --json > FILE`"
        )
    return document


def _listed(differences: Sequence[StageDifference]) -> list[dict[str, Any]]:
    return [
        {name: round(value, 4) if isinstance(value, float) else value for name, value in asdict(each).items()}
        for each in differences
    ]
