"""Boxes in plain text: JSON and box tags as the Qwens write them, lists of four numbers as LLaVA does.

They stand in sentences, whose words may deny or doubt them, or say what they are of.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, cast

from edge.parsing.boxes.labels import Agreement, agreement, unsure
from edge.parsing.boxes.raw import Asked, RawBox, clean_label
from edge.parsing.strict import Rejected, check_depth, json_at, number, read_json

_PLACE = "\ufffc"  # stands where a box was, in the words around it

_THOUGHT = re.compile(r"<think>.*?(?:</think>|\Z)", re.DOTALL)
_FENCE = re.compile(r"```(?:json|JSON|python|text)?")
_TOKEN = re.compile(r"<[a-z|/]")
_BRACKET = re.compile(r"[{\[]")
_LIST = re.compile(r"\[([^\[\]<>;\n]*)\]")
_NUMBERS = re.compile(r"\[\s*-?[.0-9][^\[\]<>;\n,]*(?:,[^\[\]<>;\n,]*){2,}\]")
_TAGS = (
    ("<|object_ref_start|>", "<ref>"),
    ("<|object_ref_end|>", "</ref>"),
    ("<|box_start|>", "<box>"),
    ("<|box_end|>", "</box>"),
)
_TAGGED = re.compile(r"(?:<ref>([^<>]*)</ref>)?((?:\s*<box>\([^<>()]*\), ?\([^<>()]*\)</box>)+)")
_PAIRS = re.compile(r"\(([^<>()]*)\), ?\(([^<>()]*)\)")
_REF = re.compile(r"<ref>([^<>]*)</ref>")
_TAG_CUT = re.compile(r"(?:<ref>[^<>]*(?:</ref>)?)?\s*(?:<box>[^<>]*)?(?:<[a-z|_/]*)?$")

_SENTENCE_END = re.compile(r"(?<=[.!?])\s+|\n+|;")
_BEGINS = re.compile(
    r"[\s,.:)\]}\-*•]*(?:에\s?(?:있습니다|있어요|있고|있다)|입니다|이에요|예요|이고)?[\s,.:)\]\-*•]*"
    r"(?:(?:in|from|based on|according to) (?:the|this) (?:image|picture|photo),?\s+)?"
    r"(?:(?:이미지|사진|그림)\s?(?:에서|에는|속의|속)?\s+)?"
    r"(?:(?:and|yes|sure|ok|okay|그리고|네|과|와)\b[\s,:]*)*"
    r"(?:(?:there|here|it|this) (?:is|are)\s+|i (?:can )?(?:see|found)\s+|found\s+)?"
    r"(?:(?:the |its )?(?:bounding )?(?:box|coordinates?|location|position)(?: coordinates)? (?:of|for)\s+)?"
    r"(?:(?:the|an|a)\s+)?",
    re.IGNORECASE,
)
_ENDS = re.compile(
    r"(?:(?:\s+(?:is|are|can be))?(?:\s+(?:located|found|visible|seen|positioned|shown))?"
    r"(?:\s+(?:in|on|at|to|near) the (?:(?:far|very|upper|lower|left|right|top|bottom|cent(?:er|re)|middle"
    r"|foreground|background|front|back|side|corner|part|half|edge)[ -]?){1,3}"
    r"(?:of the (?:image|picture|photo|frame|scene))?,?)?"
    r"(?:\s+(?:approximately|roughly|about))?(?:\s*\b(?:at|in|within|inside))?"
    r"(?:\s+(?:the |its )?(?:bounding )?(?:box|coordinates?|location|position|region|area)(?: of)?)?"
    r"|\s(?:있습니다|있어요|보입니다|보여요)|의\s?(?:위치|좌표|경계 상자|바운딩 박스)(?:는|은)?"
    r"|(?:은|는)(?:\s(?:왼쪽|오른쪽|가운데|중앙|위쪽|아래쪽)[^\s,]*,?)?)\s*[:=\-]?\s*$",
    re.IGNORECASE,
)
_ONLY_LEADS = re.compile(
    r"(?:the )?(?:answer|output|result|bbox|bounding box|location|position"
    r"|(?:bounding box )?coordinates?(?: of the region(?: (?:that )?this sentence describes)?)?"
    r"|정답|답|결과|위치|좌표|경계 상자|바운딩 박스)(?: is| are|는|은)?\s*[:=\-]?",
    re.IGNORECASE,
)
_SUBJECT = re.compile(r"(?:이|가)$")
_GOES_ON = re.compile(
    r"[ .`)\]]*(?:(?:에\s?(?:있습니다|있어요)|입니다|이에요|예요)[\s.`]*)?"
    r"(?:\Z|[,;\n]|(?:and|그리고|과|와)\b)"
)
_INTERJECTION = re.compile(
    r"(?:(?:sure|yes|ok|okay|certainly|of course|here you go|here it is|(?:i )?found it|got it"
    r"|네|예|물론입니다|알겠습니다|좋아요|찾았습니다|여기 있습니다)[\s,.!:]*)*",
    re.IGNORECASE,
)


@dataclass(frozen=True, slots=True)
class Units:
    """What a family's corners are divided by to get fractions of the image."""

    height: float
    width: float
    name: str  # for people


