"""Which of many pictures to keep: those least like each other."""

import cv2
import numpy as np
from numpy.typing import NDArray

from edge.records import Image

Floats = NDArray[np.float32]
SAME = 0.01  # mean difference of two thumbnails, as a share of the range, under which pictures are the same
_SIDE = 8  # pixels of a thumbnail


def thumbnail(image: Image) -> Floats:
    """A picture (H, W, 3) as a point (192,): its colours on a coarse grid, in [0, 1]."""
    small = cv2.resize(image, (_SIDE, _SIDE), interpolation=cv2.INTER_AREA)
    return np.asarray(small.ravel() / 255, np.float32)


def distance(point: Floats, points: Floats) -> Floats:
    """From one point (D,) to each of points (N, D): the mean difference, [0, 1]."""
    return np.asarray(np.abs(points - point).mean(1), np.float32)


def most_different(points: Floats, count: int) -> list[int]:
    """Indices of at most `count` points (N, D), each the farthest from those before it, beginning with the
    one nearest to the middle. It stops early where only doubles (nearer than SAME) are left."""
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
