"""Drives the base to positions on the floor: what the scans have shown, the way around it, a velocity."""

import math
from dataclasses import dataclass
from functools import partial

import numpy as np

from edge.base_spec import BaseSpec
from edge.navigation.route import Route, find_route, find_vantage
from edge.navigation.servo import Aim, Steering, drive_to, turn_rate
from edge.perception.floor_map import CELL_M, FloorMap
from edge.perception.floor_scan import Scan
from edge.perception.geometry import Pose, wrap
from edge.records import ZERO, Velocity

PLAN_NS = 200_000_000
SIDESTEP_RAD = math.radians(35)  # a way that leads off by more is faced, else the goal is
BEYOND_M = (0.9, 1.3, 1.7)  # from here to behind something that stands in the way
SIDES_RAD = (math.radians(60), math.radians(-60))  # from one side of a thing to another
_NEAR_M = 1.6  # obstacles farther away do not count for the next step
_TOUCHING_M = 0.08  # so near to the hull, what belongs to the goal counts too


@dataclass(frozen=True, slots=True)
class Destination:
    """Where to drive, in the odometry frame, and how."""

    x_m: float
    y_m: float
    stop_m: float  # distance from it at which the base stops
    highest_m_s: float
    own_m: float = 0.0  # what stands so near to it belongs to it, and is not an obstacle
    deadband_rad: float = 0.0  # smaller bearings are not turned for


class Pilot:
    """The way to one destination at a time. Positions are in the odometry frame."""

    def __init__(self, base: BaseSpec, sees_floor: bool, floor: FloorMap | None = None) -> None:
        """Start with an empty map, or with one that somebody else keeps up to date.

        Without `sees_floor` no obstacles are ever known.
        """
        self._base = base
        self._sees_floor = sees_floor
        self._map = floor or FloorMap(base.radius_m)
        self._pose = Pose()  # that of the newest scan
        self._route: Route | None = None
        self._goal = (math.inf, math.inf)
        self._planned_ns = 0

    def see(self, scan: Scan, pose: Pose, stamp_ns: int) -> None:
        """Take in what a scan from `pose` shows."""
        self._pose = pose
        self._map.add(scan, pose, stamp_ns)

    def touched(self, motion: Velocity) -> None:
        """Remember that the base ran into something by this motion where the newest scan is from."""
        if motion.linear_x_m_s or motion.linear_y_m_s:
            self._map.touch(self._pose, math.atan2(motion.linear_y_m_s, motion.linear_x_m_s))
            self._planned_ns = 0

    def vantage(self, pose: Pose, visited: list[tuple[float, float]]) -> tuple[float, float] | None:
        """Where to look around next; None if nothing is known of the floor, or there is no room."""
        return find_vantage(self._map, pose, self._base.radius_m, visited) if self._sees_floor else None

    def other_side(self, pose: Pose, x_m: float, y_m: float, at_m: float) -> tuple[float, float] | None:
        """Return the nearest position, by the way there, `at_m` from (x, y) at SIDES_RAD, if any."""
        if not self._sees_floor:
            return None
        here_rad = math.atan2(pose.y_m - y_m, pose.x_m - x_m)
        best, best_m = None, math.inf
        for turn in SIDES_RAD:
            side = x_m + at_m * math.cos(here_rad + turn), y_m + at_m * math.sin(here_rad + turn)
            route = find_route(self._map, pose, *side, CELL_M, self._base.radius_m)
            if route is not None and route.length_m < best_m:
                best, best_m = side, route.length_m
        return best

    def beyond(self, pose: Pose, bearing_rad: float) -> tuple[float, float] | None:
        """Return the nearest position at BEYOND_M in a direction of the base that can be got at, if any."""
        if not self._sees_floor:
            return None
        for at_m in BEYOND_M:
            there = pose.to_world(at_m * math.cos(bearing_rad), at_m * math.sin(bearing_rad))
            if find_route(self._map, pose, *there, CELL_M, self._base.radius_m) is not None:
                return there
        return None

    def drive(self, pose: Pose, to: Destination, now_ns: int) -> Steering:
        """Return the velocity at `pose` toward a destination."""
        goal = pose.to_base(to.x_m, to.y_m)
        bearing, remaining = math.atan2(goal[1], goal[0]), math.hypot(*goal) - to.stop_m
        if remaining <= 0:
            turn = turn_rate(bearing, self._base, to.deadband_rad)
            return Steering(self._base.possible(Velocity(0.0, 0.0, turn)))
        route = self._find_route(pose, to, now_ns)
        if route is None:
            return Steering(ZERO, blocked=True)
        way = pose.to_base(route.x_m, route.y_m)
        way_rad = math.atan2(way[1], way[0])
        face = bearing if abs(wrap(way_rad - bearing)) < SIDESTEP_RAD else way_rad
        points = self._map.blocked_points(pose, _NEAR_M)
        apart = np.hypot(points[:, 0] - goal[0], points[:, 1] - goal[1]) > to.own_m
        touching = np.hypot(points[:, 0], points[:, 1]) < self._base.radius_m + _TOUCHING_M
        known = partial(self._map.known, pose=pose) if self._sees_floor else None
        aim = Aim(*way, remaining, face, to.highest_m_s, to.deadband_rad)
        return drive_to(aim, points[apart | touching], self._base, known)

    def _find_route(self, pose: Pose, to: Destination, now_ns: int) -> Route | None:
        """Return the way there, planned anew every PLAN_NS and for another destination."""
        if now_ns - self._planned_ns >= PLAN_NS or math.dist(self._goal, (to.x_m, to.y_m)) > 0.3:
            self._route = find_route(
                self._map, pose, to.x_m, to.y_m, to.stop_m, self._base.radius_m, to.own_m
            )
            self._goal, self._planned_ns = (to.x_m, to.y_m), now_ns
        return self._route
