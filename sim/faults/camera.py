"""The camera `broken://empty/NAME` or `broken://resized/NAME`: that of shm://NAME, until it breaks."""

from dataclasses import replace

import numpy as np

from edge.cameras.shm import ShmCamera
from edge.clock import Clock
from edge.records import Frame
from sim.faults.breaking import after_ns


class BrokenCamera(ShmCamera):
    """Says success and delivers no data, or another size."""

    def __init__(self, kind: str, ring_name: str, clock: Clock, name: str) -> None:
        super().__init__(ring_name, clock, name)
        self._empty = kind == "empty"
        self._after_ns = after_ns(3.0)
        self._began_ns = 0
        self._made: Frame | None = None

    def latest(self, max_age_s: float) -> Frame:
        frame = super().latest(max_age_s)
        self._began_ns = self._began_ns or frame.stamp_ns
        if frame.stamp_ns - self._began_ns < self._after_ns:
            return frame
        if self._made is None or self._made.seq != frame.seq:
            image = np.zeros((0, 0, 3), np.uint8) if self._empty else frame.image[:, :-8].copy()
            self._made = replace(frame, image=image)
        return self._made


def open_address(address: str, clock: Clock, name: str = "front") -> BrokenCamera:
    """Open it. Raises what opening `shm://NAME` raises."""
    kind, _, ring_name = address.removeprefix("broken://").partition("/")
    return BrokenCamera(kind, ring_name, clock, name)
