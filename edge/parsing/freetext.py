"""Free text, English or Korean, to one action. Text that is not surely an order does not move the robot."""

import math
import re
import unicodedata
from dataclasses import replace

from edge.base_spec import DEFAULT_BASE, BaseSpec
from edge.parsing.amounts import NO_AMOUNTS
from edge.parsing.cues import APPROACH_SHARE, NO_WAY, QUESTION, SPEED_SHARE, TURN_SHARE, Cue, Reading
from edge.parsing.data import quotation_noun, without_data
from edge.parsing.sentences import readings_of
from edge.parsing.speeds import limited_to_stated, without_korean_speeds
from edge.records import ZERO, ActionType, ParsedAction, Velocity

MIN_CONFIDENCE = 0.3
_OPPOSITE = (("left", "right"), ("forward", "back"))
# Bytes that are not UTF-8, and control characters: no model that works writes them.
_BROKEN = re.compile("[\x00-\x08\x0e-\x1f\x7f-\x84\x86-\x9f\ufffd\ud800-\udfff]")
_MOTION = (ActionType.MOVE, ActionType.TURN, ActionType.NAVIGATE)
_STEERED = (ActionType.MOVE, ActionType.TURN, ActionType.AVOID)


def parse_free_text(text: str, base: BaseSpec) -> ParsedAction:
    """Return the action that a text in English or Korean asks a base for."""
    said = without_data(unicodedata.normalize("NFC", text))
    readings = readings_of(without_korean_speeds(said.text), said.cut)
    sides = frozenset[str]().union(*(reading.sides for reading in readings))
    whole = Reading(
        cues=tuple(
            replace(_located(cue, sides), step=cue.step + 2 * index)
            for index, reading in enumerate(readings)
            for cue in reading.cues
        ),
        doubt=next((reading.doubt for reading in readings if reading.doubt), ""),
        denial=next((reading.denial for reading in readings if reading.denial), ""),
        blocked=any(reading.blocked for reading in readings),
    )
    found = limited_to_stated(_judge(whole, text, base), said.text)
    for at, quotation in enumerate(said.quotations):
        if quotation_noun(at) in found.target:
            target = found.target.replace(quotation_noun(at), quotation)
            found = replace(found, target=target[:64].rstrip())
            break
    if found.type is not ActionType.STOP and _BROKEN.search(text):
        return action(found.type, 0.1, "holds control characters, or bytes that are not UTF-8", text)
    return found


def _located(cue: Cue, sides: frozenset[str]) -> Cue:
    """Give an avoided thing the side of an earlier sentence: "There is a wall on the left. Avoid it."."""
    if cue.type is ActionType.AVOID and not cue.ways and len(sides) == 1:
        return replace(cue, ways=sides)
    return cue


def _with_way(cue: Cue) -> Cue:
    """Let a half or a whole turn go to the left where the text names no side: it ends the same either way."""
    angle_rad = cue.amounts.angle_rad or 0.0
    ends_the_same = any(math.isclose(angle_rad, turn_rad, rel_tol=1e-6) for turn_rad in (math.pi, math.tau))
    return replace(cue, ways=frozenset({"left"}), doubt="") if cue.doubt == NO_WAY and ends_the_same else cue


def action(
    kind: ActionType,
    confidence: float,
    reason: str,
    text: str,
    velocity: Velocity = ZERO,
    target: str = "",
    base: BaseSpec = DEFAULT_BASE,
) -> ParsedAction:
    """Return an action that the base can drive; one with too little confidence has no velocity."""
    v = base.possible(velocity) if confidence >= MIN_CONFIDENCE else ZERO
    return ParsedAction(
        kind,
        _clamp(v.linear_x_m_s, base.linear_m_s),
        _clamp(v.linear_y_m_s, base.linear_m_s),
        _clamp(v.angular_z_rad_s, base.angular_rad_s),
        target,
        confidence,
        reason,
        text,
    )


def _clamp(value: float, limit: float) -> float:
    return max(-limit, min(limit, value)) + 0.0  # + 0.0 turns -0.0 into 0.0