def without_thoughts(text: str) -> str:
    """Return the text without what a model thinks before it answers."""
    return _THOUGHT.sub(" ", text)


def words_beside(text: str) -> str:
    """Return the sentences of a text without those that have a box in them, or a part of one."""
    plain = without_thoughts(text)
    if _TOKEN.search(plain):  # answers in location tokens and tags are captions, not orders
        return ""
    try:
        check_depth(plain)
        for start, end, _ in _json_objects(plain):
            plain = plain[:start] + _PLACE * (end - start) + plain[end:]
    except Rejected:
        return ""
    plain = re.sub(r"[{\[].*\Z", _PLACE, _LIST.sub(_PLACE, plain), flags=re.DOTALL)
    return " ".join(part for part in _SENTENCE_END.split(plain) if _PLACE not in part).strip()


def has_numbers(text: str) -> bool:
    """Return whether a list of three or more numbers stands somewhere in a text."""
    return _NUMBERS.search(text) is not None


def read_lists(text: str, asked: Asked, units: Units) -> list[RawBox]:
    """Return the boxes of "[x0, y0, x1, y1]", "label: […]" and "The label is at […].", several in a text."""
    plain = _FENCE.sub("", text)
    matches = list(_LIST.finditer(plain))
    if not matches or "{" in plain or unsure(_LIST.sub(" ", plain)):
        raise Rejected("not of the form [x0, y0, x1, y1]")
    found: list[RawBox] = []
    end = 0
    for match in matches:
        label = _name_before(plain[end : match.start()], asked.target)
        end = match.end()
        if not label and not _GOES_ON.match(plain, end):
            raise Rejected("words behind a list that has none before it")
        found.append(_box(label, [number(part.strip()) for part in match[1].split(",")], units))
    return found


def _name_before(words: str, target: str) -> str:
    """Return what the words before a box say that it is of; empty if they only lead to it."""
    *earlier, sentence = _SENTENCE_END.split(words.strip(" \n"))
    sentence = sentence.strip(" [\n")
    begin = _BEGINS.match(sentence)
    name = _ENDS.sub("", sentence[begin.end() if begin else 0 :], count=1).strip()
    if _ONLY_LEADS.fullmatch(sentence) or not name:
        # "There is a chair. It is at […]": what was spoken of before has the box.
        told = [part.strip() for part in earlier if not _INTERJECTION.fullmatch(part.strip())]
        if not told or (target and target.casefold() in " ".join(told).casefold()):
            return ""
        name = told[-1]
    subject = _SUBJECT.sub("", name)  # "고양이" has the particle's sound without having the particle
    if subject != name and target and agreement(subject, target) is not Agreement.NONE:
        name = subject
    return clean_label(name)


