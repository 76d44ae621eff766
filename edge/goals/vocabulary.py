"""A goal in the words that a bundle's model knows."""

import difflib
import re
import unicodedata
from dataclasses import replace

from edge.bundle.bundle import Bundle
from edge.bundle.manifest import Manifest, Vocabulary
from edge.errors import UsageError
from edge.goals.goals import GOALS
from edge.goals.prompts import may_move
from edge.goals.words import KOREAN_COLOURS
from edge.records import Goal

_ARTICLES = ("a", "an", "the")
_TALKERS = "llava, qwen2.5-vl, qwen3-vl, smolvlm and flamingo"  # these answer in words, and can be exported
_HANGUL = re.compile(r"[\uac00-\ud7a3]")
# What marks a Korean noun in its sentence: "컵을" is the cup as an object.
_PARTICLE = re.compile(r"(?<=[\uac00-\ud7a3])(?:쪽으로|까지|에게|한테|으로|[을를이가은는의에로도])$")


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
        words = [known for word in words for known in _known_words(word, manifest.vocabulary)]
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
    who = "the default model" if bundle.chosen else f"bundle '{manifest.name}'"  # nobody typed its name
    raise UsageError(f"{who} cannot do {goal.kind}{why}", hint)


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


def _known_words(word: str, vocabulary: Vocabulary) -> list[str]:
    """Return the known words in a word: "cups" is cup, "빨간컵을" is 빨간 and 컵."""
    bare = _PARTICLE.sub("", word)
    for candidate in (word, bare):
        known = _known(candidate, vocabulary)
        if known:
            return [known]
        for at in range(1, len(candidate)):  # Korean writes a colour and its thing in one word, too
            colour, thing = _known(candidate[:at], vocabulary), _known(candidate[at:], vocabulary)
            if _HANGUL.match(candidate) and colour in vocabulary.colours and thing in vocabulary.kinds:
                return [colour, thing]
    near = difflib.get_close_matches(word, (*vocabulary.kinds, *vocabulary.colours), n=3, cutoff=0.7)
    names = f"did you mean {', '.join(near)}? " if near else ""
    raise UsageError(
        f"the model does not know '{word}'",
        f"{names}it knows {', '.join(vocabulary.kinds)}; colours {', '.join(vocabulary.colours)}",
    )


def _known(word: str, vocabulary: Vocabulary) -> str:
    """Return the form of a word that the vocabulary knows: of "cups", of "빨간색"; empty if none."""
    known = (*vocabulary.kinds, *vocabulary.colours)
    colour = word.removesuffix("색")
    forms = (word, word.removesuffix("s"), word.removesuffix("es"), colour, KOREAN_COLOURS.get(colour, ""))
    return next((form for form in forms if form and form in known), "")


def _check_phrase(words: list[str], target: str, vocabulary: Vocabulary) -> None:
    *colours, kind = words
    if kind not in vocabulary.kinds or len(colours) > 1 or any(word in vocabulary.kinds for word in colours):
        raise UsageError(
            f"the target '{target}' is not '[colour] kind'",
            f"for example '{' '.join((*vocabulary.colours[:1], vocabulary.kinds[0]))}'",
        )
