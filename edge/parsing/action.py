"""The way in: strict grounding first, then JSON, then free text."""

from dataclasses import replace
from typing import Any, cast

from edge.base_spec import DEFAULT_BASE, BaseSpec
from edge.parsing.cues import APPROACH_SHARE, TURN_SHARE
from edge.parsing.freetext import action, parse_free_text
from edge.parsing.locations import ANY_LOCATION, Detections, grounding_format, read_locations
from edge.parsing.strict import MAX_TEXT_BYTES, Rejected, looks_like_json, read_json, too_long
from edge.records import ZERO, ActionType, ParsedAction, Velocity

CENTRED = 0.05  # of the width: nearer to the middle than this is straight ahead
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
    """Return the boxes in a model's answer. An empty family is told by the text's own marks.

    `target` labels boxes of formats that carry no label; `image_size` is (height, width) of what the model
    saw, for families that answer in pixels. Never raises: a text not exactly in the format gives a reason.
    """
    return read_locations(_decoded(text), family, target, image_size, confidence)


def parse_action(text: str | bytes, family: str = "", base: BaseSpec = DEFAULT_BASE) -> ParsedAction:
    """What a model's text asks a robot on that base to do.

    Never raises; what can't be read does not move.
    """
    said = _decoded(text)
    excess = too_long(said)
    if excess:
        return action(ActionType.UNKNOWN, 0.0, excess, said[:MAX_TEXT_BYTES])
    if grounding_format(said) or ANY_LOCATION.search(said):
        return _grounded(read_locations(said, family, "", None, 1.0), said, base)
    if looks_like_json(said):
        return _from_json(said, base)
    return parse_free_text(said, base)


def _decoded(text: str | bytes) -> str:
    return text.decode("utf-8", "replace") if isinstance(text, bytes) else text


def _grounded(found: Detections, text: str, base: BaseSpec) -> ParsedAction:
    """Towards the first box: turn while it is off centre, else approach."""
    if not found:
        return action(ActionType.UNKNOWN, 0.0, found.reason, text)
    detection = found.detections[0]
    error = detection.box.center_x - 0.5
    velocity = (
        Velocity(angular_z_rad_s=-2 * TURN_SHARE * base.angular_rad_s * error)
        if abs(error) > CENTRED
        else Velocity(linear_x_m_s=APPROACH_SHARE * base.linear_m_s)
    )
    made = action(
        ActionType.NAVIGATE, 0.8, "grounded " + detection.label, text, velocity, detection.label, base
    )
    return replace(made, detections=found.detections)


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
    said = entry.get("action", entry.get("type"))
    target = entry.get("target") or ""
    if not isinstance(said, str) or not isinstance(target, str) or ("action" in entry and "type" in entry):
        raise Rejected("JSON without one action and a target in words")
    confidence = _in_range(entry, "confidence", 0.0, 1.0, 0.8)
    speeds = [_in_range(entry, key, -1000.0, 1000.0, 0.0) for key in _VELOCITY_KEYS]
    if said.lower() not in {kind.value for kind in ActionType}:
        if entry.keys() & set(_VELOCITY_KEYS):
            raise Rejected(f"unknown action '{said[:20]}' with velocities")
        read = parse_free_text(said, base)
        sure = min(read.confidence, confidence)
        velocity = Velocity(read.linear_x_m_s, read.linear_y_m_s, read.angular_z_rad_s)
        return action(read.type, sure, read.reason, text, velocity, target or read.target, base)
    kind = ActionType(said.lower())
    moving = kind not in (ActionType.STOP, ActionType.UNKNOWN)
    if not moving and any(speeds):
        return action(ActionType.STOP, 0.1, f"says {kind.value} and gives velocities", text)
    return action(kind, confidence, "JSON action", text, Velocity(*speeds) if moving else ZERO, target, base)


def _in_range(entry: dict[str, Any], key: str, low: float, high: float, absent: float) -> float:
    value = entry.get(key, absent)
    if not isinstance(value, float) or not low <= value <= high:
        raise Rejected(f"{key} is not a number from {low:g} to {high:g}")
    return value
