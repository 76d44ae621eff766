"""Choose those of many pictures that are least like each other."""

import cv2
import numpy as np
from numpy.typing import NDArray

from edge.records import Image

Floats = NDArray[np.float32]
SAME = 0.01  # two pictures whose thumbnails differ less, on average in [0, 1], count as the same
_SIDE = 8  # height and width of a thumbnail, pixels


def thumbnail(image: Image) -> Floats:
    """Return a picture (H, W, 3) as a point (192,): its colours on a coarse grid, in [0, 1]."""
    small = cv2.resize(image, (_SIDE, _SIDE), interpolation=cv2.INTER_AREA)
    return np.asarray(small.ravel() / 255, np.float32)


def distance(point: Floats, points: Floats) -> Floats:
    """Return the mean difference, [0, 1], of one point (D,) from each of points (N, D)."""
    return np.asarray(np.abs(points - point).mean(1), np.float32)


def most_different(points: Floats, count: int) -> list[int]:
    """Return indices of at most `count` points (N, D), each the farthest from those before it.

    The first is the one nearest to the middle. They are fewer if only doubles (nearer than SAME) are left.
    """
    if not len(points) or not count:
        return []
    chosen = [int(distance(points.mean(0), points).argmin())]
    gap = distance(points[chosen[0]], points)
    while len(chosen) < count:
        farthest = int(gap.argmax())
        if gap[farthest] < SAME:
            break
        chosen.append(farthest)
        gap = np.minimum(gap, distance(points[farthest], points))
    return chosen
