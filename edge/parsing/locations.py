"""The grounding formats of the families, read strictly: text not exactly in one gives no detection."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, cast

from edge.parsing.strict import Rejected, looks_like_json, number, read_json, too_long
from edge.records import Box, Detection

MAX_LOCATIONS = 64
MAX_AREA = 0.9  # share of the image; models give larger boxes when they see nothing
EDGE = 1 / 32  # a corner within one cell of the coarsest grid, Kosmos-2's, is at the edge
MAX_LABEL_CHARS = 64

ANY_LOCATION = re.compile(r"<(?:loc|patch_index)|<seg[0-9]|</?object>")
_NONE = re.compile(r"\s*(?:none|\[\s*\]|no detections?)\.?\s*(?:<eos>|</s>)?\s*", re.IGNORECASE)
_ENDS = ("<eos>", "</s>", "<pad>", "<|im_end|>")
_PALI = re.compile(r"\s*((?:<loc[0-9]{4}>)+)((?:<seg[0-9]{3}>)*)([^<>]*)")
_FLORENCE = re.compile(r"([^<>]*)((?:<loc_[0-9]{1,4}>)+)\s*")
_KOSMOS = re.compile(
    r"(?:<phrase>([^<>]*)</phrase>)?"
    r"<object>((?:<patch_index_[0-9]{4}>|</delimiter_of_multi_objects/>)*)</object>"
)
_LIST = re.compile(r"([^\[\]<>;\n]*)\[([^\[\]<>;\n]*)\]\.?")
_DIGITS = re.compile(r"[0-9]+")
_LEAD_WORDS = re.compile(r"(?:the|an|a)\s+", re.IGNORECASE)
_TAIL_WORDS = re.compile(r"(?::|\s+(?:is\s+)?(?:located\s+)?at:?)$", re.IGNORECASE)
_DENIAL = re.compile(r"\b(?:no|not|none|never|without|cannot)\b|n't|없|않|아니", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Detections:
    """The boxes in a text; the reason is why there are none, or why some were refused."""

    detections: tuple[Detection, ...] = ()
    reason: str = ""

    def __bool__(self) -> bool:
        return bool(self.detections)


@dataclass(frozen=True, slots=True)
class _Context:
    """The caller's part of what a text means."""

    target: str  # label of boxes without one
    image_size: tuple[int, int] | None  # (height, width) in pixels of the model's input


Raw = tuple[str, float, float, float, float]  # label, y0, x0, y1, x1 divided by height and width
Reader = Callable[[str, _Context], list[Raw]]


def _label(text: str, context: _Context) -> str:
    label = " ".join(text.split()) or context.target
    if len(label) > MAX_LABEL_CHARS or not label.isprintable():
        raise Rejected(f"a label is longer than {MAX_LABEL_CHARS} characters or can't be printed")
    return label


def _indices(tokens: str, top: int) -> list[int]:
    values = [int(digits) for digits in _DIGITS.findall(tokens)]
    if max(values, default=0) > top:
        raise Rejected(f"location {max(values)} is out of range (0 to {top})")
    return values


def _four(tokens: str, top: int) -> list[int]:
    count = len(_DIGITS.findall(tokens))
    if count != 4:
        raise Rejected(f"{count} location tokens for a box (4 make one)")
    return _indices(tokens, top)


def _paligemma(text: str, context: _Context) -> list[Raw]:
    found: list[Raw] = []
    for piece in text.split(";"):
        match = _PALI.fullmatch(piece)
        if match is None:
            raise Rejected("not of the form <loc…><loc…><loc…><loc…> label")
        tokens, mask, label = match.groups()
        y0, x0, y1, x1 = _four(tokens, 1023)
        if mask:
            codes = _indices(mask, 127)
            if len(codes) != 16:
                raise Rejected(f"{len(codes)} mask tokens (16 make a mask)")
        if not label.strip():
            raise Rejected("a box without a label")
        found.append((_label(label, context), y0 / 1024, x0 / 1024, y1 / 1024, x1 / 1024))
    return found


def _florence(text: str, context: _Context) -> list[Raw]:
    found: list[Raw] = []
    at = 0
    while at < len(text):
        match = _FLORENCE.match(text, at)
        if match is None:
            raise Rejected("not of the form label<loc_…><loc_…><loc_…><loc_…>")
        x0, y0, x1, y1 = _four(match[2], 999)
        found.append((_label(match[1], context), y0 / 1000, x0 / 1000, y1 / 1000, x1 / 1000))
        at = match.end()
    return found


def _patch_box(first: int, last: int) -> tuple[float, float, float, float]:
    """Return a box of Kosmos-2's 32x32 grid: from cell centres, or cell borders if it is one cell thin."""
    (y0, x0), (y1, x1) = divmod(first, 32), divmod(last, 32)
    if y0 == y1 or x0 == x1:
        return y0 / 32, x0 / 32, (y1 + 1) / 32, (x1 + 1) / 32
    return (y0 + 0.5) / 32, (x0 + 0.5) / 32, (y1 + 0.5) / 32, (x1 + 0.5) / 32


def _kosmos(text: str, context: _Context) -> list[Raw]:
    if re.search(r"patch_index|object>", _KOSMOS.sub("", text)):
        raise Rejected("not of the form <object><patch_index_…><patch_index_…></object>")
    found: list[Raw] = []
    for match in _KOSMOS.finditer(text):
        label = _label(_LEAD_WORDS.sub("", (match[1] or "").strip(), count=1), context)
        for pair in match[2].split("</delimiter_of_multi_objects/>"):
            corners = _indices(pair, 1023)
            if len(corners) != 2:
                raise Rejected(f"{len(corners)} patch tokens for a box (2 make one)")
            found.append((label, *_patch_box(*corners)))
    return found


