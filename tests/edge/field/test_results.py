from dataclasses import replace
from pathlib import Path

import pytest

from edge.errors import UsageError
from edge.field.order import planned_trials
from edge.field.results import ResultsFile, check_results, check_same_bundle
from tests.edge.field.field_sheet import all_driven, driven, sheet_of

ALL = {"default": "+" * 15, "head": "-" * 15}


def written(path: Path, count: int) -> ResultsFile:
    file = ResultsFile(path)
    for result in all_driven(sheet_of(), ALL)[:count]:
        file.add(result)
    return file


def test_results_are_read_as_they_were_written(tmp_path: Path):
    file = written(tmp_path / "day" / "results.jsonl", 7)
    again = ResultsFile(file.path)
    assert again.results == file.results and len(again.counting) == 7 and not again.torn
    check_results(again, sheet_of())


def test_a_file_cut_at_any_byte_loses_at_most_its_last_result(tmp_path: Path):
    path = tmp_path / "results.jsonl"
    whole = written(path, 3).results
    content = path.read_bytes()
    ends = [i + 1 for i, byte in enumerate(content) if byte == ord("\n")]
    for cut in range(0, len(content), 29):
        path.write_bytes(content[:cut])
        file = ResultsFile(path)
        kept = sum(end <= cut for end in ends)
        assert file.results == whole[:kept] and file.torn == (cut not in (0, *ends))
        file.add(whole[kept])
        assert ResultsFile(path).results == whole[: kept + 1]


def test_a_void_trial_does_not_count(tmp_path: Path):
    sheet = sheet_of()
    trial = planned_trials(sheet)[0]
    file = ResultsFile(tmp_path / "results.jsonl")
    file.add(driven(sheet, trial, False, void=True))
    assert trial.key not in file.counting
    file.add(driven(sheet, trial, True))
    assert file.counting[trial.key].success


def test_what_is_not_a_result_is_refused(tmp_path: Path):
    path = tmp_path / "results.jsonl"
    written(path, 1)
    for line in ("{}", "[]", "x", path.read_text().replace('"scene": 1', '"scene": "1"').strip()):
        path.write_text(f"{line}\n")
        with pytest.raises(UsageError, match="line 1: it is not a trial's result"):
            ResultsFile(path)


def test_a_sheet_may_get_more_trials_and_nothing_else(tmp_path: Path):
    file, sheet = written(tmp_path / "results.jsonl", 4), sheet_of()
    check_results(file, sheet.model_copy(update={"trials": 9}))
    hall, yard = sheet.settings
    for update, says in [
        ({"bundles": ["head"]}, "does not have"),
        ({"max_seconds": 30.0}, "driven otherwise"),
        ({"options": ["--threads", "2"]}, "driven otherwise"),
        ({"settings": [hall.model_copy(update={"seen": False}), yard]}, "'hall' as seen"),
    ]:
        with pytest.raises(UsageError, match=says):
            check_results(file, sheet.model_copy(update=update))


def test_a_bundle_that_was_changed_during_the_day_is_refused(tmp_path: Path):
    file = written(tmp_path / "results.jsonl", 1)
    check_same_bundle(file, file.results[0])
    with pytest.raises(UsageError, match="is not what it was"):
        check_same_bundle(file, replace(file.results[0], bundle_sha256="another"))


def test_help_is_not_success():
    sheet = sheet_of()
    trial = planned_trials(sheet)[0]
    assert driven(sheet, trial, True).success
    assert not driven(sheet, trial, True, interventions=1).success
    stopped = driven(sheet, trial, True, summary={"exit_code": 4, "cause": "contact"})
    assert stopped.safety_stop and not stopped.success
    by_hand = driven(sheet, trial, True, interventions=1, summary={"exit_code": 4, "cause": "operator"})
    assert not by_hand.safety_stop and not by_hand.success
