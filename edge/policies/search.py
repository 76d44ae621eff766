"""Where to look for something out of view: turn once around, then drive where there is room, and again."""

import math
from collections.abc import Callable

from edge.perception.geometry import Pose, wrap

TURN_RAD_S = 0.9
FULL_TURN_RAD = 2 * math.pi + 0.3
CHASE_M = 0.9  # from where a lost target was seen: that near one goes to look for it
NEW_SPOT_M = 0.5

Vantage = Callable[[Pose, list[tuple[float, float]]], tuple[float, float] | None]


class Places:
    """Places in the odometry frame that are remembered for a while."""

    def __init__(self, keep_ns: int) -> None:
        self._keep_ns = keep_ns
        self._items: list[tuple[float, float, int]] = []

    def add(self, x_m: float, y_m: float, now_ns: int) -> None:
        """Remember a place from now on."""
        self._items.append((x_m, y_m, now_ns))

    def hold(self, x_m: float, y_m: float, within_m: float, now_ns: int) -> bool:
        """Whether a place is that near to one that is remembered."""
        self._items = [item for item in self._items if now_ns - item[2] < self._keep_ns]
        return any(math.hypot(x_m - x, y_m - y) < within_m for x, y, _ in self._items)


class Search:
    """One search: turning on the spot until all was seen, then a leg to a new spot, over and over."""

    def __init__(self) -> None:
        self.direction = 1.0  # of the turn: +1 left
        self.turned_rad = 0.0
        self.waypoint: tuple[float, float] | None = None  # odometry frame, while driving a leg
        self.visited: list[tuple[float, float]] = []
        self.rounds = 0  # full turns done
        self._turn_at = Pose()  # the newest spot that was, or is, looked round from
        self._yaw: float | None = None

    def look_for(self, pose: Pose, x_m: float, y_m: float, bearing_rad: float, may_chase: bool) -> bool:
        """What was lost at (x, y): go there, if one may, for something may only hide it; else look around.

        A spot that was looked round from before is not begun anew, only turned toward `bearing_rad`. Returns
        whether it goes there.
        """
        x, y = pose.to_base(x_m, y_m)
        distance = math.hypot(x, y)
        if may_chase and distance > CHASE_M + 0.4:
            share = 1 - CHASE_M / distance
            self.waypoint = pose.to_world(share * x, share * y)
            return True
        if math.hypot(pose.x_m - self._turn_at.x_m, pose.y_m - self._turn_at.y_m) > NEW_SPOT_M:
            self.look_around(pose, bearing_rad)
        else:
            self.direction = math.copysign(1.0, bearing_rad)
        return False

    def look_around(self, pose: Pose, direction: float) -> None:
        """Begin to turn at a new spot."""
        self._turn_at = pose
        self.start_turn(direction)

    def start_turn(self, direction: float) -> None:
        """Begin to look around, first toward `direction` (+1 left, -1 right)."""
        self.direction = 1.0 if direction >= 0 else -1.0
        self.turned_rad, self._yaw, self.waypoint = 0.0, None, None

    def look(self, pose: Pose) -> None:
        """Account for how far round was seen from here."""
        if self._yaw is not None:
            self.turned_rad += abs(wrap(pose.yaw_rad - self._yaw))
        self._yaw = pose.yaw_rad

    @property
    def all_round(self) -> bool:
        """Whether this turn has seen every direction."""
        return self.turned_rad >= FULL_TURN_RAD

    def next_leg(self, pose: Pose, choose: Vantage) -> None:
        """After a full turn: drive to the spot that `choose` finds; if there is none, turn again."""
        self.rounds += 1
        self.visited.append((pose.x_m, pose.y_m))
        self.waypoint = choose(pose, self.visited)
        if self.waypoint is None:
            self.visited = self.visited[-1:]
            self.start_turn(self.direction)
