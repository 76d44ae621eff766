"""Whether the machine let this process run: a thread with a steady wake-up, and waits for a processor."""

import contextlib
import os
import threading
import time
from collections import deque

from edge.clock import Clock
from edge.interfaces import Closing

WAKE_NS = 20_000_000
HALT_NS = 50_000_000  # woken so much too late, the process did not run
KEPT_NS = 10_000_000_000
_WAITS_EVERY = 5  # wake-ups; reading two files a time
_WAITING = ("MainThread", "inference")  # the threads whose waits make a drive late


class HaltWatch(Closing):
    """Notices when this process does not run though it would. Close it to end its thread.

    A halt is a time in which the thread should have woken and did not: every process of a machine that stands
    still has it, and this one alone if native code keeps the interpreter's lock. A wait is what the kernel
    itself says of a thread: ready to run, and no processor was free.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._halts: deque[tuple[int, int]] = deque()  # since when, until when, ns
        self._waits: deque[tuple[int, dict[int, int]]] = deque()  # when; ns waited so far, by thread
        self._due_ns = clock.now_ns() + WAKE_NS
        self._counters: dict[int, int] = {}  # descriptors of the kernel's counts by thread
        self._closed = False
        self._thread = threading.Thread(target=self._work, name="halts", daemon=True)
        self._thread.start()

    def halts(self, since_ns: int) -> list[tuple[int, int]]:
        """Return the halts that ended after `since_ns`, from when until when, ns; one may be under way."""
        late_since_ns, now_ns = self._due_ns, self._clock.now_ns()
        under_way = [(late_since_ns, now_ns)] if now_ns - late_since_ns > HALT_NS else []
        return [halt for halt in [*self._halts.copy(), *under_way] if halt[1] > since_ns]

    def waited_ns(self, since_ns: int) -> int:
        """Return how long one thread waited for a processor since then, the one that waited longest."""
        kept = self._waits.copy()
        before = next((waits for at_ns, waits in reversed(kept) if at_ns <= since_ns), None)
        if before is None:
            before = kept[0][1] if kept else {}
        now = self._waited()
        return max((now[thread] - before[thread] for thread in now.keys() & before.keys()), default=0)

    def close(self) -> None:
        """End the thread, at its next wake-up."""
        self._closed = True
        self._thread.join()
        for descriptor in self._counters.values():
            os.close(descriptor)
        self._counters.clear()

    def _work(self) -> None:
        turn = 0
        while True:
            time.sleep(max(0, self._due_ns - self._clock.now_ns()) / 1e9)
            if self._closed:
                return
            now_ns = self._clock.now_ns()
            if now_ns - self._due_ns > HALT_NS:
                self._halts.append((self._due_ns, now_ns))
            self._due_ns = now_ns + WAKE_NS
            if turn % _WAITS_EVERY == 0:
                self._waits.append((now_ns, self._waited()))
            turn += 1
            while self._halts and now_ns - self._halts[0][1] > KEPT_NS:
                self._halts.popleft()
            while now_ns - self._waits[0][0] > KEPT_NS:
                self._waits.popleft()

    def _waited(self) -> dict[int, int]:
        """Return for how long each thread that matters has waited for a processor, ns.

        None are there if nobody counts.
        """
        found: dict[int, int] = {}
        for thread in threading.enumerate():
            if thread.name in _WAITING and thread.native_id is not None:
                with contextlib.suppress(OSError, IndexError, ValueError):  # it ended, or nobody counts
                    found[thread.native_id] = int(self._counter(thread.native_id).split()[1])
        return found

    def _counter(self, thread_id: int) -> bytes:
        """Return what the kernel counts of a thread. The file stays open: to open it takes longest."""
        if thread_id not in self._counters:
            self._counters[thread_id] = os.open(f"/proc/self/task/{thread_id}/schedstat", os.O_RDONLY)
        return os.pread(self._counters[thread_id], 100, 0)
