"""Keeps a policy that was learnt from driving the base into what the floor scans show.

It only ever takes speed away: each velocity that the policy asks for is lowered until the base, after it
has reacted, can brake before the first blocked position in that direction. Turning is left alone, since the
base is a disc.
"""

import math

import numpy as np

from edge.base_spec import BaseSpec
from edge.navigation.servo import free_length
from edge.perception.floor_map import FloorMap
from edge.perception.floor_scan import Scan
from edge.perception.geometry import Floats, Pose

REACTION_S = 0.12  # from an exposure to a slower base: 20 ms camera, 33 ms to the next frame, the guard
# Kept between the hull and what is seen. The map knows it to half a cell, 0.04 m, and less well what was seen
# from afar, or is round or hangs over, which is nearer than where it hides the floor.
MARGIN_M = 0.12
REACH_M = 1.6  # beyond it, even full speed needs no braking


class Shield:
    """What the scans of an episode have shown, and the speeds that it allows. Odometry frame inside."""

    def __init__(self, base: BaseSpec, floor: FloorMap) -> None:
        """Start with the map that `see` keeps up to date."""
        self._base = base
        self._map = floor
        self._points: Floats = np.zeros((0, 2))

    def see(self, scan: Scan, pose: Pose, stamp_ns: int) -> None:
        """Take in what a scan from `pose` shows; `limit` is about the base at this pose from now on."""
        self._map.add(scan, pose, stamp_ns)
        # The map remembers what went out of view, but wants to see a thing twice.
        seen = scan.points[scan.blocked & (scan.ranges < REACH_M)]
        self._points = np.concatenate([self._map.blocked_points(pose, REACH_M), seen])

    def limit(self, rows: Floats) -> Floats:
        """Return the velocities (n, 3) in m/s and rad/s that the policy asks for, made safe; a new array."""
        safe = np.array(rows, np.float64)
        for row in safe:
            if row[:2].any():
                row[:2] = safe_velocity(float(row[0]), float(row[1]), self._points, self._base)
        return safe


def safe_velocity(x_m_s: float, y_m_s: float, points: Floats, base: BaseSpec) -> tuple[float, float]:
    """Return the velocity, slower if the base could not brake before the points (N, 2) in its frame.

    What touches the base already takes away only the part of the velocity toward it, so that the base can
    leave it and slide along it; one that can't go sideways stops instead of sliding.
    """
    width_m = base.radius_m + MARGIN_M
    distances = np.hypot(points[:, 0], points[:, 1])
    touching = distances < width_m
    near, far = points[touching], points[~touching]
    normals = near / np.maximum(distances[touching], 1e-6)[:, None]
    velocity = np.array([x_m_s, y_m_s])
    if base.sideways:
        velocity = _without(velocity, normals)
    elif (normals @ velocity > 0).any():
        return 0.0, 0.0
    speed = math.hypot(*velocity)
    if speed < 1e-6:
        return 0.0, 0.0
    free_m = free_length(far, math.atan2(velocity[1], velocity[0]), width_m, REACH_M)
    share = min(1.0, safe_speed_m_s(free_m, base.planned_braking_m_s2) / speed)
    return share * float(velocity[0]), share * float(velocity[1])


def safe_speed_m_s(free_m: float, braking_m_s2: float) -> float:
    """Return the speed from which the base comes to rest within `free_m`: v REACTION_S + v^2 / 2a."""
    reaction = braking_m_s2 * REACTION_S
    return math.sqrt(reaction**2 + 2 * braking_m_s2 * max(0.0, free_m)) - reaction


def _without(velocity: Floats, normals: Floats) -> Floats:
    """Return the velocity (2,) nearest to the given one that leads toward none of the unit vectors (N, 2).

    In the plane it is the velocity itself, its part along one of the walls, or zero.
    """
    toward = normals @ velocity
    if not (toward > 0).any():
        return velocity
    along = velocity - np.maximum(toward, 0.0)[:, None] * normals
    still_toward: Floats = np.einsum("ij,kj->ik", along, normals)
    allowed = along[still_toward.max(axis=1) <= 1e-9]
    if not len(allowed):
        return np.zeros(2)
    return allowed[int(np.linalg.norm(allowed - velocity, axis=1).argmin())]
