"""The parser's functions: strict grounding is tried first, then JSON, then free text."""

from dataclasses import replace
from typing import Any, cast

from edge.base_spec import DEFAULT_BASE, BaseSpec
from edge.parsing.boxes.approach import approach, stay
from edge.parsing.freetext import MIN_CONFIDENCE, action, parse_free_text
from edge.parsing.locations import ANY_LOCATION, Detections, grounding_format, read_locations
from edge.parsing.strict import MAX_TEXT_BYTES, Rejected, looks_like_json, read_json, too_long
from edge.records import ZERO, ActionType, ParsedAction, Velocity

_VELOCITY_KEYS = ("linear_x", "linear_y", "angular_z")
_KEYS = frozenset({"action", "type", "target", "confidence", *_VELOCITY_KEYS})


def parse_detections(
    text: str | bytes,
    family: str = "",
    *,
    target: str = "",
    image_size: tuple[int, int] | None = None,
    confidence: float = 1.0,
) -> Detections:
    """Return the boxes in a model's answer; the text's own marks tell the family if `family` is empty.

    With a `target` only its boxes count: those that the text labels so, in English or Korean, and those
    without a label in an answer about it. `image_size` is (height, width) in pixels of the model's input, for
    families that answer in pixels. Never raises: text that is not exactly in the format gives a reason.
    """
    return read_locations(_decoded(text), family, target, image_size, confidence)


def parse_action(
    text: str | bytes,
    family: str = "",
    base: BaseSpec = DEFAULT_BASE,
    *,
    target: str = "",
    image_size: tuple[int, int] | None = None,
) -> ParsedAction:
    """Return the action that a model's text asks a robot on this base for.

    Boxes move it only towards `target`, and only as `family` writes them; `image_size` is as for
    `parse_detections`. Never raises; text that can't be read moves nothing.
    """
    decoded = _decoded(text)
    excess = too_long(decoded)
    if excess:
        return action(ActionType.UNKNOWN, 0.0, excess, decoded[:MAX_TEXT_BYTES])
    if grounding_format(decoded) or ANY_LOCATION.search(decoded):
        found = read_locations(decoded, family, target, image_size, 1.0)
        return _grounded(found, decoded, family, target, base)
    if looks_like_json(decoded):
        return _from_json(decoded, base)
    return parse_free_text(decoded, base)


def _decoded(text: str | bytes) -> str:
    return text.decode("utf-8", "replace") if isinstance(text, bytes) else text


def _grounded(found: Detections, text: str, family: str, target: str, base: BaseSpec) -> ParsedAction:
    """Return the action towards the target; without a family and a target no box moves anything."""
    if found and family and target:
        return approach(found.detections, text, base)
    reason = f"a box moves nothing without a {'target' if family else 'family'}" if found else found.reason
    return stay(found.detections, reason, text, base)


def _from_json(text: str, base: BaseSpec) -> ParsedAction:
    try:
        return _json_action(read_json(text), text, base)
    except Rejected as error:
        return action(ActionType.UNKNOWN, 0.0, str(error), text)


def _json_action(value: Any, text: str, base: BaseSpec) -> ParsedAction:
    if not isinstance(value, dict):
        raise Rejected("JSON without an action")
    entry = cast("dict[str, Any]", value)
    unknown = sorted(entry.keys() - _KEYS)
    if unknown:
        raise Rejected(f"unknown key '{unknown[0][:20]}' in the action")
    name = entry.get("action", entry.get("type"))
    target = entry.get("target") or ""
    if not isinstance(name, str) or not isinstance(target, str) or ("action" in entry and "type" in entry):
        raise Rejected("JSON without one action and a target in words")
    confidence = _in_range(entry, "confidence", 0.0, 1.0, 0.8)
    speeds = [_in_range(entry, key, -1000.0, 1000.0, 0.0) for key in _VELOCITY_KEYS]
    if name.lower() not in {kind.value for kind in ActionType}:
        if entry.keys() & set(_VELOCITY_KEYS):
            raise Rejected(f"unknown action '{name[:20]}' with velocities")
        read = parse_free_text(name, base)
        sure = min(read.confidence, confidence)
        velocity = Velocity(read.linear_x_m_s, read.linear_y_m_s, read.angular_z_rad_s)
        named = action(read.type, sure, read.reason, text, velocity, target or read.target, base)
        if sure < MIN_CONFIDENCE:
            return named
        return replace(
            named, distance_m=read.distance_m, angle_rad=read.angle_rad, duration_s=read.duration_s
        )
    kind = ActionType(name.lower())
    moving = kind not in (ActionType.STOP, ActionType.UNKNOWN)
    if not moving and any(speeds):
        return action(ActionType.STOP, 0.1, f"says {kind.value} and gives velocities", text)
    return action(kind, confidence, "JSON action", text, Velocity(*speeds) if moving else ZERO, target, base)


def _in_range(entry: dict[str, Any], key: str, low: float, high: float, absent: float) -> float:
    value = entry.get(key, absent)
    if not isinstance(value, float) or not low <= value <= high:
        raise Rejected(f"{key} is not a number from {low:g} to {high:g}")
    return value
