"""Switch a light at random times, and record how bright the picture of a camera is."""

import random
import time
from collections.abc import Callable

import numpy as np

from calibration.latency.blinks import BlinkRecord, cells_of
from calibration.latency.lights import SwitchedLight, now_s
from calibration.latency.turning import FIRST_FRAME_S, MAX_AGE_S, POLL_S
from edge.errors import StaleFrame
from edge.interfaces import Camera

SWITCHES = 40
PAUSE_S = (0.2, 0.45)  # between two: at random, so that they fall anywhere between two frames
LEAD_S, TAIL_S = 0.5, 1.2


def record_blinks(camera: Camera, light: SwitchedLight, progress: Callable[[int, int], None]) -> BlinkRecord:
    """Switch the light SWITCHES times. Raises what light and camera raise, StaleFrame if no frames come."""
    frames = _Frames(camera)
    light.switch(False)
    frames.until(now_s() + FIRST_FRAME_S, enough=5)
    frames.until(now_s() + LEAD_S)
    switches_s: list[float] = []
    for number in range(SWITCHES):
        progress(number, SWITCHES)
        before_s = now_s()
        light.switch(number % 2 == 0)
        switches_s.append((before_s + now_s()) / 2)
        frames.until(now_s() + random.uniform(*PAUSE_S))
    frames.until(now_s() + TAIL_S)
    return BlinkRecord(np.array(frames.stamps_s), np.array(frames.cells), np.array(switches_s))


class _Frames:
    """Takes a camera's frames, each once."""

    def __init__(self, camera: Camera) -> None:
        self.stamps_s: list[float] = []
        self.cells: list[np.ndarray] = []
        self._camera = camera
        self._seq = -1

    def until(self, end_s: float, enough: int = 0) -> None:
        """Take frames until a time, or until so many are there. Raises StaleFrame if none comes."""
        silent = True
        while now_s() < end_s and not (enough and len(self.cells) >= enough):
            try:
                frame = self._camera.latest(MAX_AGE_S)
            except StaleFrame:
                if not enough or now_s() + POLL_S > end_s:
                    raise
                time.sleep(POLL_S)
                continue
            if frame.seq == self._seq:
                time.sleep(POLL_S)
                continue
            self._seq, silent = frame.seq, False
            self.stamps_s.append(frame.stamp_ns / 1e9)
            self.cells.append(cells_of(frame.image))
        if enough and silent:
            raise StaleFrame(f"camera {self._camera.name!r}: no frame came", "is it plugged in?")
