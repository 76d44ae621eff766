"""What may be the target in a simulated room, and what is true about it."""

import math
from dataclasses import replace
from typing import Any

from edge.base_spec import DEFAULT_BASE
from edge.errors import UsageError
from edge.goals.words import KOREAN
from edge.perception.geometry import Pose
from edge.runs.room import RoomMap, RoomObject
from sim.objects import COLOURS, KINDS
from sim.scene import Scene, SceneObject, sample_scene
from sim.world import ARRIVED_M, ARRIVED_RAD, World, has_arrived, heading_error_rad, surface_distance_m

KEPT_M = 1.4  # a robot that follows at 1 m stands no farther from the target's surface

Target = tuple[str, str]  # kind and colour; no colour means any


def parse_target(text: str) -> Target:
    """Read "red cup", "cup", or the same in Korean. Raises UsageError for what the simulator can't build."""
    english = {korean: word for word, korean in KOREAN.items()}
    *colours, kind = [english.get(word, word) for word in text.split()] or [""]
    if len(colours) > 1 or kind not in KINDS or not set(colours) <= set(COLOURS):
        things = f"{', '.join(KINDS)}; colours {', '.join(COLOURS)}"
        raise UsageError(f"the simulated room can't have a {text!r}", f"it can have: {things}")
    return kind, "".join(colours)


def make_scene(
    seed: int,
    target: str,
    absent: bool = False,
    radius_m: float = DEFAULT_BASE.radius_m,
    signs: bool = False,
) -> Scene:
    """Return the room of that seed with the target in it, or surely without it; an empty target: any room.

    A base of `radius_m` has room where it starts. `signs` changes nothing but the walls.
    """
    wanted = parse_target(target) if target else None
    if absent:
        scene = sample_scene(seed, absent=wanted, radius_m=radius_m)
    else:
        scene = sample_scene(seed, target=wanted, radius_m=radius_m)
    return replace(scene, signs=signs)


def matching(scene: Scene, target: str) -> list[SceneObject]:
    """Return the objects that `target` names; none for an empty target."""
    if not target:
        return []
    kind, colour = parse_target(target)
    return [each for each in scene.objects if each.kind == kind and colour in ("", each.colour)]


def room_map(scene: Scene, target: str) -> RoomMap:
    """Return the room from above, for pictures."""
    wanted = matching(scene, target)
    objects = tuple(_room_object(each, each in wanted) for each in (*scene.clutter, *scene.objects))
    half_x, half_y = scene.width_m / 2, scene.depth_m / 2
    return RoomMap(-half_x, -half_y, half_x, half_y, objects, *scene.start)


def _room_object(thing: SceneObject, is_target: bool) -> RoomObject:
    red, green, blue = (round(255 * part) for part in thing.geoms[0].rgb)
    label = thing.name if thing.colour else ""
    return RoomObject(label, thing.x_m, thing.y_m, thing.radius_m, (red, green, blue), is_target)


def truth(world: World, target: str) -> dict[str, Any]:
    """Return how it ended, for JSON: never shown to the policy. Distances in metres, angles in degrees."""
    pose: Pose = world.pose
    wanted = matching(world.scene, target)
    nearest = min(wanted, key=lambda each: surface_distance_m(pose, each), default=None)
    found: dict[str, Any] = {}
    if nearest is not None:
        found = {
            "nearest": nearest.name,
            "distance_m": round(surface_distance_m(pose, nearest), 3),
            "heading_error_deg": round(math.degrees(heading_error_rad(pose, nearest)), 1),
            "arrived_m": ARRIVED_M,
            "arrived_deg": round(math.degrees(ARRIVED_RAD)),
        }
    return {
        "arrived": any(has_arrived(pose, each) for each in wanted),
        "kept": any(has_arrived(pose, each, KEPT_M) for each in wanted),
        **found,
        "faces": _faced(world.scene, pose),
        **({} if target else {"in_room": sorted({each.name for each in world.scene.objects})}),
        "bumps": world.bumps,
        "path_m": round(world.path_m, 3),
        "speed_m_s": round(world.speed_m_s, 3),
        "pose": {"x_m": round(pose.x_m, 3), "y_m": round(pose.y_m, 3), "yaw_rad": round(pose.yaw_rad, 3)},
    }


def _faced(scene: Scene, pose: Pose) -> str:
    """Return what the robot stands before, such as "a red box"; empty if nothing is near ahead of it."""
    things = [each for each in (*scene.objects, *scene.clutter) if has_arrived(pose, each, KEPT_M)]
    if not things:
        return ""
    nearest = min(things, key=lambda each: surface_distance_m(pose, each))
    if not nearest.colour:
        return "something without a name"
    return f"{'an' if nearest.name[0] in 'aeiou' else 'a'} {nearest.name}"
