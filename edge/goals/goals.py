"""The goals that an operator may set, and what each needs."""

import difflib
import re
import unicodedata
from dataclasses import dataclass

from edge.errors import UsageError
from edge.records import Goal

MAX_TARGET_CHARS = 64
# Composing shortens a text by at most this: a decomposed Hangul syllable has up to three characters.
_MAX_RAW_CHARS = 4 * MAX_TARGET_CHARS
_SPECIAL = re.compile(r"[<>]|<\||\|>|\[/?[A-Z_]{2,}\]")


@dataclass(frozen=True, slots=True)
class GoalKind:
    """One kind of goal: what it does and what it needs."""

    does: str
    needs_target: bool
    moves: bool


GOALS: dict[str, GoalKind] = {
    "find_object": GoalKind("search by turning, approach, stop in front of it", True, True),
    "follow_object": GoalKind("keep it centred at a distance until stopped", True, True),
    "describe_scene": GoalKind("say what is there, where it can after a turn on the spot", False, False),
    "identify_main_object": GoalKind("name the main object, no motion", False, False),
    "instruct": GoalKind("do what a model of open words says to an instruction, bit by bit", True, True),
}


def parse_goal(kind: str, target: str | None = None) -> Goal:
    """Return the goal of that kind and target. Raises UsageError if either is not acceptable."""
    known = GOALS.get(kind)
    if known is None:
        near = difflib.get_close_matches(kind[:64].lower().replace("-", "_"), GOALS, n=1, cutoff=0.5)
        hint = f"did you mean '{near[0]}'?" if near else f"choose one of {', '.join(GOALS)}"
        raise UsageError(f"unknown goal {_shown(kind)}", hint)
    if not known.needs_target:
        if target is not None:
            raise UsageError(f"goal '{kind}' takes no target, got {_shown(target)}", "leave --target out")
        return Goal(kind)
    if target is None:
        example = "go to the door" if kind == "instruct" else "red cup"
        raise UsageError(f"goal '{kind}' needs a target", f'add one: --goal {kind} --target "{example}"')
    return Goal(kind, check_target(target))


def check_target(target: str) -> str:
    """Return the target stripped and composed (NFC). Raises UsageError if it is not fit for a prompt."""
    stripped = target.strip()
    text = stripped if len(stripped) > _MAX_RAW_CHARS else unicodedata.normalize("NFC", stripped)
    if not text:
        raise UsageError(f"target is empty (1 to {MAX_TARGET_CHARS} characters)", 'try --target "red cup"')
    if len(text) > MAX_TARGET_CHARS:
        raise UsageError(
            f"target is {len(text)} characters long (limit {MAX_TARGET_CHARS})",
            "name the object in a few words",
        )
    bad = next((char for char in text if not char.isprintable()), None)
    if bad is not None:
        raise UsageError(
            f"target {_shown(text)} has a character that cannot be printed (U+{ord(bad):04X})", "remove it"
        )
    special = _SPECIAL.search(text)
    if special is not None:
        raise UsageError(
            f"target {_shown(text)} looks like a special token of a model ('{special[0]}')",
            "name the object in plain words, without angle brackets",
        )
    return text


def _shown(text: str) -> str:
    """Return the text quoted for a terminal: one line, short, nothing that could move the cursor."""
    short = text if len(text) <= 40 else text[:40] + "…"
    return "'" + "".join(char if char.isprintable() else f"\\u{ord(char):04x}" for char in short) + "'"
