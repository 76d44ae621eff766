"""A slot for the newest frame: a slow reader misses frames instead of falling behind."""

import threading

from edge.clock import age_over
from edge.errors import StaleFrame
from edge.records import Frame


class LatestFrame:
    """A one-slot mailbox between threads. The newest frame wins; frames that were not taken are counted."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._frame: Frame | None = None
        self._taken = True
        self.dropped = 0

    def put(self, frame: Frame) -> None:
        """Offer a frame. One that is older than the held one is dropped."""
        with self._changed:
            if self._frame is not None and frame.stamp_ns < self._frame.stamp_ns:
                self.dropped += 1
                return
            if not self._taken:
                self.dropped += 1
            self._frame = frame
            self._taken = False
            self._changed.notify_all()

    def newest(self) -> Frame | None:
        """Return the newest frame so far, each as often as it is called for; None before the first."""
        with self._changed:
            self._taken = True
            return self._frame

    def take(self, timeout_s: float) -> Frame | None:
        """Wait for a frame that was not taken yet; None if none comes in time."""
        with self._changed:
            self._changed.wait_for(lambda: not self._taken, timeout_s)
            if self._taken:
                return None
            self._taken = True
            return self._frame


CHECK_DEVICE = "check the camera's cable and power, and whether its process still runs"


def require_fresh(frame: Frame, now_ns: int, max_age_s: float, hint: str = CHECK_DEVICE) -> Frame:
    """Return the frame itself. Raises StaleFrame, with its age, the limit and the hint, if it is too old."""
    age_ns, limit_ns = now_ns - frame.stamp_ns, round(max_age_s * 1e9)
    if age_ns > limit_ns:
        age = age_over(age_ns, limit_ns)
        raise StaleFrame(f"camera {frame.camera!r}: newest frame is {age}", hint)
    return frame
