"""The policy of bundles whose model says the actions itself: kinds head and token.

`infer` asks the model at the rate of its demonstrations and makes a chunk of what it says. `act` hands the
chunk on, once; with a shield it looks at each frame whether the rest of it is still safe.
"""

import math
from collections.abc import Callable
from dataclasses import replace
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from edge.action_model import Said
from edge.actions import Pipeline
from edge.freespace import Scan
from edge.geometry import PoseHistory, View
from edge.interfaces import Inference, PolicyStatus
from edge.manifest import ActionHead
from edge.records import (
    BASE_ACTION,
    ActionChunk,
    CameraMount,
    Goal,
    Image,
    Observation,
    Odometry,
)
from edge.servo import standing
from edge.shield import Shield

# Slower is meant as standing: the expert drives at 0.08 m/s or more and turns at 0.12 rad/s or more, or
# stands, and a net that learnt from it says a little more or less than zero.
STILL_M_S, STILL_RAD_S = 0.05, 0.1
STILL_ROWS = 3  # of a chunk: what lies farther ahead is another answer's business
ARRIVED_NS = 800_000_000  # the expert stands for 1 s before it says that it has arrived (sim/expert.py)
HOLD_S = 0.3  # a shorter horizon is held so long by its last row: until the next answer is there
VALID_NS = 500_000_000  # the guard is at zero by then
_CHANGE = 0.01  # m/s and rad/s; a smaller change by the shield is not worth a new chunk

Floats = NDArray[np.float64]


class Model(Protocol):
    """What `ActionPolicy` needs of `edge.action_model.ActionModel`."""

    head: ActionHead
    pipeline: Pipeline

    def step(self, image: Image, prompt: str, odometry: Odometry | None = None) -> Said: ...

    def reset(self) -> None: ...


class ActionPolicy:
    """Drives as its model says: find_object, and follow_object, which never arrives."""

    def __init__(
        self,
        model: Model,
        prompt: str,
        mount: CameraMount,
        see_floor: Callable[[Image, View], Scan] | None,
    ) -> None:
        """`see_floor` tells where the floor is free; without it nothing slows the model's velocities."""
        self._asked = model
        self._prompt = prompt
        self._mount = mount
        self._see_floor = see_floor
        self._view: View | None = None
        self._decision = 0
        self.period_ns = round(1e9 / model.head.rate_hz)
        self.reset(Goal("find_object"))

    def reset(self, goal: Goal) -> None:
        """Forget everything but the decision counter. Not while `infer` runs."""
        self._goal = goal
        self._asked.reset()
        self._arrival = Arrival()
        self._poses = PoseHistory()
        self._shield = Shield(self._mount.radius_m)
        self._chunk: ActionChunk | None = None  # the newest, as the model said it
        self._sent: NDArray[np.float32] | None = None  # its values, as they were handed on

    @property
    def status(self) -> PolicyStatus:
        reached = self._arrival.arrived and self._goal.kind == "find_object"
        return PolicyStatus("arrived" if reached else "drive", reached)

    def infer(self, observation: Observation) -> Inference:
        frame = observation.frame
        said = self._asked.step(frame.image, self._prompt, observation.odometry)
        head = self._asked.head
        values = base_actions(self._asked.pipeline.decode(said.actions), head.columns)
        values = _held(still(values), 1 / head.rate_hz)
        chunk = ActionChunk(
            values.astype(np.float32),
            1 / head.rate_hz,
            frame.stamp_ns,
            frame.stamp_ns + min(VALID_NS, round(len(values) * 1e9 / head.rate_hz)),
            said.confidence,
            0,  # numbered when it is handed on
        )
        x, y, turn = values[0]
        text = f"{x:.2f} m/s ahead, {y:.2f} m/s left, {turn:.2f} rad/s"
        return Inference(frame, text, said.confidence, said.stages_ms, chunk)

    def act(self, observation: Observation, inference: Inference | None) -> ActionChunk | None:
        """The newest inference's chunk, once; with a shield, again whenever less of it is safe."""
        if observation.odometry is not None:
            self._poses.add(observation.odometry)
        if inference is not None:
            assert inference.chunk is not None
            self._chunk, self._sent = inference.chunk, None
            self._arrival.hear(inference.chunk, observation.odometry)
        self._look(observation)
        if self._chunk is None or observation.frame.stamp_ns >= self._chunk.valid_until_ns:
            return None
        values = self._chunk.values
        if self._see_floor is not None:
            values = self._shield.limit(values.astype(np.float64)).astype(np.float32)
        if self._sent is not None and np.abs(values - self._sent).max() < _CHANGE:
            return None
        self._sent = values
        self._decision += 1
        return replace(self._chunk, values=values, decision=self._decision)

    def _look(self, observation: Observation) -> None:
        """Show the shield where the floor ends now."""
        if self._see_floor is None:
            return
        frame = observation.frame
        if self._view is None:
            height, width = frame.image.shape[:2]
            self._view = View(self._mount, width / height)
        pose = self._poses.at(frame.stamp_ns)
        self._shield.see(self._see_floor(frame.image, self._view), pose, frame.stamp_ns)


class Arrival:
    """Has the policy come to its goal? It says so by standing there.

    Arrived: for ARRIVED_NS, all answers ask for no motion, and the base stands; it must have moved before,
    so that a policy that never starts has not arrived.
    """

    def __init__(self) -> None:
        self.arrived = False
        self._moved = False
        self._still_since_ns: int | None = None

    def hear(self, chunk: ActionChunk, odometry: Odometry | None) -> None:
        """Take an answer, and how the base moves now. Without odometry, what was asked for counts."""
        asked = bool(chunk.values[:STILL_ROWS].any())
        moves = asked if odometry is None else not standing(odometry)
        self._moved |= moves
        if asked or moves or not self._moved:
            self._still_since_ns = None
        elif self._still_since_ns is None:
            self._still_since_ns = chunk.t0_ns
        else:
            self.arrived |= chunk.t0_ns - self._still_since_ns >= ARRIVED_NS


def base_actions(actions: Floats, columns: tuple[str, ...]) -> Floats:
    """Actions (T, A) in physical units to the base's (T, 3), within its limits; other columns are zero."""
    values = np.zeros((len(actions), BASE_ACTION.dims))
    values[:, [BASE_ACTION.names.index(name) for name in columns]] = actions
    return np.minimum(np.maximum(values, BASE_ACTION.low), BASE_ACTION.high)


def still(values: Floats) -> Floats:
    """Rows (T, 3) with those that ask for almost no motion made zero."""
    slow = (np.hypot(values[:, 0], values[:, 1]) < STILL_M_S) & (np.abs(values[:, 2]) < STILL_RAD_S)
    return np.where(slow[:, None], 0.0, values)


def _held(values: Floats, row_s: float) -> Floats:
    """At least HOLD_S of rows (T, 3)."""
    missing = math.ceil(HOLD_S / row_s - 1e-9) - len(values)
    return np.concatenate([values, np.repeat(values[-1:], max(0, missing), axis=0)])
