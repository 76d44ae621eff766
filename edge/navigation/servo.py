"""A position on the floor to a body velocity: turn toward it, drive at it, go around what is in between.

All in the base frame. This is where planned velocities keep to what a base can do: one that moves sideways
keeps its goal in front while it sidesteps, the others turn to where they drive.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from edge.base_spec import BaseSpec
from edge.perception.geometry import Floats, wrap
from edge.records import Odometry, Velocity

TURN_GAIN = 1.8  # rad/s per rad
STEP_SHARE = 0.6  # share of a base's smallest turn: a smaller error is not turned for
LOOK_RAD_S = 0.6  # turn rate toward a side that was not seen yet
DRIVE_GAIN = 1.0  # m/s per m
SLOWEST_M_S = 0.08  # speed on the last centimetres: slower, wheels may not turn at all
CAREFUL_M_S = 0.2  # speed toward what the camera sees badly, or not at all
CLEARANCE_M = 0.04  # kept between the base's hull and what is seen
LOOK_AHEAD_M = 1.1
DEADBAND = 0.05  # share of the image's width: a smaller error is not turned for
_TURN_FIRST_RAD = math.radians(35)  # a larger bearing is turned to before the base drives
_SHORTEST_WAY_M = 0.06  # with less free floor than this, the way is shut
_DIRECTIONS = np.radians(np.arange(-60, 61, 7.5))


@dataclass(frozen=True, slots=True)
class Aim:
    """What to drive at, in the base frame."""

    x_m: float
    y_m: float
    remaining_m: float  # way left in all, beyond (x, y) too
    face_rad: float  # bearing that a base which moves sideways turns to
    highest_m_s: float = math.inf
    deadband_rad: float = 0.0  # smaller bearings are not turned for


@dataclass(frozen=True, slots=True)
class Steering:
    """A velocity, and whether the way is shut."""

    velocity: Velocity
    blocked: bool = False


def standing(odometry: Odometry | None) -> bool:
    """Return True if the base stands still, or nothing is known of its motion."""
    if odometry is None:
        return True
    v = odometry.velocity
    return math.hypot(v.linear_x_m_s, v.linear_y_m_s) < 0.03 and abs(v.angular_z_rad_s) < 0.06


def turn_rate(bearing_rad: float, base: BaseSpec, deadband_rad: float = 0.0) -> float:
    """Return the turn rate toward a bearing, rad/s: proportional, bounded, zero inside the deadband.

    What a base that turns by steps could only overshoot by more is inside the deadband too.
    """
    if abs(bearing_rad) <= max(deadband_rad, STEP_SHARE * base.step_rad):
        return 0.0
    highest_rad_s = base.cruise_rad_s
    return max(-highest_rad_s, min(highest_rad_s, TURN_GAIN * bearing_rad))


def free_length(points: Floats, direction_rad: float, width_m: float, reach_m: float) -> float:
    """Return the way of a disc of radius `width_m` in a direction until it meets a point, metres.

    `points` are (N, 2); the way is at most `reach_m`.
    """
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
    aim: Aim, points: Floats, base: BaseSpec, known: Callable[[Floats], bool] | None = None
) -> Steering:
    """Return the velocity toward an aim, around the obstacles `points` (N, 2).

    `known` tells whether the floor at positions (M, 2) was seen: before a base goes sideways to floor that
    was not, it looks there.
    """
    turn = turn_rate(aim.face_rad, base, aim.deadband_rad)
    reach = min(math.hypot(aim.x_m, aim.y_m), aim.remaining_m, LOOK_AHEAD_M)
    if reach <= 0 or (base.sideways and abs(aim.face_rad) > _TURN_FIRST_RAD):
        return Steering(base.possible(Velocity(0.0, 0.0, turn)))
    bearing = math.atan2(aim.y_m, aim.x_m)
    width = base.radius_m + CLEARANCE_M
    best, best_cost, best_free = 0.0, math.inf, 0.0
    for offset in _DIRECTIONS:
        free = free_length(points, bearing + float(offset), width, reach)
        cost = abs(offset) + 2.5 * (reach - free) / reach
        if cost < best_cost:
            best, best_cost, best_free = float(offset), cost, free
    if best_free < min(_SHORTEST_WAY_M, reach / 2):
        return Steering(base.possible(Velocity(0.0, 0.0, turn)), blocked=True)
    direction = bearing + best
    if not base.sideways:
        return _drive_ahead(wrap(direction), aim, free_length(points, 0.0, width, reach), base)
    if abs(direction) > math.radians(10) and known is not None and not known(_flanks(direction, width)):
        look = min(LOOK_RAD_S, base.cruise_rad_s)
        return Steering(Velocity(0.0, 0.0, math.copysign(look, direction)))
    speed = _speed(aim, best_free, base) * max(0.0, math.cos(aim.face_rad)) ** 2
    if abs(direction) > math.radians(40):
        speed = min(speed, CAREFUL_M_S)  # the camera sees little of where it goes
    return Steering(Velocity(speed * math.cos(direction), speed * math.sin(direction), turn))


def _speed(aim: Aim, free_m: float, base: BaseSpec) -> float:
    """Return the speed toward an aim with so much free floor ahead, m/s."""
    highest = min(aim.highest_m_s, base.cruise_m_s)
    braking = math.sqrt(2 * base.planned_braking_m_s2 * free_m)
    return min(highest, max(SLOWEST_M_S, DRIVE_GAIN * aim.remaining_m), braking)


def _drive_ahead(direction_rad: float, aim: Aim, free_m: float, base: BaseSpec) -> Steering:
    """Return the velocity of a base that can't go sideways: it turns to the direction, and drives ahead.

    A large turn is done in place, or, where steered wheels can't, along the tightest arc. `free_m` is the
    free floor straight ahead.
    """
    turn = turn_rate(direction_rad, base, aim.deadband_rad)
    speed = _speed(aim, free_m, base)
    if abs(direction_rad) <= _TURN_FIRST_RAD:
        speed *= math.cos(direction_rad) ** 2
    else:
        speed = 0.0 if base.turns_in_place else min(speed, CAREFUL_M_S)
    blocked = not base.turns_in_place and free_m < _SHORTEST_WAY_M
    return Steering(base.possible(Velocity(0.0 if blocked else speed, 0.0, turn)), blocked)


def _flanks(direction_rad: float, width_m: float) -> Floats:
    """Return positions at both edges of the way ahead, (4, 2)."""
    c, s = math.cos(direction_rad), math.sin(direction_rad)
    places = [(along, across) for along in (0.55, 0.8) for across in (-width_m, width_m)]
    return np.array([(c * a - s * b, s * a + c * b) for a, b in places])
