"""Sheets and results of trials that were never driven."""

from typing import Any

from edge.field.order import PlannedTrial, command_of, planned_trials
from edge.field.results import BY_TRUTH, TrialResult, result_of
from edge.field.sheet import TrialSheet, parse_sheet

SHEET = """
name: cups and boxes
bundles: [default, head]
targets: [cup, box]
trials: 5
settings:
  - {name: hall, seen: true, room: 100}
  - {name: yard, seen: false, room: 200, targets: [ball]}
"""


def sheet_of(more: str = "") -> TrialSheet:
    return parse_sheet(SHEET + more, "sheet.yaml")


def driven(sheet: TrialSheet, trial: PlannedTrial, reached: bool, **changes: Any) -> TrialResult:
    summary = {
        "outcome": "reached" if reached else "timeout",
        "cause": None,
        "reason": "",
        "exit_code": 0 if reached else 3,
        "seconds": 10.0,
        "bundle": {"name": trial.bundle, "sha256": f"sha of {trial.bundle}"},
        **changes.pop("summary", {}),
    }
    judged = {"judged_by": BY_TRUTH, "interventions": 0, "note": "", "void": False, **changes}
    return result_of(trial, summary, "runs/0001", command_of(sheet, trial), reached=reached, **judged)


def all_driven(sheet: TrialSheet, successes: dict[str, str]) -> list[TrialResult]:
    """Results of all trials; `successes` has + or - for each scene of a bundle, in the sheet's order."""
    marks = {bundle: iter(each) for bundle, each in successes.items()}
    return [driven(sheet, trial, next(marks[trial.bundle]) == "+") for trial in planned_trials(sheet)]
