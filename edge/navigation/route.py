"""The way to a position around what a floor map shows: cost to go by relaxation, then downhill."""

import math
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from edge.perception.floor_map import BLOCKED, CELL_M, FREE, SIDE, FloorMap
from edge.perception.geometry import Floats, Pose

HARD_M = 0.04  # always kept between hull and obstacles
SOFT_M = 0.25  # a gap below this costs extra
_UNKNOWN_COST = 1.4  # cost per metre of floor that was not seen
_TIGHT_COST = 4.0  # cost per metre at HARD_M from an obstacle
_LEAVE_M = 0.4  # so near to the base even forbidden cells may be crossed: it must get out
_LEAVE_COST = 12.0
_LOOK_AHEAD_M = 1.0
_AS_GOOD = 1.08  # a straight way that costs so much more than the best is still taken
_NEWS_M = 2.4  # side of the square around a vantage point in which the edge of what is known counts
_NEW_SPOT_M = 0.6  # distance from spots that were looked around from before
Mask = NDArray[np.bool_]  # (SIDE, SIDE)
_STEPS = [(dx, dy) for dx in (-1, 0, 1) for dy in (-1, 0, 1) if dx or dy]


@dataclass(frozen=True, slots=True)
class Route:
    """Where to drive next, in the odometry frame, and how far it is to the goal by this way."""

    x_m: float
    y_m: float
    length_m: float


def find_route(
    floor: FloorMap, pose: Pose, x_m: float, y_m: float, stop_m: float, radius_m: float, own_m: float = 0.0
) -> Route | None:
    """Return the way from `pose` to within `stop_m` of (x, y) in the odometry frame; None if there is none.

    What stands within `own_m` of the goal belongs to it, and is not an obstacle.
    """
    to_goal = _distances(floor, x_m, y_m)
    cost = _costs(floor, _distances(floor, pose.x_m, pose.y_m), radius_m, to_goal <= own_m)
    start = floor.cell(pose.x_m, pose.y_m)
    distance = math.hypot(x_m - pose.x_m, y_m - pose.y_m)
    share = max(0.0, 1 - stop_m / distance) if distance else 0.0
    end = floor.cell(pose.x_m + share * (x_m - pose.x_m), pose.y_m + share * (y_m - pose.y_m))
    straight = _straight_cost(cost, start, end)
    if straight <= _AS_GOOD * share * distance:
        return Route(x_m, y_m, straight)
    to_go = _seeds(to_goal, stop_m)
    to_go[~np.isfinite(cost)] = np.inf
    to_go = _relax(to_go, cost)
    if not np.isfinite(to_go[start]):
        return None
    if straight <= _AS_GOOD * to_go[start]:
        return Route(x_m, y_m, straight)
    return Route(*floor.middle(*_downhill(to_go, cost, start)), float(to_go[start]))


def find_vantage(
    floor: FloorMap, pose: Pose, radius_m: float, visited: list[tuple[float, float]]
) -> tuple[float, float] | None:
    """Return a position to look around from, in the odometry frame; None if there is none.

    It is near to the edge of what is known, away from what was `visited`, and not far to drive.
    """
    cost = _costs(floor, _distances(floor, pose.x_m, pose.y_m), radius_m)
    to_reach = np.full((SIDE, SIDE), np.inf, np.float64)
    to_reach[floor.cell(pose.x_m, pose.y_m)] = 0.0
    to_reach = _relax(to_reach, cost)
    away_m = np.full((SIDE, SIDE), np.inf, np.float64)
    for x, y in visited:
        away_m = np.minimum(away_m, _distances(floor, x, y))
    score = np.minimum(_news(floor), 1.5) + 0.5 * np.minimum(away_m, 2.0) - 0.2 * to_reach
    score[(cost > 1.5) | (floor.evidence > FREE) | (away_m < _NEW_SPOT_M)] = -np.inf
    row, column = divmod(int(score.argmax()), SIDE)
    return floor.middle(row, column) if np.isfinite(score[row, column]) else None


