"""From a place on the floor to a body velocity: turn toward it, drive at it, sidestep what is in between.

The base is omnidirectional. All in the base frame.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from edge.perception.geometry import Floats
from edge.records import Odometry, Velocity

MAX_SPEED_M_S = 0.45
MAX_TURN_RAD_S = 0.9
TURN_GAIN = 1.8  # rad/s per rad
LOOK_RAD_S = 0.6  # toward a side that was not seen yet
DRIVE_GAIN = 1.0  # m/s per m
BRAKING_M_S2 = 0.6  # that the speed toward an obstacle is planned with
CLEARANCE_M = 0.04  # kept between the base's hull and what is seen
LOOK_AHEAD_M = 1.1
DEADBAND = 0.05  # of the image's width: an error that is not turned for
_DIRECTIONS = np.radians(np.arange(-60, 61, 7.5))


@dataclass(frozen=True, slots=True)
class Steering:
    """A velocity, and whether the way is shut."""

    velocity: Velocity
    blocked: bool = False


def standing(odometry: Odometry | None) -> bool:
    """Whether the base stands still, as far as anybody knows."""
    if odometry is None:
        return True
    v = odometry.velocity
    return math.hypot(v.linear_x_m_s, v.linear_y_m_s) < 0.03 and abs(v.angular_z_rad_s) < 0.06


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
    x_m: float, y_m: float, face_rad: float, remaining_m: float, points: Floats, radius_m: float,
    top_speed_m_s: float = MAX_SPEED_M_S, deadband_rad: float = 0.0,
    known: Callable[[Floats], bool] | None = None,
) -> Steering:  # fmt: skip
    """Velocity toward (x, y), facing `face_rad`, around `points` (N, 2), with `remaining_m` to go in all.

    `known` tells whether anything is known of places: before the base leaves its heading for others, it looks
    there.
    """
    turn = turn_rate(face_rad, deadband_rad)
    if remaining_m <= 0 or abs(face_rad) > math.radians(35):
        return Steering(Velocity(0.0, 0.0, turn))
    bearing = math.atan2(y_m, x_m)
    width = radius_m + CLEARANCE_M
    reach = min(math.hypot(x_m, y_m), remaining_m, LOOK_AHEAD_M)
    best, best_cost, best_free = 0.0, math.inf, 0.0
    for offset in _DIRECTIONS:
        free = free_length(points, bearing + float(offset), width, reach)
        cost = abs(offset) + 2.5 * (reach - free) / reach
        if cost < best_cost:
            best, best_cost, best_free = float(offset), cost, free
    if best_free < min(0.06, reach / 2):
        return Steering(Velocity(0.0, 0.0, turn), blocked=True)
    direction = bearing + best
    if abs(direction) > math.radians(10) and known is not None and not known(_flanks(direction, width)):
        return Steering(Velocity(0.0, 0.0, math.copysign(LOOK_RAD_S, direction)))
    speed = min(top_speed_m_s, max(0.08, DRIVE_GAIN * remaining_m), math.sqrt(2 * BRAKING_M_S2 * best_free))
    speed *= max(0.0, math.cos(face_rad)) ** 2
    if abs(direction) > math.radians(40):
        speed = min(speed, 0.2)  # sideways is driven half blind
    return Steering(Velocity(speed * math.cos(direction), speed * math.sin(direction), turn))


def _flanks(direction_rad: float, width_m: float) -> Floats:
    """Places at both edges of the way ahead."""
    c, s = math.cos(direction_rad), math.sin(direction_rad)
    places = [(along, across) for along in (0.55, 0.8) for across in (-width_m, width_m)]
    return np.array([(c * a - s * b, s * a + c * b) for a, b in places])
