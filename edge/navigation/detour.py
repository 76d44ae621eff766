"""A way out for a policy that gets nowhere: the base drives to another spot, and the policy goes on there.

A policy without memory does the same again where it sees the same. It drives for ever at what the shield
keeps it off, which the pilot drives around instead, or it turns or stands for ever where its target can't be
seen, and looks from elsewhere then. This is the only place where something else than the model steers.
"""

import math

import numpy as np

from edge.base_spec import BaseSpec
from edge.navigation.pilot import Destination, Pilot
from edge.perception.geometry import Floats, Pose, wrap
from edge.records import Velocity

TURN_RAD = 2 * math.pi + 0.3  # turn that shows a policy all round
AROUND_M = 0.3  # a base that stays within this of one position gets nowhere
SPARE_S = 1.5  # beyond the time of that turn
NEW_RAD = 0.5  # a slow policy that turns to and fro, and by no more than this farther, sees nothing new
SEEN_NS = 300_000_000  # a policy that searched and drives for longer now has seen something
STOPPED_NS = 1_500_000_000  # a way that is shut for longer is driven around
STOPPED_M_S, STOPPED_SHARE = 0.05, 0.3  # speed, and share of the asked one, below which a way is shut
THERE_M, LEG_M_S = 0.2, 0.35
LEG_NS = 15_000_000_000  # a leg takes at most this long
BLOCKED_FRAMES = 15  # a leg that is blocked for longer is over


class Detour:
    """Tells when a policy gets nowhere, and drives the base elsewhere then. Odometry frame."""

    def __init__(self, base: BaseSpec, pilot: Pilot) -> None:
        """Begin an episode; `pilot` knows the floor that was seen."""
        self._patience_ns = round((TURN_RAD / base.cruise_rad_s + SPARE_S) * 1e9)
        self._possible = base.turns_in_place  # which is how the pilot gets out of a corner
        self._pilot = pilot
        self._visited: list[tuple[float, float]] = []
        self._waypoint: tuple[float, float] | None = None
        self._set_out_ns = 0  # for the waypoint
        self._blocked_frames = 0
        self._anchor: Pose | None = None
        self._around_since_ns = 0  # at the anchor
        self._yaw_rad = 0.0  # when it was asked last
        self._turned_rad = self._leftmost_rad = self._rightmost_rad = 0.0  # since the anchor, left positive
        self._turned_ns = 0  # when it turned to something new last
        self._open_ns: int | None = None  # when the asked way was open last
        self._searches = False  # the policy only turned, or stood, as the base set out
        self._still_ns = 0  # when it did so last

    @property
    def under_way(self) -> bool:
        """True while the base is driven to another spot."""
        return self._waypoint is not None

    def velocity(
        self, pose: Pose, asked: Floats, safe: Floats, now_ns: int, turning: float = 1.0
    ) -> Velocity | None:
        """Return the velocity to another spot; None: the policy drives. Call it at every frame.

        `asked` is what the policy asks for, and `safe` what the shield leaves of it, (3,) each. `turning` is
        the share of the cruising turn rate at which the policy turns the base all round, (0, 1].
        """
        if self._waypoint is None:
            self._waypoint = self._next(pose, asked, safe, now_ns, turning)
            self._set_out_ns, self._blocked_frames = now_ns, 0
            self._searches = not asked[:2].any()
        if self._waypoint is None:
            return None
        if not asked[:2].any():
            self._still_ns = now_ns
        has_seen = self._searches and now_ns - self._still_ns > SEEN_NS
        steering = self._pilot.drive(pose, Destination(*self._waypoint, THERE_M / 2, LEG_M_S), now_ns)
        self._blocked_frames = self._blocked_frames + 1 if steering.blocked else 0
        there = math.dist(self._waypoint, (pose.x_m, pose.y_m)) < THERE_M
        late = self._blocked_frames > BLOCKED_FRAMES or now_ns - self._set_out_ns > LEG_NS
        if there or late or has_seen:
            self._waypoint, self._open_ns, self._anchor = None, None, None
            return None
        return steering.velocity

    def _next(
        self, pose: Pose, asked: Floats, safe: Floats, now_ns: int, turning: float
    ) -> tuple[float, float] | None:
        """Return where to drive if the policy gets nowhere, else None."""
        if not self._possible:
            return None
        stays = self._stays(pose, now_ns, turning)
        if turning < 1:
            stays |= self._turns_to_and_fro(pose, asked, now_ns)
        shut = self._is_shut(asked, safe, now_ns)
        if not stays and not shut:
            return None
        self._anchor, self._open_ns = None, None
        beyond = self._pilot.beyond(pose, math.atan2(asked[1], asked[0])) if shut else None
        if beyond is None:
            self._visited.append((pose.x_m, pose.y_m))
        return beyond or self._pilot.vantage(pose, self._visited)

    def _is_shut(self, asked: Floats, safe: Floats, now_ns: int) -> bool:
        """Return True if the shield has kept the base from where the policy drives, for a while."""
        wanted_m_s, left_m_s = np.hypot(*asked[:2]), np.hypot(*safe[:2])
        stopped = left_m_s < min(STOPPED_M_S, STOPPED_SHARE * wanted_m_s)
        if not stopped or self._open_ns is None:
            self._open_ns = now_ns
        return now_ns - self._open_ns > STOPPED_NS

    def _stays(self, pose: Pose, now_ns: int, turning: float) -> bool:
        """Return True if the base stayed around one position for too long."""
        anchor = self._anchor
        apart_m = math.inf if anchor is None else math.dist((anchor.x_m, anchor.y_m), (pose.x_m, pose.y_m))
        if apart_m > AROUND_M:
            self._anchor, self._around_since_ns = pose, now_ns
            self._turned_rad = self._leftmost_rad = self._rightmost_rad = 0.0
            self._yaw_rad, self._turned_ns = pose.yaw_rad, now_ns
        return now_ns - self._around_since_ns > self._patience_ns / turning

    def _turns_to_and_fro(self, pose: Pose, asked: Floats, now_ns: int) -> bool:
        """Return True if the base has turned to nothing new, for as long as a fast one turns all round."""
        self._turned_rad += wrap(pose.yaw_rad - self._yaw_rad)
        self._yaw_rad = pose.yaw_rad
        if self._turned_rad > self._leftmost_rad + NEW_RAD:
            self._leftmost_rad, self._turned_ns = self._turned_rad, now_ns
        if self._turned_rad < self._rightmost_rad - NEW_RAD:
            self._rightmost_rad, self._turned_ns = self._turned_rad, now_ns
        if asked[:2].any() or not asked[2]:  # it has found something, or has arrived
            self._turned_ns = now_ns
        return now_ns - self._turned_ns > self._patience_ns