def _news(floor: FloorMap) -> Floats:
    """Return the length of the edge between free and unknown floor near to each cell, metres."""
    around = np.ones((3, 3), np.uint8)
    unknown = cv2.dilate((np.abs(floor.evidence) <= -FREE).astype(np.uint8), around) > 0
    walls = cv2.dilate((floor.evidence > BLOCKED).astype(np.uint8), around) > 0
    edge = ((floor.evidence < FREE) & unknown & ~walls).astype(np.float64)
    side = round(_NEWS_M / CELL_M)
    return cv2.boxFilter(edge, -1, (side, side), normalize=False) * CELL_M


def _distances(floor: FloorMap, x_m: float, y_m: float) -> Floats:
    """Return the distances from each cell's middle to a position in the odometry frame, metres."""
    rows, columns = np.indices((SIDE, SIDE))
    origin = floor.middle(0, 0)
    return np.hypot(rows * CELL_M + origin[0] - x_m, columns * CELL_M + origin[1] - y_m)


def _costs(floor: FloorMap, from_base: Floats, radius_m: float, own: Mask | None = None) -> Floats:
    """Return the cost per metre in each cell; infinite without room for the base. `own` cells are free."""
    blocked = floor.evidence > BLOCKED
    if own is not None:
        blocked &= ~own
    gap = cv2.distanceTransform((~blocked).astype(np.uint8), cv2.DIST_L2, 5) * CELL_M - radius_m
    tight = np.maximum(0.0, np.minimum(1.0, (SOFT_M - gap) / (SOFT_M - HARD_M)))
    cost = 1 + (_TIGHT_COST - 1) * tight**2
    cost[floor.evidence > FREE] *= _UNKNOWN_COST
    shut = gap < HARD_M
    cost[shut] = np.where(from_base[shut] < _LEAVE_M, _LEAVE_COST, np.inf)
    cost[blocked] = np.inf
    return cost


def _seeds(to_goal: Floats, stop_m: float) -> Floats:
    """Return the first costs to go: zero at the goal; for one off the grid, straight from its edge."""
    to_go = np.where(to_goal <= max(stop_m, CELL_M), 0.0, np.inf)
    edge = np.ones_like(to_go, bool)
    edge[1:-1, 1:-1] = False
    if not np.isfinite(to_go).any():
        to_go[edge] = to_goal[edge]
    return to_go


def _relax(to_go: Floats, cost: Floats) -> Floats:
    """Relax the costs to go (Bellman) until nothing changes."""
    wide = np.full((SIDE + 2, SIDE + 2), np.inf, np.float64)
    inner = wide[1:-1, 1:-1]
    inner[:] = to_go
    steps = [(dx, dy, cost * CELL_M * math.hypot(dx, dy)) for dx, dy in _STEPS]
    for _ in range(4 * SIDE):
        before = np.copy(inner)
        for dx, dy, step in steps:
            np.minimum(inner, wide[1 + dx : SIDE + 1 + dx, 1 + dy : SIDE + 1 + dy] + step, out=inner)
        if np.array_equal(before, inner):
            break
    return inner


def _downhill(to_go: Floats, cost: Floats, start: tuple[int, int]) -> tuple[int, int]:
    """Return the farthest cell of the way that can be driven to straight, at the way's own cost."""
    here, way = start, [start]
    while len(way) * CELL_M < _LOOK_AHEAD_M and to_go[here] > 0:
        near = [(here[0] + dx, here[1] + dy) for dx, dy in _STEPS]
        near = [(r, c) for r, c in near if 0 <= r < SIDE and 0 <= c < SIDE]
        best = min(near, key=lambda cell: to_go[cell])
        if to_go[best] >= to_go[here]:
            break
        here = best
        way.append(here)
    for cell in reversed(way[1:]):
        if _straight_cost(cost, start, cell) <= _AS_GOOD * float(to_go[start] - to_go[cell]) + CELL_M:
            return cell
    return way[min(1, len(way) - 1)]


def _straight_cost(cost: Floats, a: tuple[int, int], b: tuple[int, int]) -> float:
    """Return the cost of the line between two cells; infinite if it leaves the grid."""
    if a == b:
        return 0.0
    if not all(0 <= i < SIDE for i in b):
        return math.inf
    steps = 2 * max(abs(a[0] - b[0]), abs(a[1] - b[1]))
    along = np.rint(np.linspace(a, b, steps + 1)).astype(int)[1:]
    length_m = math.hypot(a[0] - b[0], a[1] - b[1]) * CELL_M
    return float(cost[along[:, 0], along[:, 1]].mean()) * length_m
