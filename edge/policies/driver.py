"""The policy of bundles whose model says the actions itself: kinds head and token.

`infer` asks the model at the rate of its demonstrations and makes a chunk of what it says. `act` hands the
chunk on, once; with a shield it looks at each frame whether the rest of it is still safe.
"""

import math
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from edge.actions import Pipeline
from edge.bundle.manifest import ActionHead
from edge.interfaces import Inference, PolicyStatus
from edge.model.actions import ActionPrediction
from edge.motor.limits import MotorLimits
from edge.navigation.servo import standing
from edge.navigation.shield import Shield
from edge.perception.floor_scan import Scan
from edge.perception.geometry import PoseHistory, View
from edge.records import (
    BASE_ACTION,
    ActionChunk,
    CameraMount,
    Goal,
    Image,
    Observation,
    Odometry,
)

# Slower is meant as standing: the expert drives at 0.08 m/s or more and turns at 0.12 rad/s or more, or
# stands, and a net that learnt from it says a little more or less than zero.
STILL_M_S, STILL_RAD_S = 0.05, 0.1
STILL_ROWS = 3  # of a chunk: what lies farther ahead is another answer's business
ARRIVED_NS = 800_000_000  # the expert stands for 1 s before it says that it has arrived (sim/expert.py)
HOLD_S = 0.3  # a shorter horizon is held so long by its last row: until the next answer is there
VALID_NS = 500_000_000  # the guard is at zero by then
LIMITS = MotorLimits()
# A plan that reaches the motors with the frame that it was handed on at: camera, tick, and a busy machine.
ON_THE_WAY_S = 0.07
LATE_ANSWERS = 30  # the slowest of so many tells how late the next may be
MIN_SHARE = 0.2  # of full speed; an answer that is too late even for it stops the base
# From one answer to the next a velocity changes less than this, or the guard would set the chunk aside as an
# outlier (linear_jump_m_s 0.6, angular_jump_rad_s 1.5): a sharper turn takes two answers. The base itself
# changes by 0.2 m/s and 0.4 rad/s in that time. A stop from full speed is within it.
STEP_M_S, STEP_RAD_S = 0.55, 1.4
AGAIN = 0.95  # of a step: how near to an outlier a plan comes, so that the next one like it is no jump
_CHANGE = 0.01  # m/s and rad/s; a smaller change by the shield is not worth a new chunk

Floats = NDArray[np.float64]


class Model(Protocol):
    """What `ActionPolicy` needs of `edge.model.actions.ActionModel`."""

    head: ActionHead
    pipeline: Pipeline

    def step(self, image: Image, prompt: str, odometry: Odometry | None = None) -> ActionPrediction: ...

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
        self._sent: ActionChunk | None = None  # the same, as it was handed on
        self._late_s: deque[float] = deque(maxlen=LATE_ANSWERS)  # from the frame of an answer to the answer
        self._before: ActionChunk | None = None  # the answer before it, as it was handed on last

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
            self._before = self._sent or self._before
            self._chunk, self._sent = inference.chunk, None
            self._late_s.append((observation.frame.stamp_ns - inference.frame.stamp_ns) / 1e9)
            self._arrival.hear(inference.chunk, observation.odometry)
        self._look(observation)
        if self._chunk is None or observation.frame.stamp_ns >= self._chunk.valid_until_ns:
            return None
        values = settled(self._chunk, self._before)
        if self._see_floor is not None:
            values = self._shield.limit(values)
        values = slowed(values, self._share())
        values = without_jumps(replace(self._chunk, values=values), (self._before, self._sent))
        if self._sent is not None and np.abs(values - self._sent.values).max() < _CHANGE:
            return None
        self._decision += 1
        self._sent = replace(self._chunk, values=values, decision=self._decision)
        return self._sent

    def _share(self) -> float:
        """Of full speed, so that the motors follow this answer until the next one is there."""
        late_s = max(self._late_s)
        until_s = max(self.period_ns / 1e9, late_s) + late_s + ON_THE_WAY_S
        return max(MIN_SHARE, LIMITS.share_at_age(until_s))

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
    """Actions (T, A) in physical units to the base's (T, 3), within its limits, also of the speed; other
    columns are zero."""
    values = np.zeros((len(actions), BASE_ACTION.dims))
    values[:, [BASE_ACTION.names.index(name) for name in columns]] = actions
    values = np.minimum(np.maximum(values, BASE_ACTION.low), BASE_ACTION.high)
    speeds = np.hypot(values[:, :1], values[:, 1:2])
    values[:, :2] *= np.minimum(1.0, BASE_ACTION.high[0] / np.maximum(speeds, 1e-9))
    return values


