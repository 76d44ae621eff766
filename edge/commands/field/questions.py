"""What the operator of a field day is asked, and what is known without asking."""

import sys
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from edge.errors import UsageError
from edge.field.judging import by_stick, known_truth
from edge.field.order import PlannedTrial
from edge.field.results import BY_OPERATOR, BY_TRUTH

MOST_INTERVENTIONS = 1000


@dataclass(frozen=True)
class TrialVerdict:
    """What came of a run, by whoever judged it."""

    reached: bool
    judged_by: str
    interventions: int = 0
    note: str = ""
    void: bool = False


class EndOfDay(Exception):
    """The operator ends the day; what is over is kept."""


class Questions:
    """A person at the terminal."""

    def __init__(self) -> None:
        self._there = sys.stdin is not None and sys.stdin.isatty()

    def set_scene(self, trial: PlannedTrial, what: str) -> None:
        """Say what to set up, and wait until it is. Raises EndOfDay, UsageError if nobody can be asked."""
        self._check("nobody sets the scene: the answers are read from a terminal")
        scene = f"\n  set it up: {trial.setting.scene}" if trial.setting.scene else ""
        if self._ask(f"{what}{scene}\n  Enter drives, q ends the day: ").lower() in ("q", "quit"):
            raise EndOfDay

    def judge(self, what: str, summary: Mapping[str, Any]) -> TrialVerdict:
        """Return what came of a run, by the truth where the robot knows it, else by asking.

        Raises EndOfDay, UsageError if nobody can be asked.
        """
        truth = known_truth(summary)
        if truth is not None:
            return TrialVerdict(truth, BY_TRUTH, by_stick(summary))
        self._check(f"nobody judges {what}: its robot does not know whether it reached the goal")
        print(f"{what}: the run ended as {summary['outcome']}: {summary['reason']}", file=sys.stderr)
        answer = self._choose("  did it reach its goal? y yes, n no, v it does not count (driven again): ")
        if answer == "v":
            return TrialVerdict(False, BY_OPERATOR, note=self._ask("  why it does not count: "), void=True)
        # Takeovers were counted by the run itself; a person may have stepped in without a stick as well.
        least = by_stick(summary) + int(summary["cause"] == "operator")
        interventions = self._count(f"  how often did somebody step in? Enter: {least}: ", least)
        return TrialVerdict(answer == "y", BY_OPERATOR, interventions, self._ask("  note (Enter: none): "))

    def _check(self, what: str) -> None:
        if not self._there:
            raise UsageError(
                what, "start it in a terminal; --yes is for robots that know the truth, as sim does"
            )

    def _choose(self, question: str) -> str:
        while (answer := self._ask(question).lower()[:1]) not in ("y", "n", "v"):
            pass
        return answer

    def _count(self, question: str, least: int) -> int:
        while True:
            text = self._ask(question)
            if not text:
                return least
            if text.isascii() and text.isdigit() and least <= int(text[:6]) <= MOST_INTERVENTIONS:
                return int(text[:6])

    def _ask(self, question: str) -> str:
        print(question, end="", file=sys.stderr, flush=True)
        line = sys.stdin.readline()
        if not line:
            print(file=sys.stderr)
            raise EndOfDay
        return "".join(each for each in line.strip()[:500] if each.isprintable())


class NoQuestions(Questions):
    """Nobody is asked: what no robot knows is refused."""

    def __init__(self) -> None:
        self._there = False
