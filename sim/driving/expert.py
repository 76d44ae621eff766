"""A scripted expert: it knows where everything is, and drives as a policy with eyes should learn to.

    search ──in view──► approach ──near──► face ──faced, standing──► arrived
      │ seen nothing all round                ▲
      └─────────────► fetch ──in view─────────┘ (by way of approach)

It looks for what it can't see yet, although it knows better: it turns left once around, and only then drives
to where the target comes into view. So a policy that learns from it never has to guess what no image shows.
"""

import math

import numpy as np

from edge.errors import UsageError
from edge.interfaces import Inference, PolicyStatus
from edge.navigation.servo import SLOWEST_M_S, turn_rate
from edge.perception.geometry import Pose, wrap
from edge.policies.chunks import velocity_chunk
from edge.policies.search import FULL_TURN_RAD
from edge.policies.seeker import check_base
from edge.records import ZERO, ActionChunk, CameraMount, Goal, Observation, Velocity
from sim.driving.waymap import SOFT_M, Way, WayMap
from sim.scene import SceneObject
from sim.targets import matching
from sim.world import World, surface_distance_m

STOP_M = 0.55  # from the base's centre to the target's surface
FACED_RAD = math.radians(4)
STAND_S = 1.0  # it stands so long before it claims that it has arrived, so that standing is learnt
IN_VIEW_RAD = math.radians(25)  # how far off the target may be, to either side, while the way leads elsewhere
LEAVE_VIEW_RAD = math.radians(60)  # a way that leads off by more is faced
BRAKING_M_S2 = 0.4
SEEN_SHARE = 0.3  # share of a thing's parts in view from which on it counts as seen
_SIDEWAYS_M_S = 0.22


