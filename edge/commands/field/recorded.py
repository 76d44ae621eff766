"""Trials that were driven before: the runs in folders, each with its setting, and by whom it was judged."""

import json
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import asdict, replace
from itertools import count
from pathlib import Path
from typing import Any

from edge.commands.field.questions import Questions
from edge.errors import UsageError
from edge.field.judging import drove
from edge.field.order import PlannedTrial
from edge.field.results import JUDGED, TrialResult, read_result, result_of
from edge.field.sheet import SettingSection, TrialSheet
from edge.files import foreign_json, write_whole

MOST_BYTES = 4 << 20


def read_recorded(
    sheet: TrialSheet, beside: Path, folders: Sequence[Path], questions: Questions
) -> list[TrialResult]:
    """Return the results of recorded runs, in the order in which they were driven.

    Each run's setting is the one whose `from` holds it (paths are relative to `beside`), or the one that its
    trial.json names, or the sheet's only one. Runs without a verdict are judged by the truth or by asking,
    which is written beside them. A run that no sheet has driven is the next scene of its bundle, setting and
    target.

    Raises UsageError for a run that nobody knows the setting of, or of another bundle, goal or target.
    """
    runs: list[tuple[Path, SettingSection | None]] = [(run, None) for run in _runs_in(folders)]
    for setting in sheet.settings:
        runs += [(run, setting) for run in _runs_in([beside / each for each in setting.runs or []])]
    if not runs:
        raise UsageError("no run was found: no folder has a summary.json", "`vla-edge run` makes them")
    taken: dict[tuple[str, str, str], set[int]] = defaultdict(set)
    results: list[TrialResult] = []
    for run, setting in sorted(runs, key=lambda each: each[0].name):
        summary = _summary(run)
        if not drove(summary):
            continue
        verdict = _judged(run)
        trial = _trial(sheet, run, summary, setting or _setting(sheet, run, verdict))
        if verdict is None:
            judged = questions.judge(str(run), summary)
            verdict = result_of(trial, summary, str(run), (), **asdict(judged))
            write_whole(run / JUDGED, json.dumps(asdict(verdict), indent=2, ensure_ascii=False) + "\n")
        scene = _scene(verdict, taken[trial.key[:3]])
        results.append(
            replace(
                verdict,
                bundle=trial.bundle,
                setting=trial.setting.name,
                seen=trial.setting.seen,
                scene=scene,
            )
        )
    return results


def _scene(result: TrialResult, taken: set[int]) -> int:
    """Return the scene of a run: the one that its day gave it, or the first that is free."""
    if result.void:
        return result.scene
    free = next(number for number in count(1) if number not in taken)
    scene = result.scene if result.command and result.scene not in taken else free
    taken.add(scene)
    return scene


def _runs_in(folders: Iterable[Path]) -> list[Path]:
    found: dict[Path, Path] = {}
    for folder in folders:
        if not folder.is_dir():
            raise UsageError(f"{folder} is not a folder", "name a run's folder, or one that holds runs")
        found |= {path.parent.resolve(): path.parent for path in sorted(folder.rglob("summary.json"))}
    return list(found.values())


def _setting(sheet: TrialSheet, run: Path, verdict: TrialResult | None) -> SettingSection:
    names = {each.name: each for each in sheet.settings}
    if verdict is not None and verdict.setting in names:
        return names[verdict.setting]
    if len(sheet.settings) == 1:
        return sheet.settings[0]
    raise UsageError(
        f"nobody knows in which setting {run} was driven",
        f"put it under `from:` of one of {', '.join(names)}",
    )


def _trial(sheet: TrialSheet, run: Path, summary: dict[str, Any], setting: SettingSection) -> PlannedTrial:
    name, target = summary["bundle"]["name"], summary["target"]
    bundles = {Path(each).name: each for each in sheet.bundles}
    if name not in bundles:
        raise UsageError(f"{run} was driven by bundle {name!r}", f"the sheet has {', '.join(sheet.bundles)}")
    if summary["goal"] != sheet.goal or target not in sheet.targets_in(setting):
        raise UsageError(
            f"{run} was driven to {summary['goal']} {target!r}",
            f"the sheet has {sheet.goal} with {', '.join(sheet.targets_in(setting))} in {setting.name}",
        )
    return PlannedTrial(bundles[name], setting, target, 1, 0)


def _judged(run: Path) -> TrialResult | None:
    path = run / JUDGED
    return read_result(path.read_bytes()[:MOST_BYTES], str(path)) if path.exists() else None


def _summary(run: Path) -> dict[str, Any]:
    """Return a run's summary. Raises UsageError if it is not one."""
    path = run / "summary.json"
    try:
        document = foreign_json(path.read_bytes()[:MOST_BYTES])
        if {"outcome", "cause", "reason", "exit_code", "seconds", "bundle", "goal", "target"} <= set(
            document
        ):
            return document
        why = "it lacks keys"
    except (OSError, ValueError, TypeError) as error:
        why = str(error)
    raise UsageError(f"{path} is not a run's summary: {why}", "leave its folder out")
