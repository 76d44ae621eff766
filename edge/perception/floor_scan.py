"""Floor scans: how far the floor is free in each column of one camera's image.

A small net predicts at which image row the floor ends; the camera's geometry turns the row into a position.
"""

import math
from dataclasses import dataclass

import numpy as np

from edge.bundle.manifest import ImageSpec
from edge.interfaces import Engine, TensorSpec
from edge.model.images import image_to_tensor
from edge.perception.geometry import COLUMNS, Floats, View
from edge.records import Image

MAX_RANGE_M = 6.0
FLOOR_IMAGE = ImageSpec(height=72, width=96, resize="area", mean=(0.5, 0.5, 0.5), std=(0.5, 0.5, 0.5))
# The stage "floor": an image in, the row where the floor ends in each column out, as fractions from the top.
FLOOR_INPUT = TensorSpec("pixels", np.dtype(np.float32), (1, 3, FLOOR_IMAGE.height, FLOOR_IMAGE.width))
FLOOR_OUTPUT = TensorSpec("rows", np.dtype(np.float32), (1, COLUMNS))


@dataclass(frozen=True, slots=True)
class Scan:
    """The ends of the floor: points (N, 2) in the base frame, metres, one per column, left to right."""

    points: Floats
    blocked: np.ndarray  # (N,) bool: False if the floor goes on beyond MAX_RANGE_M or to the horizon
    bearings: Floats  # (N,) radians from the base, left positive
    ranges: Floats  # (N,) metres from the base, at most MAX_RANGE_M
    nearest: Floats  # (N,) metres from the base to the nearest floor that the camera can see there


class FloorScanner:
    """The floor graph of a bundle, driven with one camera's geometry."""

    def __init__(self, engine: Engine, view: View) -> None:
        """Take the engine of a floor graph. Raises ValueError if it is not one."""
        check_floor(engine)
        self._engine = engine
        self._view = view

    def scan(self, image: Image) -> Scan:
        """Scan an RGB image (H, W, 3) uint8."""
        rows = self._engine.run({FLOOR_INPUT.name: image_to_tensor(image, FLOOR_IMAGE)})[FLOOR_OUTPUT.name]
        return scan_of(rows[0], self._view)


def check_floor(engine: Engine) -> None:
    """Check that an engine runs a floor graph. Raises ValueError if not."""
    if tuple(engine.inputs) != (FLOOR_INPUT,) or tuple(engine.outputs) != (FLOOR_OUTPUT,):
        raise ValueError(f"not a floor graph: it takes {engine.inputs} and gives {engine.outputs}")


def scan_of(rows: np.ndarray, view: View) -> Scan:
    """Return the scan for the image rows (N,), fractions of the height, where N columns of floor end."""
    points = _floor_points(np.asarray(rows, np.float64), view)
    ranges = np.hypot(points[:, 0], points[:, 1])
    bearings = np.arctan2(points[:, 1], points[:, 0])
    points *= np.minimum(1.0, MAX_RANGE_M / ranges)[:, None]
    lowest = _floor_points(np.ones(len(rows)), view)
    nearest = np.hypot(lowest[:, 0], lowest[:, 1])
    return Scan(points, ranges < MAX_RANGE_M, bearings, np.minimum(ranges, MAX_RANGE_M), nearest)


def _floor_points(rows: Floats, view: View) -> Floats:
    """Return the floor points at these rows, in the middle of each of N columns, (N, 2) in the base frame."""
    up = (0.5 - rows) * 2 * view.tan_v
    left = (0.5 - (np.arange(len(rows)) + 0.5) / len(rows)) * 2 * view.tan_u
    cos, sin = math.cos(view.mount.pitch_rad), math.sin(view.mount.pitch_rad)
    down = np.maximum(sin - up * cos, 1e-3)  # at the horizon and above: farther than anything
    scale = view.mount.height_m / down
    return np.stack([view.mount.forward_m + scale * (cos + up * sin), scale * left], 1)
