"""The grounding formats of the families, read strictly: text not exactly in one gives no detection."""

import re
from collections.abc import Callable
from dataclasses import dataclass

from edge.parsing.boxes.labels import Agreement, agreement, unsure
from edge.parsing.boxes.location_tokens import read_florence, read_kosmos, read_paligemma
from edge.parsing.boxes.raw import Asked, RawBox
from edge.parsing.boxes.written import Units, has_numbers, read_json_boxes, read_lists, without_thoughts
from edge.parsing.strict import Rejected, too_long
from edge.records import Box, Detection

MAX_LOCATIONS = 64
MAX_AREA = 0.9  # share of the image; models give larger boxes when they see nothing
EDGE = 1 / 32  # a corner within one cell of the coarsest grid, Kosmos-2's, is at the edge

ANY_LOCATION = re.compile(r"<(?:loc|patch_index)|<seg[0-9]|</?object>|</?poly>")
_WRITTEN = re.compile(r"bbox_2d|point_2d|[\"']label[\"']|<\|?box|<\|?(?:object_)?ref(?:_start\|)?>")
_NONE = re.compile(r"\s*(?:none|\[\s*\]|no detections?)\.?\s*(?:<eos>|</s>)?\s*", re.IGNORECASE)
_BEGINS = ("<s>", "<bos>", "</s>", "<pad>")
_ENDS = ("<eos>", "</s>", "<pad>", "<|im_end|>", "<|endoftext|>", "<end_of_utterance>")

Reader = Callable[[str, Asked], list[RawBox]]


@dataclass(frozen=True, slots=True)
class Detections:
    """The boxes in a text; the reason is why there are none, or why some were refused."""

    detections: tuple[Detection, ...] = ()
    reason: str = ""

    def __bool__(self) -> bool:
        return bool(self.detections)


_THOUSANDTHS = Units(1000.0, 1000.0, "thousandths of the image")
_FRACTIONS = Units(1.0, 1.0, "fractions of the image")


def _in_thousandths(text: str, asked: Asked) -> list[RawBox]:
    return read_json_boxes(without_thoughts(text), asked, _THOUSANDTHS)


def _in_pixels(text: str, asked: Asked) -> list[RawBox]:
    if asked.image_size is None:
        raise Rejected("boxes in pixels need the size of the image that the model saw")
    return read_json_boxes(without_thoughts(text), asked, Units(*asked.image_size, "pixels"))


def _in_either(text: str, asked: Asked) -> list[RawBox]:
    return _in_thousandths(text, asked) if asked.image_size is None else _in_pixels(text, asked)


def _in_fractions(text: str, asked: Asked) -> list[RawBox]:
    return read_lists(without_thoughts(text), asked, _FRACTIONS)


_READERS: dict[str, Reader] = {
    "paligemma": read_paligemma,
    "kosmos-2": read_kosmos,
    "florence-2": read_florence,
    "qwen-vl": _in_either,
    "qwen2.5-vl": _in_pixels,
    "qwen3-vl": _in_thousandths,
    "smolvlm": _in_either,
    "llava": _in_fractions,
}
IN_PIXELS = tuple(name for name, reader in _READERS.items() if reader in (_in_pixels, _in_either))


def _bare(text: str) -> str:
    """Return the text without the tokens of its begin and end, which some tokenizers leave in."""
    before = ""
    while text != before:
        before = text = text.strip()
        for token in _BEGINS:
            text = text.removeprefix(token)
        for token in _ENDS:
            text = text.removesuffix(token)
    return text


def grounding_format(text: str) -> str:
    """Return the family whose marks the text has; empty if it has none."""
    if "<patch_index" in text or "<object>" in text:
        return "kosmos-2"
    if "<loc_" in text or "poly>" in text:
        return "florence-2"
    if ANY_LOCATION.search(text):
        return "paligemma"
    if _WRITTEN.search(text):
        return "qwen-vl"
    return "llava" if has_numbers(text) else ""


def _refusal(raw: RawBox) -> str:
    """Return why a well-formed box is refused; empty if it is not."""
    y0, x0, y1, x1 = raw.y0, raw.x0, raw.y1, raw.x1
    if raw.doubt:
        return raw.doubt
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


def _judge(raws: list[RawBox], target: str) -> list[str]:
    """Return why each box is refused, empty if it is not: by its corners, and by what its label names.

    Where one label says all of the target, as "red cup", those that say less, as "cup", are of other things.
    """
    refusals = [_refusal(raw) for raw in raws]
    agreements = [agreement(raw.label, target) if raw.label and target else Agreement.FULL for raw in raws]
    best = max((a for a, refusal in zip(agreements, refusals, strict=True) if not refusal), default=0)
    for i, raw in enumerate(raws):
        if not refusals[i] and unsure(raw.label) and raw.label != target:
            refusals[i] = f"its label '{raw.label}' denies or doubts it"
        elif not refusals[i] and (agreements[i] < best or not agreements[i]):
            refusals[i] = f"it is of '{raw.label}', asked for was '{target}'"
    return refusals


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
    if count > MAX_LOCATIONS and name != "florence-2":  # a polygon has many
        return Detections(reason=f"{count} location tokens (limit {MAX_LOCATIONS})")
    try:
        raws = reader(_bare(text), Asked(target, image_size))
        if len(raws) > MAX_LOCATIONS // 4:
            raise Rejected(f"{len(raws)} boxes (limit {MAX_LOCATIONS // 4})")
    except Rejected as error:
        return Detections(reason=str(error))
    refusals = _judge(raws, target)
    kept = tuple(
        Detection(Box(raw.y0, raw.x0, raw.y1, raw.x1), raw.label or target, confidence)
        for raw, refusal in zip(raws, refusals, strict=True)
        if not refusal
    )
    reasons = [f"box {i} refused: {refusal}" for i, refusal in enumerate(refusals, 1) if refusal]
    return Detections(kept, "; ".join(reasons) or ("" if kept else "no box in the text"))
