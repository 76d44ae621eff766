"""What is measured of a camera's frames, one after the other: stamps, rate, repeats, light, and turns."""

import math
from collections import deque
from statistics import median_low

import cv2
import numpy as np
from numpy.typing import NDArray

from edge.records import Frame, Image, Odometry, StopCause

LEAST_RATE_HZ = 5.0  # a frame that is older than 250 ms stops a drive
AHEAD_NS = 5_000_000  # a stamp further ahead of the clock is wrong
BEHIND_NS = 1_000_000_000  # a newest frame so old is from another clock, if newer ones keep coming
CLOCK_FRAMES = 3  # so many in a row tell another clock from a slip
ODD_WINDOW = 30  # frames whose stamps are remembered
BLACK_LEVEL, WHITE_LEVEL = 12.0, 243.0  # grey levels: all of the picture is below, or above
FORMLESS_STD = 2.5  # grey levels; a picture that varies less has no form
COVERED_WITHIN_NS, COVERED_SHARE = 300_000_000, 0.5  # so quickly, in so much of it, a cover takes a form away
COVER_LEVELS = 10.0  # grey levels by which a cover changes a part of the picture, at least
FORMLESS_RAD = 2.4  # a wall before a lens of 43 degrees or more fills it through a turn of no more than this
TURNED_RAD, TURNED_S = 0.4, 0.4  # so far and so long the base turned, and the picture stayed
STILL_SHARE = 0.15  # share of the picture's contrast; what changed less has not changed
CONTRAST_STD = 10.0  # grey levels along its rows; a picture with less looks the same after many a turn
PLAIN_RAD = math.pi  # but not after half a circle

_GRID = (64, 48)  # width and height of the pixels that are looked at
_CELLS = (16, 12)  # width and height of what the grid is averaged to, so that noise counts little
_RATE_WINDOW_NS = 2_000_000_000
_RATE_LEAST_NS = 1_000_000_000
_RATE_TOLERANCE = 0.95

Grey = NDArray[np.float32]


class Stamps:
    """Tells stamps that are of this clock, and grow, from others."""

    def __init__(self) -> None:
        self.ahead_ns: int | None = None  # lead of the newest frame on another clock; below 0: behind
        self.newest_ahead_ns = 0  # lead of the newest frame, whatever it is; below 0: it has an age
        self._newest_ns = -1
        self._wrong_clock = 0  # frames in a row
        self._odd: deque[bool] = deque(maxlen=ODD_WINDOW)

    @property
    def odd(self) -> int:
        """The number of the last frames whose stamps are odd."""
        return sum(self._odd)

    @property
    def judged(self) -> int:
        """The number of those last frames, ODD_WINDOW at most."""
        return len(self._odd)

    def take(self, stamp_ns: int, now_ns: int) -> bool:
        """Note a stamp. Returns False if it is odd: ahead of the clock, or not after the one before."""
        self.newest_ahead_ns = ahead_ns = stamp_ns - now_ns
        off = ahead_ns > AHEAD_NS or ahead_ns < -BEHIND_NS
        self._wrong_clock = self._wrong_clock + 1 if off else 0
        self.ahead_ns = ahead_ns if self._wrong_clock >= CLOCK_FRAMES else None
        odd = ahead_ns > AHEAD_NS or stamp_ns <= self._newest_ns
        self._odd.append(odd)
        if not odd:
            self._newest_ns = stamp_ns
        return not odd


class Rate:
    """Measures frames a second, with those that the camera counted and nobody saw.

    The rate is that of the median gap: one long gap is a camera that was away, and not a slow one.
    """

    def __init__(self) -> None:
        self.slow_hz: float | None = None  # the rate, if it is too low
        self._taken: deque[tuple[int, int]] = deque()  # stamp_ns and seq
        self._gaps_ns: deque[float] = deque()  # between those, for each frame that the camera counted

    def take(self, frame: Frame) -> None:
        """Note a frame."""
        if self._taken:
            before_ns, before = self._taken[-1]
            self._gaps_ns.append((frame.stamp_ns - before_ns) / max(1, frame.seq - before))
        self._taken.append((frame.stamp_ns, frame.seq))
        while frame.stamp_ns - self._taken[0][0] > _RATE_WINDOW_NS and len(self._taken) > 3:
            self._taken.popleft()
            self._gaps_ns.popleft()
        self.slow_hz = None
        if frame.stamp_ns - self._taken[0][0] < _RATE_LEAST_NS:
            return
        gap_ns = median_low(self._gaps_ns)
        self.slow_hz = 1e9 / gap_ns if gap_ns * _RATE_TOLERANCE * LEAST_RATE_HZ > 1e9 else None


class Repeats:
    """Measures for how long a camera has shown one and the same content."""

    def __init__(self) -> None:
        self._image: Image | None = None
        self._grid = b""
        self._since_ns = 0

    def take(self, frame: Frame, grid: Image) -> float:
        """Return the seconds since the first frame of this content."""
        looked_at = grid.tobytes()
        # The grid leaves most pixels out, so all of them are compared where it is the same.
        same = looked_at == self._grid and self._image is not None and _equal(self._image, frame.image)
        if not same:
            self._image, self._grid, self._since_ns = frame.image, looked_at, frame.stamp_ns
        return (frame.stamp_ns - self._since_ns) / 1e9


