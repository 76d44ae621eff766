"""From a place on the floor to a body velocity: turn toward it, drive at it, go around what is in between.

The base is omnidirectional: it keeps its camera on the target and sidesteps obstacles. All in the base frame.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from edge.freespace import MAX_RANGE_M, Scan
from edge.geometry import Floats, Pose
from edge.records import Velocity

MAX_SPEED_M_S = 0.45
MAX_TURN_RAD_S = 0.9
TURN_GAIN = 1.8  # rad/s per rad
LOOK_RAD_S = 0.6  # toward a side that was not seen yet
DRIVE_GAIN = 1.0  # m/s per m
BRAKING_M_S2 = 0.6  # that the speed toward an obstacle is planned with
CLEARANCE_M = 0.08  # kept between the base's hull and what is seen
LOOK_AHEAD_M = 1.1
DEADBAND = 0.05  # of the image's width: an error that is not turned for
TARGET_RADIUS_M = 0.35
_REMEMBER_M = 2.5
_REMEMBER_NS = 8_000_000_000
_DIRECTIONS = np.radians(np.arange(-75, 76, 7.5))


class Obstacles:
    """Where the floor ended lately, in the odometry frame: what is beside the base is out of sight by now."""

    def __init__(self) -> None:
        self._points: list[tuple[int, Floats]] = []
        self._views: list[tuple[int, Pose, Scan]] = []  # a few of the scans, for `seen`

    def add(self, scan: Scan, pose: Pose, stamp_ns: int) -> None:
        """Remember a scan's ends, and now and then the whole scan."""
        self._points.append((stamp_ns, pose.many_to_world(scan.points[scan.blocked])))
        self._points = [item for item in self._points if item[0] > stamp_ns - _REMEMBER_NS]
        if not self._views or _moved(self._views[-1][1], pose):
            self._views.append((stamp_ns, pose, scan))
        self._views = [item for item in self._views if item[0] > stamp_ns - _REMEMBER_NS]

    def seen(self, points: Floats, pose: Pose) -> bool:
        """Whether all of the points (N, 2), in the base frame, were in the view of some scan."""
        world = pose.many_to_world(points)
        unseen = np.ones(len(points), bool)
        for _, origin, scan in reversed(self._views):
            p = origin.many_to_base(world)
            bearing = np.arctan2(p[:, 1], p[:, 0])
            unseen &= (bearing > scan.bearings[0]) | (bearing < scan.bearings[-1])
            if not unseen.any():
                return True
        return False

    def near(self, pose: Pose, target: tuple[float, float] | None = None) -> Floats:
        """Points (N, 2) around the base, in its frame; without those of the target, which is no obstacle."""
        if not self._points:
            return np.empty((0, 2))
        points = pose.many_to_base(np.concatenate([p for _, p in self._points]))
        keep = np.hypot(points[:, 0], points[:, 1]) < _REMEMBER_M
        if target is not None:
            radius = TARGET_RADIUS_M + 0.1 * math.hypot(*target)  # far things are placed less well
            keep &= np.hypot(points[:, 0] - target[0], points[:, 1] - target[1]) > radius
        return points[keep]


def _moved(a: Pose, b: Pose) -> bool:
    turned = abs(math.remainder(b.yaw_rad - a.yaw_rad, 2 * math.pi))
    return turned > math.radians(6) or math.hypot(b.x_m - a.x_m, b.y_m - a.y_m) > 0.1


@dataclass(frozen=True, slots=True)
class Steering:
    """A velocity, and whether the way is shut."""

    velocity: Velocity
    blocked: bool = False


def turn_rate(bearing_rad: float, deadband_rad: float = 0.0) -> float:
    """rad/s toward a bearing: proportional, bounded, zero inside the deadband."""
    if abs(bearing_rad) <= deadband_rad:
        return 0.0
    return max(-MAX_TURN_RAD_S, min(MAX_TURN_RAD_S, TURN_GAIN * bearing_rad))


def free_length(points: Floats, direction_rad: float, width_m: float, reach_m: float) -> float:
    """How far a disc of half-width `width_m` can go in a direction before its centre is beside a point."""
    if not len(points):
        return reach_m
    c, s = math.cos(direction_rad), math.sin(direction_rad)
    along = points[:, 0] * c + points[:, 1] * s
    across = np.abs(-points[:, 0] * s + points[:, 1] * c)
    hit = (across < width_m) & (along > 0)
    if not hit.any():
        return reach_m
    gap = along[hit] - np.sqrt(np.maximum(width_m**2 - across[hit] ** 2, 0.0))
    return float(max(0.0, min(reach_m, gap.min())))


def drive_to(
    x_m: float, y_m: float, stop_m: float, points: Floats, radius_m: float,
    top_speed_m_s: float = MAX_SPEED_M_S, side: float = 0.0, deadband_rad: float = 0.0,
    seen: Callable[[Floats], bool] | None = None,
) -> Steering:  # fmt: skip
    """Velocity toward (x, y), to a distance of `stop_m` from it, facing it, around `points` (N, 2).

    `side` in [-1, 1] is the direction taken around the last obstacle; keeping to it avoids dithering. `seen`
    tells whether places were in view lately: before the base leaves its heading for others, it looks there.
    """
    distance, bearing = math.hypot(x_m, y_m), math.atan2(y_m, x_m)
    turn = turn_rate(bearing, deadband_rad)
    remaining = distance - stop_m
    if remaining <= 0 or abs(bearing) > math.radians(35):
        return Steering(Velocity(0.0, 0.0, turn))
    width = radius_m + CLEARANCE_M
    reach = min(remaining, LOOK_AHEAD_M)
    best, best_cost, best_free = 0.0, math.inf, 0.0
    for offset in _DIRECTIONS:
        free = free_length(points, bearing + float(offset), width, reach)
        cost = (
            abs(offset)
            + 2.5 * (reach - free) / reach
            - 0.25 * side * math.copysign(1.0, offset) * (abs(offset) > 0)
        )
        if cost < best_cost:
            best, best_cost, best_free = float(offset), cost, free
    if best_free < min(0.06, reach / 2):
        return Steering(Velocity(0.0, 0.0, turn), blocked=True)
    if best and seen is not None and not seen(_flanks(bearing + best, width)):
        return Steering(Velocity(0.0, 0.0, math.copysign(LOOK_RAD_S, best)))
    speed = min(top_speed_m_s, max(0.08, DRIVE_GAIN * remaining), math.sqrt(2 * BRAKING_M_S2 * best_free))
    speed *= max(0.0, math.cos(bearing)) ** 2
    if abs(best) > math.radians(40):
        speed = min(speed, 0.2)  # sideways is driven half blind
    direction = bearing + best
    return Steering(Velocity(speed * math.cos(direction), speed * math.sin(direction), turn))


def _flanks(direction_rad: float, width_m: float) -> Floats:
    """Places at both edges of the way ahead."""
    c, s = math.cos(direction_rad), math.sin(direction_rad)
    places = [(along, across) for along in (0.55, 0.8) for across in (-width_m, width_m)]
    return np.array([(c * a - s * b, s * a + c * b) for a, b in places])


def widest(scan: Scan, radius_m: float) -> float:
    """How far the base could drive straight ahead, by one scan, metres from the base's centre."""
    points = scan.points[scan.blocked]
    return free_length(points, 0.0, radius_m + CLEARANCE_M, MAX_RANGE_M)