def read_json_boxes(text: str, asked: Asked, units: Units) -> list[RawBox]:
    """Return the boxes of objects with bbox_2d and label, alone or in lists, in a fence or in sentences.

    An object that is cut off at the end is left out. A text without objects may have lists of four numbers.
    """
    tagged = _plain_tags(text)
    if "<box>" in tagged or "<ref>" in tagged:
        return _read_tags(tagged, asked, units)
    plain = _FENCE.sub("", text)
    if "{" not in plain:
        return read_lists(text, asked, units)
    check_depth(plain)
    found: list[RawBox] = []
    beside: list[str] = []
    at = 0
    for start, end, objects in _json_objects(plain):
        beside.append(plain[at:start])
        name = _name_before(beside[-1].strip(" ,[\n"), asked.target)
        found += [_json_box(entry, name, units) for entry in objects]
        at = end
    if not at:
        read_json(plain)  # raises what is wrong with it
        raise Rejected("not a list of JSON objects with bbox_2d and label")
    beside.append(plain[at:].partition("{")[0])
    if unsure(" ".join(beside)):
        raise Rejected("the words around the boxes deny or doubt them")
    return found


def _json_objects(text: str) -> Iterator[tuple[int, int, list[dict[str, Any]]]]:
    """Yield start, end and objects of each object, or list of objects, that stands whole in a text.

    Raises Rejected at a number or an object that is not allowed.
    """
    at = 0
    while match := _BRACKET.search(text, at):
        decoded = json_at(text, match.start())
        at = match.end()
        if decoded is None:
            continue
        value, end = decoded
        items = cast("list[Any]", value) if isinstance(value, list) else [value]
        if items and all(isinstance(item, dict) for item in items):
            at = end
            yield match.start(), end, cast("list[dict[str, Any]]", items)


def _json_box(entry: dict[str, Any], name: str, units: Units) -> RawBox:
    """Return the box of an object; one without a label or another text is of `name`."""
    texts = [value for value in entry.values() if isinstance(value, str)]
    if any(unsure(text) for text in texts if text != entry.get("label")):
        raise Rejected("an object's own words deny or doubt it")
    box, label = entry.get("bbox_2d"), entry.get("label", texts[0] if texts else name)
    if "point_2d" in entry and box is None:
        raise Rejected("point_2d is a point, not a box")
    if not isinstance(box, list) or not isinstance(label, str):
        raise Rejected("an object without bbox_2d and label")
    corners = cast("list[Any]", box)
    if not all(isinstance(corner, float) for corner in corners):
        raise Rejected("a corner is not a number")
    return _box(clean_label(label), cast("list[float]", corners), units)


def _plain_tags(text: str) -> str:
    """Return the text with the tags of Qwen2-VL as Qwen-VL wrote them: <ref>…</ref><box>(…),(…)</box>."""
    for tag, plain in _TAGS:
        text = text.replace(tag, plain)
    return text


def _read_tags(text: str, asked: Asked, units: Units) -> list[RawBox]:
    """Return the boxes of tags; the label is in the tag before them, or in the words."""
    found: list[RawBox] = []
    end = 0
    for match in _TAGGED.finditer(text):
        before = _REF.sub(r"\1", text[end : match.start()])
        end = match.end()
        label = clean_label(match[1] or "") or _name_before(before, asked.target)
        for first, second in _PAIRS.findall(match[2]):
            corners = [number(part.strip()) for part in f"{first},{second}".split(",")]
            found.append(_box(label, corners, units))
    rest = _TAGGED.sub(" ", text)
    beside = _REF.sub(r"\1", _TAG_CUT.sub("", rest, count=1) if found else rest)
    if "<" in beside:
        raise Rejected("not of the form <ref>label</ref><box>(x0,y0),(x1,y1)</box>")
    if unsure(beside):
        raise Rejected("the words around the boxes deny or doubt them")
    return found


def _box(label: str, corners: list[float], units: Units) -> RawBox:
    if len(corners) != 4:
        raise Rejected(f"{len(corners)} numbers for a box (4 make one)")
    x0, y0, x1, y1 = corners
    doubt = f"its corners lie between 0 and 1, not in {units.name}" if units.width > 1 >= max(corners) else ""
    return RawBox(label, y0 / units.height, x0 / units.width, y1 / units.height, x1 / units.width, doubt)
