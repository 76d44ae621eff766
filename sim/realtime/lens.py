"""A simulated camera whose lens bends straight lines: a wider image is drawn, and bent."""

import math
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from edge.errors import UsageError
from edge.perception.lens import BROWN, Lens

DISTORTION = (-0.15, 0.3)  # k1: below zero as a barrel, above as a cushion
LARGEST_PX = (640, 480)  # that MuJoCo draws off screen, see `sim.scene`


def bent_lens(width: int, height: int, vertical_fov_rad: float, distortion: float) -> Lens:
    """Return the lens of a camera that would show so much without the distortion."""
    focal_px = height / 2 / math.tan(vertical_fov_rad / 2)
    centre_px = (width - 1) / 2, (height - 1) / 2
    return Lens(BROWN, (width, height), (focal_px, focal_px), centre_px, (distortion, 0.0, 0.0, 0.0, 0.0))


@dataclass(frozen=True)
class Bending:
    """How a wide image is bent into what the lens shows."""

    size_px: tuple[int, int]  # width and height of the wide image
    vertical_fov_rad: float  # that it shows
    map_px: NDArray[np.float32]  # (height, width, 2): where each pixel of the bent image is in it

    @classmethod
    def of(cls, lens: Lens) -> "Bending":
        """Return what a lens needs. Raises UsageError if it shows nothing in the corners of its image."""
        width, height = lens.size_px
        x, y = np.meshgrid(np.arange(width), np.arange(height))
        rays = lens.rays(np.stack([x.ravel(), y.ravel()], 1))
        if not np.isfinite(rays).all():
            raise UsageError(
                f"a distortion of {lens.distortion[0]:g} shows nothing in the corners of so wide an image",
                "take one nearer to 0, or a smaller fov_rad",
            )
        reach = np.abs(rays).max(0) * 1.01
        focal_px = min(lens.focal_px[0], *(np.array(LARGEST_PX) / 2 / reach))
        wide = np.minimum(np.ceil(2 * focal_px * reach), LARGEST_PX).astype(int)
        at = rays * focal_px + (wide - 1) / 2
        fov_rad = 2 * math.atan(wide[1] / 2 / focal_px)
        map_px = at.astype(np.float32).reshape(height, width, 2)
        return cls((int(wide[0]), int(wide[1])), fov_rad, map_px)

    def bent(self, image: NDArray[np.uint8], smooth: bool = True) -> NDArray[np.uint8]:
        """Return the bent image (H, W, 3) of a wide one; not `smooth`: each pixel is one of the wide one."""
        how = cv2.INTER_LINEAR if smooth else cv2.INTER_NEAREST
        return np.asarray(cv2.remap(image, self.map_px[..., 0], self.map_px[..., 1], how), np.uint8)
