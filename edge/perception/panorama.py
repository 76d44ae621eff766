"""How far a picture turned between two frames, from a small panorama of each.

A panorama has a column for each angle around the camera's upright axis, so a turn of the base shifts it as a
whole, whatever the pitch of the camera. Pure: no clock, no odometry.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from edge.perception.geometry import View
from edge.records import CameraMount, Image

COLUMNS = 128
REACH = 36  # columns; the largest shift that is looked for, to either side
ALIKE = 0.75  # correlation; below, two panoramas do not show the same scene
UNIQUE = 0.15  # by so much the best shift must be more alike than any that lies elsewhere
FORMLESS_STD = 3.0  # grey levels; a panorama that varies less along its rows shows no turn

_STEEPEST_RAD = 0.8  # pitch; a steeper camera sees little but the floor before it
_MARGIN = 0.96  # share of the camera's horizontal field of view that is used
_ROWS = 12  # from the camera's upper edge to its lower one; those that end before the sides are left out
_LEAST_ROWS = 4
_PER_ROW, _PER_COLUMN = 4, 2  # positions of the image that are averaged
_INNER = slice(COLUMNS // 8, COLUMNS - COLUMNS // 8)  # columns that a small turn leaves in both
_BESIDE = 6  # columns around the best shift that belong to it

Grey = NDArray[np.float32]
Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Panoramas:
    """Makes panoramas of one camera's images, all of one shape."""

    column_rad: float  # angle between two columns
    rows: int
    map_px: NDArray[np.int16]  # (4 R, 2 COLUMNS, 2) positions in the image, pixels
    map_part: NDArray[np.uint16]  # and what they lie beside them, as cv2 counts it

    @staticmethod
    def of(mount: CameraMount, width: int, height: int) -> "Panoramas | None":
        """Return the panoramas of a camera; None if it looks too steeply up or down. Sizes in pixels."""
        view = View(mount, width / height)
        across_rad = 2 * _MARGIN * view.half_fov_rad
        left_rad = across_rad * _middles(_PER_COLUMN * COLUMNS)
        up_rad = mount.vertical_fov_rad * _middles(_PER_ROW * _ROWS) - mount.pitch_rad
        u, v = image_positions(view, left_rad[None, :], up_rad[:, None])
        inside = np.flatnonzero(((u > 0) & (u < 1) & (v > 0) & (v < 1)).all(axis=1))
        rows = len(inside) // _PER_ROW
        if rows < _LEAST_ROWS or abs(mount.pitch_rad) > _STEEPEST_RAD:
            return None
        taken = inside[: rows * _PER_ROW]
        x_px, y_px = (u[taken] * width - 0.5).astype(np.float32), (v[taken] * height - 0.5).astype(np.float32)
        map_px, map_part = cv2.convertMaps(x_px, y_px, cv2.CV_16SC2)
        return Panoramas(
            across_rad / COLUMNS, rows, np.asarray(map_px, np.int16), np.asarray(map_part, np.uint16)
        )

    def make(self, image: Image) -> Grey:
        """Return the panorama (R, COLUMNS) of an image (H, W, 3), in grey levels."""
        sampled = cv2.remap(image, self.map_px, self.map_part, cv2.INTER_LINEAR)
        grey = cv2.cvtColor(sampled, cv2.COLOR_RGB2GRAY).astype(np.float32)
        return np.asarray(cv2.resize(grey, (COLUMNS, self.rows), interpolation=cv2.INTER_AREA), np.float32)

    def turn(self, before: Grey, after: Grey) -> float | None:
        """Return how far the camera turned between two panoramas, radians, counter-clockwise positive.

        None if that can't be told: too little form, another scene, or a turn beyond REACH columns.
        """
        middle = flat(after[:, REACH:-REACH])
        if middle.std() < FORMLESS_STD:
            return None
        alike = cv2.matchTemplate(flat(before), middle, cv2.TM_CCOEFF_NORMED)[0]
        best = int(alike.argmax())
        left, right = alike[: max(0, best - _BESIDE)], alike[best + _BESIDE + 1 :]
        elsewhere = max(float(left.max(initial=-1.0)), float(right.max(initial=-1.0)))
        if alike[best] < max(ALIKE, elsewhere + UNIQUE):
            return None
        # A turn to the left moves the scene to the right, so its middle was farther left before.
        return (REACH - best - _peak(alike, best)) * self.column_rad

    def difference(self, before: Grey, after: Grey, turns_rad: Sequence[float]) -> float:
        """Return by how many grey levels two panoramas differ on average, but for the best of some turns."""
        columns = np.array(turns_rad)[:, None] / -self.column_rad + np.arange(COLUMNS)[_INNER]
        columns = np.minimum(np.maximum(columns, 0), COLUMNS - 1.001)  # (T, those of _INNER)
        whole = columns.astype(np.intp)
        share, one = (columns - whole).astype(np.float32), flat(before)
        moved = one[:, whole] * (1 - share) + one[:, whole + 1] * share
        return float(np.abs(moved - flat(after)[:, None, _INNER]).mean(axis=(0, 2)).min())


def image_positions(view: View, left_rad: Floats, up_rad: Floats) -> tuple[Floats, Floats]:
    """Return the image positions u, v of directions seen from the base; NaN for those behind the camera."""
    ahead, left = np.cos(up_rad) * np.cos(left_rad), np.cos(up_rad) * np.sin(left_rad)
    up = np.sin(up_rad) + np.zeros_like(left_rad)
    cos, sin = math.cos(view.mount.pitch_rad), math.sin(view.mount.pitch_rad)
    depth, height = ahead * cos - up * sin, ahead * sin + up * cos
    depth = np.where(depth > 1e-3, depth, np.nan)
    return 0.5 - left / depth / (2 * view.tan_u), 0.5 - height / depth / (2 * view.tan_v)


def flat(panorama: Grey) -> Grey:
    """Return a panorama without what all its columns share: the light, and lines along the rows."""
    return panorama - panorama.mean(axis=1, keepdims=True)


def _middles(count: int) -> Floats:
    """Return the middles of `count` equal parts, from 0.5 down to -0.5."""
    return 0.5 - (np.arange(count) + 0.5) / count


def _peak(values: Grey, best: int) -> float:
    """Return by how much a peak lies beside its highest value, [-0.5, 0.5], by a parabola."""
    if not 0 < best < len(values) - 1:
        return 0.0
    left, top, right = (float(value) for value in values[best - 1 : best + 2])
    bend = left - 2 * top + right
    return 0.5 * (left - right) / bend if bend < 0 else 0.0
