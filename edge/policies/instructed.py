"""The policy that drives by words: the model answers an instruction with one motion, a bit of it is driven.

`infer` asks the model about one frame. `act` runs at every frame and drives what the newest answer says,
within limits that count from the frame that the answer is about: WAY_M, TURN_RAD and FRESH_S. What is not
surely a motion in a direction stops: no verb, doubt, a contradiction, a place to go to, a text that was cut
off. It has no map and knows no obstacles: the model's words are all that steers.
"""

import math
import re
from bisect import bisect_right
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from edge.base_spec import BaseSpec
from edge.interfaces import Inference, PolicyEnding, PolicyStatus
from edge.motor.pulses import MOST_OWED
from edge.navigation.servo import standing
from edge.parsing import parse_action
from edge.policies.chunks import (
    MOVING_ROWS,
    ROW_S,
    ROWS,
    VALID_NS,
    Floats,
    possible_rows,
    slowed,
    without_jumps,
)
from edge.records import (
    ZERO,
    ActionChunk,
    ActionType,
    Frame,
    Goal,
    Observation,
    Odometry,
    Outcome,
    ParsedAction,
    Velocity,
)

WAY_M, TURN_RAD = 0.5, math.radians(45)  # at most on one answer, braking included
FRESH_S = 3.0  # an older frame is not answered by motion; a model that is silent for 2 s ends the drive
SURE = 0.3  # least confidence of the words, and of the model in them
STOPS, STOPS_NS = 3, 3_000_000_000  # so many answers in a row say to stop, over so long: it is done
MOTION_TOKENS = 32  # a sentence; a longer answer is cut off and stops
_MOTIONS = (ActionType.MOVE, ActionType.TURN, ActionType.AVOID, ActionType.LOOK)  # these have a direction
# An answer that stands in quotes as a whole: the prompt's examples do.
_QUOTED = re.compile(r"""["'`“‘]([^"'`“”‘’]*)["'`”’]""")
# The place behind a direction: "ahead to the door", "문을 향해 앞으로".
_PLACE = re.compile(
    r"\b((?:forwards?|ahead|straight)(?: \w+ly)?) (?:to|towards?|into)\b.*", re.IGNORECASE | re.DOTALL
)
_BEHIND_PLACE = re.compile(r"\S+[을를] 향해서? (?=앞으로|직진|전진)")
_STARTS_S = np.arange(ROWS) * ROW_S
_FRAMES = 512  # remembered: more than come in FRESH_S


@dataclass(frozen=True, slots=True)
class MotionLeft:
    """How much of an answer may still be driven."""

    way_m: float
    turn_rad: float
    time_s: float


@dataclass(frozen=True, slots=True)
class Order:
    """An answer as it is driven."""

    stamp_ns: int  # capture of the frame that it is about
    state: str  # for people
    velocity: Velocity = ZERO  # zero for all that stops
    confidence: float = 1.0
    way_m: float = WAY_M  # driven at most, less if the answer says so
    turn_rad: float = TURN_RAD


def bounded_rows(velocity: Velocity, left: MotionLeft, base: BaseSpec) -> Floats:
    """Return a chunk's rows (ROWS, 3) of a velocity that the base can drive, within what is left in all.

    They add up to `way_m` and `turn_rad` at most and end in rows of zero.
    """
    wanted = np.array([(velocity.linear_x_m_s, velocity.linear_y_m_s, velocity.angular_z_rad_s)])
    row = possible_rows(slowed(wanted, 1.0, base), base)[0]
    x_m_s, y_m_s, z_rad_s = row.tolist()
    speed_m_s, turn_rad_s = math.hypot(x_m_s, y_m_s), abs(z_rad_s)
    time_s = min(
        max(0.0, left.time_s),
        MOVING_ROWS * ROW_S,
        max(0.0, left.way_m) / speed_m_s if speed_m_s else math.inf,
        max(0.0, left.turn_rad) / turn_rad_s if turn_rad_s else math.inf,
    )
    return _shares_until(time_s)[:, None] * row


def _shares_until(time_s: float) -> Floats:
    """Return the share of each row's time (ROWS,) that lies before `time_s`."""
    shares: Floats = np.minimum(np.maximum((time_s - _STARTS_S) / ROW_S, 0.0), 1.0)
    return shares


def read_order(inference: Inference, base: BaseSpec) -> Order:
    """Return what of an answer is driven; zero velocity for all that is not surely a motion."""
    said = _read(inference.text, base)
    stamp_ns, sure = inference.frame.stamp_ns, min(said.confidence, inference.confidence)
    if inference.cut or not (said.confidence >= SURE and inference.confidence >= SURE):  # NaN is not sure
        return Order(stamp_ns, "unsure")
    if said.type is ActionType.STOP:
        return Order(stamp_ns, "stop")
    velocity = Velocity(said.linear_x_m_s, said.linear_y_m_s, said.angular_z_rad_s)
    if said.type not in _MOTIONS or velocity == ZERO:  # a place, a thing or a box to go to has no direction
        return Order(stamp_ns, "unclear")
    speed_m_s = math.hypot(velocity.linear_x_m_s, velocity.linear_y_m_s)
    for_m, for_rad = (
        None if said.duration_s is None else said.duration_s * rate
        for rate in (speed_m_s, abs(velocity.angular_z_rad_s))
    )
    way_m, turn_rad = _least(WAY_M, said.distance_m, for_m), _least(TURN_RAD, said.angle_rad, for_rad)
    return Order(stamp_ns, said.type.value, velocity, sure, way_m, turn_rad)


