"""The camera: `paper://WIDTHxHEIGHT` shows a moving gradient, 30 times a second."""

import re

import numpy as np

from edge.cameras.slot import require_fresh
from edge.clock import Clock
from edge.errors import UsageError
from edge.interfaces import Closing
from edge.records import Frame, Image

PERIOD_NS = 1_000_000_000 // 30


def drawing(width: int, height: int, number: int) -> Image:
    """Return the drawing of that number, uint8 (height, width, 3), blue first."""
    ramp = np.add.outer(np.arange(height), np.arange(width))
    return ((np.stack([ramp, 2 * ramp, 3 * ramp], axis=2) + 4 * number) % 256).astype(np.uint8)


class PaperCamera(Closing):
    """Draws a frame at each call."""

    channels = "BGR"  # vla-edge converts what it gets; without this line, images are RGB

    def __init__(self, width: int, height: int, clock: Clock, name: str) -> None:
        self.name = name
        self._size = width, height
        self._clock = clock
        self._start_ns = clock.now_ns()

    def latest(self, max_age_s: float) -> Frame:
        """Return the newest frame. Raises StaleFrame if it is older than `max_age_s`."""
        now_ns = self._clock.now_ns()
        seq = (now_ns - self._start_ns) // PERIOD_NS
        frame = Frame(drawing(*self._size, seq), self._start_ns + seq * PERIOD_NS, seq, self.name)
        return require_fresh(frame, now_ns, max_age_s)

    def close(self) -> None:
        """Do nothing: there is no device to give back."""


def open_address(address: str, clock: Clock, name: str) -> PaperCamera:
    """Open `paper://WIDTHxHEIGHT`. Raises UsageError for another address."""
    size = re.fullmatch(r"paper://([1-9]\d{0,3})x([1-9]\d{0,3})", address)
    if size is None:
        raise UsageError(f"camera address {address[:200]!r} is not like paper://320x240", "give a size")
    return PaperCamera(int(size[1]), int(size[2]), clock, name)
