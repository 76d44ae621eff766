"""Boxes in location tokens: PaliGemma, Kosmos-2 and Florence-2, read strictly.

Only the last form of a text may be cut off, as it is at the token limit; it is left out then.
"""

import re

from edge.parsing.boxes.labels import unsure
from edge.parsing.boxes.raw import UNNAMED, Asked, RawBox, clean_label
from edge.parsing.strict import Rejected

_PALI = re.compile(r"\s*((?:<loc[0-9]{4}>)+)\s*((?:<seg[0-9]{3}>)*)([^<>]*)")
_PALI_CUT = re.compile(r"\s*(?:<loc[0-9]{4}>)*\s*(?:<seg[0-9]{3}>)*(?:<[a-z]{0,3}[0-9]{0,4})?")
_FLORENCE = re.compile(r"([^<>]*)((?:<loc_[0-9]{1,4}>|</?poly>|<sep>)+)\s*")
_FLORENCE_CUT = re.compile(r"[^<>]*(?:<[a-z/]{0,4}_?[0-9]{0,3})?")
_POLYGONS = re.compile(r"(?:<poly>(?:<loc_[0-9]{1,4}>|<sep>)+</poly>)+")
_KOSMOS = re.compile(
    r"(?:<phrase>([^<>]*)</phrase>)?"
    r"<object>((?:<patch_index_[0-9]{4}>|</delimiter_of_multi_objects/>)*)</object>"
)
_KOSMOS_CUT = re.compile(
    r"<object>(?:<patch_index_[0-9]{4}>|</delimiter_of_multi_objects/>)*(?:<[a-z_/0-9]*)?$"
)
_DIGITS = re.compile(r"[0-9]+")
_ARTICLE = re.compile(r"(?:the|an|a)\s+", re.IGNORECASE)
_SENTENCE_END = re.compile(r"[.!?;](?:\s|$)")

Corners = tuple[float, float, float, float]  # y0, x0, y1, x1


def _indices(tokens: str, top: int) -> list[int]:
    values = [int(digits) for digits in _DIGITS.findall(tokens)]
    if max(values, default=0) > top:
        raise Rejected(f"location {max(values)} is out of range (0 to {top})")
    return values


def read_paligemma(text: str, asked: Asked) -> list[RawBox]:
    """Return the boxes of "<loc…>×4 label ; <loc…>×4 <seg…>×16 label"."""
    found: list[RawBox] = []
    *pieces, last = text.split(";")
    if not (pieces and _PALI_CUT.fullmatch(last)):
        pieces.append(last)
    for piece in pieces:
        match = _PALI.fullmatch(piece)
        if match is None:
            raise Rejected("not of the form <loc…><loc…><loc…><loc…> label")
        tokens, mask, label = match.groups()
        corners = _indices(tokens, 1023)
        if len(corners) != 4:
            raise Rejected(f"{len(corners)} location tokens for a box (4 make one)")
        codes = _indices(mask, 127)
        if codes and len(codes) != 16:
            raise Rejected(f"{len(codes)} mask tokens (16 make a mask)")
        if not label.strip() and not asked.target:
            raise Rejected("a box without a label")
        y0, x0, y1, x1 = (corner / 1024 for corner in corners)
        found.append(RawBox(clean_label(label), y0, x0, y1, x1))
    return found


def read_florence(text: str, asked: Asked) -> list[RawBox]:
    """Return the boxes of "label<loc_…>×4…", and those around polygons, "label<poly>…</poly>", and texts."""
    found: list[RawBox] = []
    end = 0
    while match := _FLORENCE.match(text, end):
        end = match.end()
        label = clean_label(match[1])
        try:
            found += _regions(label, match[2], asked)
        except Rejected:
            if not (found and _FLORENCE_CUT.fullmatch(text, end)):
                raise
    if not _FLORENCE_CUT.fullmatch(text, end):
        raise Rejected("not of the form label<loc_…><loc_…><loc_…><loc_…>")
    return found


