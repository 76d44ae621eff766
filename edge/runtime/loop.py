"""The core of a drive: frame sets in, action chunks out, while the model computes in the background.

The same `Loop` runs in real time, with a `ThreadWorker`, and in lockstep simulation, with one of its own.
"""

import logging
import math
import threading
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, replace
from queue import SimpleQueue
from statistics import median
from typing import Protocol

import numpy as np

from edge.interfaces import Closing, HeedsContacts, Inference, Paced, PicksFrames, Policy
from edge.motor.way import BACK_M_S, BACK_RAD_S
from edge.records import (
    ActionChunk,
    Frame,
    Goal,
    Image,
    MotorState,
    MotorStatus,
    Observation,
    Odometry,
    StopCause,
    Velocity,
)
from edge.runtime.cameras import CameraSet
from edge.runtime.ending import CONTACT_HINT, DriveStop
from edge.runtime.watched.delay import for_delay

MOST_CONTACTS = 3  # in a run: this one ends it
BACK_ROWS, BACK_ROW_S = 5, 0.1  # a chunk that goes back: its rows, and the time of each
JOIN_S = 2.0  # for an inference that is under way when the worker closes

log = logging.getLogger(__name__)


class Worker(Protocol):
    """Runs `Policy.infer`, one observation at a time."""

    @property
    def busy(self) -> bool:
        """True while the inference of a submitted observation was not polled yet."""
        ...

    def submit(self, observation: Observation) -> None:
        """Begin an inference. Only when not busy."""
        ...

    def poll(self) -> Inference | None:
        """Return a finished inference once, None while there is none. Raises what the inference raised."""
        ...


class ThreadWorker(Closing):
    """A worker in a thread. Close it before the interpreter ends: inference engines abort when cut off."""

    def __init__(self, policy: Policy) -> None:
        self._policy = policy
        self._submitted: SimpleQueue[Observation | None] = SimpleQueue()
        self._finished: SimpleQueue[Inference | Exception] = SimpleQueue()
        self._busy = False
        self._thread = threading.Thread(target=self._work, name="inference", daemon=True)
        self._thread.start()

    @property
    def busy(self) -> bool:
        """True while the inference of a submitted observation was not polled yet."""
        return self._busy

    def submit(self, observation: Observation) -> None:
        """Begin an inference. Raises RuntimeError when busy."""
        if self._busy:
            raise RuntimeError("the worker is busy")
        self._busy = True
        self._submitted.put(observation)

    def poll(self) -> Inference | None:
        """Return a finished inference once, None while there is none. Raises what the inference raised."""
        if self._finished.empty():
            return None
        finished = self._finished.get()
        self._busy = False
        if isinstance(finished, Exception):
            raise finished
        return finished

    def close(self) -> bool:
        """End the thread after its current inference. False when that hangs: then it is left behind."""
        self._submitted.put(None)
        self._thread.join(JOIN_S)
        return not self._thread.is_alive()

    def _work(self) -> None:
        while (observation := self._submitted.get()) is not None:
            try:
                self._finished.put(self._policy.infer(observation))
            except Exception as error:  # noqa: BLE001 - raised again in `poll`, by the thread that drives
                self._finished.put(error)


class Pace:
    """Chooses the frames to submit, once a period on average, whatever the camera's rate.

    The due times are `period_ns` apart from the first frame on. Each gets the frame nearest to it; those at
    which the worker was busy are left out, and never made up for.
    """

    def __init__(self, period_ns: int) -> None:
        """Start at the next frame. With a period of 0 every frame is due."""
        self._period_ns = period_ns
        self._due_ns: int | None = None
        self._newest_ns: int | None = None
        self._gaps_ns: deque[int] = deque(maxlen=9)  # their median bears jitter and dropped frames

    def due(self, stamp_ns: int) -> bool:
        """Return True if the frame at `stamp_ns` is due. Call once per frame."""
        if self._newest_ns is not None:
            self._gaps_ns.append(stamp_ns - self._newest_ns)
        self._newest_ns = stamp_ns
        if not self._period_ns or self._due_ns is None:
            return True
        half_ns = median(self._gaps_ns) / 2 if self._gaps_ns else 0
        return stamp_ns >= self._due_ns - half_ns

    def submitted(self, stamp_ns: int) -> None:
        """Note that the frame at `stamp_ns` was submitted."""
        if self._due_ns is None:
            self._due_ns = stamp_ns
        if self._period_ns:
            periods_late = round((stamp_ns - self._due_ns) / self._period_ns)
            self._due_ns += self._period_ns * (max(0, periods_late) + 1)


@dataclass(frozen=True, slots=True)
class Step:
    """What the loop made of one frame set."""

    observation: Observation
    chunk: ActionChunk | None  # for the motors; None leaves them to the chunk before
    inference: Inference | None  # finished since the step before