def _read(text: str, base: BaseSpec) -> ParsedAction:
    """Return the action of an answer; to go to a place is a motion ahead only if it says so.

    "Go straight ahead to the door" has a direction, "go to the door" has none.
    """
    whole = _QUOTED.fullmatch(text.strip())
    text = whole[1] if whole else text
    said = parse_action(text, base=base)
    if said.type is ActionType.NAVIGATE and said.linear_x_m_s > 0:
        ahead = parse_action(_BEHIND_PLACE.sub("", _PLACE.sub(r"\1.", text)), base=base)
        if ahead.type is ActionType.MOVE and ahead.linear_x_m_s > 0:
            return replace(said, type=ActionType.MOVE)
    return said


def _least(limit: float, *others: float | None) -> float:
    return min([limit, *(each for each in others if each is not None)])


class Driven:
    """The way and the turn that chunks have asked the base for, by frame."""

    def __init__(self) -> None:
        self.way_m = 0.0
        self.turn_rad = 0.0
        self._stamps: deque[int] = deque(maxlen=_FRAMES)
        self._totals: deque[tuple[float, float]] = deque(maxlen=_FRAMES)

    def on_frame(self, frame: Frame, sent: ActionChunk | None) -> None:
        """Add what the newest chunk has asked for until this frame came."""
        if sent is not None:
            seconds = ROW_S * _shares_until((frame.stamp_ns - sent.t0_ns) / 1e9)
            self.way_m += float(seconds @ np.hypot(sent.values[:, 0], sent.values[:, 1]))
            self.turn_rad += float(seconds @ np.abs(sent.values[:, 2]))
        self._stamps.append(frame.given_ns)
        self._totals.append((self.way_m, self.turn_rad))

    def since(self, stamp_ns: int) -> tuple[float, float]:
        """Return the way, metres, and the turn, radians, since a frame."""
        way_m, turn_rad = self._totals[max(0, bisect_right(self._stamps, stamp_ns) - 1)]
        return self.way_m - way_m, self.turn_rad - turn_rad


class InstructedDriver:
    """Drives by a model's sentences. See the module's text for what it takes for an order."""

    def __init__(self, ask: Callable[[Observation], Inference], base: BaseSpec) -> None:
        """Begin without an answer; `ask` is the model's answer about a frame, in the worker."""
        self._ask = ask
        self._base = base
        self._decision = 0
        self.reset(Goal("instruct"))

    def reset(self, goal: Goal) -> None:
        """Forget everything but the decision counter."""
        self._driven = Driven()
        self._sent: ActionChunk | None = None  # the newest
        self._order: Order | None = None
        self._state, self._answer = "wait", ""
        self._answers = self._moving_answers = 0
        self._stops_ns: list[int] = []  # frames of the newest answers, if all of them say to stop
        self._done = False

    @property
    def status(self) -> PolicyStatus:
        counted = f"{self._moving_answers} of {self._answers} answers moved the robot"
        says = f'the model says "{self._answer}"'
        outcome = Outcome.FOLLOWED if self._moving_answers else Outcome.NOTHING
        return PolicyStatus(
            self._state,
            answer=self._answer,
            ending=PolicyEnding(outcome, f"{says}; {counted}") if self._done else None,
            at_limit=PolicyEnding(Outcome.TIMEOUT, f"{says}, not that it is done; {counted}"),
        )

    def infer(self, observation: Observation) -> Inference:
        return self._ask(observation)

    def act(self, observation: Observation, inference: Inference | None) -> ActionChunk:
        """Return the next bit of what the newest answer says; zero if there is none that is fresh."""
        stamp_ns = observation.frame.stamp_ns
        self._driven.on_frame(observation.frame, self._sent)
        if inference is not None:
            self._take(inference, observation.odometry)
        order = self._order
        rows = np.zeros((ROWS, 3)) if order is None else bounded_rows(
            order.velocity, self._left(order, stamp_ns), self._base
        )  # fmt: skip
        self._decision += 1
        confidence = order.confidence if order is not None and rows.any() else 1.0
        chunk = ActionChunk(
            rows.astype(np.float32), ROW_S, stamp_ns, stamp_ns + VALID_NS, confidence, self._decision
        )
        # A sudden change of direction takes two chunks: the guard would set one aside.
        values = without_jumps(chunk, (self._sent,)).astype(np.float32)
        self._sent = replace(chunk, values=values)
        return self._sent

    def _take(self, inference: Inference, odometry: Odometry | None) -> None:
        order = self._order = read_order(inference, self._base)
        self._state, self._answer = order.state, inference.words
        self._answers += 1
        self._moving_answers += order.velocity != ZERO
        self._stops_ns = [*self._stops_ns, order.stamp_ns] if order.state == "stop" else []
        self._done = (
            len(self._stops_ns) >= STOPS
            and self._stops_ns[-1] - self._stops_ns[0] >= STOPS_NS
            and standing(odometry)
        )

    def _left(self, order: Order, stamp_ns: int) -> MotionLeft:
        """Return what may still be driven on an answer, less the way and the turn of braking."""
        way_m, turn_rad = self._driven.since(order.stamp_ns)
        velocity, base = order.velocity, self._base
        # With pulses the base brakes from no less than their speed, and may owe some at the answer's frame.
        owed_m, owed_rad = MOST_OWED * base.step_m, MOST_OWED * base.step_rad
        speed_m_s = max(math.hypot(velocity.linear_x_m_s, velocity.linear_y_m_s), base.lowest_m_s)
        turn_rad_s = max(abs(velocity.angular_z_rad_s), base.lowest_rad_s)
        return MotionLeft(
            order.way_m - way_m - owed_m - speed_m_s**2 / (2 * base.linear_decel_m_s2),
            order.turn_rad - turn_rad - owed_rad - turn_rad_s**2 / (2 * base.angular_decel_rad_s2),
            FRESH_S - (stamp_ns - order.stamp_ns) / 1e9,
        )