class Expert:
    """The policy of one world. `reset` gives it a goal; `velocity` is what it would do now."""

    def __init__(self, world: World, mount: CameraMount, aspect: float = 4 / 3) -> None:
        """Map the world. `mount` and `aspect` (width / height) are of the camera that it pretends to use.

        Raises UsageError for a base that can't turn in place.
        """
        check_base(world.base)
        self.map = WayMap(world)
        self._world = world
        self._base = world.base
        self._mount = mount
        self._half_v_rad = mount.vertical_fov_rad / 2
        self._half_h_rad = math.atan(math.tan(self._half_v_rad) * aspect)
        self._decision = 0
        self._state = "search"

    @property
    def status(self) -> PolicyStatus:
        return PolicyStatus(self._state, self._state == "arrived")

    def reset(self, goal: Goal) -> None:
        """Start looking for the goal's target. Raises UsageError if the room has none."""
        wanted = matching(self._world.scene, goal.target)
        if not wanted:
            raise UsageError(f"the expert knows of no {goal.target!r} in this room", "--target NAME")
        self._ways = {o: way for o in wanted if (way := self._way(o)) is not None}
        self._target: SceneObject | None = None
        self._state = "search" if self._ways else "stuck"
        self._turned_rad, self._yaw_rad = 0.0, self._world.pose.yaw_rad
        self._still_since_ns: int | None = None

    def infer(self, observation: Observation) -> Inference:
        return Inference(observation.frame, "", 1.0, {})

    def act(self, observation: Observation, inference: Inference | None) -> ActionChunk:
        self._decision += 1
        return velocity_chunk(self.velocity(), observation.frame.stamp_ns, self._decision)

    def velocity(self) -> Velocity:
        """Return what to do in the world as it is now, whoever drove it there. Call it at every frame."""
        pose = self._world.pose
        self._look(pose)
        if not self._ways:
            return ZERO
        if self._target is None and self._turned_rad < FULL_TURN_RAD:
            self._state = "search"
            return Velocity(0.0, 0.0, self._base.cruise_rad_s)
        cell = self.map.cell(pose.x_m, pose.y_m)
        target = self._target or min(self._ways, key=lambda o: self._ways[o].to_go[cell])
        if self._ways[target].to_go[cell] == 0.0:
            return self._face(pose, target)
        self._state, self._still_since_ns = "approach" if self._target else "fetch", None
        return self._drive(pose, target)

    def _look(self, pose: Pose) -> None:
        """Account for how far round it looked, and for what came into view."""
        self._turned_rad += abs(wrap(pose.yaw_rad - self._yaw_rad))
        self._yaw_rad = pose.yaw_rad
        if self._target is None:
            seen = [o for o in self._ways if self.seen_share(o, pose) >= SEEN_SHARE]
            self._target = min(seen, key=lambda o: surface_distance_m(pose, o), default=None)

    def _face(self, pose: Pose, target: SceneObject) -> Velocity:
        error = _bearing(pose, target.x_m, target.y_m)
        turn = turn_rate(error, self._base, FACED_RAD)
        still = turn == 0.0 and self._world.speed_m_s < 0.02
        now_ns = self._world.time_ns
        self._still_since_ns = (self._still_since_ns or now_ns) if still else None
        stood = self._still_since_ns is not None and now_ns - self._still_since_ns >= STAND_S * 1e9
        self._state = "arrived" if stood else "face"
        return Velocity(0.0, 0.0, turn)

    def _drive(self, pose: Pose, target: SceneObject) -> Velocity:
        """Return the velocity along the way, with the target kept in view if the way allows it."""
        way = _bearing(pose, *self.map.waypoint(self._ways[target], pose.x_m, pose.y_m))
        there = _bearing(pose, target.x_m, target.y_m)
        off = wrap(way - there)
        in_sight = self._target is not None and abs(off) < LEAVE_VIEW_RAD
        # A base that can't go sideways must face where it goes.
        looks = in_sight and self._base.sideways
        face = wrap(there + min(max(off, -IN_VIEW_RAD), IN_VIEW_RAD)) if looks else way
        gap = float(self.map.gap[self.map.cell(pose.x_m, pose.y_m)])
        left = max(0.0, surface_distance_m(pose, target) - STOP_M)
        speed = min(self._base.cruise_m_s, math.sqrt(2 * BRAKING_M_S2 * left))
        speed *= min(1.0, max(0.3, gap / SOFT_M)) * max(0.0, math.cos(face)) ** 2
        if abs(way) > math.radians(40):
            speed = min(speed, _SIDEWAYS_M_S)
        # Turning on the spot where the way leads off behind is done before driving.
        speed = max(speed, SLOWEST_M_S) if abs(face) < math.radians(60) else 0.0
        turn = turn_rate(face, self._base)
        return self._base.possible(Velocity(speed * math.cos(way), speed * math.sin(way), turn))

    def _way(self, target: SceneObject) -> Way | None:
        """Return the way to positions near it that see it, or, if there are none, to positions near it."""

        def near(x_m: float, y_m: float) -> bool:
            return surface_distance_m(Pose(x_m, y_m, 0.0), target) <= STOP_M

        def near_in_view(x_m: float, y_m: float) -> bool:
            yaw_rad = math.atan2(target.y_m - y_m, target.x_m - x_m)
            return near(x_m, y_m) and self.seen_share(target, Pose(x_m, y_m, yaw_rad)) >= SEEN_SHARE

        start = self.map.cell(self._world.pose.x_m, self._world.pose.y_m)
        for ends in (near_in_view, near):
            way = self.map.way(ends, target.x_m, target.y_m, target.radius_m + STOP_M)
            if way is not None and np.isfinite(way.to_go[start]):
                return way
        return None

    def seen_share(self, target: SceneObject, pose: Pose) -> float:
        """Return the share of the target's parts in view from `pose`, not behind something, [0, 1]."""
        import mujoco

        world, mount = self._world, self._mount
        c, s = math.cos(pose.yaw_rad), math.sin(pose.yaw_rad)
        eye = np.array([pose.x_m + mount.forward_m * c, pose.y_m + mount.forward_m * s, mount.height_m])
        body = world.model.body(f"object_{world.scene.objects.index(target)}").id
        parts = world.data.geom_xpos[world.model.geom_bodyid == body]
        groups, hit = np.array([1, 1, 1, 1, 0, 1], np.uint8), np.zeros(1, np.int32)
        seen = 0
        for ray in parts - eye:
            ahead = c * ray[0] + s * ray[1]
            across = math.atan2(c * ray[1] - s * ray[0], ahead)
            down = -math.atan2(ray[2], math.hypot(ray[0], ray[1])) - mount.pitch_rad
            if abs(across) < self._half_h_rad and abs(down) < self._half_v_rad:
                mujoco.mj_ray(world.model, world.data, eye, ray, groups, 1, -1, hit)
                seen += bool(hit[0] >= 0 and world.model.geom_bodyid[hit[0]] == body)
        return seen / len(parts)


def _bearing(pose: Pose, x_m: float, y_m: float) -> float:
    return wrap(math.atan2(y_m - pose.y_m, x_m - pose.x_m) - pose.yaw_rad)
