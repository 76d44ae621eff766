"""Observers of a drive: those of the run itself at once, all others in threads of their own."""

import logging
import threading
import time
from collections.abc import Callable, Sequence
from functools import partial
from queue import SimpleQueue
from typing import Protocol, runtime_checkable

from edge.interfaces import DriveObserver, Inference, PolicyStatus
from edge.records import ActionChunk, DriveEnd, MotorStatus, Observation
from edge.runs.log import fields

QUEUED_EVENTS = 128  # about a second of a drive
REST_S = 0.01  # after an event: those of a frame come at once, and need not wake the thread one by one
END_S = 2.0  # for all observers together, once the base stands

log = logging.getLogger(__name__)


@runtime_checkable
class StepObserver(Protocol):
    """An inline observer that also follows what the policy itself decides, before anything limits it."""

    def on_step(
        self, observation: Observation, inference: Inference | None, chunk: ActionChunk | None, doubt: str
    ) -> None:
        """Take what the policy's `act` was given and returned, and what is doubtful about the cameras.

        Comes before the frame's other events, of which there are none if the drive ends within that frame.
        """
        ...


@runtime_checkable
class WaitObserver(Protocol):
    """An inline observer whose own thread works while the drive waits, and so takes no time from a frame."""

    def on_wait(self) -> None:
        """Take note that the drive has nothing to do now: it waits for a frame."""
        ...


class BackgroundObserver:
    """Runs one observer in a thread, so that it neither delays nor ends the drive.

    An event that comes while QUEUED_EVENTS wait is dropped and counted, but `on_end` never is. An exception
    ends the observer. It still shares the interpreter: one that computes for long belongs into a process.
    """

    def __init__(self, observer: DriveObserver) -> None:
        self.name = type(observer).__name__
        self.dropped = 0
        self.failed = False
        self._observer = observer
        self._events: SimpleQueue[Callable[[], None] | None] = SimpleQueue()
        self._thread = threading.Thread(target=self._work, name=f"observer {self.name}", daemon=True)
        self._thread.start()

    def on_start(self, stamp_ns: int) -> None:
        """Queue the event."""
        self._offer(partial(self._observer.on_start, stamp_ns))

    def on_frame(self, observation: Observation, policy: PolicyStatus) -> None:
        """Queue the event."""
        self._offer(partial(self._observer.on_frame, observation, policy))

    def on_inference(self, inference: Inference) -> None:
        """Queue the event."""
        self._offer(partial(self._observer.on_inference, inference))

    def on_chunk(self, chunk: ActionChunk) -> None:
        """Queue the event."""
        self._offer(partial(self._observer.on_chunk, chunk))

    def on_status(self, status: MotorStatus) -> None:
        """Queue the event."""
        self._offer(partial(self._observer.on_status, status))

    def on_end(self, end: DriveEnd) -> None:
        """Queue the last event."""
        self._events.put(partial(self._observer.on_end, end))
        self._events.put(None)

    def close(self, deadline_s: float) -> bool:
        """Wait until the observer has taken its events. False if it still runs at `deadline_s`."""
        self._events.put(None)
        self._thread.join(max(0.0, deadline_s - time.monotonic()))
        ended = not self._thread.is_alive()
        if self.dropped or not ended:
            log.warning(
                "observer was slow", extra=fields(observer=self.name, dropped=self.dropped, ended=ended)
            )
        return ended

    def _offer(self, event: Callable[[], None]) -> None:
        if self.failed:
            return
        if self._events.qsize() < QUEUED_EVENTS:
            self._events.put(event)
            return
        self.dropped += 1
        if self.dropped == 1:
            log.warning("observer is slow: events are dropped", extra=fields(observer=self.name))

    def _work(self) -> None:
        while (event := self._events.get()) is not None:
            try:
                event()
                if self._events.empty():
                    time.sleep(REST_S)
            except Exception:
                self.failed = True
                log.exception("observer failed: it gets no more events", extra=fields(observer=self.name))
                break
        while not self._events.empty():  # frames that nobody looks at any more must not stay in memory
            self._events.get()


class Observers:
    """Passes a drive's events on: to `inline` observers at once, to the others through their threads.

    Inline are only parts of the run itself, quick and exact; what they raise is a bug of the run and ends it.
    """

    def __init__(self, inline: Sequence[DriveObserver], others: Sequence[DriveObserver]) -> None:
        self._background = [BackgroundObserver(each) for each in others]
        self._all: tuple[DriveObserver, ...] = (*inline, *self._background)
        self._of_steps = [each for each in inline if isinstance(each, StepObserver)]
        self._of_waits = [each for each in inline if isinstance(each, WaitObserver)]
        self._status_ns = -1

    def on_start(self, stamp_ns: int) -> None:
        """Pass the event on."""
        for observer in self._all:
            observer.on_start(stamp_ns)

    def on_step(
        self, observation: Observation, inference: Inference | None, chunk: ActionChunk | None, doubt: str
    ) -> None:
        """Pass the event on to those that follow the policy."""
        for observer in self._of_steps:
            observer.on_step(observation, inference, chunk, doubt)

    def on_frame(self, observation: Observation, policy: PolicyStatus) -> None:
        """Pass the event on."""
        for observer in self._all:
            observer.on_frame(observation, policy)

    def on_inference(self, inference: Inference) -> None:
        """Pass the event on."""
        for observer in self._all:
            observer.on_inference(inference)

    def on_chunk(self, chunk: ActionChunk) -> None:
        """Pass the event on."""
        for observer in self._all:
            observer.on_chunk(chunk)

    def on_status(self, status: MotorStatus) -> None:
        """Pass the report on, unless it was passed on before."""
        if status.stamp_ns == self._status_ns:
            return
        self._status_ns = status.stamp_ns
        for observer in self._all:
            observer.on_status(status)

    def on_wait(self) -> None:
        """Pass on that the drive waits for a frame, to those that work meanwhile."""
        for observer in self._of_waits:
            observer.on_wait()

    def on_end(self, end: DriveEnd) -> bool:
        """Pass the event on and wait for the observers, END_S at most. False if one of them still runs."""
        for observer in self._all:
            observer.on_end(end)
        deadline_s = time.monotonic() + END_S
        ended = [observer.close(deadline_s) for observer in self._background]
        return all(ended)
