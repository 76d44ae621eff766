"""What is made of a camera's image before anybody sees it: cut, turned, flipped, made smaller.

Every camera takes the options that `take_view` reads. Cameras of GStreamer do the same in their pipeline,
before an image leaves it; others by `ImageView.apply`.
"""

from dataclasses import dataclass

import cv2
import numpy as np

from edge.address import Address
from edge.records import Image

MOST_PIXELS = 16384  # a side is at most this long
FLIPS = ("none", "180", "horizontal", "vertical")
TURNS = ("0", "90", "180", "270")
_CROP = "crop is Y0,X0,Y1,X1 in shares of the image, such as 0,0.1,1,0.9"


@dataclass(frozen=True, slots=True)
class ImageView:
    """Changes to an image, in this order: crop, rotate, flip, scale."""

    crop: tuple[float, float, float, float] = (0.0, 0.0, 1.0, 1.0)  # y0, x0, y1, x1 in shares of the image
    rotate_deg: int = 0  # clockwise: 0, 90, 180 or 270
    flip: str = "none"  # one of FLIPS; "180" is for a camera that hangs upside down
    size: tuple[int, int] | None = None  # height and width in the end, pixels; None: as they are

    def apply(self, image: Image) -> Image:
        """Return the image (H, W, 3) with all changes; the same array if there are none."""
        height, width = image.shape[:2]
        y0, x0, y1, x1 = self.crop
        if self.crop != (0.0, 0.0, 1.0, 1.0):
            image = image[_span(y0, y1, height), _span(x0, x1, width)]
        image = np.rot90(image, -self.rotate_deg // 90) if self.rotate_deg else image
        if self.flip in ("180", "vertical"):
            image = image[::-1]
        if self.flip in ("180", "horizontal"):
            image = image[:, ::-1]
        if self.size is not None and self.size != image.shape[:2]:
            shrinks = self.size[0] * self.size[1] < image.shape[0] * image.shape[1]
            how = cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR
            image = np.asarray(
                cv2.resize(np.ascontiguousarray(image), self.size[::-1], interpolation=how), np.uint8
            )
        return np.ascontiguousarray(image)


def _span(low: float, high: float, pixels: int) -> slice:
    """Return the pixels between two shares of them, one at least."""
    first = min(round(low * pixels), pixels - 1)
    return slice(first, max(round(high * pixels), first + 1))


def take_view(address: Address) -> ImageView:
    """Take the options `flip`, `rotate`, `crop` and `out` of an address. Raises UsageError for a bad one."""
    flip = address.choice("flip", "none", FLIPS)
    rotate_deg = int(address.choice("rotate", "0", TURNS))
    return ImageView(_crop(address), rotate_deg, flip, take_size(address, "out"))


def take_size(address: Address, name: str) -> tuple[int, int] | None:
    """Take an option such as `out=640x360`; return height and width. Raises UsageError for a bad one."""
    given, text = address.has(name), address.take(name)
    if not given:
        return None
    sides = text.split("x")
    if len(sides) != 2 or not all(
        side.isascii() and side.isdigit() and len(side) < 6 and 0 < int(side) <= MOST_PIXELS for side in sides
    ):
        raise address.error(f"{name} {text[:40]!r} is not WIDTHxHEIGHT in pixels, such as 640x360")
    return int(sides[1]), int(sides[0])


def _crop(address: Address) -> tuple[float, float, float, float]:
    given, text = address.has("crop"), address.take("crop")
    if not given:
        return (0.0, 0.0, 1.0, 1.0)
    try:
        y0, x0, y1, x1 = (float(part) for part in text.split(","))
    except ValueError:
        raise address.error(_CROP) from None
    if not (0 <= y0 < y1 <= 1 and 0 <= x0 < x1 <= 1):
        raise address.error(_CROP)
    return y0, x0, y1, x1