def _regions(label: str, tokens: str, asked: Asked) -> list[RawBox]:
    """Return what the location tokens behind one label mark: boxes, polygons, or the corners of a text."""
    if "poly>" in tokens:
        if not _POLYGONS.fullmatch(tokens):
            raise Rejected("not of the form <poly>…</poly>")
        return [_around(label, polygon) for polygon in tokens.split("</poly>")[:-1]]
    if "<sep>" in tokens:
        return [_around(label, tokens)]
    values = _indices(tokens, 999)
    boxes = [tuple(values[i : i + 4]) for i in range(0, len(values), 4)]
    proper = all(len(box) == 4 and box[0] < box[2] and box[1] < box[3] for box in boxes)
    if len(values) == 4 or (proper and len(boxes) > 1):
        # One box without a label is the answer to what was asked for; several are the proposals of a task
        # that asks for nothing.
        doubt = UNNAMED if len(boxes) > 1 and not label and asked.target else ""
        return [RawBox(label, y0 / 1000, x0 / 1000, y1 / 1000, x1 / 1000, doubt) for x0, y0, x1, y1 in boxes]
    if label and len(values) == 8 and _is_quad(values):
        box = _around(label, tokens)
        written = "its label is a text that is written there" if asked.target else ""
        return [RawBox(label, box.y0, box.x0, box.y1, box.x1, written)]
    if not label and len(values) > 4:
        return [_around(label, tokens)]
    if len(values) % 4 == 0:
        return [RawBox(label, y0 / 1000, x0 / 1000, y1 / 1000, x1 / 1000) for x0, y0, x1, y1 in boxes]
    raise Rejected(f"{len(values)} location tokens for a box (4 make one)")


def _is_quad(values: list[int]) -> bool:
    """Return whether x, y of four corners go round clockwise from the top left, as those of a text do."""
    (x0, y0), (x1, y1), (x2, y2), (x3, y3) = zip(values[::2], values[1::2], strict=True)
    return x0 < x1 and y1 < y2 and x3 < x2 and y0 < y3


def _around(label: str, tokens: str) -> RawBox:
    """Return the box around the polygons of one thing. Raises Rejected if one has less than three points."""
    xs: list[int] = []
    ys: list[int] = []
    for part in tokens.split("<sep>"):
        values = _indices(part, 999)
        if len(values) % 2 or len(values) < 6:
            raise Rejected(f"{len(values)} location tokens for a polygon (two a point, at least 6)")
        xs += values[::2]
        ys += values[1::2]
    return RawBox(label, min(ys) / 1000, min(xs) / 1000, max(ys) / 1000, max(xs) / 1000)


def read_kosmos(text: str, asked: Asked) -> list[RawBox]:
    """Return the boxes of "<phrase>label</phrase><object><patch_index_…>×2</object>" in a caption."""
    matches = list(_KOSMOS.finditer(text))
    rest = _KOSMOS.sub(" ", text)
    if matches:
        rest = _KOSMOS_CUT.sub("", rest)
    if re.search(r"patch_index|object>", rest):
        raise Rejected("not of the form <object><patch_index_…><patch_index_…></object>")
    found: list[RawBox] = []
    end = 0
    for match in matches:
        before = text[end : match.start()].removeprefix("<grounding>").strip()
        label = clean_label(_ARTICLE.sub("", (match[1] or "").strip(), count=1))
        doubt = "the words before it deny or doubt it" if unsure(_SENTENCE_END.split(before)[-1]) else ""
        if not label and (end or before):  # only the first one goes on from the prompt's own phrase
            doubt = UNNAMED
        for pair in match[2].split("</delimiter_of_multi_objects/>"):
            corners = _indices(pair, 1023)
            if len(corners) != 2:
                raise Rejected(f"{len(corners)} patch tokens for a box (2 make one)")
            found.append(RawBox(label, *_patch_box(*corners), doubt))
        end = match.end()
    return found


def _patch_box(first: int, last: int) -> Corners:
    """Return a box of Kosmos-2's 32x32 grid: from cell centres, or cell borders if it is one cell thin."""
    (y0, x0), (y1, x1) = divmod(first, 32), divmod(last, 32)
    if y0 == y1 or x0 == x1:
        return y0 / 32, x0 / 32, (y1 + 1) / 32, (x1 + 1) / 32
    return (y0 + 0.5) / 32, (x0 + 0.5) / 32, (y1 + 0.5) / 32, (x1 + 0.5) / 32
