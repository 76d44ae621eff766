"""How far a camera turned between two images, by the flow of points around its upright axis."""

import math

import cv2
import numpy as np
from numpy.typing import NDArray

from edge.perception.geometry import View
from edge.records import CameraMount, Image

MOST_POINTS = 200
LEAST_POINTS = 6
AGREE_RAD, LEAST_SHARE = 0.004, 0.4  # points that turn alike but for this, and how many of them must
CLEAR = 2e-5  # times the noise squared: corners of noise alone have less than 8e-6
_LAPLACE = np.array(
    [[1, -2, 1], [-2, 4, -2], [1, -2, 1]], np.float32
)  # its median over noise is 4.05 times that
_QUALITY, _APART_PX = 0.05, 6
_WINDOW = (21, 21)
_BACK_PX = 0.3  # a point that is tracked there and back comes back so near

Floats = NDArray[np.float64]
Grey = NDArray[np.uint8]


def _points(grey: Grey) -> NDArray[np.float32]:
    """Return corners that stand out of the noise, (N, 1, 2) pixels."""
    strength = cv2.cornerMinEigenVal(cv2.GaussianBlur(grey, (5, 5), 0), 3)
    noise = max(0.5, float(np.median(np.abs(cv2.filter2D(grey.astype(np.float32), -1, _LAPLACE)))) / 4.05)
    quality = max(_QUALITY, CLEAR * noise**2 / max(float(strength.max()), 1e-12))
    if quality >= 1:
        return np.zeros((0, 1, 2), np.float32)
    points = cv2.goodFeaturesToTrack(cv2.GaussianBlur(grey, (5, 5), 0), MOST_POINTS, quality, _APART_PX)
    return np.zeros((0, 1, 2), np.float32) if points is None else np.asarray(points, np.float32)


def _agreed(turns_rad: Floats) -> float | None:
    """Return the turn on which most points agree; None if too few do, as where only noise is tracked."""
    ordered = np.sort(turns_rad)
    until = np.searchsorted(ordered, ordered + AGREE_RAD, "right")
    first = int((until - np.arange(len(ordered))).argmax())
    agreed = ordered[first : until[first]]
    return float(np.median(agreed)) if len(agreed) >= max(LEAST_POINTS, LEAST_SHARE * len(ordered)) else None


class YawFlow:
    """Compares each image with the one before. Images are all of one size."""

    def __init__(self, mount: CameraMount) -> None:
        """Begin without an image. The mount gives angles to pixels; only its scale and pitch count."""
        self._mount = mount
        self._view: View | None = None
        self._before: Grey | None = None

    def take(self, image: Image) -> float | None:
        """Return the turn since the image before, radians, counter-clockwise positive.

        None for the first image, and where too few points are seen in both.
        """
        height, width = image.shape[:2]
        if self._view is None:
            self._view = View(self._mount, width / height)
        grey = np.asarray(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY), np.uint8)
        before, self._before = self._before, grey
        if before is None:
            return None
        points = _points(before)
        if len(points) < LEAST_POINTS:
            return None
        there, seen, _ = cv2.calcOpticalFlowPyrLK(before, grey, points, None, winSize=_WINDOW)  # pyright: ignore
        back, again, _ = cv2.calcOpticalFlowPyrLK(grey, before, there, None, winSize=_WINDOW)  # pyright: ignore
        off_px = np.linalg.norm((back - points).reshape(-1, 2), axis=1)
        good = (seen.ravel() == 1) & (again.ravel() == 1) & (off_px < _BACK_PX)
        if good.sum() < LEAST_POINTS:
            return None
        size = np.array([width, height])
        from_rad = self._azimuths(points.reshape(-1, 2)[good] / size)
        to_rad = self._azimuths(there.reshape(-1, 2)[good] / size)
        return _agreed(from_rad - to_rad)

    def _azimuths(self, at: Floats) -> Floats:
        """Return the angles around the upright axis, to the left, of image positions (N, 2), in shares."""
        assert self._view is not None
        pitch_rad = self._mount.pitch_rad
        left = (0.5 - at[:, 0]) * 2 * self._view.tan_u
        up = (0.5 - at[:, 1]) * 2 * self._view.tan_v
        return np.arctan2(left, math.cos(pitch_rad) + math.sin(pitch_rad) * up)
