"""Where to look for something out of view: turn once around, then drive where there is room, and again."""

import math

import numpy as np

from edge.freespace import Scan
from edge.geometry import Pose, wrap
from edge.servo import widest

TURN_RAD_S = 0.75
FULL_TURN_RAD = 2 * math.pi + 0.3
MIN_LEG_M = 0.5
MAX_LEG_M = 2.2
WALL_GAP_M = 0.45  # kept from what ends a leg
_SECTORS = 24


class Search:
    """One search: turning on the spot until all was seen, then a leg to a new spot, over and over."""

    def __init__(self) -> None:
        self.direction = 1.0  # of the turn: +1 left
        self.turned_rad = 0.0
        self.waypoint: tuple[float, float] | None = None  # odometry frame, while driving a leg
        self.visited: list[tuple[float, float]] = []
        self.rounds = 0  # full turns done
        self._yaw: float | None = None
        self._room = np.zeros(_SECTORS)  # how far one can drive, by direction in the odometry frame

    def start_turn(self, direction: float) -> None:
        """Begin to look around, first toward `direction` (+1 left, -1 right)."""
        self.direction = 1.0 if direction >= 0 else -1.0
        self.turned_rad, self._yaw, self.waypoint = 0.0, None, None
        self._room[:] = 0.0

    def look(self, pose: Pose, scan: Scan | None, radius_m: float) -> None:
        """Account for what was seen from here: how far round, how far one could go."""
        if self._yaw is not None:
            self.turned_rad += abs(wrap(pose.yaw_rad - self._yaw))
        self._yaw = pose.yaw_rad
        sector = int((wrap(pose.yaw_rad) + math.pi) / (2 * math.pi) * _SECTORS) % _SECTORS
        self._room[sector] = widest(scan, radius_m) if scan is not None else 0.0

    @property
    def all_round(self) -> bool:
        """Whether this turn has seen every direction."""
        return self.turned_rad >= FULL_TURN_RAD

    def next_leg(self, pose: Pose) -> bool:
        """After a full turn: choose a spot to look from next. False when there is no room: turn again."""
        self.rounds += 1
        self.visited.append((pose.x_m, pose.y_m))
        best, best_score = None, 0.0
        for sector in range(_SECTORS):
            room = min(self._room[sector - 1], self._room[sector], self._room[(sector + 1) % _SECTORS])
            leg = min(MAX_LEG_M, room - WALL_GAP_M)
            if leg < MIN_LEG_M:
                continue
            yaw = (sector + 0.5) / _SECTORS * 2 * math.pi - math.pi
            x, y = pose.x_m + leg * math.cos(yaw), pose.y_m + leg * math.sin(yaw)
            score = min(math.hypot(x - a, y - b) for a, b in self.visited)
            if score > best_score:
                best, best_score = (x, y), score
        if best is None or best_score < MIN_LEG_M:
            self.visited = self.visited[-1:]
            self.start_turn(self.direction)
            return False
        self.waypoint = best
        return True
