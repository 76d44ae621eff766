"""Whether a run reached its goal, as far as the robot itself knows."""

from collections.abc import Mapping
from typing import Any, cast

from edge.outcomes import Outcome

GOOD = (Outcome.REACHED.value, Outcome.FOLLOWED.value)
_NOT_DRIVEN = (1, 2, 5, 6)  # exit codes: a bug, a wrong option, hardware or a bundle that is not there
INTERRUPTED = 130


def known_truth(summary: Mapping[str, Any]) -> bool | None:
    """Return whether a run reached its goal; None if its robot does not know its room.

    A summary's outcome already has the robot's own truth in it: a false arrival is not `reached`.
    """
    return summary["outcome"] in GOOD if summary.get("truth") else None


def by_stick(summary: Mapping[str, Any]) -> int:
    """Return how often a person drove during the run, as it counted itself; 0 for runs that did not count."""
    counted = cast("Mapping[str, Any]", summary.get("interventions") or {})
    return int(counted.get("number", 0))


def drove(summary: Mapping[str, Any]) -> bool:
    """Return True if the run was a trial of its bundle, and not of what surrounds it or cut off by hand."""
    return summary["exit_code"] not in (*_NOT_DRIVEN, INTERRUPTED)
