"""The policy of bundles whose model predicts the actions itself: kinds head and token.

`infer` asks the model at the rate of its demonstrations and makes a chunk of its actions. `act` hands the
chunk on, once; with a shield it looks at each frame whether the rest of it is still safe. A model that gets
nowhere, because it has no memory of what it tried, is driven elsewhere first (`edge.navigation.detour`). One
that answers late drives more slowly, or stands for each frame that it sees (`edge.policies.late`).
"""

import math
from collections.abc import Callable
from dataclasses import replace
from typing import Protocol

import numpy as np

from edge.actions import Pipeline
from edge.base_spec import BaseSpec
from edge.bundle.manifest import ActionHead
from edge.interfaces import Inference, PolicyStatus
from edge.model.actions import ActionPrediction
from edge.motor.limits import MotorLimits
from edge.navigation.detour import Detour
from edge.navigation.pilot import Pilot
from edge.navigation.route import HARD_M
from edge.navigation.servo import standing
from edge.navigation.shield import Shield
from edge.perception.floor_map import FloorMap
from edge.perception.floor_scan import Scan
from edge.perception.geometry import Floats, Pose, PoseHistory, View
from edge.policies.chunks import (
    VALID_NS,
    base_actions,
    held,
    possible_rows,
    settled,
    still,
    velocity_chunk,
    without_jumps,
)
from edge.policies.late.moves import Standstill, one_move, retimed, stand
from edge.policies.late.tempo import ON_THE_WAY_S, Lateness
from edge.records import ActionChunk, CameraMount, Goal, Image, Observation, Odometry, Velocity

STILL_ROWS = 3  # rows of a chunk that tell whether it moves: what lies farther ahead is the next answer's
ARRIVED_NS = (
    800_000_000  # the expert stands for 1 s before it claims that it has arrived (sim/driving/expert.py)
)
# It has come to nothing if the floor goes on before it. Where it ends is up to 0.2 m behind the surface of a
# thing that hangs over, and an approach ends within 0.7 m of that.
BEFORE_M, BEFORE_RAD = 0.9, math.radians(20)
TIGHT_M = 0.08  # kept from obstacles on a detour, which is planned through the middle of a gap
HOLD_S = 0.3  # a shorter horizon is held so long by its last row: until the next answer is there
_STATE = "the model takes it as its state"
_NO_MAP = "obstacles count only while they are in sight, and nothing leads around them"
_CHANGE = 0.01  # m/s and rad/s; a smaller change by the shield is not worth a new chunk


class StepModel(Protocol):
    """What `ActionPolicy` needs of `edge.model.actions.ActionModel`."""

    head: ActionHead
    pipeline: Pipeline

    def step(self, image: Image, prompt: str, odometry: Odometry | None = None) -> ActionPrediction: ...

    def reset(self) -> None: ...


