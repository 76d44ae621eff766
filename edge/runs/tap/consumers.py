"""Who takes the events at the far end of the tap, and the threads that let none of them hold up another."""

import logging
import threading
from collections import deque
from typing import Protocol

from edge.runs.tap.events import TapEvent

SPOOLED_BYTES = 64 << 20  # events that wait for one consumer: 5 s and more of a stalled disk

log = logging.getLogger(__name__)


class Consumer(Protocol):
    """Takes the events of a run in their order."""

    name: str  # for people: what it writes

    def take(self, event: TapEvent) -> None:
        """Take one event. Raises OSError if what it writes can't be written."""
        ...

    def finish(self, whole: bool) -> list[str]:
        """Take the end of the events; return what people should know.

        `whole` is False if the runtime went without a word. Raises OSError as `take` does.
        """
        ...


class Spooled:
    """Runs one consumer in a thread, behind a queue of SPOOLED_BYTES at most.

    Events that find the queue full are dropped and counted, and so are all after a failure.
    """

    def __init__(
        self,
        consumer: Consumer,
        most_bytes: int = SPOOLED_BYTES,
        patience_s: float | None = None,
        images: bool = True,
    ) -> None:
        """Start the thread. `patience_s`: how long its end is waited for; None: however long a disk takes.

        Without `images` the consumer gets none: they would only fill the queue.
        """
        self.lost = 0
        self.trouble = ""  # why the consumer takes no more
        self._consumer, self._most_bytes, self._patience_s = consumer, most_bytes, patience_s
        self._images = images
        self._events: deque[TapEvent | None] = deque()
        self._bytes = 0
        self._changed = threading.Condition()
        self._whole = True
        self._notes: list[str] = []
        self._thread = threading.Thread(target=self._work, name=consumer.name, daemon=True)
        self._thread.start()

    def take(self, event: TapEvent) -> None:
        """Queue an event, or drop it. Never waits."""
        if event.topic == "image" and not self._images:
            return
        with self._changed:
            if self.trouble or self._bytes + event.size > self._most_bytes:
                self.lost += 1
                return
            self._events.append(event)
            self._bytes += event.size
            self._changed.notify()

    def end(self, whole: bool) -> None:
        """Queue the end."""
        with self._changed:
            self._whole = whole
            self._events.append(None)
            self._changed.notify()

    @property
    def running(self) -> bool:
        """True until the consumer has finished, or was given up."""
        return self._thread.is_alive()

    def notes(self) -> list[str]:
        """Wait for the consumer; return what people should know."""
        self._thread.join(self._patience_s)
        if self._thread.is_alive():
            return [f"{self._consumer.name} hangs: it lacks the end, and {self.lost} events before"]
        lost = f"{self._consumer.name} lacks {self.lost} events" if self.lost else ""
        why = self.trouble or f"{'the disk' if self._patience_s is None else 'it'} was too slow for them"
        ended = f"{self._consumer.name} may lack its end: {self.trouble}" if self.trouble else ""
        return [*self._notes, *filter(None, [f"{lost}: {why}" if lost else ended])]

    def _work(self) -> None:
        while (event := self._next()) is not None:
            if self.trouble:
                self.lost += 1
                continue
            try:
                self._consumer.take(event)
            except Exception as error:  # noqa: BLE001 - one consumer must not end the others
                self.lost += 1
                self._fail(error)
        try:
            if not self.trouble:
                self._notes = self._consumer.finish(self._whole)
        except Exception as error:  # noqa: BLE001 - as above
            self._fail(error)

    def _next(self) -> TapEvent | None:
        with self._changed:
            while not self._events:
                self._changed.wait()
            event = self._events.popleft()
            self._bytes -= event.size if event is not None else 0
            return event

    def _fail(self, error: Exception) -> None:
        known = isinstance(error, OSError) and error.strerror
        self.trouble = known or f"unexpected {type(error).__name__}: {error}"
        log.error("%s: %s", self._consumer.name, self.trouble)
