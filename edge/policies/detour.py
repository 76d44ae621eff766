"""A way out for a policy that gets nowhere: the base drives to another spot, and the policy goes on there.

A policy without memory does the same again where it sees the same: it turns for ever where its target can't
be seen, or drives for ever at what the shield keeps it off. This is the only place where something else than
the model steers, and it hands back as soon as it has got somewhere else.
"""

import math

from edge.base_spec import BaseSpec
from edge.navigation.pilot import Destination, Pilot
from edge.perception.geometry import Pose
from edge.policies.search import FULL_TURN_RAD
from edge.records import Velocity

AROUND_M = 0.3  # a base that stays within this of one position gets nowhere
SPARE_S = 3.0  # beyond the time of a full turn, which is worth its time
THERE_M, LEG_M_S = 0.2, 0.35
LEG_NS = 15_000_000_000  # a leg takes at most this long
BLOCKED_FRAMES = 15  # a leg that is blocked for longer is over


class Detour:
    """Tells when a policy gets nowhere, and drives the base elsewhere then. Odometry frame."""

    def __init__(self, base: BaseSpec, pilot: Pilot) -> None:
        """Begin an episode; `pilot` knows the floor that was seen."""
        self._patience_ns = round((FULL_TURN_RAD / base.cruise_rad_s + SPARE_S) * 1e9)
        self._possible = base.turns_in_place  # which is how the pilot gets out of a corner
        self._pilot = pilot
        self._visited: list[tuple[float, float]] = []
        self._waypoint: tuple[float, float] | None = None
        self._anchor: Pose | None = None
        self._since_ns = 0  # when the base came to the anchor, or set out for the waypoint
        self._blocked_frames = 0

    @property
    def under_way(self) -> bool:
        """True while the base is driven to another spot."""
        return self._waypoint is not None

    def velocity(self, pose: Pose, wants_motion: bool, now_ns: int) -> Velocity | None:
        """Return the velocity to another spot; None: the policy drives. Call it at every frame.

        `wants_motion` tells whether the policy does: one that stands is not stuck.
        """
        if self._waypoint is None and not self._gets_nowhere(pose, wants_motion, now_ns):
            return None
        if self._waypoint is None:
            self._visited.append((pose.x_m, pose.y_m))
            self._waypoint = self._pilot.vantage(pose, self._visited)
            self._since_ns, self._blocked_frames, self._anchor = now_ns, 0, None
        if self._waypoint is None:
            return None
        steering = self._pilot.drive(pose, Destination(*self._waypoint, THERE_M / 2, LEG_M_S), now_ns)
        self._blocked_frames = self._blocked_frames + 1 if steering.blocked else 0
        there = math.dist(self._waypoint, (pose.x_m, pose.y_m)) < THERE_M
        if there or self._blocked_frames > BLOCKED_FRAMES or now_ns - self._since_ns > LEG_NS:
            self._waypoint = None
            return None
        return steering.velocity

    def _gets_nowhere(self, pose: Pose, wants_motion: bool, now_ns: int) -> bool:
        anchor = self._anchor
        apart_m = math.inf if anchor is None else math.dist((anchor.x_m, anchor.y_m), (pose.x_m, pose.y_m))
        if apart_m > AROUND_M or not wants_motion:
            self._anchor, self._since_ns = pose, now_ns
        return self._possible and now_ns - self._since_ns > self._patience_ns
