"""A goal in the words that a bundle's model knows."""

import difflib
import unicodedata
from dataclasses import replace

from edge.bundle.bundle import Bundle
from edge.bundle.manifest import Manifest, Vocabulary
from edge.errors import UsageError
from edge.goals.goals import GOALS
from edge.goals.prompts import may_move
from edge.records import Goal

_ARTICLES = ("a", "an", "the")
_TALKERS = "llava, qwen2.5-vl, qwen3-vl, smolvlm and flamingo"  # these answer in words, and can be exported


def check_target(bundle: Bundle, goal: Goal) -> Goal:
    """Return the goal with its target in the bundle's own words: lowercase, no article, singular.

    An instruction stays as it is. Raises UsageError if the bundle was not made for such a goal, and, with the
    nearest known names, if a closed vocabulary lacks a word of the target.
    """
    manifest = bundle.manifest
    check_goal(bundle, goal)
    if goal.kind == "instruct":
        return goal
    words = unicodedata.normalize("NFC", goal.target).lower().split()
    if words and words[0] in _ARTICLES:
        words = words[1:]
    if not words and goal.target:
        raise UsageError(f"the target '{goal.target}' names nothing")
    if words and manifest.vocabulary.kinds:
        words = [_known_word(word, manifest.vocabulary) for word in words]
        _check_phrase(words, goal.target, manifest.vocabulary)
    return replace(goal, target=" ".join(words))


def check_goal(bundle: Bundle, goal: Goal) -> None:
    """Check that the bundle was made for such a goal and can drive a robot by it.

    Raises UsageError if not, also if the robot would have to drive by answers that may not move it.
    """
    manifest = bundle.manifest
    able = [kind for kind in manifest.goals if _can_do(bundle, kind)]
    if goal.kind in able:
        return
    hint = f"it can do: {', '.join(able)}"
    why = ""
    if goal.kind == "instruct":
        why = f": {_why_no_instruction(manifest)}"
        hint += f"; {_TALKERS} models can: `vla-edge export --model FOLDER --out BUNDLE`"
    elif goal.kind in manifest.goals:
        why = f": a {manifest.family} does not say where things are"
    raise UsageError(f"bundle '{manifest.name}' cannot do {goal.kind}{why}", hint)


def _can_do(bundle: Bundle, kind: str) -> bool:
    moves = kind in GOALS and GOALS[kind].moves
    grounds = bundle.manifest.policy == "grounding"
    return not (moves and grounds) or may_move(bundle.manifest.family, kind)


def _why_no_instruction(manifest: Manifest) -> str:
    if manifest.policy != "grounding":
        return "it drives as it was trained, and takes no instructions"
    if manifest.answer is None or not may_move(manifest.family, "instruct"):
        return "it says where things are, and not how to move"
    return "it was exported before models drove by words"


def _known_word(word: str, vocabulary: Vocabulary) -> str:
    known = (*vocabulary.kinds, *vocabulary.colours)
    # A plural such as "cups" and "boxes", or the Korean for "the colour red".
    for candidate in (word, word.removesuffix("s"), word.removesuffix("es"), word.removesuffix("색")):
        if candidate in known:
            return candidate
    near = difflib.get_close_matches(word, known, n=3)
    names = f"did you mean {', '.join(near)}? " if near else ""
    raise UsageError(
        f"the model does not know '{word}'",
        f"{names}it knows {', '.join(vocabulary.kinds)}; colours {', '.join(vocabulary.colours)}",
    )


def _check_phrase(words: list[str], target: str, vocabulary: Vocabulary) -> None:
    *colours, kind = words
    if kind not in vocabulary.kinds or len(colours) > 1 or any(word in vocabulary.kinds for word in colours):
        raise UsageError(
            f"the target '{target}' is not '[colour] kind'", f"for example '{vocabulary.kinds[0]}'"
        )
