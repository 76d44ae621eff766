"""Distances, angles and durations in a text: "2 meters", "30°", "half a metre", "오십 센티", "3 seconds"."""

import math
import re
from dataclasses import dataclass

DISTANCE, ANGLE, DURATION = "somedistance", "someangle", "someduration"
MARKS = (DISTANCE, ANGLE, DURATION)

_ENGLISH = {
    "zero": 0, "a": 1, "an": 1, "one": 1, "two": 2, "three": 3, "four": 4, "five": 5, "six": 6, "seven": 7,
    "eight": 8, "nine": 9, "ten": 10, "twelve": 12, "fifteen": 15, "twenty": 20, "thirty": 30,
    "forty": 40, "forty-five": 45, "fifty": 50, "sixty": 60, "seventy": 70, "eighty": 80, "ninety": 90,
    "a hundred": 100, "one hundred": 100, "half": 0.5, "half a": 0.5, "half an": 0.5, "a couple of": 2,
    "one and a half": 1.5, "a quarter of a": 0.25,
}  # fmt: skip
_KOREAN = {
    "한": 1, "두": 2, "세": 3, "네": 4, "다섯": 5, "여섯": 6, "일곱": 7, "여덟": 8, "아홉": 9, "열": 10,
    "반": 0.5, "영": 0,
}  # fmt: skip
_DIGITS = {char: value for value, char in enumerate("일이삼사오육칠팔구", 1)}
# Each unit with its mark and its size in metres, radians or seconds.
_UNITS = (
    (r"km|kilomet(?:er|re)s?|킬로미터", DISTANCE, 1000.0),
    (r"cm|centimet(?:er|re)s?|센티미터|센티|센치", DISTANCE, 0.01),
    (r"mm|millimet(?:er|re)s?|밀리미터|밀리", DISTANCE, 0.001),
    (r"m|met(?:er|re)s?|미터", DISTANCE, 1.0),
    (r"ft|foot|feet", DISTANCE, 0.3048),
    (r"inch(?:es)?|인치", DISTANCE, 0.0254),
    (r"yards?", DISTANCE, 0.9144),
    (r"miles?|마일", DISTANCE, 1609.344),
    (r"°|deg|degrees?|도", ANGLE, math.pi / 180),
    (r"rad|radians?|라디안", ANGLE, 1.0),
    (r"바퀴", ANGLE, 2 * math.pi),
    (r"s|secs?|seconds?|초", DURATION, 1.0),
    (r"min|mins|minutes?|분", DURATION, 60.0),
    (r"h|hours?|시간", DURATION, 3600.0),
)
_NUMBER = (
    r"[0-9]{1,6}(?:\.[0-9]{1,6})?|(?:"
    + "|".join(sorted((word.replace(" ", r"\s") for word in _ENGLISH), key=len, reverse=True))
    + r")(?=\s|-)|(?:"
    + "|".join(_KOREAN)
    # "두 분" is two people, "이 도로" this road; but "이 미터" two metres.
    + r")(?!\s?분)|(?!이\s(?!(?:킬로|센티|밀리)?미터))[일이삼사오육칠팔구십백]{1,6}"
)
_UNIT = "|".join(f"(?P<u{i}>{pattern})" for i, (pattern, _, _) in enumerate(_UNITS))
_ABOUT = r"(?:(?:by|for|about|around|roughly|approximately|another|약|대략)\s){0,3}"
# "2 m/s" is not a distance. A particle may follow a Korean unit, and words as in "a 2-meter step".
_AMOUNT = re.compile(
    rf"(?<![\w.,/-]){_ABOUT}(?P<number>{_NUMBER})(?:\s|-)?(?:{_UNIT})(?![a-z0-9]|\s?/|\sper\b)"
    r"(?:만큼|만|정도|쯤|가량|씩|를|을)?"
)
_POWER = r"(?:e[-+]?[0-9]{1,20})"  # as in "1e9"
# No robot drives these: below zero, also as a speed, or in figures that can be read in two ways ("1,000").
_ODD = re.compile(
    rf"(?<![a-z0-9.,/-]){_ABOUT}(?:"
    r"(?:(?<=\w\s)-\s|[-\u2212\u2013]|\b(?:minus|negative)\s|마이너스\s?)"
    rf"(?:\.?[0-9][0-9.,]{{0,20}}{_POWER}?|{_NUMBER})|"
    rf"[0-9][0-9.]{{0,20}}(?:[,/~\u2013-][0-9][0-9.,/~\u2013-]{{0,20}}|{_POWER})|"
    r"[0-9]{7,30}(?:\.[0-9]{1,30})?|[0-9]{1,6}\.[0-9]{7,30}|(?:nan|inf|infinity|infinite)(?=\s))"
    rf"(?:\s|-)?(?:{_UNIT})(?![a-z0-9])"
)
_PI = re.compile(
    r"(?<![\w.])(?:(?P<times>[0-9]{1,2})\s?\*?\s?)?(?:pi\s?/\s?(?P<part>[1-9][0-9]?)|pi(?=\s?rad)|(?<=[0-9])pi"
    r"|\u03c0(?:\s?/\s?(?P<share>[1-9][0-9]?))?)(?:\s?rad(?:ians?)?)?(?![a-z0-9/])"
)
# What is further, or takes longer, is a mistake of whoever says it.
MAX_DISTANCE_M = 100.0
MAX_ANGLE_RAD = 2 * math.pi
MAX_DURATION_S = 3600.0


