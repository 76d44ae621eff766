"""The floor map: evidence of free and blocked floor on a grid in the odometry frame, around the base."""

import math

import numpy as np

from edge.perception.floor_scan import Scan
from edge.perception.geometry import Floats, Pose, wrap

CELL_M = 0.08
SIDE = 80  # cells: 6.4 m
REACH_M = 2.8  # scans count up to here: positions of farther ends are too inexact
# Odometry drifts as the base moves, so what was seen is forgotten over this way and this turn, and only
# slowly while the base stands: what stood beside it a minute ago, out of view, is still there.
FADE_M, FADE_RAD, FADE_S = 9.0, 36.0, 120.0
BLOCKED, FREE = 0.25, -0.1  # evidence above and below which a cell counts
TOUCHED_RAD = (-0.4, 0.0, 0.4)  # where on the hull, to both sides of the motion, something touched it
_SURE_M = 0.4  # range up to which a scan counts in full; beyond, its gain falls as 1 / range
_GAIN = 0.3  # how far one scan moves the evidence towards -1 or 1
_HIDDEN = 0.4  # evidence for cells nearer than the nearest visible floor if no floor is visible there


class FloorMap:
    """Evidence per cell, from -1 (free) to 1 (blocked); 0 is unknown."""

    def __init__(self, radius_m: float) -> None:
        """Start empty; `radius_m` is the radius of the base, which stands on free floor."""
        self._radius_m = radius_m
        self.evidence = np.zeros((SIDE, SIDE), np.float32)  # [x, y]
        self._corner = (-SIDE // 2, -SIDE // 2)  # cell [0, 0], in cells from the odometry's origin
        self._touched: list[tuple[float, float]] = []  # positions that the base ran into, for good
        self._added: tuple[Pose, int] | None = None  # pose and stamp of the newest scan

    def add(self, scan: Scan, pose: Pose, stamp_ns: int) -> None:
        """Add the evidence of a scan from `pose`, and fade what is older."""
        self._follow(pose)
        if self._added is not None:
            self.evidence *= math.exp(-_aged(*self._added, pose, stamp_ns))
        self._added = (pose, stamp_ns)
        x, y = self._cells_in_base(pose)
        ranges, bearings = np.hypot(x, y), np.arctan2(y, x)
        in_view = (bearings < scan.bearings[0]) & (bearings > scan.bearings[-1])
        middles = -(scan.bearings[1:] + scan.bearings[:-1]) / 2
        column = np.searchsorted(middles, -bearings)
        ends, nearest = scan.ranges[column], scan.nearest[column]
        free = in_view & (ranges > nearest) & (ranges < np.minimum(ends - CELL_M, REACH_M))
        gain = _GAIN * np.minimum(1.0, _SURE_M / np.maximum(ranges, 1e-6))
        self.evidence[free] -= (gain * (1 + self.evidence))[free]
        hidden = in_view & (ends <= 1.03 * nearest) & (ranges < nearest)
        self.evidence[hidden & (np.abs(self.evidence) < -FREE)] = _HIDDEN
        rows, columns = self._cells_of(scan.points[scan.blocked & (scan.ranges < REACH_M)], pose)
        hit = np.zeros_like(free)
        hit[rows, columns] = True
        self.evidence[hit] += (2 * gain * (1 - self.evidence))[hit]
        for x_m, y_m in self._touched:
            row, column = self.cell(x_m, y_m)
            if 0 <= row < SIDE and 0 <= column < SIDE:
                self.evidence[row, column] = 1
        self.evidence[ranges < self._radius_m] = -1

    def touch(self, pose: Pose, bearing_rad: float) -> None:
        """Remember for good that the base at `pose` touched something in this direction."""
        at_m = self._radius_m + CELL_M / 2
        for aside_rad in TOUCHED_RAD:
            x, y = math.cos(bearing_rad + aside_rad), math.sin(bearing_rad + aside_rad)
            self._touched.append(pose.to_world(at_m * x, at_m * y))

    def known(self, points: Floats, pose: Pose) -> bool:
        """Return whether the map has evidence about all the points (N, 2), in the base frame."""
        rows, columns = self._cells_of(points, pose)
        return bool((np.abs(self.evidence[rows, columns]) > -FREE).all()) and len(rows) == len(points)

    def blocked_points(self, pose: Pose, within_m: float) -> Floats:
        """Return the middles of the blocked cells within `within_m` of the base, (N, 2) in its frame."""
        cells = np.argwhere(self.evidence > BLOCKED).astype(np.float64)
        middles = (cells + np.array(self._corner, np.float64) + 0.5) * CELL_M
        points = pose.many_to_base(middles)
        return points[np.hypot(points[:, 0], points[:, 1]) < within_m]

    def cell(self, x_m: float, y_m: float) -> tuple[int, int]:
        """Return the indices of the cell at a position in the odometry frame; may lie outside of the grid."""
        return math.floor(x_m / CELL_M) - self._corner[0], math.floor(y_m / CELL_M) - self._corner[1]

    def middle(self, row: int, column: int) -> tuple[float, float]:
        """Return a cell's middle in the odometry frame, metres; inverse of `cell`."""
        return (row + self._corner[0] + 0.5) * CELL_M, (column + self._corner[1] + 0.5) * CELL_M

    def _cells_in_base(self, pose: Pose) -> tuple[Floats, Floats]:
        x = (np.arange(SIDE) + self._corner[0] + 0.5)[:, None] * CELL_M - pose.x_m
        y = (np.arange(SIDE) + self._corner[1] + 0.5)[None] * CELL_M - pose.y_m
        c, s = math.cos(pose.yaw_rad), math.sin(pose.yaw_rad)
        return c * x + s * y, c * y - s * x

    def _cells_of(self, points: Floats, pose: Pose) -> tuple[np.ndarray, np.ndarray]:
        cells = np.floor(pose.many_to_world(points) / CELL_M).astype(int) - self._corner
        cells = cells[((cells >= 0) & (cells < SIDE)).all(1)]
        return cells[:, 0], cells[:, 1]

    def _follow(self, pose: Pose) -> None:
        """Move the grid if the base is a metre from its middle; cells that fall off are forgotten."""
        row, column = self.cell(pose.x_m, pose.y_m)
        shift = (row - SIDE // 2, column - SIDE // 2)
        if max(map(abs, shift)) * CELL_M < 1.0:
            return
        moved = np.zeros_like(self.evidence)
        (to_x, from_x), (to_y, from_y) = (_overlap(s) for s in shift)
        moved[to_x, to_y] = self.evidence[from_x, from_y]
        self.evidence = moved
        self._corner = (self._corner[0] + shift[0], self._corner[1] + shift[1])


def _aged(before: Pose, before_ns: int, pose: Pose, stamp_ns: int) -> float:
    """Return by how much evidence ages from one scan to the next, in time constants."""
    way_m = math.hypot(pose.x_m - before.x_m, pose.y_m - before.y_m)
    turn_rad = abs(wrap(pose.yaw_rad - before.yaw_rad))
    return way_m / FADE_M + turn_rad / FADE_RAD + max(0, stamp_ns - before_ns) / 1e9 / FADE_S


def _overlap(shift: int) -> tuple[slice, slice]:
    """Return the slices that cells go to and come from when the grid moves by `shift` cells."""
    start, stop = max(0, -shift), min(SIDE, SIDE - shift)
    start, stop = min(start, SIDE), max(stop, 0)
    return slice(start, stop), slice(start + shift, stop + shift) if stop > start else slice(0, 0)
