"""Time as an argument: the same code runs on CLOCK_MONOTONIC and on a virtual clock."""

import time
from typing import Protocol


def age_over(age_ns: int, limit_ns: int) -> str:
    """Return an age over its limit for people; whole milliseconds, rounded so that it looks it."""
    limit_ms = round(limit_ns / 1e6)
    return f"{max(-(-age_ns // 1_000_000), limit_ms + 1)} ms old (limit {limit_ms} ms)"


class Clock(Protocol):
    """A monotonic clock. Stamps are integer nanoseconds."""

    def now_ns(self) -> int: ...

    def sleep_until(self, deadline_ns: int) -> None: ...


class MonotonicClock:
    """CLOCK_MONOTONIC: shared by all processes of one machine, unmoved by wall-clock steps."""

    def now_ns(self) -> int:
        return time.monotonic_ns()

    def sleep_until(self, deadline_ns: int) -> None:
        remaining_ns = deadline_ns - time.monotonic_ns()
        if remaining_ns > 0:
            time.sleep(remaining_ns / 1e9)


class VirtualClock:
    """A clock that only moves when it is advanced, for lockstep simulation and tests."""

    def __init__(self, start_ns: int = 0) -> None:
        self._now_ns = start_ns

    def now_ns(self) -> int:
        return self._now_ns

    def advance(self, delta_ns: int) -> None:
        self._now_ns += delta_ns

    def sleep_until(self, deadline_ns: int) -> None:
        self._now_ns = max(self._now_ns, deadline_ns)


class Ticker:
    """The absolute deadlines of a periodic loop. Late ticks are skipped and counted, never made up for."""

    def __init__(self, period_ns: int, clock: Clock) -> None:
        self._period_ns = period_ns
        self._clock = clock
        self._deadline_ns = clock.now_ns()
        self.ticks = 0
        self.missed = 0

    def wait(self) -> int:
        """Sleep until the next deadline and return it."""
        self._deadline_ns += self._period_ns
        late_ns = self._clock.now_ns() - self._deadline_ns
        if late_ns >= self._period_ns:
            skipped = late_ns // self._period_ns
            self.missed += skipped
            self._deadline_ns += skipped * self._period_ns
        self._clock.sleep_until(self._deadline_ns)
        self.ticks += 1
        return self._deadline_ns
