"""Drives the base to places on the floor: what the scans have shown, the way around it, a velocity."""

import math
from functools import partial

import numpy as np

from edge.navigation.route import Route, find_route, find_vantage
from edge.navigation.servo import Steering, drive_to, turn_rate
from edge.perception.floor_map import CELL_M, FloorMap
from edge.perception.floor_scan import Scan
from edge.perception.geometry import Pose, wrap
from edge.records import ZERO, Velocity

PLAN_NS = 200_000_000
SIDESTEP_RAD = math.radians(35)  # a way that leads off by more is faced, else the goal is
SIDES_RAD = (math.radians(60), math.radians(-60))  # from one side of a thing to another
_NEAR_M = 1.6  # of the obstacles that count for the next step
_TOUCHING_M = 0.08  # beside the hull, what belongs to the goal counts too


class Pilot:
    """The way to one goal at a time. Places are in the odometry frame."""

    def __init__(self, radius_m: float, blind: bool) -> None:
        """`blind`: there are no scans, and no obstacles are known."""
        self._radius_m = radius_m
        self._blind = blind
        self._map = FloorMap(radius_m)
        self._route: Route | None = None
        self._goal = (math.inf, math.inf)
        self._planned_ns = 0

    def see(self, scan: Scan, pose: Pose, stamp_ns: int) -> None:
        """Take in what a scan from `pose` shows."""
        self._map.add(scan, pose, stamp_ns)

    def vantage(self, pose: Pose, visited: list[tuple[float, float]]) -> tuple[float, float] | None:
        """Where to look around next; None when nothing is known of the floor, or there is no room."""
        return None if self._blind else find_vantage(self._map, pose, self._radius_m, visited)

    def other_side(self, pose: Pose, x_m: float, y_m: float, at_m: float) -> tuple[float, float] | None:
        """The nearest place, by the way there, `at_m` from (x, y) and SIDES_RAD round it, if there is one."""
        if self._blind:
            return None
        here_rad = math.atan2(pose.y_m - y_m, pose.x_m - x_m)
        best, best_m = None, math.inf
        for turn in SIDES_RAD:
            place = x_m + at_m * math.cos(here_rad + turn), y_m + at_m * math.sin(here_rad + turn)
            route = find_route(self._map, pose, *place, CELL_M, self._radius_m)
            if route is not None and route.length_m < best_m:
                best, best_m = place, route.length_m
        return best

    def drive(
        self, pose: Pose, x_m: float, y_m: float, stop_m: float, speed_m_s: float, now_ns: int,
        open_m: float = 0.0, deadband_rad: float = 0.0,
    ) -> Steering:  # fmt: skip
        """Toward (x, y), to `stop_m` from it. What stands within `open_m` of it is the goal's own."""
        goal = pose.to_base(x_m, y_m)
        bearing, remaining = math.atan2(goal[1], goal[0]), math.hypot(*goal) - stop_m
        if remaining <= 0:
            return Steering(Velocity(0.0, 0.0, turn_rate(bearing, deadband_rad)))
        if now_ns - self._planned_ns >= PLAN_NS or math.dist(self._goal, (x_m, y_m)) > 0.3:
            self._route = find_route(self._map, pose, x_m, y_m, stop_m, self._radius_m, open_m)
            self._goal, self._planned_ns = (x_m, y_m), now_ns
        if self._route is None:
            return Steering(ZERO, blocked=True)
        way = pose.to_base(self._route.x_m, self._route.y_m)
        way_rad = math.atan2(way[1], way[0])
        face = bearing if abs(wrap(way_rad - bearing)) < SIDESTEP_RAD else way_rad
        points = self._map.blocked_points(pose, _NEAR_M)
        apart = np.hypot(points[:, 0] - goal[0], points[:, 1] - goal[1]) > open_m
        touching = np.hypot(points[:, 0], points[:, 1]) < self._radius_m + _TOUCHING_M
        known = None if self._blind else partial(self._map.known, pose=pose)
        return drive_to(
            *way, face, remaining, points[apart | touching], self._radius_m, speed_m_s, deadband_rad, known
        )
