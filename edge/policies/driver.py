"""The policy of bundles whose model predicts the actions itself: kinds head and token.

`infer` asks the model at the rate of its demonstrations and makes a chunk of its actions. `act` hands the
chunk on, once; with a shield it looks at each frame whether the rest of it is still safe. A model that gets
nowhere, because it has no memory of what it tried, is driven elsewhere first (`edge.navigation.detour`).
"""

import math
from collections import deque
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
from edge.perception.geometry import Pose, PoseHistory, View
from edge.policies.chunks import (
    VALID_NS,
    base_actions,
    held,
    possible_rows,
    settled,
    slowed,
    still,
    velocity_chunk,
    without_jumps,
)
from edge.records import ActionChunk, CameraMount, Goal, Image, Observation, Odometry, Velocity

STILL_ROWS = 3  # rows of a chunk that tell whether it moves: what lies farther ahead is the next answer's
ARRIVED_NS = 800_000_000  # the expert stands for 1 s before it claims that it has arrived (sim/expert.py)
# It has come to nothing if the floor goes on before it. Where it ends is up to 0.2 m behind the surface of a
# thing that hangs over, and an approach ends within 0.7 m of that.
BEFORE_M, BEFORE_RAD = 0.9, math.radians(20)
TIGHT_M = 0.08  # kept from obstacles on a detour, which is planned through the middle of a gap
HOLD_S = 0.3  # a shorter horizon is held so long by its last row: until the next answer is there
# Time from a frame to the motors' next tick, beyond the model's own: camera, tick, and a busy machine.
ON_THE_WAY_S = 0.07
LATE_ANSWERS = 30  # the slowest of so many tells how late the next may be
MIN_SHARE = 0.2  # share of full speed; an answer that is too late even for it stops the base
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
        floor = FloorMap(self._base.radius_m)
        self._shield = Shield(self._base, floor)
        wide = replace(self._base, radius_m=self._base.radius_m + TIGHT_M - HARD_M)
        self._detour = Detour(self._base, Pilot(wide, self._see_floor is not None, floor))
        self._chunk: ActionChunk | None = None  # the newest, as the model predicted it
        self._sent: ActionChunk | None = None  # the same, as it was handed on
        self._late_s: deque[float] = deque(maxlen=LATE_ANSWERS)  # from the frame of an answer to the answer
        self._before: ActionChunk | None = None  # the answer before it, as it was handed on last

    @property
    def status(self) -> PolicyStatus:
        reached = self._arrival.arrived and self._goal.kind == "find_object"
        state = "arrived" if reached else "detour" if self._detour.under_way else "drive"
        return PolicyStatus(state, reached)

    def infer(self, observation: Observation) -> Inference:
        frame = observation.frame
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
        if observation.odometry is not None:
            self._poses.add(observation.odometry)
        if inference is not None:
            assert inference.chunk is not None
            self._before = self._sent or self._before
            self._chunk, self._sent = inference.chunk, None
            self._late_s.append((observation.frame.stamp_ns - inference.frame.stamp_ns) / 1e9)
        self._look(observation)
        if inference is not None and inference.chunk is not None:
            before = self._scan is None or stands_before(self._scan)
            self._arrival.update(inference.chunk, observation.odometry, before)
        if self._chunk is None or observation.frame.stamp_ns >= self._chunk.valid_until_ns:
            return None
        values = asked = settled(self._chunk, self._before)
        if self._see_floor is not None:
            values = self._shield.limit(asked)
        if self._goal.kind == "find_object" and observation.odometry is not None:
            velocity = self._detour.velocity(self._pose, asked[0], values[0], observation.frame.stamp_ns)
            if velocity is not None:
                return self._drive(velocity, observation.frame.stamp_ns)
        values = slowed(values, self._share(), self._base)
        values = without_jumps(replace(self._chunk, values=values), (self._before, self._sent))
        # A row that lost speed on the way must not turn tighter than the wheels can.
        values = possible_rows(values, self._base).astype(np.float32)
        if self._sent is not None and np.abs(values - self._sent.values).max() < _CHANGE:
            return None
        self._decision += 1
        self._sent = replace(self._chunk, values=values, decision=self._decision)
        return self._sent

    def _drive(self, velocity: Velocity, stamp_ns: int) -> ActionChunk:
        """Return a chunk of the detour's velocity, without a jump from what was handed on before."""
        self._decision += 1
        chunk = velocity_chunk(velocity, stamp_ns, self._decision)
        values = without_jumps(chunk, (self._before, self._sent)).astype(np.float32)
        self._before, self._sent = self._sent or self._before, replace(chunk, values=values)
        return self._sent

    def _share(self) -> float:
        """Return the share of full speed at which this answer is followed until the next one is there."""
        late_s = max(self._late_s)
        until_s = max(self.period_ns / 1e9, late_s) + late_s + ON_THE_WAY_S
        return max(MIN_SHARE, self._limits.share_at_age(until_s))

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

    def update(self, chunk: ActionChunk, odometry: Odometry | None, before: bool) -> None:
        """Take in an answer, how the base moves now, and whether something stands before it.

        Without odometry, what is planned counts.
        """
        plans_motion = bool(chunk.values[:STILL_ROWS].any())
        moves = plans_motion if odometry is None else not standing(odometry)
        self._moved |= moves
        if plans_motion or moves or not self._moved or not before:
            self._still_since_ns = None
        elif self._still_since_ns is None:
            self._still_since_ns = chunk.t0_ns
        else:
            self.arrived |= chunk.t0_ns - self._still_since_ns >= ARRIVED_NS
