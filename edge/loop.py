"""The core of a drive: frames in, action chunks out, while the model thinks in the background.

The same `Loop` runs in real time, with a `ThreadWorker`, and in lockstep simulation, with one of its own.
"""

import threading
from queue import SimpleQueue
from types import TracebackType
from typing import Protocol

from edge.interfaces import Inference, Policy
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


class ThreadWorker:
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

    def __enter__(self) -> "ThreadWorker":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _work(self) -> None:
        while (observation := self._asked.get()) is not None:
            try:
                self._answered.put(self._policy.infer(observation))
            except Exception as error:  # noqa: BLE001 - raised again in `poll`, by the thread that drives
                self._answered.put(error)


class Loop:
    """One goal, from frames to chunks. Pure but for its worker: no clock, no input or output."""

    def __init__(self, policy: Policy, worker: Worker, goal: Goal) -> None:
        self._policy = policy
        self._worker = worker
        self._goal = goal
        self.inference: Inference | None = None  # newest one
        self.inferences = 0

    def on_frame(self, frame: Frame, odometry: Odometry | None) -> ActionChunk | None:
        """What to do now. Raises what the inference raised."""
        inference = self._worker.poll()
        if inference is not None:
            self.inference = inference
            self.inferences += 1
        observation = Observation({frame.camera: frame}, self._goal, odometry)
        if not self._worker.busy:
            self._worker.submit(observation)
        return self._policy.act(observation, inference)
