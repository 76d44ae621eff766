"""What the readers of each language hand to the judge in freetext.py."""

from dataclasses import dataclass

from edge.records import ActionType

# Shares of the base's full speed and turn rate.
SPEED_SHARE = 0.6
APPROACH_SHARE = 0.4
TURN_SHARE = 0.5
SLOW, CAREFUL, FAST = 0.5, 0.3, 1.5


@dataclass(frozen=True, slots=True)
class Cue:
    """One verb of a text and what came with it. Speeds are unscaled; several directions may conflict."""

    type: ActionType
    negated: bool = False
    ways: frozenset[str] = frozenset()  # left right forward back, as said for this verb
    target: str = ""
    step: int = 0  # 1 is what comes after "then"
    purpose: bool = False  # "to reach the cup": says why, not what
    doubt: str = ""  # why this verb is no order as it stands
    factor: float = 1.0


@dataclass(frozen=True, slots=True)
class Reading:
    """All that was read in one text."""

    cues: tuple[Cue, ...] = ()
    doubt: str = ""  # why nothing in the text can be relied on: a hedge, a question
    denial: str = ""  # "cannot find", "there is no"
    sides: frozenset[str] = frozenset()  # left, right: where something is said to be
    blocked: bool = False  # the way ahead is said not to be free
