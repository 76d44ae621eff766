import json

import pytest
from scipy.stats import chi2
from statsmodels.stats.contingency_tables import mcnemar
from statsmodels.stats.proportion import confint_proportions_2indep, proportion_confint

from edge.field.figures import figures
from edge.field.order import planned_trials
from edge.field.text import text_of
from tests.edge.field.field_sheet import all_driven, driven, sheet_of

BUNDLES = ["default", "head"]
TRIALS = {"planned": 30, "driven": 30, "void": 0}
# A scene of each setting in turn: cup and box in the hall, ball in the yard.
MARKS = {"default": "+++++-+++++-+++", "head": "++-+--++-+---+-"}


def document(marks: dict[str, str]) -> dict:
    return {"sheet": "s", "trials": TRIALS, **figures(all_driven(sheet_of(), marks), BUNDLES), "folder": None}


def test_the_figures_of_a_day_are_those_of_statsmodels():
    found = document(MARKS)
    default, head = found["bundles"]["default"], found["bundles"]["head"]
    assert default["success"]["count"] == 13 and head["success"]["count"] == 7
    assert head["success"]["wilson95"] == pytest.approx(proportion_confint(7, 15, method="wilson"))
    assert head["settings"]["hall"]["count"] == 7 and head["settings"]["hall"]["trials"] == 10
    assert head["settings"]["yard"] == {"seen": False, **head["unseen"]}
    assert head["gap"]["gap"] == pytest.approx(0.7)
    theirs = confint_proportions_2indep(7, 10, 0, 5, compare="diff", method="newcomb")
    assert head["gap"]["newcombe95"] == pytest.approx(theirs)
    (comparison,) = found["comparisons"]
    pairs = list(zip(*MARKS.values(), strict=True))
    assert comparison["pairs"] == 15 and comparison["only_first"] == pairs.count(("+", "-")) == 6
    assert comparison["only_second"] == 0 and comparison["told_apart"]
    table = [[comparison["both"], 6], [0, comparison["neither"]]]
    assert comparison["mcnemar_exact"] == pytest.approx(mcnemar(table, exact=True).pvalue)
    json.dumps(found, allow_nan=False)
    text = text_of(found)
    assert "default is better" in text and "it does better where it has been before" in text


def test_a_pair_is_the_same_scene_whatever_the_order():
    sheet = sheet_of("order: random\nseed: 3\n")
    good = {("hall", "cup", 1), ("yard", "ball", 4)}
    results = [driven(sheet, each, each.key[1:] in good) for each in planned_trials(sheet)]
    (comparison,) = figures(results, BUNDLES)["comparisons"]
    assert (comparison["both"], comparison["neither"]) == (2, 13)
    assert comparison["further_pairs"] is None
    assert "no difference was seen" in text_of({"sheet": "s", "trials": TRIALS, **figures(results, BUNDLES)})


def test_scenes_that_only_one_bundle_has_driven_are_not_compared():
    results = all_driven(sheet_of(), MARKS)[:11]
    (comparison,) = figures(results, BUNDLES)["comparisons"]
    assert comparison["pairs"] == 5


def test_time_between_interventions_counts_people_and_safety_stops():
    sheet = sheet_of()
    trials = [each for each in planned_trials(sheet) if each.bundle == "head"]
    stop = {"exit_code": 4, "cause": "contact", "outcome": "fault"}
    results = [driven(sheet, each, True) for each in trials[:10]]
    results += [
        driven(sheet, trials[10], True, interventions=2),
        driven(sheet, trials[11], False, summary=stop),
    ]
    found = figures(results, BUNDLES)["bundles"]["head"]["interventions"]
    assert (found["count"], found["by_person"], found["safety_stops"]) == (3, 2, {"contact": 1})
    assert found["driven_s"] == 120.0 and found["mean_time_between_s"] == 40.0
    assert found["interval95_s"] == pytest.approx([240 / chi2.ppf(0.975, 8), 240 / chi2.ppf(0.025, 6)])


def test_a_day_without_trials_has_no_figures():
    found = {"sheet": "s", "trials": {"planned": 4, "driven": 0, "void": 0}, **figures([], BUNDLES)}
    assert text_of(found) == "s: 0 of 4 trials"
