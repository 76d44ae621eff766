"""When a camera that went away is given up: after too many reconnects, or too long a time."""

from collections import deque

MOST_RECONNECTS = 5
WITHIN_NS = 30_000_000_000
BACKOFF_S = (0.0, 0.5, 1.0, 2.0, 4.0)  # before the first, second, … reconnect of one outage


class Outages:
    """Counts reconnects. Times are CLOCK_MONOTONIC ns that the caller passes in."""

    def __init__(self) -> None:
        self._reconnects_ns: deque[int] = deque()
        self._since_ns: int | None = None
        self._tries = 0

    @property
    def tries(self) -> int:
        """Reconnects in the present outage; 0 without one."""
        return self._tries

    @property
    def backoff_s(self) -> float:
        """Time to wait before the next reconnect, seconds."""
        return BACKOFF_S[min(self._tries, len(BACKOFF_S) - 1)]

    def begin(self, now_ns: int) -> None:
        """Note that the camera is away, if that is not known yet."""
        if self._since_ns is None:
            self._since_ns, self._tries = now_ns, 0

    def over(self) -> None:
        """Note that frames are back."""
        self._since_ns, self._tries = None, 0

    def left_s(self, now_ns: int) -> float:
        """Return how long the present outage may still last, seconds; 0 if it must end now."""
        if self._since_ns is None:
            return WITHIN_NS / 1e9
        return max(0.0, (self._since_ns + WITHIN_NS - now_ns) / 1e9)

    def reconnect(self, now_ns: int) -> bool:
        """Count a reconnect. False if it may not take place: the camera is given up."""
        while self._reconnects_ns and now_ns - self._reconnects_ns[0] >= WITHIN_NS:
            self._reconnects_ns.popleft()
        if len(self._reconnects_ns) >= MOST_RECONNECTS or self.left_s(now_ns) <= 0:
            return False
        self._reconnects_ns.append(now_ns)
        self._tries += 1
        return True
