"""Takes out of a text what is data: reasoning, code, JSON, tables, labels, quotations."""

import re
from dataclasses import dataclass

_THOUGHT = re.compile(r"</(?:think|thinking|thought|reasoning|analysis|scratchpad)>", re.IGNORECASE)
_OPEN_THOUGHT = re.compile(r"<(?:think|thinking|thought|reasoning|analysis|scratchpad)>", re.IGNORECASE)
_FENCE = re.compile(r"```.*?(?:```|\Z)|~~~.*?(?:~~~|\Z)", re.DOTALL)
# What stands in these is the answer itself; what stands in other elements is data.
_ANSWER_TAGS = re.compile(
    r"</?(?:answer|action|response|output|final|decision|command|result|p|b|i|u|em|strong|br|s|span)\s*/?>|"
    r"<\|[^|<>\n]{1,40}\|>|<(?:eos|bos|pad|end_of_utterance|row_\d|image)>",
    re.IGNORECASE,
)
_ELEMENT = re.compile(r"<([a-z][\w-]{0,30})\b[^<>]{0,200}>[^<>]*</\1>", re.IGNORECASE)
_TAG = re.compile(r"</?[a-z][\w-]{0,30}\b[^<>\n]{0,200}>", re.IGNORECASE)
# Quoted lines, rows of a table, commands of a shell, and lines that are an aside.
_LINES = re.compile(r"^[ \t]*(?:(?:>|\||\$ ).*|\([^()\n]*\)|\*[^*\n]*\*)$", re.MULTILINE)
# Pairs of a name and a value, one of them a number: "turn: left, speed: 0.3".
_PAIRED = r"[\w ]{1,30}[:=][ \t]*[\w.+-]{1,30}"
_PAIRS_OF = re.compile(
    rf"^(?=[^\n]*[:=][ \t]*[-+]?[0-9])[ \t]*{_PAIRED}(?:[ \t]*[,;]?[ \t]*{_PAIRED})+[ \t]*$", re.MULTILINE
)
_LINK = re.compile(r"\b[a-z]{2,10}://\S+|\bwww\.\S+", re.IGNORECASE)
_CALL = re.compile(
    r"\b\w{1,40}(?:\.\w{1,40}){1,4}\((?:[^()\n]|\([^()\n]{0,80}\)){0,200}\)|\b\w{1,40}\((?:[\d'\"-][^()\n]{0,200})?\)|"
    r"\b\w{1,20}_\w{1,40}\([^()\n]{0,200}\)|\b\w{1,40}[ \t]*=[ \t]*(?:true|false|none|null)\b",
    re.IGNORECASE,
)
_LABEL = re.compile(
    r"(?:^|(?<=[.;,(!?]))[ \t*#>\d.-]{0,12}(?:[a-z]{1,20} ){0,2}(?:label|caption|title|text|name|class"
    r"|category|object|sign|poster|inscription|tag|question|prompt"
    r"|user|instruction from the sign|scene|description|history|before|after|earlier"
    r"|(?:previous|last|past|earlier) (?:action|move|step|command|instruction|order)(?: (?:was|were))?)"
    r"s?(?:\b|_\w{1,20})[ \t]*[:=][^.;\n]*|"
    r"\b(?:option|choice|alternative|candidate|possibility)\s+\w{1,3}[ \t]*[:=][^.;\n]*|"
    r"(?:라벨|레이블|제목|이름|문구|글자|글씨|표지판|안내문|물체|객체|설명|질문|사용자|기록|(?:이전|지난|직전|마지막)\s?(?:행동|명령|동작|지시|단계))"
    r"[ \t]*[:=][^.;\n]*",
    re.IGNORECASE | re.MULTILINE,
)
# What follows such a heading, up to an empty line, lists what could be done or was read somewhere.
_LIST = re.compile(
    r"^[^\n]{0,60}?(?:\b(?:options?|choices|possib\w+|available|candidates|alternatives|objects|labels|signs?"
    r"|history|examples?|plan|later|could|says|reads|if)\b|선택지|가능한|후보|목록|물체|객체|예시|계획)"
    r"[^\n]{0,40}:[ \t]*\n(?:(?!\n)[^\n]*(?:\n|\Z))*",
    re.IGNORECASE | re.MULTILINE,
)
_PAIRS = ('""', "“”", "„“", "«»", "「」", "『』", "``", "‘’")
_QUOTED = re.compile(
    "|".join(
        rf"{pair[0]}(?P<q{at}>[^{pair[0]}{pair[1]}\n]*)(?:{pair[1]}|$)" for at, pair in enumerate(_PAIRS)
    )
    # An apostrophe inside of a word, as in "don't", neither opens nor closes.
    + r"|(?<!\w)'(?P<single>(?:[^'\n]|(?<=\w)'(?=\w))*)'(?!\w)"
    # Nor does one between a word and a Korean particle: '정지'라는.
    + r"|(?<!\w)'(?P<hangul>[^'\n]*)'(?=[\uac00-\ud7a3])",
    re.MULTILINE,
)


@dataclass(frozen=True, slots=True)
class Said:
    """What a text itself says."""

    text: str  # numbered nouns stand for the quotations
    quotations: list[str]
    cut: str  # what follows data that never end: perhaps data, perhaps not


def quotation_noun(at: int) -> str:
    """Return the noun that stands for a quotation."""
    return f"quotation{at}x"


def without_data(text: str) -> Said:
    """Return what a text itself says."""
    thought = list(_THOUGHT.finditer(text))
    text = text[thought[-1].end() :] if thought else text
    cut = _OPEN_THOUGHT.search(text)
    text = text[: cut.start()] if cut else text  # the answer ended before its reasoning did
    text = _ANSWER_TAGS.sub(" ", _FENCE.sub("\n", text))
    for _ in range(4):  # elements in elements
        text = _ELEMENT.sub(" ; ", text)
    text = _PAIRS_OF.sub("", _LINES.sub("", _TAG.sub(" ", text)))
    text, rest = _without_brackets(_LINK.sub(" ", text))
    text = _LIST.sub("\n", _LABEL.sub(" ", _CALL.sub(" ", text)))
    quotations: list[str] = []

    def noun(match: re.Match[str]) -> str:
        quotations.append(next(part for part in match.groups() if part is not None).strip())
        return f" {quotation_noun(len(quotations) - 1)}"

    return Said(_QUOTED.sub(noun, text), quotations, rest)


def _without_brackets(text: str) -> tuple[str, str]:
    """Return the text without what stands in braces and brackets, and what follows one that stays open."""
    kept: list[str] = []
    depth = start = 0
    for at, char in enumerate(text):
        if char in "{[":
            start = at if depth == 0 else start
            depth += 1
        elif char in "}]":
            kept.append(" ; " if depth == 1 else "")
            depth = max(0, depth - 1)
        elif depth == 0:
            kept.append(char)
    return "".join(kept), text[start:] if depth else ""
