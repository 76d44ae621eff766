"""Ways over the true floor of a room: where the base fits, and how far an object is from everywhere.

World frame, metres. The room stands still, so that one relaxation answers for all poses.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

import cv2
import numpy as np

from edge.perception.geometry import Floats
from sim.world import World

CELL_M = 0.05
HARD_M = 0.05  # always kept between hull and obstacles
SOFT_M = 0.3  # a smaller gap costs extra
_TIGHT_COST = 5.0  # more per metre, at the hard limit
_HEADROOM_M = 0.42  # what is above this is driven under
_LOOK_AHEAD_M = 1.0
_AS_GOOD = 1.04  # a straight way that costs so much more than one from cell to cell is still taken
_RAYS = [
    (dx * CELL_M / 4, dy * CELL_M / 4) for dx in (-1, 1) for dy in (-1, 1)
]  # a chair's leg is 4 cm thick
_STEPS = [(dx, dy) for dx in (-1, 0, 1) for dy in (-1, 0, 1) if dx or dy]


@dataclass(frozen=True, slots=True)
class Way:
    """The way to one object from everywhere."""

    to_go: Floats  # (nx, ny) cost to its end, metres if there is room; inf: no way


class WayMap:
    """The room that the base has, in cells of CELL_M over the whole floor."""

    def __init__(self, world: World) -> None:
        self._half = (world.scene.width_m / 2, world.scene.depth_m / 2)
        blocked = _blocked(world, self._middles())
        outside = np.pad(~blocked, 1).astype(np.uint8)
        apart = cv2.distanceTransform(outside, cv2.DIST_L2, 5)[1:-1, 1:-1].astype(np.float64)
        self.gap = apart * CELL_M - CELL_M / 2 - world.base.radius_m  # hull to obstacle, m
        tight = np.clip((SOFT_M - self.gap) / (SOFT_M - HARD_M), 0.0, 1.0)
        self._cost = np.where(self.gap < HARD_M, np.inf, 1 + _TIGHT_COST * tight**2)

    def way(
        self, ends: Callable[[float, float], bool], x_m: float, y_m: float, within_m: float
    ) -> Way | None:
        """Return the way to positions within `within_m` of (x, y) for which the base fits and `ends` is true.

        None if there are no such positions.
        """
        x, y = self._middles()
        near = (np.hypot(x - x_m, y - y_m) <= within_m) & np.isfinite(self._cost)
        to_go = np.full(self._cost.shape, np.inf)
        for cell in np.argwhere(near):
            if ends(*self.middle(*cell)):
                to_go[tuple(cell)] = 0.0
        return Way(_relax(to_go, self._cost)) if np.isfinite(to_go).any() else None

    def cell(self, x_m: float, y_m: float) -> tuple[int, int]:
        """Return the indices of the cell that holds a position; outside the room, of the nearest cell."""
        (nx, ny), (hx, hy) = self._cost.shape, self._half
        row, column = math.floor((x_m + hx) / CELL_M), math.floor((y_m + hy) / CELL_M)
        return min(max(row, 0), nx - 1), min(max(column, 0), ny - 1)

    def middle(self, row: int, column: int) -> tuple[float, float]:
        """Return a cell's middle; inverse of `cell`."""
        return (row + 0.5) * CELL_M - self._half[0], (column + 0.5) * CELL_M - self._half[1]

    def waypoint(self, way: Way, x_m: float, y_m: float) -> tuple[float, float]:
        """Return where to drive next, straight: at most _LOOK_AHEAD_M off.

        From a position in which the base does not fit, or which has no way, it is the nearest that has one.
        """
        start = self.cell(x_m, y_m)
        if not np.isfinite(way.to_go[start]):
            free = np.argwhere(np.isfinite(way.to_go))
            start = tuple(free[np.abs(free - start).sum(1).argmin()])
            return self.middle(*start)
        cells = [start]
        while len(cells) * CELL_M < _LOOK_AHEAD_M and way.to_go[cells[-1]] > 0:
            cells.append(self._downhill(way.to_go, cells[-1]))
        for cell in reversed(cells[2:]):
            if self._straight_cost(start, cell) <= _AS_GOOD * (way.to_go[start] - way.to_go[cell]):
                return self.middle(*cell)
        return self.middle(*cells[min(1, len(cells) - 1)])

    def _middles(self) -> tuple[Floats, Floats]:
        nx, ny = (math.ceil(2 * half / CELL_M) for half in self._half)
        x = (np.arange(nx, dtype=np.float64)[:, None] + 0.5) * CELL_M - self._half[0]
        y = (np.arange(ny, dtype=np.float64)[None] + 0.5) * CELL_M - self._half[1]
        return x, y

    def _downhill(self, to_go: Floats, here: tuple[int, int]) -> tuple[int, int]:
        """Return the neighbour on the cheapest way. `here` must have a way, and not be its end."""
        nx, ny = to_go.shape
        near = [(here[0] + dx, here[1] + dy) for dx, dy in _STEPS]
        near = [(row, column) for row, column in near if 0 <= row < nx and 0 <= column < ny]
        return min(near, key=lambda c: to_go[c] + self._cost[here] * CELL_M * math.dist(c, here))

    def _straight_cost(self, a: tuple[int, int], b: tuple[int, int]) -> float:
        steps = 2 * max(abs(a[0] - b[0]), abs(a[1] - b[1]))
        along = np.rint(np.linspace(a, b, steps + 1)).astype(int)[1:]
        return float(self._cost[along[:, 0], along[:, 1]].mean()) * math.dist(a, b) * CELL_M


def _blocked(world: World, middles: tuple[Floats, Floats]) -> np.ndarray:
    """Return the cells in which rays down from the hull's top find something before the floor."""
    import mujoco

    x, y = np.broadcast_arrays(*middles)
    blocked = np.zeros(x.shape, bool)
    near = np.zeros_like(blocked)
    for solid in (*world.scene.objects, *world.scene.clutter):
        near |= np.hypot(x - solid.x_m, y - solid.y_m) <= solid.radius_m + CELL_M
    down, hit = np.array([0.0, 0.0, -1.0]), np.zeros(1, np.int32)
    groups = np.array([1, 1, 1, 1, 0, 1], np.uint8)  # not the base itself
    for row, column in np.argwhere(near):
        for dx, dy in _RAYS:
            eye = np.array([x[row, column] + dx, y[row, column] + dy, _HEADROOM_M])
            # Body 0 is left out: the floor and the walls.
            if mujoco.mj_ray(world.model, world.data, eye, down, groups, 1, 0, hit) >= 0:
                blocked[row, column] = True
                break
    return blocked


def _relax(to_go: Floats, cost: Floats) -> Floats:
    """Relax the costs to go (Bellman) until nothing changes."""
    nx, ny = to_go.shape
    wide = np.full((nx + 2, ny + 2), np.inf)
    inner = wide[1:-1, 1:-1]
    inner[:] = to_go
    steps = [(dx, dy, cost * CELL_M * math.hypot(dx, dy)) for dx, dy in _STEPS]
    while True:
        before = inner.copy()
        for dx, dy, step in steps:
            np.minimum(inner, wide[1 + dx : nx + 1 + dx, 1 + dy : ny + 1 + dy] + step, out=inner)
        if np.array_equal(before, inner):
            return inner
