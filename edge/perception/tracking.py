"""Tracking of a box between two answers of the model, by optical flow (pyramidal Lucas-Kanade)."""

from dataclasses import replace
from typing import cast

import cv2
import numpy as np
from numpy.typing import NDArray

from edge.records import Box, Detection, Frame

_WIDTH = 160  # width in pixels of the grey image that points are tracked in
_HISTORY = 16  # frames kept, for boxes that come late
_POINTS = 24
_MIN_POINTS = 5
_MAX_BACK_PX = 1.0  # forward-backward error of a point that is kept
_WINDOW = (15, 15)

Grey = NDArray[np.uint8]
Points = NDArray[np.float32]


class BoxTracker:
    """Moves a box along with the image.

    Give every frame to `advance`, and the model's boxes to `start`, also those of past frames.
    """

    def __init__(self) -> None:
        self._grey: dict[int, Grey] = {}  # by Frame.seq, oldest first
        self._points: Points | None = None  # (N, 1, 2) pixels
        self._seq = -1  # Frame.seq that the points belong to
        self.detection: Detection | None = None

    def stop(self) -> None:
        """Forget the box."""
        self.detection = None
        self._points = None

    def advance(self, frame: Frame) -> Detection | None:
        """Move the box to this frame and return it; None if there is none or it was lost."""
        grey = _grey(frame)
        if self._grey and next(iter(self._grey.values())).shape != grey.shape:
            self._grey.clear()  # no point of one can be found in an image of another shape
            self.stop()
        self._grey[frame.seq] = grey
        while len(self._grey) > _HISTORY:
            del self._grey[next(iter(self._grey))]
        if self.detection is not None and self._seq in self._grey and self._seq != frame.seq:
            self._follow(self._grey[self._seq], grey)
            self._seq = frame.seq
        return self.detection

    def start(self, detection: Detection, frame: Frame) -> Detection | None:
        """Take the model's box in an earlier or the newest frame and move it to the newest frame."""
        self.detection, self._points = detection, None
        origin = self._grey.get(frame.seq)
        if origin is None:
            origin = _grey(frame)
        self._points = _features(origin, detection.box)
        newest = next(reversed(self._grey), frame.seq)
        if newest != frame.seq and self._grey[newest].shape != origin.shape:
            self.stop()
        elif newest != frame.seq:
            self._follow(origin, self._grey[newest])
        self._seq = newest
        return self.detection

    def _follow(self, before: Grey, after: Grey) -> None:
        assert self.detection is not None
        if self._points is None or len(self._points) < _MIN_POINTS:
            self._points = _features(before, self.detection.box)
        if self._points is None or len(self._points) < _MIN_POINTS:
            return  # there are too few corners to follow, so the box stays where the model put it
        old, new = _flow(before, after, self._points)
        if len(new) < _MIN_POINTS:
            self._points = None
            return
        shift = np.median(new - old, axis=0)
        scale = _scale(old, new)
        self._points = new[:, None].astype(np.float32)
        height, width = after.shape
        box = _moved(self.detection.box, float(shift[0]) / width, float(shift[1]) / height, scale)
        self.detection = replace(self.detection, box=box) if box is not None else None


def _grey(frame: Frame) -> Grey:
    height, width = frame.image.shape[:2]
    grey = cv2.cvtColor(frame.image, cv2.COLOR_RGB2GRAY)
    size = (_WIDTH, round(height * _WIDTH / width))
    return np.asarray(cv2.resize(grey, size, interpolation=cv2.INTER_AREA), np.uint8)


def _features(grey: Grey, box: Box) -> Points | None:
    height, width = grey.shape
    mask = np.zeros_like(grey)
    y0, y1 = int(box.y0 * height), max(int(box.y0 * height) + 3, round(box.y1 * height))
    x0, x1 = int(box.x0 * width), max(int(box.x0 * width) + 3, round(box.x1 * width))
    mask[y0:y1, x0:x1] = 255
    # OpenCV's types leave out the None that it returns where there are no corners.
    return cast("Points | None", cv2.goodFeaturesToTrack(grey, _POINTS, 0.02, 2, mask=mask))


def _flow(before: Grey, after: Grey, points: Points) -> tuple[Points, Points]:
    """Return the points that flow there and back again to where they were: (N, 2) before and after."""
    there, ok = _sent(before, after, points)
    back, ok_back = _sent(after, before, there)
    good = ok & ok_back
    good &= np.linalg.norm((back - points)[:, 0], axis=1) < _MAX_BACK_PX
    return points[good, 0], there[good, 0]


def _sent(before: Grey, after: Grey, points: Points) -> tuple[Points, NDArray[np.bool_]]:
    """Return where the points (N, 1, 2) went, and whether each was found there, (N,)."""
    moved, ok, _ = cv2.calcOpticalFlowPyrLK(
        before, after, points, np.empty_like(points), winSize=_WINDOW, maxLevel=3
    )
    return np.asarray(moved, np.float32), np.asarray(ok)[:, 0] == 1


def _scale(old: Points, new: Points) -> float:
    """Return the growth of the cloud of points; 1 if the cloud is too small to tell."""
    spread = np.median(np.linalg.norm(old - np.median(old, 0), axis=1))
    if spread < 2.0:
        return 1.0
    grown = np.median(np.linalg.norm(new - np.median(new, 0), axis=1))
    return max(0.85, min(1.18, float(grown / spread)))


def _moved(box: Box, dx: float, dy: float, scale: float) -> Box | None:
    """Return the box shifted and scaled about its middle, cut at the image's edges; None if it has left."""
    half_x, half_y = (box.x1 - box.x0) / 2 * scale, (box.y1 - box.y0) / 2 * scale
    x, y = box.center_x + dx, (box.y0 + box.y1) / 2 + dy
    y0, x0, y1, x1 = max(0.0, y - half_y), max(0.0, x - half_x), min(1.0, y + half_y), min(1.0, x + half_x)
    if y1 - y0 < 0.01 or x1 - x0 < 0.01:
        return None
    return Box(y0, x0, y1, x1)
