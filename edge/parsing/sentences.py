"""The sentences of a text, English or Korean, and which of them count."""

import re
from dataclasses import replace

from edge.parsing.cues import QUESTION, Reading
from edge.parsing.english import reading as read_en
from edge.parsing.korean import reading as read_ko
from edge.parsing.korean.words import POLITE_DO
from edge.records import ActionType

_HANGUL = re.compile(r"[\u1100-\u11ff\u3130-\u318f\uac00-\ud7a3]")
_HANGUL_RUN = re.compile(r"[\u1100-\u11ff\u3130-\u318f\uac00-\ud7a3]+")
_LATIN = re.compile(r"[A-Za-z]")
# "It opens in a minute; then go" is one sentence.
_SENTENCE = re.compile(r"(?<=[.!?;\n])(?=\s|$)(?!(?<=;)\s+(?:and\s+)?then\b)")
_ANSWER = re.compile(
    r"^\W*(?:(?:my|the|so|thus|final|best|next|correct|chosen|robot)\s+)*"
    r"(?:answer|action|decision|command|output|conclusion|result)\W{0,3}(?:is\s*)?[:=]|"
    r"^\W*(?:최종|로봇|다음)?\s*(?:답|답변|정답|행동|동작|결정|결론|명령|출력)\W{0,3}[:=]",
    re.IGNORECASE,
)
_OBJECTION = re.compile(
    r"^\W*(?:but|however|unfortunately|though)\b|^\W*(?:하지만|그러나|그런데|그렇지만)", re.IGNORECASE
)
# Doubt about what to do; other doubt, as in "it might be a mug", is about the world.
_OWN_DOUBT = re.compile(
    r"\b(?:i|we)\b.{0,20}\b(?:unsure|uncertain|confused|guess|wonder)\b|\b(?:not|n't)\b.{0,20}"
    r"\b(?:sure|certain|confident|know|decide)\b"
    r"|\b(?:unsure|uncertain|unclear|confused|dunno|no idea|maybe|perhaps)\b"
    r"|모르겠|모릅니다|몰라|확실|애매|고민|헷갈|글쎄|아마",
    re.IGNORECASE,
)

_Sentences = list[tuple[str, Reading]]


def readings_of(text: str, cut: str) -> list[Reading]:
    """Return the readings that count in a text; of what was `cut` off in data, only orders to stop."""
    sentences = _read_all(text)
    last = max((at for at, (part, _) in enumerate(sentences) if _ANSWER.search(part)), default=0)
    return _stops(_read_all(cut)) + _stops(sentences[:last]) + _settled(sentences[last:])


def _read_all(text: str) -> _Sentences:
    return [(part, _read(part)) for part in _SENTENCE.split(text) if part.strip()]


def _read(part: str) -> Reading:
    if not _HANGUL.search(part):
        return read_en.read(part)
    latin = _HANGUL_RUN.sub(" ", part)
    korean = " ".join(_HANGUL_RUN.findall(part))
    if _LATIN.search(latin) and POLITE_DO.fullmatch(korean):
        return read_en.read(latin)
    return read_ko.read(part)


def _stops(sentences: _Sentences) -> list[Reading]:
    """Return only the orders to stop."""
    stops = [
        [cue for cue in reading.cues if cue.type is ActionType.STOP and not cue.negated]
        for _, reading in sentences
        if reading.doubt != QUESTION
    ]
    return [Reading(cues=tuple(cues)) for cues in stops if cues]


def _settled(sentences: _Sentences) -> list[Reading]:
    """Return the readings without the orders that a later sentence objects to, and without settled doubts.

    "Should I go forward? No. Turn right." is an order; so is "It might be a mug. Turn right.".
    """
    objection = max(
        (i for i, (part, reading) in enumerate(sentences) if _OBJECTION.match(part) and not reading.cues),
        default=0,
    )
    order = max(
        (i for i, (_, reading) in enumerate(sentences) if reading.cues and not reading.doubt), default=-1
    )
    settled: list[Reading] = []
    for at, (part, reading) in enumerate(sentences):
        asked = reading.doubt == QUESTION
        if asked and at < order:
            continue
        if reading.doubt and not asked and not reading.cues and not _OWN_DOUBT.search(part):
            reading = replace(reading, doubt="")
        settled.append(_without_motion(reading) if at < objection else reading)
    return settled


def _without_motion(reading: Reading) -> Reading:
    """Return the reading of a sentence that a later one objects to: "I would go. But it is closed."."""
    cues = tuple(cue for cue in reading.cues if cue.negated or cue.type is ActionType.STOP)
    return replace(reading, cues=cues, denial=reading.denial or "says what speaks against it")
