"""The core of a drive: frames in, action chunks out, while the model thinks in the background.

The same `Loop` runs in real time, with a `ThreadWorker`, and in lockstep simulation, with one of its own.
"""

import threading
from collections import deque
from queue import SimpleQueue
from statistics import median
from typing import Protocol

from edge.interfaces import Closing, Inference, Paced, Policy
from edge.records import ActionChunk, Frame, Goal, Observation, Odometry

JOIN_S = 2.0  # for an inference that is under way when the worker closes


class Worker(Protocol):
    """Runs `Policy.infer`, one observation at a time."""

    @property
    def busy(self) -> bool:
        """Whether an observation was submitted whose inference was not polled yet."""
        ...

    def submit(self, observation: Observation) -> None:
        """Begin an inference. Only when not busy."""
        ...

    def poll(self) -> Inference | None:
        """A finished inference, once; None while there is none. Raises what the inference raised."""
        ...


class ThreadWorker(Closing):
    """A worker in a thread. Close it before the interpreter ends: inference engines abort when cut off."""

    def __init__(self, policy: Policy) -> None:
        self._policy = policy
        self._asked: SimpleQueue[Observation | None] = SimpleQueue()
        self._answered: SimpleQueue[Inference | Exception] = SimpleQueue()
        self._busy = False
        self._thread = threading.Thread(target=self._work, name="inference", daemon=True)
        self._thread.start()

    @property
    def busy(self) -> bool:
        return self._busy

    def submit(self, observation: Observation) -> None:
        if self._busy:
            raise RuntimeError("the worker is busy")
        self._busy = True
        self._asked.put(observation)

    def poll(self) -> Inference | None:
        if self._answered.empty():
            return None
        answer = self._answered.get()
        self._busy = False
        if isinstance(answer, Exception):
            raise answer
        return answer

    def close(self) -> bool:
        """End the thread after its current inference. False when that hangs: then it is left behind."""
        self._asked.put(None)
        self._thread.join(JOIN_S)
        return not self._thread.is_alive()

    def _work(self) -> None:
        while (observation := self._asked.get()) is not None:
            try:
                self._answered.put(self._policy.infer(observation))
            except Exception as error:  # noqa: BLE001 - raised again in `poll`, by the thread that drives
                self._answered.put(error)


class Pace:
    """Which frames to ask about, so that it happens once a period on average, whatever the camera's rate.

    The due times are `period_ns` apart from the first frame on. Each gets the frame nearest to it; those that
    nobody had time for are left out, and never made up for.
    """

    def __init__(self, period_ns: int) -> None:
        """`period_ns` 0: every frame."""
        self._period_ns = period_ns
        self._due_ns: int | None = None
        self._newest_ns: int | None = None
        self._gaps_ns: deque[int] = deque(maxlen=9)  # their median bears jitter and dropped frames

    def due(self, stamp_ns: int) -> bool:
        """Whether the frame of this time is one. Tell it of every frame."""
        if self._newest_ns is not None:
            self._gaps_ns.append(stamp_ns - self._newest_ns)
        self._newest_ns = stamp_ns
        if not self._period_ns or self._due_ns is None:
            return True
        half_ns = median(self._gaps_ns) / 2 if self._gaps_ns else 0
        return stamp_ns >= self._due_ns - half_ns

    def asked(self, stamp_ns: int) -> None:
        """A frame was asked about."""
        if self._due_ns is None:
            self._due_ns = stamp_ns
        if self._period_ns:
            late = round((stamp_ns - self._due_ns) / self._period_ns)
            self._due_ns += self._period_ns * (max(0, late) + 1)


class Loop:
    """One goal, from frames to chunks. Pure but for its worker: no clock, no input or output."""

    def __init__(self, policy: Policy, worker: Worker, goal: Goal) -> None:
        self._policy = policy
        self._worker = worker
        self._goal = goal
        self._pace = Pace(policy.period_ns if isinstance(policy, Paced) else 0)
        self.inference: Inference | None = None  # newest one
        self.inferences = 0

    def on_frame(self, frame: Frame, odometry: Odometry | None) -> ActionChunk | None:
        """What to do now. Raises what the inference raised."""
        inference = self._worker.poll()
        if inference is not None:
            self.inference = inference
            self.inferences += 1
        observation = Observation({frame.camera: frame}, self._goal, odometry)
        if self._pace.due(frame.stamp_ns) and not self._worker.busy:
            self._worker.submit(observation)
            self._pace.asked(frame.stamp_ns)
        return self._policy.act(observation, inference)
