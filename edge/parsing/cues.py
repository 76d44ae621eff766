"""The cues that the reader of each language finds, for the judge in freetext.py."""

import re
from dataclasses import dataclass, replace

from edge.parsing.amounts import NO_AMOUNTS, Amounts
from edge.records import ActionType

# Shares of the base's full speed and turn rate.
SPEED_SHARE = 0.6
APPROACH_SHARE = 0.4
TURN_SHARE = 0.5
SLOW, CAREFUL, FAST = 0.5, 0.3, 1.5

# Doubts that more than one reader finds.
QUESTION = "a question"
CONDITIONAL = "only under a condition"
NO_WAY = "no direction to turn to"


def own_words(text: str, reported: re.Pattern[str], conclusion: re.Pattern[str]) -> str | None:
    """Return what a sentence says itself, or concludes from a report; None if it only reports."""
    report = reported.search(text)
    if report is None:
        return text
    concluded = conclusion.search(text, report.end())
    return None if concluded is None else text[concluded.end() :]


@dataclass(frozen=True, slots=True)
class Cue:
    """One verb of a text with its direction, target and negation; directions may conflict."""

    type: ActionType
    negated: bool = False
    ways: frozenset[str] = frozenset()  # left right forward back, all that the text gives this verb
    target: str = ""
    step: int = 0  # order in time: 1 comes after "then"
    purpose: bool = False  # "to reach the cup" gives the reason, not the action
    doubt: str = ""  # why this verb alone is not an order; empty if it is
    mention: str = ""  # why the text only talks about this verb; such a cue neither moves nor stops
    factor: float = 1.0  # scale of the speed
    amounts: Amounts = NO_AMOUNTS

    def with_amounts(self, amounts: Amounts) -> "Cue":
        """Return the cue with how far or by how much; "move 30 degrees to the left" is a turn."""
        kind, doubt = self.type, self.doubt
        if kind is ActionType.MOVE and amounts.angle_rad is not None and self.ways & {"left", "right"}:
            kind = ActionType.TURN
        if kind is ActionType.TURN and amounts.distance_m is not None and not self.negated:
            doubt = doubt or "speaks of a turn somewhere else"
        if kind in (ActionType.MOVE, ActionType.TURN, ActionType.NAVIGATE) and not self.negated:
            doubt = doubt or amounts.excess
        return replace(self, type=kind, doubt=doubt, amounts=amounts)


@dataclass(frozen=True, slots=True)
class Reading:
    """All that one text says."""

    cues: tuple[Cue, ...] = ()
    doubt: str = ""  # why the whole text is unreliable: a hedge, a question
    denial: str = ""  # why the text denies something: "cannot find", "there is no"
    sides: frozenset[str] = frozenset()  # left, right: the sides where the text places something
    blocked: bool = False  # the text says that the way ahead is not free