def _judge(reading: Reading, text: str, base: BaseSpec) -> ParsedAction:
    orders = [_with_way(cue) for cue in reading.cues if not cue.negated]
    if any(cue.type is ActionType.STOP for cue in orders):
        # "I think you should stop" is unsure, and to stop is right then too; a question asks for nothing.
        asked = reading.doubt == QUESTION
        return action(ActionType.STOP, 0.2 if asked else 0.95, QUESTION if asked else "says to stop", text)
    if not orders:
        return _no_order(reading, text)
    main = [cue for cue in orders if not cue.purpose] or orders
    first = main[0]
    target = next((cue.target for cue in (first, *main, *orders) if cue.target), "")
    steered = _together(main) if first.type in _STEERED else [first]
    doubt = reading.doubt or next((cue.doubt for cue in steered if cue.doubt), "")
    if doubt:
        return action(first.type, 0.2, doubt, text, target=target)
    conflict = _conflict(reading, main, steered)
    if conflict:
        return action(ActionType.STOP, 0.1, conflict, text)
    velocity = _velocity(steered, base)
    if reading.blocked and velocity.linear_x_m_s > 0:
        return action(ActionType.STOP, 0.2, "says to go forward and that the way is not free", text)
    more = " (first of several steps)" if main[-1].step > first.step else ""
    reason = f"says to {first.type.value}{more}"
    found = action(first.type, _confidence(first, target), reason, text, velocity, target, base)
    if found.confidence < MIN_CONFIDENCE:
        return found
    amounts = first.amounts
    return replace(
        found, distance_m=amounts.distance_m, angle_rad=amounts.angle_rad, duration_s=amounts.duration_s
    )


def _no_order(reading: Reading, text: str) -> ParsedAction:
    on = any(cue.type is ActionType.STOP for cue in reading.cues)  # "do not stop" is not an order to stop
    if any(cue.type in _MOTION for cue in reading.cues) and not on:
        return action(ActionType.STOP, 0.2 if reading.doubt else 0.8, "says not to move", text)
    if reading.cues:
        reason = f"says not to {reading.cues[0].type.value}, not what to do"
        return action(ActionType.UNKNOWN, 0.1, reason, text)
    if reading.doubt or reading.denial or reading.blocked:
        asked = reading.doubt if reading.doubt == QUESTION else ""
        reason = asked or reading.denial or reading.doubt or "says that the way is not free, not what to do"
        return action(ActionType.UNKNOWN, 0.1, reason, text)
    return action(ActionType.UNKNOWN, 0.0, "no verb that asks for an action", text)


def _together(main: list[Cue]) -> list[Cue]:
    """Return the cues that steer at the same time: those of the first step that set a velocity."""
    step = main[0].step
    taken: list[Cue] = []
    for cue in main:
        apart = bool(taken) and (cue.amounts != NO_AMOUNTS or taken[0].amounts != NO_AMOUNTS)
        if cue.step != step or cue.type not in _STEERED or apart:
            break  # "2 meters forward and turn 30 degrees": one after the other
        taken.append(cue)
    return taken


def _conflict(reading: Reading, main: list[Cue], steered: list[Cue]) -> str:
    ways = frozenset[str]().union(*(cue.ways for cue in steered if cue.type is not ActionType.AVOID))
    for one, other in _OPPOSITE:
        if one in ways and other in ways:
            return f"says both {one} and {other}"
    same_step = {cue.type for cue in main if cue.step == main[0].step}
    if {ActionType.GRAB, ActionType.RELEASE} <= same_step:
        return "says both grab and release"
    for cue in reading.cues:
        if cue.negated and any(
            cue.type is order.type and cue.ways == order.ways and cue.target == order.target for order in main
        ):
            return f"says both to {cue.type.value} and not to"
    return ""


def _velocity(cues: list[Cue], base: BaseSpec) -> Velocity:
    """Return the sum of the cues that apply at once; each axis is set at most once."""
    speed_m_s, turn_rad_s = SPEED_SHARE * base.linear_m_s, TURN_SHARE * base.angular_rad_s
    x = y = z = 0.0
    explicit = any(cue.type is not ActionType.AVOID and cue.ways for cue in cues)
    for cue in cues:
        sideways = ("left" in cue.ways) - ("right" in cue.ways)
        ahead = ("forward" in cue.ways) - ("back" in cue.ways)
        if cue.type is ActionType.MOVE:
            x, y = x or cue.factor * ahead * speed_m_s, y or cue.factor * sideways * speed_m_s
        elif cue.type is ActionType.TURN:
            z = z or cue.factor * sideways * turn_rad_s
        elif cue.type is ActionType.AVOID:
            # Turn away from the side that it is on; without a side, a turn on the spot is harmless.
            away = -sideways if cue.ways & {"left", "right"} else float(not explicit)
            z = z or cue.factor * away * turn_rad_s
        elif cue.type is ActionType.NAVIGATE:
            x = cue.factor * APPROACH_SHARE * base.linear_m_s
            z = cue.factor * sideways * turn_rad_s / 2
        elif cue.type is ActionType.LOOK:
            z = cue.factor * sideways * turn_rad_s
    return Velocity(x, y, z)


def _confidence(cue: Cue, target: str) -> float:
    if cue.type in (ActionType.MOVE, ActionType.TURN):
        return 0.9 if cue.ways else 0.2
    if cue.type is ActionType.RELEASE:
        return 0.9
    return 0.85 if target or cue.ways else 0.5