def _json_boxes(text: str, context: _Context, scale: tuple[float, float]) -> list[Raw]:
    value = read_json(text)
    items = cast("list[Any]", value) if isinstance(value, list) else [value]
    found: list[Raw] = []
    for item in items:
        if not isinstance(item, dict):
            raise Rejected("not a list of JSON objects with bbox_2d and label")
        entry = cast("dict[str, Any]", item)
        box, label = entry.get("bbox_2d"), entry.get("label", context.target)
        if not isinstance(box, list) or not isinstance(label, str):
            raise Rejected("an object without bbox_2d and label")
        corners = cast("list[Any]", box)
        if len(corners) != 4:
            raise Rejected(f"{len(corners)} numbers for a box (4 make one)")
        if not all(isinstance(corner, float) for corner in corners):
            raise Rejected("a corner is not a number")
        x0, y0, x1, y1 = cast("list[float]", corners)
        height, width = scale
        found.append((_label(label, context), y0 / height, x0 / width, y1 / height, x1 / width))
    return found


def _qwen3(text: str, context: _Context) -> list[Raw]:
    return _json_boxes(text, context, (1000.0, 1000.0))


def _qwen25(text: str, context: _Context) -> list[Raw]:
    if context.image_size is None:
        raise Rejected("boxes in pixels need the size of the image that the model saw")
    return _json_boxes(text, context, context.image_size)


def _qwen(text: str, context: _Context) -> list[Raw]:
    return _qwen3(text, context) if context.image_size is None else _qwen25(text, context)


def _normalised(text: str, context: _Context) -> list[Raw]:
    found: list[Raw] = []
    for piece in re.split(r"[;\n]", text):
        match = _LIST.fullmatch(piece.strip())
        if match is None or _DENIAL.search(match[1]):
            raise Rejected("not of the form [x0, y0, x1, y1]")
        numbers = [number(part.strip()) for part in match[2].split(",")]
        if len(numbers) != 4:
            raise Rejected(f"{len(numbers)} numbers for a box (4 make one)")
        x0, y0, x1, y1 = numbers
        words = _TAIL_WORDS.sub("", _LEAD_WORDS.sub("", " ".join(match[1].split()), count=1))
        found.append((_label(words, context), y0, x0, y1, x1))
    return found


_READERS: dict[str, Reader] = {
    "paligemma": _paligemma,
    "kosmos-2": _kosmos,
    "florence-2": _florence,
    "qwen-vl": _qwen,
    "qwen2.5-vl": _qwen25,
    "qwen3-vl": _qwen3,
    "smolvlm": _qwen,
    "llava": _normalised,
}


def _without_end(text: str) -> str:
    """Return the text without end-of-text tokens, which some tokenizers leave in."""
    ended = True
    while ended:
        text = text.strip()
        end = next((token for token in _ENDS if text.endswith(token)), "")
        text = text.removesuffix(end)
        ended = bool(end)
    return text


def grounding_format(text: str) -> str:
    """Return the family whose marks the text has; empty if it has none."""
    if "<patch_index" in text or "<object>" in text:
        return "kosmos-2"
    if "<loc_" in text:
        return "florence-2"
    if ANY_LOCATION.search(text):
        return "paligemma"
    if looks_like_json(text) and "bbox_2d" in text:
        return "qwen-vl"
    if _LIST.fullmatch(text.strip()) and text.count(",") >= 2:
        return "llava"
    return ""


def _refusal(raw: Raw) -> str:
    """Return why a well-formed box is refused; empty if it is not."""
    _, y0, x0, y1, x1 = raw
    if min(y0, x0, y1, x1) < 0 or max(y0, x0, y1, x1) > 1:
        return "a corner is outside of the image"
    if y1 <= y0 or x1 <= x0:
        return "its corners are inverted"
    area = (y1 - y0) * (x1 - x0)
    if area > MAX_AREA:
        return f"it covers {area:.2f} of the image (limit {MAX_AREA})"
    if y0 < EDGE and x0 < EDGE and y1 > 1 - EDGE and x1 > 1 - EDGE:
        return "it touches all four edges"
    return ""


def read_locations(
    text: str, family: str, target: str, image_size: tuple[int, int] | None, confidence: float
) -> Detections:
    """Return the boxes in a text, as `parse_detections` does for bytes too."""
    excess = too_long(text)
    if excess:
        return Detections(reason=excess)
    name = family or grounding_format(text)
    if _NONE.fullmatch(text):
        return Detections(reason="the text says that there is none")
    reader = _READERS.get(name)
    if reader is None:
        return Detections(reason=f"{family} has no grounding format" if family else "no grounding format")
    count = text.count("<loc") + text.count("<patch_index")
    if count > MAX_LOCATIONS:
        return Detections(reason=f"{count} location tokens (limit {MAX_LOCATIONS})")
    try:
        raws = reader(_without_end(text), _Context(target, image_size))
        if len(raws) > MAX_LOCATIONS // 4:
            raise Rejected(f"{len(raws)} boxes (limit {MAX_LOCATIONS // 4})")
    except Rejected as error:
        return Detections(reason=str(error))
    refusals = [_refusal(raw) for raw in raws]
    kept = tuple(
        Detection(Box(*raw[1:]), raw[0], confidence)
        for raw, refusal in zip(raws, refusals, strict=True)
        if not refusal
    )
    reasons = [f"box {i} refused: {refusal}" for i, refusal in enumerate(refusals, 1) if refusal]
    return Detections(kept, "; ".join(reasons) or ("" if kept else "no box in the text"))
