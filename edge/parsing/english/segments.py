"""An English sentence in segments: the words between two pauses or conjunctions."""

import re
from dataclasses import dataclass

from edge.parsing.amounts import Amounts, Marked, plain_mark
from edge.parsing.english import words
from edge.parsing.english.idioms import IDIOMS
from edge.parsing.english.mood import LATER, with_later
from edge.parsing.english.verbs import is_noun

_TOKEN = re.compile(r"[a-z0-9]+(?:['-][a-z0-9]+)*|[.,;:!?()\"\n\u2014]")
_DASH = re.compile(r"\s(?:-{1,2}|\u2013|->|=>|\u2192)\s")
_HYPHEN = re.compile(r"(?<=[a-z])-(?=(?:left|right|forwards?|back|backwards?|ahead|straight)\b)")
JOIN = frozenset({"and", "or", "nor", "but", "then", "while", "so", "by", "not"})
CONDITION = frozenset({"if", "when", "unless"})
DROPPED = frozenset({"until", "till", "because", "since", "before"})
PAUSE = frozenset('.,;:!?()"\n\u2014')
_AFTER_TO = words.BASE.keys() | words.PURPOSES
_SPLITS = PAUSE | JOIN | CONDITION | DROPPED


@dataclass(frozen=True, slots=True)
class Phrase:
    """Words between two pauses or conjunctions, without the numbers of amounts."""

    mark: str  # what stands ahead of it
    tokens: list[str]
    amounts: Amounts
    later: bool  # it speaks of another time or place


def _rewritten(plain: str) -> str:
    for pattern, instead in IDIOMS:
        plain = pattern.sub(
            lambda match, word=instead: (
                match.expand(word) if "\\" in word else " ".join([word, *filter(None, match.groups())])
            ),
            plain,
        )
    return plain


def segments_of(plain: str) -> list[Phrase]:
    """Return the parts of a lowercase sentence between its pauses and conjunctions."""
    marked = Marked(" ".join(plain.split()))
    segments: list[Phrase] = []
    mark = ""
    taken: list[str] = []
    spaced = _HYPHEN.sub(" ", _DASH.sub(" \u2014 ", marked.text))
    tokens = [*_TOKEN.findall(_rewritten(with_later(spaced))), "."]
    for at, token in enumerate(tokens):
        after = tokens[at + 1] if at + 1 < len(tokens) else ""
        token = "while" if token == "as" and after in ("you", "we", "it", "the", "i", "there") else token
        last_once = token == "once" and after in ("you", "the", "it", "there")
        purpose = token == "to" and after in _AFTER_TO and (not taken or has_verb(taken))
        if not (last_once or purpose or token in _SPLITS):
            taken.append(token)
            continue
        kept = [plain_mark(word) or word for word in taken if word != LATER]
        segments.append(Phrase(mark, kept, marked.amounts(taken), LATER in taken))
        taken = []
        mark = "if" if last_once else token
    return segments


def has_verb(tokens: list[str]) -> bool:
    """Return whether a word among these is the verb of an order, also behind a subject."""
    verbs = [at for at, token in enumerate(tokens) if token in words.BASE or token in words.GERUND]
    return any(not is_noun(tokens, at) for at in verbs)
