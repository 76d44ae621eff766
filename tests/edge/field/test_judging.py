"""What a run itself knows of how it went."""

import pytest

from edge.commands.field.questions import NoQuestions
from edge.errors import UsageError

REACHED = {"outcome": "reached", "cause": None, "reason": "arrived: cup"}


@pytest.mark.parametrize(
    ("counted", "interventions"), [({"number": 2, "seconds": 3.1, "stretches": []}, 2), (None, 0)]
)
def test_takeovers_that_the_run_counted_are_its_interventions(counted: object, interventions: int):
    """A run of an earlier version did not count."""
    summary = {**REACHED, "truth": {"distance_m": 0.5}, "interventions": counted}
    verdict = NoQuestions().judge("a run", summary)
    assert verdict.reached and verdict.interventions == interventions


def test_a_run_whose_robot_knows_no_truth_needs_somebody_to_judge_it():
    with pytest.raises(UsageError, match="nobody judges"):
        NoQuestions().judge("a run", {**REACHED, "truth": None, "interventions": {"number": 1}})