class ActionPolicy:
    """Drives as its model predicts: find_object, and follow_object, which never arrives."""

    def __init__(
        self,
        model: StepModel,
        prompt: str,
        mount: CameraMount,
        base: BaseSpec,
        see_floor: Callable[[Image, View], Scan] | None,
    ) -> None:
        """Begin an episode of find_object. Without `see_floor` nothing slows the model's velocities."""
        self._model = model
        self._prompt = prompt
        self._mount = mount
        self._base = base
        self._limits = MotorLimits.of(base)
        self._see_floor = see_floor
        self.needs_odometry = model.head.state is not None
        self.without_odometry = _STATE if self.needs_odometry else "" if see_floor is None else _NO_MAP
        self._view: View | None = None
        self._decision = 0
        self.period_ns = round(1e9 / model.head.rate_hz)
        self.reset(Goal("find_object"))

    def reset(self, goal: Goal) -> None:
        """Forget everything but the decision counter. Not while `infer` runs."""
        self._goal = goal
        self._model.reset()
        self._arrival = Arrival()
        self._poses = PoseHistory()
        self._pose = Pose()
        self._scan: Scan | None = None  # the newest
        self._floor_map = floor = FloorMap(self._base.radius_m)
        self._shield = Shield(self._base, floor)
        wide = replace(self._base, radius_m=self._base.radius_m + TIGHT_M - HARD_M)
        self._detour = Detour(self._base, Pilot(wide, self._see_floor is not None, floor))
        head = self._model.head
        row_s = 1 / head.rate_hz
        self._lateness = Lateness(self._limits, row_s, max(HOLD_S, head.horizon * row_s))
        self._standstill = Standstill()
        self._answer: ActionChunk | None = None  # the newest as predicted; settled if it is late
        self._chunk: ActionChunk | None = None  # the same, as late as it comes
        self._sent: ActionChunk | None = None  # the same, as it was handed on
        self._before: ActionChunk | None = None  # the answer before it, as it was handed on last

    @property
    def status(self) -> PolicyStatus:
        reached = self._arrival.arrived and self._goal.kind == "find_object"
        state = "arrived" if reached else "detour" if self._detour.under_way else "drive"
        tempo = self._lateness.tempo
        slowed = 0.0 if tempo.looks else tempo.share * self._base.linear_m_s if tempo.share < 1 else None
        return PolicyStatus(state, reached, slowed_to_m_s=slowed)

    def wants(self, observation: Observation, inference: Inference | None) -> bool:
        """Return True if the model shall see this frame: in stop-look-move, only while the base stands."""
        if not self._lateness.tempo.looks or self._detour.under_way:
            return True
        return inference is None and self._standstill.shows(observation.frame.stamp_ns)

    def infer(self, observation: Observation) -> Inference:
        frame = observation.frame
        if self._lateness.tempo.looks:
            self._model.reset()  # it knows steps that follow each other closely, or the first of an episode
        step = self._model.step(frame.image, self._prompt, observation.odometry)
        head = self._model.head
        row_s = 1 / head.rate_hz
        values = base_actions(self._model.pipeline.decode(step.actions), head.columns, self._base)
        values = held(still(values), row_s, HOLD_S)
        chunk = ActionChunk(
            values.astype(np.float32),
            row_s,
            frame.stamp_ns,
            frame.stamp_ns + min(VALID_NS, round(len(values) * 1e9 / head.rate_hz)),
            step.confidence,
            0,  # numbered when it is handed on
        )
        x, y, turn = (round(float(value), 2) + 0.0 for value in values[0])  # no "-0.00"
        text = f"{x:.2f} m/s ahead, {y:.2f} m/s left, {turn:.2f} rad/s"
        return Inference(frame, text, step.confidence, step.stages_ms, chunk)

    def act(self, observation: Observation, inference: Inference | None) -> ActionChunk | None:
        """Return the newest inference's chunk, once; with a shield, again whenever less of it is safe."""
        stamp_ns = observation.frame.stamp_ns
        if observation.odometry is not None:
            self._poses.add(observation.odometry)
        self._standstill.update(observation)
        if inference is not None:
            self._take(inference, stamp_ns)
        self._look(observation)
        if inference is not None and inference.chunk is not None:
            before = self._scan is None or stands_before(self._scan)
            plans = bool(self._ahead(stamp_ns)[:STILL_ROWS].any())
            self._arrival.update(inference.frame.stamp_ns, plans, observation.odometry, before)
        return self._drive(observation) or self._rest(stamp_ns)

    def touched(self, motion: Velocity) -> None:
        """Remember where the base ran into something, and that it has not arrived."""
        self._arrival = Arrival()
        if self._poses.known and (motion.linear_x_m_s or motion.linear_y_m_s):
            self._floor_map.touch(self._pose, math.atan2(motion.linear_y_m_s, motion.linear_x_m_s))

    def _take(self, inference: Inference, stamp_ns: int) -> None:
        """Take over an answer: its chunk, as fast and as late as its lateness allows."""
        assert inference.chunk is not None
        chunk, lateness = inference.chunk, self._lateness
        lateness.add((stamp_ns - chunk.t0_ns) / 1e9)
        self._before = self._sent or self._before
        if lateness.tempo.by_way and self._answer is not None:
            # Slower rows don't jump, and a move begins from zero: it is the answers that must agree.
            values = settled(chunk, replace(self._answer, t0_ns=chunk.t0_ns))
            chunk = replace(chunk, values=values.astype(np.float32))
        self._answer, self._sent = chunk, None
        if lateness.tempo.looks and not self._standstill.shows(chunk.t0_ns):
            chunk = stand(stamp_ns)
        elif lateness.tempo.looks:
            chunk = one_move(chunk, stamp_ns + round(ON_THE_WAY_S * 1e9), self._limits)
        elif lateness.tempo.by_way:
            chunk = retimed(chunk, lateness.tempo.share)
        led = self._before is not None and chunk.t0_ns < self._before.t0_ns  # by a newer frame, on a detour
        self._chunk = None if led else chunk

    def _ahead(self, stamp_ns: int) -> Floats:
        """Return the rows of the newest answer that can still be driven: those that elapsed never are."""
        assert self._answer is not None
        answer, tempo = self._answer, self._lateness.tempo
        values = answer.values.astype(np.float64)
        if tempo.looks:
            return values
        elapsed = int((stamp_ns - answer.t0_ns) / 1e9 / answer.dt_s * tempo.share + 1e-6)
        return values[min(elapsed, len(values) - 1) :]

    def _drive(self, observation: Observation) -> ActionChunk | None:
        """Return what to hand on at this frame: of a detour, or of the newest answer; None: nothing new."""
        chunk, stamp_ns = self._chunk, observation.frame.stamp_ns
        late = self._lateness.tempo.by_way
        if chunk is not None and stamp_ns >= chunk.valid_until_ns:
            chunk = None
        if self._answer is None or (chunk is None and not (late and self._detour.under_way)):
            return None
        asked = self._answer.values.astype(np.float64) if chunk is None else settled(chunk, self._before)
        values = asked if self._see_floor is None else self._shield.limit(asked)
        if self._goal.kind == "find_object" and observation.odometry is not None:
            under_way, velocity = self._detour.under_way, self._away(asked, values, stamp_ns)
            if velocity is not None:
                return self._lead(velocity, stamp_ns)
            if late and under_way:  # what was answered on the way is not about where the base stands now
                self._chunk = chunk = None
        if chunk is None:
            return None
        values = without_jumps(replace(chunk, values=values), (self._before, self._sent))
        # A row that lost speed on the way must not turn tighter than the wheels can.
        values = possible_rows(values, self._base).astype(np.float32)
        if self._sent is not None and np.abs(values - self._sent.values).max() < _CHANGE:
            return None
        return self._send(replace(chunk, values=values))

    def _away(self, asked: Floats, safe: Floats, stamp_ns: int) -> Velocity | None:
        """Return the velocity of a detour, if the policy gets nowhere."""
        tempo = self._lateness.tempo
        if tempo.by_way:  # the rows of a late chunk are slower, or stand first
            assert self._answer is not None
            asked = self._answer.values[:1].astype(np.float64)
            safe = asked if self._see_floor is None else self._shield.limit(asked)
        return self._detour.velocity(self._pose, asked[0], safe[0], stamp_ns, tempo.turning)

    def _lead(self, velocity: Velocity, stamp_ns: int) -> ActionChunk:
        """Return a chunk of the detour's velocity, without a jump from what was handed on before."""
        chunk = velocity_chunk(velocity, stamp_ns, 0)
        values = without_jumps(chunk, (self._before, self._sent)).astype(np.float32)
        self._before = self._sent or self._before
        return self._send(replace(chunk, values=values))

    def _rest(self, stamp_ns: int) -> ActionChunk | None:
        """Return a chunk that stands, if answers are late and what was handed on last would grow too old."""
        last = self._sent or self._before
        if not self._lateness.tempo.by_way or last is None or last.by_way:
            return None
        return self._send(stand(stamp_ns))

    def _send(self, chunk: ActionChunk) -> ActionChunk:
        """Return the chunk as the next decision."""
        self._decision += 1
        self._sent = replace(chunk, decision=self._decision)
        if chunk.values.any():
            self._standstill.moves(chunk.valid_until_ns)
        return self._sent

    def _look(self, observation: Observation) -> None:
        """Show the shield where the floor ends now."""
        if self._see_floor is None:
            return
        frame = observation.frame
        if self._view is None:
            height, width = frame.image.shape[:2]
            self._view = View(self._mount, width / height)
        self._pose = self._poses.at(frame.stamp_ns)
        self._scan = self._see_floor(frame.image, self._view)
        self._shield.see(self._scan, self._pose if self._poses.known else None, frame.stamp_ns)


