"""The action that a text with boxes asks for: towards the thing that was asked for, or none."""

from dataclasses import replace

from edge.base_spec import BaseSpec
from edge.parsing.boxes.written import words_beside
from edge.parsing.cues import APPROACH_SHARE, TURN_SHARE
from edge.parsing.freetext import action, parse_free_text
from edge.records import ActionType, Detection, ParsedAction, Velocity

CENTRED = 0.05  # a box within this share of the width from the middle is straight ahead


def approach(found: tuple[Detection, ...], text: str, base: BaseSpec) -> ParsedAction:
    """Return the action towards the largest box: turn while it is off centre, else approach.

    A sentence beside the boxes that says to stop is followed instead.
    """
    beside = parse_free_text(words_beside(text), base)
    if beside.type is ActionType.STOP:
        return replace(beside, text=text, detections=found)
    largest = max(found, key=lambda detection: detection.box.area)
    error = largest.box.center_x - 0.5
    velocity = (
        Velocity(angular_z_rad_s=-2 * TURN_SHARE * base.angular_rad_s * error)
        if abs(error) > CENTRED
        else Velocity(linear_x_m_s=APPROACH_SHARE * base.linear_m_s)
    )
    reason = "grounded " + largest.label
    parsed = action(ActionType.NAVIGATE, 0.8, reason, text, velocity, largest.label, base)
    return replace(parsed, detections=found)


def stay(found: tuple[Detection, ...], reason: str, text: str, base: BaseSpec) -> ParsedAction:
    """Return the action of a text whose boxes move nothing: what its other sentences ask for, if anything.

    A box, its label and the sentence around it are data, whatever they say.
    """
    beside = parse_free_text(words_beside(text), base)
    if beside.type is not ActionType.UNKNOWN:
        return replace(beside, text=text, detections=found)
    return replace(action(ActionType.UNKNOWN, 0.0, reason, text), detections=found)
