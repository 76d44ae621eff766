"""Views of a board: which are good enough, which say nothing new, and which are still missing."""

import math
from collections import Counter
from dataclasses import dataclass, field

import cv2
import numpy as np
from numpy.typing import NDArray

from calibration.camera.boards import CalibrationBoard, Corners
from edge.records import Image

Floats = NDArray[np.float64]
FEWEST_VIEWS = 12
MOST_VIEWS = 60  # more take long and tell little
BLURRED_PX = 4.0  # width of an edge between black and white
BLURRED_SHARE = 0.4  # the same, as a share of a square's side
SMALLEST_SQUARE_PX = 6.0
SAME_SHARE = 0.02  # corners that moved less, as a share of the image's width, are the same view
STILL_SHARE = 0.004  # and less than this from one live image to the next: the board is held still
TILTED_RAD = math.radians(12)
NEAR_FAR = 1.4  # the nearest view shows the board at least so many times as large as the farthest
OUTER = 0.22  # share of the image's height and width that counts as its edge
REGIONS = (
    ("top left", "top", "top right"),
    ("left", "middle", "right"),
    ("bottom left", "bottom", "bottom right"),
)
TILTS = ("left", "right", "up", "down")


@dataclass(frozen=True, slots=True)
class BoardView:
    """One accepted view."""

    name: str  # file, or time in a video
    corners: Corners
    edge_px: float  # width of an edge between black and white
    square_px: float  # side of a square, on average

    @property
    def ids(self) -> NDArray[np.int64]:
        """The numbers of the corners that it shows, (N,)."""
        return self.corners.ids

    @property
    def at_px(self) -> Floats:
        """Where they are, (N, 2)."""
        return self.corners.at_px


@dataclass
class ViewCollector:
    """Takes images of a board, and keeps the views that a calibration needs."""

    board: CalibrationBoard
    live: bool = False  # a view counts only once the board is held still
    views: list[BoardView] = field(default_factory=list)
    dropped: Counter[str] = field(default_factory=Counter)  # by reason
    size_px: tuple[int, int] | None = None  # width and height of all images
    offered: int = 0
    sample: Image | None = None  # the image of the newest accepted view
    _before: Corners | None = None

    def offer(self, name: str, image: Image) -> str:
        """Take an image (H, W, 3); returns why it is dropped, empty if it is kept."""
        self.offered += 1
        size_px = image.shape[1], image.shape[0]
        self.size_px = self.size_px or size_px
        if size_px != self.size_px:
            return self._drop("of another size than the first")
        grey = np.asarray(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY), np.uint8)
        corners = self.board.find(grey)
        before, self._before = self._before, corners
        if corners is None:
            return self._drop("no board in it, or too blurred to read")
        edge_px, square_px = sharpness(grey, self.board, corners)
        if square_px < SMALLEST_SQUARE_PX:
            return self._drop("the board is too far away")
        if edge_px > min(BLURRED_PX, max(2.0, BLURRED_SHARE * square_px)):
            return self._drop("blurred")
        if self.live and (before is None or _moved(before, corners) > STILL_SHARE * size_px[0]):
            return self._drop("the board moves")
        if any(_moved(view.corners, corners) < SAME_SHARE * size_px[0] for view in self.views):
            return self._drop("like one before")
        self.views.append(BoardView(name, corners, edge_px, square_px))
        self.sample = image
        return ""

    def _drop(self, why: str) -> str:
        self.dropped[why] += 1
        return why

    @property
    def regions(self) -> dict[str, int]:
        """How many views have a corner in each region of the image."""
        assert self.size_px is not None
        found: Counter[str] = Counter()
        for view in self.views:
            shares = view.at_px / self.size_px
            column, row = (np.digitize(shares[:, axis], [OUTER, 1 - OUTER]) for axis in (0, 1))
            found.update({REGIONS[r][c] for c, r in zip(column, row, strict=True)})
        return {name: found[name] for row in REGIONS for name in row}

    @property
    def tilts(self) -> dict[str, int]:
        """How many views show the board tilted to each side."""
        found: Counter[str] = Counter()
        for view in self.views:
            across_rad, down_rad = self._tilt(view)
            found["left"] += across_rad < -TILTED_RAD
            found["right"] += across_rad > TILTED_RAD
            found["up"] += down_rad < -TILTED_RAD
            found["down"] += down_rad > TILTED_RAD
        return {name: found[name] for name in TILTS}

    @property
    def near_far(self) -> float:
        """How many times as large the nearest view shows the board as the farthest."""
        sizes = [view.square_px for view in self.views]
        return max(sizes) / min(sizes) if sizes else 1.0

    def missing(self) -> list[str]:
        """Return what to show the camera next, the most needed first; empty if nothing is missing."""
        needs = [f"the board at the {name} of the image" for name, n in self.regions.items() if not n]
        needs += [f"the board tilted to face {name}" for name, n in self.tilts.items() if not n]
        if self.near_far < NEAR_FAR:
            needs.append(f"the board nearer and farther (so far {self.near_far:.1f} times, {NEAR_FAR:g})")
        if not needs and len(self.views) < FEWEST_VIEWS:
            needs.append(f"{FEWEST_VIEWS - len(self.views)} more, each different")
        return needs

    def _tilt(self, view: BoardView) -> tuple[float, float]:
        """Return how far the board faces right and down, radians, by a guess of the focal length."""
        assert self.size_px is not None
        width, height = self.size_px
        guess = np.array([[width, 0, width / 2], [0, width, height / 2], [0, 0, 1]], np.float64)
        _, turn, _ = cv2.solvePnP(self.board.points_m[view.ids], view.at_px, guess, None)
        normal = cv2.Rodrigues(turn)[0][:, 2]
        normal = -normal if normal[2] > 0 else normal  # towards the camera
        return math.atan2(normal[0], -normal[2]), math.atan2(normal[1], -normal[2])


