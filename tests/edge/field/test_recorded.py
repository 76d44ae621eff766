import json
from dataclasses import asdict, replace
from pathlib import Path

import pytest

from edge.commands.field.questions import NoQuestions
from edge.commands.field.recorded import read_recorded
from edge.errors import UsageError
from edge.field.results import TrialResult
from tests.edge.field.field_sheet import all_driven, sheet_of

MARKS = {"default": "+++++-+++++-+++", "head": "++-+--++-+---+-"}


def left(folder: Path, number: int, result: TrialResult) -> None:
    """Leave what a trial leaves in its run's folder."""
    run = folder / f"2026-01-01T00-{number:02d}-00"
    run.mkdir(parents=True)
    keys = ("outcome", "cause", "reason", "exit_code", "seconds", "target")
    summary = {key: asdict(result)[key] for key in keys}
    bundle = {"name": result.bundle, "sha256": result.bundle_sha256}
    (run / "summary.json").write_text(json.dumps({**summary, "goal": "find_object", "bundle": bundle}))
    (run / "trial.json").write_text(json.dumps(asdict(result)))


def read(folder: Path) -> list[TrialResult]:
    return read_recorded(sheet_of(), folder, [folder], NoQuestions())


def test_trials_of_a_day_keep_their_scenes_though_some_are_missing(tmp_path: Path):
    day = all_driven(sheet_of(), MARKS)
    kept = [each for number, each in enumerate(day) if number not in (3, 8, 9)]
    for number, result in enumerate(kept):
        left(tmp_path, number, result)
    assert read(tmp_path) == kept


def test_a_second_day_of_the_same_sheet_adds_scenes(tmp_path: Path):
    day = all_driven(sheet_of(), MARKS)
    for number, result in enumerate([*day, *day]):
        left(tmp_path, number, result)
    both = read(tmp_path)
    assert both[:30] == day
    assert both[30:] == [replace(each, scene=each.scene + 5) for each in day]


def test_a_run_of_another_bundle_is_refused(tmp_path: Path):
    left(tmp_path, 0, replace(all_driven(sheet_of(), MARKS)[0], bundle="stranger"))
    with pytest.raises(UsageError, match="bundle 'stranger'"):
        read(tmp_path)


def test_a_run_of_an_unknown_setting_is_refused(tmp_path: Path):
    left(tmp_path, 0, replace(all_driven(sheet_of(), MARKS)[0], setting="cellar"))
    with pytest.raises(UsageError, match="nobody knows in which setting"):
        read(tmp_path)
