"""Starts in front of things that are not the target: a policy learns that it has not arrived there."""

import math
from dataclasses import replace

import numpy as np

from edge.perception.geometry import Pose
from sim.driving.expert import Expert
from sim.scene import Scene, SceneObject
from sim.targets import matching, parse_target
from sim.world import surface_distance_m

GAP_M = (0.35, 0.8)  # from the base's centre to the thing's surface: about where an approach ends
_AIM_RAD = math.radians(10)  # standard deviation of the heading off the thing
_ALIKE = 4.0  # weight of a thing of the target's kind or colour, of others 1
_TRIES = 40


def decoy_scene(scene: Scene, expert: Expert, target: str, rng: np.random.Generator) -> Scene | None:
    """Return the room with a start in front of something else; None if there is no such thing, or no room.

    `expert` knows the room's free floor.
    """
    wanted = matching(scene, target)
    others = [each for each in scene.objects if each not in wanted]
    if not others:
        return None
    kind, colour = parse_target(target)
    weights = np.array([_ALIKE if o.kind == kind or o.colour == colour else 1.0 for o in others])
    for _ in range(_TRIES):
        decoy = others[int(rng.choice(len(others), p=weights / weights.sum()))]
        pose = _before(decoy, rng)
        cell = expert.map.cell(pose.x_m, pose.y_m)
        inside = abs(pose.x_m) < scene.width_m / 2 and abs(pose.y_m) < scene.depth_m / 2
        if inside and expert.map.gap[cell] > 0 and GAP_M[0] < surface_distance_m(pose, decoy) < GAP_M[1]:
            return replace(scene, start=(pose.x_m, pose.y_m, pose.yaw_rad))
    return None


def _before(thing: SceneObject, rng: np.random.Generator) -> Pose:
    """Draw a pose that faces a thing, near to it."""
    side_rad, apart_m = (
        float(rng.uniform(-math.pi, math.pi)),
        thing.radius_m + float(rng.uniform(0, GAP_M[1])),
    )
    yaw_rad = side_rad + math.pi + float(rng.normal(0, _AIM_RAD))
    x_m, y_m = thing.x_m + apart_m * math.cos(side_rad), thing.y_m + apart_m * math.sin(side_rad)
    return Pose(x_m, y_m, math.remainder(yaw_rad, 2 * math.pi))
