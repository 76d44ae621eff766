"""Slow answers: how far the base drives on one answer of the model, and how fast it may turn meanwhile."""

import math
from bisect import bisect_right
from collections import deque

from edge.records import Velocity

WAY_PER_ANSWER_M = 0.6  # driven at most on one answer, counted from the frame that it is about
TURN_SHARE = 0.5  # share of the camera's view that is turned by at most between two answers
SLOWING_S = 1.0  # the speed drives the rest of that way in this time; answers below 0.3 s cost nothing
_FRAMES = 300  # remembered


class AnswerAge:
    """The way driven since the newest frame that the model has answered about, as it was commanded."""

    def __init__(self) -> None:
        self.period_s = 0.0  # between the frames of the newest two answers
        self._answered_ns = 0
        self._stamps: deque[int] = deque(maxlen=_FRAMES)
        self._ways_m: deque[float] = deque(maxlen=_FRAMES)  # driven until that frame
        self._way_m = 0.0
        self._speed_m_s = 0.0

    def on_answer(self, stamp_ns: int) -> None:
        """Take note of an answer about the frame at `stamp_ns`."""
        if self._answered_ns:
            self.period_s = (stamp_ns - self._answered_ns) / 1e9
        self._answered_ns = stamp_ns

    def highest_turn_rad_s(self, view_rad: float) -> float:
        """Return the turn rate at which a camera that sees `view_rad` across misses no part of the room."""
        return TURN_SHARE * view_rad / max(self.period_s, 1e-3)

    def limit(self, velocity: Velocity, stamp_ns: int) -> Velocity:
        """Return the velocity, limited to what is safe at this frame. Call once per frame."""
        if self._stamps:
            self._way_m += self._speed_m_s * (stamp_ns - self._stamps[-1]) / 1e9
        self._stamps.append(stamp_ns)
        self._ways_m.append(self._way_m)
        at = bisect_right(self._stamps, self._answered_ns) - 1
        driven_m = self._way_m - self._ways_m[max(at, 0)]
        highest_m_s = max(0.0, WAY_PER_ANSWER_M - driven_m) / SLOWING_S
        speed_m_s = math.hypot(velocity.linear_x_m_s, velocity.linear_y_m_s)
        share = min(1.0, highest_m_s / speed_m_s) if speed_m_s else 1.0
        self._speed_m_s = share * speed_m_s
        return Velocity(
            share * velocity.linear_x_m_s, share * velocity.linear_y_m_s, velocity.angular_z_rad_s
        )
