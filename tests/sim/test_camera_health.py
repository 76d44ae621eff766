"""Healthy cameras in simulated rooms: plain walls and turns must never look like a fault."""

import math

import numpy as np
import pytest

from edge.cameras.frame_measures import CONTRAST_STD, STILL_SHARE, TURNED_RAD, cells_of, contrast_of, grid_of
from edge.cameras.health import CameraHealth
from edge.runtime.loop import Loop, Step
from sim import lockstep
from sim.render import CameraSpec, Renderer
from tests.sim.test_lockstep import episode

ARRIVAL_NS = 20_000_000
TARGETS = ("cup", "bottle", "chair", "book", "ball")


class JudgedLoop(Loop):
    """Judges each frame, and measures how much a turn changes a picture."""

    doubts: list[str] = []  # noqa: RUF012 - of all episodes
    shares: list[float] = []  # noqa: RUF012
    frames = 0

    def on_frame(self, frames, odometry) -> Step:
        if not hasattr(self, "health"):
            self.health, self.cells = CameraHealth("front"), None
        frame = frames["front"]
        self.health.take(frame, frame.stamp_ns + ARRIVAL_NS, odometry)
        if self.health.doubt or self.health.fault:
            self.doubts.append(self.health.doubt or str(self.health.fault))
        JudgedLoop.frames += 1
        self.measure(cells_of(grid_of(frame.image)), odometry.yaw_rad)
        return super().on_frame(frames, odometry)

    def measure(self, cells, yaw_rad: float) -> None:
        if self.cells is None:
            self.cells, self.yaw_rad = cells, yaw_rad
        elif abs(math.remainder(yaw_rad - self.yaw_rad, 2 * math.pi)) >= TURNED_RAD:
            if (contrast := contrast_of(self.cells)) >= CONTRAST_STD:
                self.shares.append(float(np.abs(cells - self.cells).mean()) / contrast)
            self.cells, self.yaw_rad = cells, yaw_rad


def judged(monkeypatch: pytest.MonkeyPatch, first: int, count: int) -> tuple[list[str], list[float], int]:
    monkeypatch.setattr(lockstep, "Loop", JudgedLoop)
    JudgedLoop.doubts, JudgedLoop.shares, JudgedLoop.frames = [], [], 0
    renderer = Renderer(CameraSpec())
    for i in range(count):
        episode(renderer, first + i, TARGETS[i % len(TARGETS)], max_s=30.0)
    return JudgedLoop.doubts, JudgedLoop.shares, JudgedLoop.frames


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_no_room_puts_a_healthy_camera_in_doubt(monkeypatch: pytest.MonkeyPatch):
    doubts, shares, frames = judged(monkeypatch, 1010, 20)
    print(f"{frames} frames, {len(shares)} turns, least change {min(shares):.2f} (limit {STILL_SHARE})")
    assert not doubts and min(shares) > 2 * STILL_SHARE