class Loop:
    """One goal, from frame sets to chunks. Pure but for its worker: no clock, no input or output.

    `camera` names the camera that the policy sees with; its frames pace the policy. Empty: the only one.
    With `images_once` the policy infers each image once, however often a frame delivers it.
    """

    def __init__(
        self, policy: Policy, worker: Worker, goal: Goal, camera: str = "", images_once: bool = False
    ) -> None:
        self._policy = policy
        self._worker = worker
        self._goal = goal
        self._camera = camera
        self._images_once = images_once
        self._image: Image | None = None  # the newest that was submitted
        self._pace = Pace(policy.period_ns if isinstance(policy, Paced) else 0)
        self._picks = policy if isinstance(policy, PicksFrames) else None

    def on_frame(self, frames: Mapping[str, Frame], odometry: Odometry | None) -> Step:
        """Act on a frame set, by camera name. Raises what the inference raised."""
        inference = self._worker.poll()
        observation = Observation(frames, self._goal, odometry, self._camera)
        frame = observation.frame
        due = frame.image is not self._image if self._images_once else self._pace.due(frame.stamp_ns)
        wanted = self._picks is None or self._picks.wants(observation, inference)
        if due and wanted and not self._worker.busy:
            self._worker.submit(observation)
            self._image = frame.image
            self._pace.submitted(frame.stamp_ns)
        return Step(observation, self._policy.act(observation, inference), inference)


class Sent:
    """Chooses the chunk to send: the policy's, or one that stands while a camera is in doubt.

    It stands as well once the policy claims to be there: an arrival takes a last look. An answer about an
    older frame than it stood for is dropped, as the motor process would refuse it.
    """

    def __init__(self) -> None:
        self._newest: ActionChunk | None = None  # the one that the policy decided last
        self._stood_ns = 0  # the newest frame for which it stood

    def choose(
        self, step: Step, doubt: str, reached: bool, touched: Velocity | None = None
    ) -> ActionChunk | None:
        """Return the chunk for a step; None leaves the motors to the chunk before. `doubt` empty: none.

        `touched` is the motion of a contact from which the base goes back now; None if there is none. Of a
        camera that is late the chunk is bounded by way.
        """
        chunk = self._chosen(step, bool(doubt) or reached, touched)
        return None if chunk is None else for_delay(chunk, step.observation.frame)

    def _chosen(self, step: Step, stands: bool, touched: Velocity | None) -> ActionChunk | None:
        stamp_ns = step.observation.frame.stamp_ns
        if touched is not None:
            self._stood_ns = stamp_ns
            return None if self._newest is None else _back(self._newest, stamp_ns, touched)
        if stands:
            self._stood_ns = stamp_ns
            return None if self._newest is None else _standing(self._newest, stamp_ns)
        if step.chunk is None or step.chunk.t0_ns < self._stood_ns:
            return None
        self._newest = step.chunk
        return step.chunk


class Contacts:
    """Counts the contacts of a drive by the reports of its motor process, and ends it at one too many."""

    def __init__(self, policy: Policy, cameras: CameraSet) -> None:
        """Begin with none; the policy that heeds contacts and the cameras are told of each."""
        self._policy = policy if isinstance(policy, HeedsContacts) else None
        self._cameras = cameras
        self._count = 0
        self._asked = False
        self.touched: Velocity | None = None  # the motion from which the base goes back now

    def seen(self) -> str:
        """Return once what the cameras show of a contact that the motor process can't know; else empty."""
        asked, self._asked = self._asked, bool(self._cameras.held)
        return "" if asked or self.touched is not None else self._cameras.held

    def update(self, status: MotorStatus) -> None:
        """Take in a report. Raises DriveStop at the contact that is one too many."""
        under_way = status.state is MotorState.TOUCHED
        self.touched = status.touched if under_way else None
        self._cameras.base.goes_back = under_way
        if status.contacts == self._count:
            return
        self._count = status.contacts
        log.warning("contact %d: %s", self._count, status.reason)
        if self._policy is not None:
            self._policy.touched(status.touched)
        if self._count >= MOST_CONTACTS:
            raise DriveStop(
                StopCause.CONTACT,
                f"the base touched something {self._count} times in this run (limit {MOST_CONTACTS - 1}); "
                f"the last time {status.reason}",
                CONTACT_HINT,
            )


def _back(chunk: ActionChunk, stamp_ns: int, touched: Velocity) -> ActionChunk:
    """Return a chunk that answers the frame of `stamp_ns` by going back from what a motion touched."""
    speed_m_s = math.hypot(touched.linear_x_m_s, touched.linear_y_m_s)
    values = np.zeros((BACK_ROWS, 3), np.float32)
    if speed_m_s:
        values[:, :2] = np.array([touched.linear_x_m_s, touched.linear_y_m_s]) * (-BACK_M_S / speed_m_s)
    else:
        values[:, 2] = -math.copysign(BACK_RAD_S, touched.angular_z_rad_s)
    valid_ns = stamp_ns + round(BACK_ROWS * BACK_ROW_S * 1e9)
    return ActionChunk(values, BACK_ROW_S, stamp_ns, valid_ns, 1.0, chunk.decision, back=True)


def _standing(chunk: ActionChunk, stamp_ns: int) -> ActionChunk:
    """Return a chunk that answers the frame of `stamp_ns` by standing, as part of `chunk`'s decision."""
    valid_ns = chunk.valid_until_ns - chunk.t0_ns
    values = np.zeros_like(chunk.values)
    return replace(chunk, values=values, t0_ns=stamp_ns, valid_until_ns=stamp_ns + valid_ns, confidence=1.0)
