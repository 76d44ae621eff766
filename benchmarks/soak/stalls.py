"""How late this process itself is woken: a witness of what the machine does, apart from what is judged."""

import threading
import time
from collections import deque

from edge.interfaces import Closing

PERIOD_S = 0.005
LATE_NS = 10_000_000


class StallWitness(Closing):
    """Sleeps and notes when it was woken late."""

    def __init__(self) -> None:
        self._late: deque[tuple[int, int]] = deque(maxlen=10_000)  # when woken, how late; ns
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="witness", daemon=True)
        self._thread.start()

    def _watch(self) -> None:
        while not self._over.is_set():
            began_ns = time.monotonic_ns()
            time.sleep(PERIOD_S)
            woken_ns = time.monotonic_ns()
            late_ns = woken_ns - began_ns - round(PERIOD_S * 1e9)
            if late_ns > LATE_NS:
                self._late.append((woken_ns, late_ns))

    def forget(self) -> None:
        """Begin anew, as with each run."""
        self._late.clear()

    def late_ms(self, since_ns: int, until_ns: int) -> float:
        """Return the sum of all delays that fell into a span of time, ms."""
        delays = tuple(self._late)
        return sum(late for woken, late in delays if woken > since_ns and woken - late < until_ns) / 1e6

    def close(self) -> None:
        """End the thread."""
        self._over.set()
        self._thread.join()
