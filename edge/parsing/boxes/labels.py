"""Whether a label names what was asked for; one that denies, doubts or names another thing does not."""

import re
import unicodedata
from dataclasses import dataclass
from enum import IntEnum

from edge.parsing.boxes.things import COLOURS, KOREAN_COLOURS, KOREAN_NOUNS, is_kind_of, known, thing

_UNSURE = re.compile(
    r"\b(?:no|not|none|never|nothing|without|cannot|cant|unable|missing|absent|unknown|neither|nor"
    r"|may|might|maybe|perhaps|possibl[ey]|potential|probabl[ey]|likely|could|would|should|seems?|appears?"
    r"|resembl\w+|like|similar|somewhere|think|guess|believe|assum\w+|suppose\w*|unsure|uncertain|unclear"
    r"|example|format|if|unless|or|either)\b"
    r"|n't\b|\be\.g\.|\w\s*[?？]"
    r"|없|않|처럼|비슷|쯤|겁니다|겠습니다|아니|아닌|아닙|아님|못\s?(?:찾|보|봤|하)|안\s?보|아마|것\s?같|같은|듯|수도\s|수\s?있|지도\s?모|모르|모릅"
    r"|추측|추정|혹은|또는|혹시|거나|예시|예를\s?들|만약|라면|다면",
    re.IGNORECASE,
)
# What chat models put behind an answer, which has no bearing on it.
_POLITE = re.compile(
    r"(?:please )?(?:let me know|feel free|would you like|do you need|is there anything|i hope)\b"
    r"[^.!?\n]*[.!?]?",
    re.IGNORECASE,
)
_HANGUL = re.compile(r"[\uac00-\ud7a3]")
_ASIDE = re.compile(r"\(([^()]*)\)|,(.*)$| (?:that|which) (?:is|are)\b(.*)$")
_WORD = re.compile(r"[^\W_]+(?:'[^\W_]+)*")
_SEVERAL = re.compile(r"\band\b|&|/|;| 및 |[가-힣](?:와|과|하고) ")
_LEAD = frozenset(
    "a an the this that these those my your its his her one two three four five six some any several many"
    " another other each every".split()
)
# What follows one of these tells where the thing is or what it is for.
_AFTER = frozenset(
    "on in at near by with of from under over above below behind beside between next inside outside into"
    " against around along for to that which who whose holding wearing sitting standing lying hanging"
    " leaning carrying facing containing showing reading riding walking placed located full filled".split()
)
_COLOUR = frozenset("color colour colored coloured 색 색상 색깔".split())
_KOREAN_BEFORE = re.compile(r"(?:의|에|있는|놓인|든|멘|입은|쓴|탄|보이는|위|옆|앞|뒤|아래|안|속|근처)$")
_KOREAN_PARTICLE = re.compile(r"(?<=.)(?:을|를|의|에)$")
_KOREAN_COUNTED = re.compile(r"(?:\b[한두세네]|다섯|여섯|[0-9]+) ?(?:개|명|마리|권|대)(?![가-힣])")
_KOREAN_COUNT = re.compile(r"하나|둘|셋|넷|한|두|세|네|[0-9]*(?:개|명|마리|권|대)?")


class Agreement(IntEnum):
    """How a label agrees with what was asked for."""

    NONE = 0
    LESS = 1  # it says less: "cup" where a red cup was asked for
    FULL = 2


@dataclass(frozen=True, slots=True)
class _Thing:
    """The thing that a phrase names, and the words that describe it."""

    name: str
    words: frozenset[str]
    where: frozenset[str]  # what else the phrase tells of it: what it is on, what it wears


def unsure(text: str) -> bool:
    """Return whether a text, English or Korean, denies, doubts, supposes, asks or gives an example."""
    return _UNSURE.search(_POLITE.sub("", text.replace("_", " "))) is not None


def agreement(label: str, target: str) -> Agreement:
    """Return how a label agrees with the target, each in English or Korean."""
    one, other = _plain(label), _plain(target)
    if one == other:
        return Agreement.FULL if one else Agreement.NONE
    if unsure(label):
        return Agreement.NONE
    found, asked = _thing_of(one), _thing_of(other)
    if found is None or asked is None or not is_kind_of(found.name, asked.name):
        return Agreement.NONE
    parts = ((found.words, asked.words), (found.where, asked.where))
    if all(wanted <= told for told, wanted in parts):
        return Agreement.FULL
    comparable = all(wanted <= told or told <= wanted for told, wanted in parts)
    return Agreement.LESS if comparable else Agreement.NONE


def _plain(text: str) -> str:
    composed = unicodedata.normalize("NFC", text).casefold()
    return " ".join(re.sub(r"[_-]", " ", composed).split()).strip(" .,:;!\"'`*#")


def _thing_of(text: str) -> _Thing | None:
    """Return what a phrase names; None if it names nothing or several things."""
    asides = _words(" ".join(part for match in _ASIDE.finditer(text) for part in match.groups() if part))
    main = _ASIDE.sub(" ", text)
    if _SEVERAL.search(main) or any(known(word) for word in asides):
        return None
    main = _KOREAN_COUNTED.sub(" ", main)
    named, where = _korean_parts(_words(main)) if _HANGUL.search(main) else _english_parts(_words(main))
    if not named:
        return None
    size = 2 if len(named) > 1 and known(" ".join(named[-2:])) else 1
    described = named[:-size] + [word for word in asides if word in COLOURS]
    name = thing(" ".join(named[-size:]))
    return _Thing(name, frozenset(map(_same, described)), frozenset(map(_same, where)))


def _words(text: str) -> list[str]:
    """Return the words of a phrase; Korean compounds are taken apart: "빨간컵", "빨간색 컵", "나무의자"."""
    words: list[str] = []
    for word in _WORD.findall(text):
        colour = next((each for each in KOREAN_COLOURS if word.startswith(each) and not known(word)), "")
        rest = word.removeprefix(colour).removeprefix("색") if colour else word
        noun = next((each for each in KOREAN_NOUNS if rest.endswith(each) and not known(rest)), "")
        parts = (colour, rest.removesuffix(noun), noun)
        words += [each for each in parts if each and each not in _COLOUR]
    return words


def _english_parts(words: list[str]) -> tuple[list[str], list[str]]:
    """Return the words of the thing's name, the noun last, and those that tell where it is or what it has."""
    while words and (words[0] in _LEAD or words[0].isdigit()):
        words = words[1:]
    end = next((i for i in range(1, len(words)) if _tells_more(words[i:])), len(words))
    named = [word for word in words[:end] if not word.isdigit()]
    return named, [word for word in words[end:] if word not in _AFTER | _LEAD]


def _tells_more(words: list[str]) -> bool:
    """Return whether these words tell more of a thing that was named before: "on the wall", "mounted on"."""
    word, after = words[0], words[1] if len(words) > 1 else ""
    return word in _AFTER or (word.endswith("ed") and after in _AFTER and not known(word))


def _korean_parts(words: list[str]) -> tuple[list[str], list[str]]:
    """Return the words of the thing's name, the noun last, and those ahead of it that tell where it is."""
    words = [word for word in words if not _KOREAN_COUNT.fullmatch(word) or known(word)]
    last = max((i for i, word in enumerate(words[:-1]) if _KOREAN_BEFORE.search(word)), default=-1)
    where = [_KOREAN_PARTICLE.sub("", word) for word in words[: last + 1]]
    return words[last + 1 :], [word for word in where if known(word) or not _KOREAN_BEFORE.search(word)]


def _same(word: str) -> str:
    return COLOURS.get(word) or thing(word)
