"""Boxes in plain text: JSON and box tags as the Qwens write them, lists of four numbers as LLaVA does.

They stand in sentences, whose words may deny or doubt them, or say what they are of.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any, cast

from edge.parsing.boxes.labels import unsure
from edge.parsing.boxes.raw import UNNAMED, Asked, RawBox, clean_label
from edge.parsing.boxes.sentences import SENTENCE_END, ends_or_goes_on, name_before
from edge.parsing.strict import Rejected, check_depth, json_at, number, read_json

_PLACE = "\ufffc"  # stands where a box was, in the words around it

_THOUGHT = re.compile(  # a chat template may hold its begin, so that only its end is in the answer
    r"\A.*</(?:think|thinking|reasoning)>|<(?:think|thinking|reasoning)>.*\Z|</?answer>",
    re.DOTALL | re.IGNORECASE,
)
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
    return " ".join(part for part in SENTENCE_END.split(plain) if _PLACE not in part).strip()


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
        label = name_before(plain[end : match.start()], asked.target)
        end = match.end()
        if not label and not ends_or_goes_on(plain, end):
            raise Rejected("words behind a list that has none before it")
        found.append(_box(label, [number(part.strip()) for part in match[1].split(",")], units))
    return found


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
        name = name_before(beside[-1].strip(" ,[\n"), asked.target)
        found += [_json_box(entry, name, units) for entry in objects]
        at = end
    if not at:
        read_json(plain)  # raises what is wrong with it
        raise Rejected("not a list of JSON objects with bbox_2d and label")
    beside.append(plain[at:].partition("{")[0])
    if unsure(" ".join(beside)):
        raise Rejected("the words around the boxes deny or doubt them")
    if asked.target and any(box.label for box in found):
        return [box if box.label else replace(box, doubt=UNNAMED) for box in found]
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
        label = clean_label(match[1] or "") or name_before(before, asked.target)
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
