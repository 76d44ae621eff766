# ruff: noqa: E501 - its tables of words stay tables
"""Texts of models: the parser never raises, and moves the robot only within its limits and if told to."""

import math
import re
import time
from dataclasses import fields
from pathlib import Path
from random import Random

from benchmarks.fuzz.target import ACCEPTED, Check, Flaw, FuzzTarget, MotionFromGarbage
from edge.base_spec import DEFAULT_BASE, BaseSpec, DriveKind
from edge.parsing import parse_action, parse_detections
from edge.parsing.freetext import MIN_CONFIDENCE
from edge.parsing.locations import Detections
from edge.records import ActionType, ParsedAction

PARSE_LIMIT_S = 0.5  # processor time of one text; the longest that is read has 4 KiB
BASES = (
    DEFAULT_BASE,
    BaseSpec(drive=DriveKind.DIFFERENTIAL, linear_m_s=0.3),
    BaseSpec(drive=DriveKind.ACKERMANN, wheel_base_m=0.3),
    BaseSpec(drive=DriveKind.DIFFERENTIAL, fixed_speed_m_s=0.2, fixed_turn_rad_s=0.8),
)
FAMILIES = (
    "",
    "paligemma",
    "kosmos-2",
    "florence-2",
    "qwen-vl",
    "qwen2.5-vl",
    "qwen3-vl",
    "smolvlm",
    "llava",
)
WORDS = tuple(
    """turn go move stop drive left right forward back backwards around slowly fast carefully the a to on not don't
    never if when until before after then and or but cup red chair wall obstacle avoid approach find look grab release
    please you should could would can I will it is says reads sign 1 2 0.5 30 90 1e9 -3 meters degrees seconds m cm
    "turn left" 'go' (stop) [turn] {"action": "move"} , . ! ? : ; - — … \n * ``` <think> </think> <loc0123> <loc_99>
    왼쪽으로 오른쪽 앞으로 뒤로 가 가세요 돌아 도세요 멈춰 정지 하지 마세요 말고 빨간 컵 찾아 피해 만약 때까지 천천히
    2미터 30도 그리고 다음 표지판 "왼쪽으로 가" 이라고 써""".split(" ")
)
# No English verb does without these letters, and none of these marks is Hangul.
NO_WORDS = "bcdfghjklmnpqrstvwxzBCDFGHJKLMNPQRSTVWXZ0123456789.,;:!?-+*/=<>()[]{}|#@$%^&~`'\"\\ \n\t"
NO_WORDS += "ㅋㅎㅠㅜ漢字かなカナабвгαβγ😀\u200b\u202e\x00\x1b\u0301"
_KEYS = (
    "action",
    "type",
    "target",
    "confidence",
    "linear_x",
    "linear_y",
    "angular_z",
    "x",
    "label",
    "bbox_2d",
)
SETTINGS = 2  # bytes ahead of the text: base, family
_GARBAGE = re.compile(rf"(?:[{re.escape(NO_WORDS)}]|<loc[0-9]{{4}}>)*")


def make(rng: Random) -> bytes:
    """Make a text with the settings that it is read with."""
    kind = rng.randrange(9)
    base, family = rng.randrange(len(BASES)), rng.randrange(len(FAMILIES))
    text = (_marks, _boxes_of_nobody, _sentence, _sentence, _sentence, _json, _boxes, _numbers, _any)[kind](
        rng
    )
    return bytes((base, 0 if kind < 2 else family)) + text.encode(errors="surrogatepass")


def open_parser(_: Path) -> Check:
    """Return the check of `parse_action` and `parse_detections`."""
    return check


def check(data: bytes) -> str:
    """Read a text as a policy would. Raises Flaw."""
    base, family = (*data[:SETTINGS], 0, 0)[:SETTINGS]
    spec, name = BASES[base % len(BASES)], FAMILIES[family % len(FAMILIES)]
    text = data[SETTINGS:]
    start = time.thread_time()
    found = parse_action(text, name, spec, target="red cup" if name else "", image_size=(480, 640))
    boxes = parse_detections(text, name, target="red cup", image_size=(480, 640)) if name else Detections()
    took_s = time.thread_time() - start
    _check_action(found, spec)
    for detection in (*boxes.detections, *found.detections):
        box = detection.box
        if not (0 <= box.y0 < box.y1 <= 1 and 0 <= box.x0 < box.x1 <= 1):
            raise Flaw(f"a box outside of the image: {box}")
    if not name and moves(found) and is_garbage(text.decode(errors="replace")):
        raise MotionFromGarbage(f"{text!r} moves: {found}")
    if took_s > PARSE_LIMIT_S:
        raise Flaw(f"{len(text)} bytes took {took_s:.2f} s to read (limit {PARSE_LIMIT_S} s)")
    return f"{ACCEPTED}, {'moves' if moves(found) else 'stands'}"


