"""Slow answers: how old what the model said is, how far the base drives on it, and how fast it may turn."""

import math
from bisect import bisect_right
from collections import deque

from edge.records import Velocity

BLIND_M = 0.6  # driven at most on one answer, counted from the frame that it is about
TURN_SHARE = 0.5  # of what the camera sees across: turned by at most between two answers
BLIND_S = 1.0  # the speed is what is left of that in this time; answers below 0.3 s cost nothing
_FRAMES = 300  # remembered


class BlindWay:
    """The way driven since the newest frame that the model has answered about, as it was commanded."""

    def __init__(self) -> None:
        self.period_s = 0.0  # between the frames of the newest two answers
        self._answered_ns = 0
        self._stamps: deque[int] = deque(maxlen=_FRAMES)
        self._ways_m: deque[float] = deque(maxlen=_FRAMES)  # driven until that frame
        self._way_m = 0.0
        self._speed_m_s = 0.0

    def hear(self, stamp_ns: int) -> None:
        """There is an answer about the frame of this time."""
        if self._answered_ns:
            self.period_s = (stamp_ns - self._answered_ns) / 1e9
        self._answered_ns = stamp_ns

    def turn_rad_s(self, seen_rad: float) -> float:
        """How fast a camera that sees `seen_rad` across may turn, so that no part of the room is missed."""
        return TURN_SHARE * seen_rad / max(self.period_s, 1e-3)

    def limit(self, velocity: Velocity, stamp_ns: int) -> Velocity:
        """What of a velocity may be driven at this frame. Tell it of every frame."""
        if self._stamps:
            self._way_m += self._speed_m_s * (stamp_ns - self._stamps[-1]) / 1e9
        self._stamps.append(stamp_ns)
        self._ways_m.append(self._way_m)
        at = bisect_right(self._stamps, self._answered_ns) - 1
        blind_m = self._way_m - self._ways_m[max(at, 0)]
        top_m_s = max(0.0, BLIND_M - blind_m) / BLIND_S
        speed_m_s = math.hypot(velocity.linear_x_m_s, velocity.linear_y_m_s)
        share = min(1.0, top_m_s / speed_m_s) if speed_m_s else 1.0
        self._speed_m_s = share * speed_m_s
        return Velocity(
            share * velocity.linear_x_m_s, share * velocity.linear_y_m_s, velocity.angular_z_rad_s
        )
