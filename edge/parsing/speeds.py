"""Speeds in a text: "at 0.2 m/s", "초당 30도". They limit a motion, and never make it faster."""

import math
import re
from dataclasses import replace

from edge.records import ParsedAction

_LENGTHS = {"km": 1000.0, "cm": 0.01, "mm": 0.001, "m": 1.0, "ft": 0.3048}
_TIMES_S = {"s": 1.0, "min": 60.0, "h": 3600.0}
_LENGTH = (
    r"(?P<{0}km>km|kilomet(?:er|re)s?|킬로미터|킬로)|(?P<{0}cm>cm|centimet(?:er|re)s?|센티미터|센티|센치)"
    r"|(?P<{0}mm>mm|millimet(?:er|re)s?|밀리미터)|(?P<{0}ft>ft|foot|feet)|(?P<{0}m>m|met(?:er|re)s?|미터)"
)
_ANGLE = r"(?P<{0}rad>rad|radians?|라디안)|(?P<{0}deg>°|deg|degrees?|도)"
_NUMBER = r"(?<![\w.,])(?P<{0}number>[-\u2212]?[0-9]{{1,6}}(?:\.[0-9]{{1,6}})?)[\s-]?"
_TIME = r"(?P<s>s|secs?|seconds?|초)|(?P<min>min|minutes?|분)|(?P<h>h|hr|hours?|시간)"
_ENGLISH = re.compile(
    rf"{_NUMBER.format('a')}(?:{_LENGTH.format('a')}|{_ANGLE.format('a')})"
    rf"(?:\s?/\s?|\sper\s|\s(?:a|each|every)\s)(?:{_TIME})(?![a-z0-9])"
)
_KOREAN = re.compile(
    rf"(?:(?P<ks>초)|(?P<kmin>분)|(?P<kh>시))(?:속|당)\s?"
    rf"{_NUMBER.format('b')}(?:{_LENGTH.format('b')}|{_ANGLE.format('b')})"
)


def limited_to_stated(found: ParsedAction, text: str) -> ParsedAction:
    """Return the action, no faster than a speed that the text names; none if that is not above 0."""
    linear, angular = _stated(text.lower())
    length = math.hypot(found.linear_x_m_s, found.linear_y_m_s)
    share = min(1.0, max(0.0, linear) / length) if length > 0 and linear < math.inf else 1.0
    turn = found.angular_z_rad_s
    if abs(turn) > angular:
        turn = math.copysign(max(0.0, angular), turn) + 0.0
    return replace(
        found,
        linear_x_m_s=found.linear_x_m_s * share,
        linear_y_m_s=found.linear_y_m_s * share,
        angular_z_rad_s=turn,
    )


def without_korean_speeds(text: str) -> str:
    """Return the text without its Korean speeds: "초속 0.2미터로" is not a distance, though it holds one."""
    return re.sub(rf"{_KOREAN.pattern}(?:으?로)?", " ", text)


def _stated(text: str) -> tuple[float, float]:
    """Return the lowest speeds that a text names, in m/s and rad/s; infinity where it names none."""
    linear = angular = math.inf
    for match in (*_ENGLISH.finditer(text), *_KOREAN.finditer(text)):
        groups = {name: value for name, value in match.groupdict().items() if value is not None}
        side = "a" if "anumber" in groups else "b"
        per_s = next(_TIMES_S[unit] for unit in _TIMES_S if unit in groups or f"k{unit}" in groups)
        number = float(groups[f"{side}number"].replace("\u2212", "-")) / per_s
        if f"{side}rad" in groups or f"{side}deg" in groups:
            angular = min(angular, number if f"{side}rad" in groups else math.radians(number))
        else:
            unit = next(unit for unit in _LENGTHS if f"{side}{unit}" in groups)
            linear = min(linear, number * _LENGTHS[unit])
    return linear, angular