@dataclass(frozen=True, slots=True)
class Amounts:
    """How far, by how much, and for how long; None where the text does not say."""

    distance_m: float | None = None
    angle_rad: float | None = None
    duration_s: float | None = None

    def or_else(self, other: "Amounts") -> "Amounts":
        """Return these amounts, with the other's where there is none."""
        return Amounts(
            other.distance_m if self.distance_m is None else self.distance_m,
            other.angle_rad if self.angle_rad is None else self.angle_rad,
            other.duration_s if self.duration_s is None else self.duration_s,
        )

    @property
    def oddity(self) -> str:
        """Why nothing can be driven by these: an amount is zero, below it, or not clear; empty if none is."""
        for value in (self.distance_m, self.angle_rad, self.duration_s):
            if value is not None and not value > 0:
                return "names an amount that is zero, below it, or not clear"
        return ""

    @property
    def excess(self) -> str:
        """Why these are too much for one motion, with the limit; empty if they are not."""
        limits = (
            (self.distance_m, MAX_DISTANCE_M, 1.0, "m"),
            (self.angle_rad, MAX_ANGLE_RAD, 180 / math.pi, "degrees"),
            (self.duration_s, MAX_DURATION_S, 1.0, "s"),
        )
        for value, limit, scale, unit in limits:
            if value is not None and value > limit * (1 + 1e-6):
                return (
                    f"{value * scale:g} {unit} are too much for one motion (limit {limit * scale:g} {unit})"
                )
        return ""


NO_AMOUNTS = Amounts()


class Marked:
    """A text with a mark in place of each amount, and the amounts, in the order of the marks."""

    def __init__(self, plain: str) -> None:
        self._values: list[float] = []
        self.text = _AMOUNT.sub(self._mark, _ODD.sub(self._odd, _PI.sub(_radians, plain)))

    def _mark(self, match: re.Match[str]) -> str:
        at = _unit_of(match)
        return self._add(at, _number(match["number"]) * _UNITS[at][2])

    def _odd(self, match: re.Match[str]) -> str:
        return self._add(_unit_of(match), math.nan)

    def _add(self, unit: int, value: float) -> str:
        self._values.append(value)
        return f" {_UNITS[unit][1]}{len(self._values) - 1} "

    def amounts(self, tokens: list[str]) -> Amounts:
        """Return the amounts that the tokens hold: the first of a kind, or one that can't be driven."""
        found: dict[str, float] = {}
        for token in tokens:
            name, digits = plain_mark(token), token.rstrip("0123456789")
            index = token[len(digits) :]
            if name and index and int(index) < len(self._values):
                value = self._values[int(index)]
                found[name] = found.get(name, value) if value > 0 else value
        return Amounts(found.get(DISTANCE), found.get(ANGLE), found.get(DURATION))


def plain_mark(token: str) -> str:
    """Return the mark without its number; empty if the token is not one."""
    name = token.rstrip("0123456789")
    return name if name in MARKS else ""


def _unit_of(match: re.Match[str]) -> int:
    """Return the index of the unit that an amount is in."""
    return next(i for i in range(len(_UNITS)) if match[f"u{i}"] is not None)


def _radians(match: re.Match[str]) -> str:
    """Return "pi/2" as a plain number of radians."""
    part = int(match["part"] or match["share"] or 1)
    return f"{int(match['times'] or 1) * math.pi / part:.6f} rad"


def _number(text: str) -> float:
    words = " ".join(text.split())
    if words[0] in "0123456789":
        return float(words)
    known = _ENGLISH.get(words, _KOREAN.get(words))
    return float(_sino_korean(words) if known is None else known)


def _sino_korean(text: str) -> int:
    """Return the number of "오십" (50) or "백이십" (120)."""
    total = digit = 0
    for char in text:
        if char in _DIGITS:
            digit = _DIGITS[char]
            continue
        total += (digit or 1) * (100 if char == "백" else 10)
        digit = 0
    return total + digit