def _moved(first: Corners, second: Corners) -> float:
    """Return how far the corners that both show are apart, pixels; infinity if they share too few."""
    _, a, b = np.intersect1d(first.ids, second.ids, return_indices=True)
    share = len(a) / max(len(first.ids), len(second.ids))
    if share < 0.7:
        return math.inf
    return float(np.median(np.hypot(*(first.at_px[a] - second.at_px[b]).T)))


def sharpness(grey: NDArray[np.uint8], board: CalibrationBoard, corners: Corners) -> tuple[float, float]:
    """Return the width of an edge between black and white, and the side of a square, both in pixels.

    An edge is as wide as the step in brightness over the steepest slope across it. The wider of the two
    directions counts: a board that moves is blurred along its way alone.
    """
    place = {int(number): at for number, at in zip(corners.ids, corners.at_px, strict=True)}
    widths: list[float] = []
    sides: list[float] = []
    for number, at in place.items():
        right = place.get(number + 1) if (number + 1) % board.columns else None
        below = place.get(number + board.columns)
        if right is None or below is None:
            continue
        across, down = right - at, below - at
        side = float(min(np.hypot(*across), np.hypot(*down)))
        sides.append(float(np.hypot(*across) + np.hypot(*down)) / 2)
        reach = max(3, round(0.3 * side))
        x, y = (round(float(v)) for v in at)
        patch = grey[max(0, y - reach) : y + reach + 1, max(0, x - reach) : x + reach + 1].astype(np.float32)
        if min(patch.shape) < 5:
            continue
        slope_x, slope_y = np.gradient(patch, axis=1), np.gradient(patch, axis=0)
        step = float(np.percentile(patch, 95) - np.percentile(patch, 5))
        steepest = min(
            float(np.percentile(np.abs(slope_x * way[0] + slope_y * way[1]), 97))
            for way in (across / np.hypot(*across), down / np.hypot(*down))
        )
        widths.append(step / max(steepest, 1e-3))
    if not widths:
        return math.inf, 0.0
    return float(np.median(widths)), float(np.median(sides))