def stands_before(scan: Scan) -> bool:
    """Return True if the floor ends ahead, within BEFORE_M or where the camera begins to see it."""
    ahead = np.abs(scan.bearings) < BEFORE_RAD
    return bool((scan.ranges[ahead] < np.maximum(BEFORE_M, 1.05 * scan.nearest[ahead])).any())


class Arrival:
    """Tells when the policy has come to its goal, which it shows by standing there.

    Arrived: for ARRIVED_NS, all answers ask for no motion, the base stands, and something stands before it;
    it must have moved before, so that a policy that never starts has not arrived.
    """

    def __init__(self) -> None:
        self.arrived = False
        self._moved = False
        self._still_since_ns: int | None = None

    def update(self, stamp_ns: int, plans_motion: bool, odometry: Odometry | None, before: bool) -> None:
        """Take in an answer about a frame, how the base moves now, and whether something stands before it.

        Without odometry, what is planned counts.
        """
        moves = plans_motion if odometry is None else not standing(odometry)
        self._moved |= moves
        if plans_motion or moves or not self._moved or not before:
            self._still_since_ns = None
        elif self._still_since_ns is None:
            self._still_since_ns = stamp_ns
        else:
            self.arrived |= stamp_ns - self._still_since_ns >= ARRIVED_NS