def still(values: Floats) -> Floats:
    """Rows (T, 3) with those that ask for almost no motion made zero."""
    slow = (np.hypot(values[:, 0], values[:, 1]) < STILL_M_S) & (np.abs(values[:, 2]) < STILL_RAD_S)
    return np.where(slow[:, None], 0.0, values)


def slowed(values: Floats, share: float) -> Floats:
    """Rows (T, 3), each as a whole made so slow that it has this share of full speed at most."""
    used = np.maximum(
        np.hypot(values[:, 0], values[:, 1]) / LIMITS.linear_m_s, np.abs(values[:, 2]) / LIMITS.angular_rad_s
    )
    return values if share >= 1 else values * np.minimum(1.0, share / np.maximum(used, 1e-9))[:, None]


def settled(chunk: ActionChunk, before: ActionChunk | None) -> Floats:
    """The chunk's rows (T, 3). One that jumps away from what the answer before says for the same time may be
    an outlier: that answer goes on there, so slow that an answer like this one can take over next."""
    values = np.array(chunk.values, np.float64)
    for row, new in enumerate(values):
        old = _at_same_time(chunk, row, before)
        if any((_shares(new, [other]) < 1).any() for other in old):
            values[row] = old[0] * _shares(old[0], [new], AGAIN)
    return values


def without_jumps(chunk: ActionChunk, earlier: Sequence[ActionChunk | None]) -> NDArray[np.float32]:
    """The chunk's rows (T, 3), slower where they would jump by STEP_M_S or STEP_RAD_S: from row to row, and
    away from what an earlier chunk says for the same time, whenever the guard looks.

    Only ever slower in the same direction: a standing row jumps away from none.
    """
    values = np.array(chunk.values, np.float64)
    for row in range(len(values)):
        near = [values[row - 1]] if row else []
        for other in earlier:
            near += _at_same_time(chunk, row, other)
        values[row] *= _shares(values[row], near)
    return values.astype(np.float32)


def _shares(row: Floats, near: Sequence[Floats], step: float = 1.0) -> Floats:
    """How much of a row (3,) is within a step of all the others: of its way, twice, and of its turn."""
    way = min((_share_within(row[:2], other[:2], step * STEP_M_S) for other in near), default=1.0)
    turn = min((_share_within(row[2:], other[2:], step * STEP_RAD_S) for other in near), default=1.0)
    return np.array([way, way, turn])


def _at_same_time(chunk: ActionChunk, row: int, other: ActionChunk | None) -> list[Floats]:
    """The rows of the other chunk that hold while `row` of the chunk does."""
    if other is None:
        return []
    start_s = (chunk.t0_ns - other.t0_ns) / 1e9 + row * chunk.dt_s
    first = math.floor(start_s / other.dt_s + 1e-6)
    last = math.ceil((start_s + chunk.dt_s) / other.dt_s - 1e-6)
    return list(other.values[max(0, first) : max(0, last)].astype(np.float64))


def _share_within(velocity: Floats, centre: Floats, radius: float) -> float:
    """The largest share of a velocity (n,), 1 at most, that is within `radius` of `centre`; zero must be."""
    a, b = float(velocity @ velocity), float(velocity @ centre)
    c = float(centre @ centre) - radius**2
    if a - 2 * b + c <= 0:
        return 1.0
    return (
        b + math.sqrt(max(0.0, b * b - a * c))
    ) / a  # the larger root of |share velocity - centre| = radius


def _held(values: Floats, row_s: float) -> Floats:
    """At least HOLD_S of rows (T, 3)."""
    missing = math.ceil(HOLD_S / row_s - 1e-9) - len(values)
    return np.concatenate([values, np.repeat(values[-1:], max(0, missing), axis=0)])