def is_garbage(text: str) -> bool:
    """Return True if no word of any language stands in a text: it is marks, digits and tokens of locations."""
    return _GARBAGE.fullmatch(text) is not None


def moves(found: ParsedAction) -> bool:
    """Return True if an action has any velocity."""
    return any((found.linear_x_m_s, found.linear_y_m_s, found.angular_z_rad_s))


def _check_action(found: ParsedAction, base: BaseSpec) -> None:
    x, y, turn = found.linear_x_m_s, found.linear_y_m_s, found.angular_z_rad_s
    for field in fields(found):
        value = getattr(found, field.name)
        if isinstance(value, float) and not math.isfinite(value):
            raise MotionFromGarbage(f"{field.name} is {value}")
    if max(abs(x), abs(y)) > base.linear_m_s or abs(turn) > base.angular_rad_s:
        raise MotionFromGarbage(f"beyond the limits of the base: {found}")
    if moves(found) and found.confidence < MIN_CONFIDENCE:
        raise MotionFromGarbage(f"moves without confidence: {found}")
    if moves(found) and found.type in (ActionType.STOP, ActionType.UNKNOWN):
        raise MotionFromGarbage(f"moves, and is {found.type.value}: {found}")
    if not 0 <= found.confidence <= 1 or len(found.target) > 4096 or not found.reason:
        raise Flaw(f"an action that its record does not allow: {found}")


def _marks(rng: Random) -> str:
    """No word of any language that is read."""
    return "".join(rng.choice(NO_WORDS) for _ in range(rng.choice((3, 10, 30, 120, 2000))))


def _boxes_of_nobody(rng: Random) -> str:
    """Well-formed boxes, which move nothing if no family and no target is named."""
    return "".join(f"<loc{rng.randrange(1100):04d}>" for _ in range(rng.choice((4, 4, 3, 8, 90)))) + " cp"


def _sentence(rng: Random) -> str:
    return " ".join(rng.choice(WORDS) for _ in range(rng.choice((2, 4, 6, 9, 14, 30))))


def _json(rng: Random) -> str:
    values = ['"move"', '"turn"', '"stop"', '"red cup"', "0.5", "-0.3", "1e9", "NaN", "-Infinity", "null", "true",
              "9" * rng.choice((3, 400)), "[]", "{" * rng.choice((1, 9, 2000)), f'"{_sentence(rng)[:60]}"']  # fmt: skip
    pairs = ", ".join(f'"{rng.choice(_KEYS)}": {rng.choice(values)}' for _ in range(rng.randrange(6)))
    return rng.choice(("{%s}", "[{%s}]", "```json\n{%s}\n```", "{%s", "Sure: {%s}")) % pairs


def _boxes(rng: Random) -> str:
    numbers = [str(rng.choice((rng.randrange(1100), rng.random(), -5, 10**9, "NaN"))) for _ in range(4)]
    label = rng.choice(("red cup", "cup", "not a red cup", "빨간 컵", "", "turn left"))
    return rng.choice((
        "".join(f"<loc{rng.randrange(1100):04d}>" for _ in range(rng.choice((4, 4, 8, 3)))) + f" {label}",
        f'[{{"bbox_2d": [{", ".join(numbers)}], "label": "{label}"}}]',
        f"<phrase>{label}</phrase><object><patch_index_{numbers[0]:>04}><patch_index_0999></object>",
        f"{label}<loc_{numbers[0]}><loc_{numbers[1]}><loc_{numbers[2]}><loc_{numbers[3]}>",
        f"[{', '.join(numbers)}]",
        f"<|object_ref_start|>{label}<|object_ref_end|><|box_start|>({numbers[0]},{numbers[1]}),({numbers[2]},"
        f"{numbers[3]})<|box_end|>",
    ))  # fmt: skip


def _numbers(rng: Random) -> str:
    number = rng.choice(("0", "-1", "1e308", "1e-308", "9" * 400, "０", "½", "NaN", "2.5", "1,000,000", "²"))
    return rng.choice(("move forward {} meters", "turn left {} degrees", "앞으로 {}미터 가", "go for {} seconds",
                       "turn left at {} rad/s", "drive at {} m/s", "{}", "go {} m then {} m")).replace("{}", number)  # fmt: skip


def _any(rng: Random) -> str:
    text = _sentence(rng) if rng.random() < 0.5 else _json(rng)
    letters = [
        rng.choice((chr(rng.randrange(0x110000)), rng.choice(NO_WORDS), text))
        for _ in range(rng.randrange(9))
    ]
    return "".join(letters)


TARGETS = {"parser": FuzzTarget("answers of models, English, Korean, JSON, boxes", make, open_parser)}
