"""A scene all around a camera, as a picture of it for each heading."""

import math

import cv2
import numpy as np
from numpy.typing import NDArray

from edge.perception.geometry import View
from edge.records import CameraMount, Image

MOUNT = CameraMount(math.radians(55), 0.35, math.radians(12), 0.12)
_SIZE = (128, 768)  # rows for elevations from -1 to 1, columns for all azimuths


def painted(seed: int = 1, cells: tuple[int, int] = (10, 64)) -> Image:
    """Return a panorama of things of random colours."""
    things = np.random.default_rng(seed).integers(0, 255, (*cells, 3), np.uint8)
    return np.asarray(cv2.resize(things, _SIZE[::-1], interpolation=cv2.INTER_LINEAR), np.uint8)


class Surroundings:
    """Shows what a camera sees of a panorama. Everything is far away."""

    def __init__(
        self, panorama: Image, mount: CameraMount = MOUNT, width: int = 320, height: int = 240
    ) -> None:
        self.panorama, self.height, self.width = panorama, height, width
        view = View(mount, width / height)
        u, v = np.meshgrid((np.arange(width) + 0.5) / width, (np.arange(height) + 0.5) / height)
        left, up = (0.5 - u) * 2 * view.tan_u, (0.5 - v) * 2 * view.tan_v
        cos, sin = math.cos(mount.pitch_rad), math.sin(mount.pitch_rad)
        ahead, above = cos + up * sin, up * cos - sin
        self._left_rad = np.arctan2(left, ahead)
        self._up_rad = np.arctan2(above, np.hypot(ahead, left))

    def seen(self, yaw_rad: float, seed: int = 0, noise: float = 4.0) -> Image:
        """Return the image (height, width, 3) at a heading, with the sensor's noise."""
        rows, columns = self.panorama.shape[:2]
        x = ((-(self._left_rad + yaw_rad) / (2 * math.pi)) % 1.0) * columns
        y = (0.5 - self._up_rad / 2) * rows
        image = cv2.remap(
            self.panorama, x.astype(np.float32), y.astype(np.float32), cv2.INTER_LINEAR,
            borderMode=cv2.BORDER_WRAP,
        )  # fmt: skip
        grain: NDArray[np.float32] = np.random.default_rng(seed).standard_normal(image.shape, np.float32)
        return np.clip(image + noise * grain, 0, 255).astype(np.uint8)
