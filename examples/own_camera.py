"""A camera of your own, in one file: `pattern://WIDTHxHEIGHT` shows a moving gradient, 30 times a second.

To offer it as `vla-edge run --camera pattern://320x240 --motors null://`, install it with this entry point:

    [project.entry-points."vla_edge.cameras"]
    pattern = "own_camera:open_address"
"""

import re
import time

import numpy as np

from edge.cameras.slot import require_fresh
from edge.clock import Clock, MonotonicClock
from edge.errors import UsageError
from edge.interfaces import Closing
from edge.records import Frame

PERIOD_NS = 1_000_000_000 // 30


class PatternCamera(Closing):
    """Draws a frame at each call. A device that delivers frames by itself fills a `LatestFrame`."""

    def __init__(self, width: int, height: int, clock: Clock, name: str = "front") -> None:
        self.name = name
        self._clock = clock
        self._start_ns = clock.now_ns()
        ramp = np.add.outer(np.arange(height), np.arange(width))
        self._gradient = np.stack([ramp, 2 * ramp, 3 * ramp], axis=2)

    def latest(self, max_age_s: float) -> Frame:
        """Return the newest frame. Raises StaleFrame if it is older than `max_age_s`."""
        now_ns = self._clock.now_ns()
        seq = (now_ns - self._start_ns) // PERIOD_NS
        image = ((self._gradient + 4 * seq) % 256).astype(np.uint8)
        frame = Frame(image, self._start_ns + seq * PERIOD_NS, seq, self.name)
        return require_fresh(frame, now_ns, max_age_s)

    def close(self) -> None:
        """Do nothing: a real camera gives its device back here."""


def open_address(address: str, clock: Clock, name: str = "front") -> PatternCamera:
    """Open `pattern://WIDTHxHEIGHT`. Raises UsageError for another address."""
    size = re.fullmatch(r"pattern://([1-9]\d{0,3})x([1-9]\d{0,3})", address)
    if size is None:
        raise UsageError(
            f"camera address {address[:200]!r} is not like pattern://320x240", "give a size in pixels"
        )
    return PatternCamera(int(size[1]), int(size[2]), clock, name)


def main() -> None:
    """Show five frames of it."""
    with open_address("pattern://320x240", MonotonicClock()) as camera:
        for _ in range(5):
            frame = camera.latest(max_age_s=0.25)
            print(
                f"{frame.camera} {frame.seq}: {frame.image.shape}, first pixel {frame.image[0, 0].tolist()}"
            )
            time.sleep(0.04)


if __name__ == "__main__":
    main()
