"""Where to look for something out of view: turn once around, then drive where there is room, and again."""

import math
from collections.abc import Callable

from edge.perception.geometry import Pose, wrap

FULL_TURN_RAD = 2 * math.pi + 0.3
CHASE_M = 0.9  # distance from a lost target's position at which the base looks for it
NEW_SPOT_M = 0.5

Vantage = Callable[[Pose, list[tuple[float, float]]], tuple[float, float] | None]


class RecentPositions:
    """Positions in the odometry frame that are remembered for a while."""

    def __init__(self, keep_ns: int) -> None:
        self._keep_ns = keep_ns
        self._items: list[tuple[float, float, int]] = []

    def add(self, x_m: float, y_m: float, now_ns: int) -> None:
        """Remember a position from now on."""
        self._items.append((x_m, y_m, now_ns))

    def near(self, x_m: float, y_m: float, within_m: float, now_ns: int) -> bool:
        """Return True if a remembered position is nearer than `within_m`."""
        self._items = [item for item in self._items if now_ns - item[2] < self._keep_ns]
        return any(math.hypot(x_m - x, y_m - y) < within_m for x, y, _ in self._items)


class Search:
    """One search: turning in place until all was seen, then a leg to a new spot, over and over."""

    def __init__(self) -> None:
        self.direction = 1.0  # sign of the turn: +1 left
        self.turned_rad = 0.0
        self.waypoint: tuple[float, float] | None = None  # odometry frame, while driving a leg
        self.visited: list[tuple[float, float]] = []
        self.rounds = 0  # full turns done
        self._turn_at = Pose()  # the newest spot that was, or is, looked around from
        self._yaw_rad: float | None = None

    def look_for(self, pose: Pose, x_m: float, y_m: float, bearing_rad: float, may_chase: bool) -> bool:
        """Look for what was lost at (x, y): go there, for something may only hide it, or look around.

        A spot that was looked around from before is not begun anew, only turned toward `bearing_rad`. Returns
        True if the base goes there.
        """
        x, y = pose.to_base(x_m, y_m)
        distance_m = math.hypot(x, y)
        if may_chase and distance_m > CHASE_M + 0.4:
            share = 1 - CHASE_M / distance_m
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
        self.turned_rad, self._yaw_rad, self.waypoint = 0.0, None, None

    def look(self, pose: Pose) -> None:
        """Account for how far around was seen from here."""
        if self._yaw_rad is not None:
            self.turned_rad += abs(wrap(pose.yaw_rad - self._yaw_rad))
        self._yaw_rad = pose.yaw_rad

    @property
    def all_round(self) -> bool:
        """True if this turn has seen every direction."""
        return self.turned_rad >= FULL_TURN_RAD

    def next_leg(self, pose: Pose, choose: Vantage) -> None:
        """After a full turn: drive to the spot that `choose` finds; if there is none, turn again."""
        self.rounds += 1
        self.visited.append((pose.x_m, pose.y_m))
        self.waypoint = choose(pose, self.visited)
        if self.waypoint is None:
            self.visited = self.visited[-1:]
            self.start_turn(self.direction)