class Lighting:
    """Measures for how long a picture has been black, white, or without any form by a cover.

    A plain wall before the lens has no form either. But what turns towards one sees it come from the side,
    and sees something else after a further turn; a hand takes away the whole picture at once.
    """

    def __init__(self) -> None:
        self._cause = StopCause.NONE
        self._since_ns = 0
        self._formed: deque[tuple[int, Grey]] = deque()  # stamps and cells of late, with a form
        self._covered = False
        self._yaw_rad: float | None = None  # where the form was lost

    def take(self, cells: Grey, stamp_ns: int, odometry: Odometry | None) -> tuple[StopCause, float]:
        """Return the cause and the seconds that it lasts; NONE and 0 s for a picture with light and form."""
        cause = self._cause_of(cells, stamp_ns, odometry)
        if cause is not self._cause:
            self._cause, self._since_ns = cause, stamp_ns
        return cause, 0.0 if cause is StopCause.NONE else (stamp_ns - self._since_ns) / 1e9

    def _cause_of(self, cells: Grey, stamp_ns: int, odometry: Odometry | None) -> StopCause:
        lowest, highest, _, _ = cv2.minMaxLoc(cells)
        if highest <= BLACK_LEVEL:
            return StopCause.CAMERA_BLACK
        if lowest >= WHITE_LEVEL:
            return StopCause.CAMERA_WHITE
        return StopCause.CAMERA_COVERED if self._is_covered(cells, stamp_ns, odometry) else StopCause.NONE

    def _is_covered(self, cells: Grey, stamp_ns: int, odometry: Odometry | None) -> bool:
        while self._formed and stamp_ns - self._formed[0][0] > COVERED_WITHIN_NS:
            self._formed.popleft()
        if cv2.meanStdDev(cells)[1][0, 0] > FORMLESS_STD:
            self._covered, self._yaw_rad = False, None
            self._formed.append((stamp_ns, cells))
            return False
        changed = (np.abs(before - cells) > COVER_LEVELS for _, before in self._formed)
        self._covered |= any(cells.mean() >= COVERED_SHARE for cells in changed)
        if odometry is not None and math.isfinite(odometry.yaw_rad):
            self._yaw_rad = odometry.yaw_rad if self._yaw_rad is None else self._yaw_rad
            turned_rad = math.remainder(odometry.yaw_rad - self._yaw_rad, 2 * math.pi)
            self._covered |= abs(turned_rad) >= FORMLESS_RAD
        return self._covered


class Turns:
    """Notices a picture that stays the same while the odometry turns."""

    def __init__(self) -> None:
        self._cells: Grey | None = None
        self._since_ns = 0
        self._yaw_rad = 0.0
        self._turned_rad = 0.0

    def take(self, cells: Grey, stamp_ns: int, odometry: Odometry | None) -> float | None:
        """Return how far the base turned without a change, radians; None if there is nothing to say."""
        if odometry is None or not math.isfinite(odometry.yaw_rad):
            self._cells = None
            return None
        before, contrast = self._cells, contrast_of(cells)
        if before is None or _change(before, cells) > STILL_SHARE * max(contrast, CONTRAST_STD):
            self._cells, self._since_ns = cells, stamp_ns
            self._yaw_rad, self._turned_rad = odometry.yaw_rad, 0.0
            return None
        self._turned_rad += math.remainder(odometry.yaw_rad - self._yaw_rad, 2 * math.pi)
        self._yaw_rad = odometry.yaw_rad
        needed_rad = TURNED_RAD if contrast >= CONTRAST_STD else PLAIN_RAD
        far = abs(self._turned_rad) >= needed_rad and stamp_ns - self._since_ns >= TURNED_S * 1e9
        return abs(self._turned_rad) if far else None


def grid_of(image: Image) -> Image:
    """Return (48, 64, 3) pixels of an image (H, W, 3), evenly apart."""
    return np.asarray(cv2.resize(image, _GRID, interpolation=cv2.INTER_NEAREST), np.uint8)


def cells_of(grid: Image) -> Grey:
    """Return mean grey levels (12, 16) of a grid."""
    grey = cv2.cvtColor(grid, cv2.COLOR_RGB2GRAY)
    return np.asarray(cv2.resize(grey, _CELLS, interpolation=cv2.INTER_AREA), np.float32)


def contrast_of(cells: Grey) -> float:
    """Return how much grey levels vary along the rows: a turn leaves what is the same all along as it was.

    It is their standard deviation about the mean of their row. Grey levels are whole: the sums are exact.
    """
    rows = cv2.reduce(cells, 1, cv2.REDUCE_SUM)
    squares = cv2.norm(cells, cv2.NORM_L2SQR) - cv2.norm(rows, cv2.NORM_L2SQR) / cells.shape[1]
    return math.sqrt(max(0.0, squares) / cells.size)


def _change(before: Grey, after: Grey) -> float:
    return cv2.norm(before, after, cv2.NORM_L1) / before.size


def _equal(one: Image, other: Image) -> bool:
    """Return True if two images are the same, eight bytes at a time where that goes."""
    if one.shape != other.shape:
        return False
    if one.size % 8 == 0 and one.flags.c_contiguous and other.flags.c_contiguous:
        return np.array_equal(np.frombuffer(one, np.uint64), np.frombuffer(other, np.uint64))
    return np.array_equal(one, other)
