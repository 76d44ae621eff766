"""How far a thing is by how large it looks: measured once for a thing, with the boxes of one model."""

import math
from dataclasses import dataclass

from edge.records import Box

SIDES = ("height", "width")
CUT_OFF = 0.005  # nearer to the image's edge a box is cut off, share of its height or width
BEYOND = 1.25  # so much nearer and farther than it was measured, a size still tells a distance


@dataclass(frozen=True, slots=True)
class ApparentSize:
    """One thing's size in the image by its distance: `fills_at_m` / distance."""

    side: str  # one of SIDES: of the box, as a share of the image's
    fills_at_m: float  # distance from the lens at which the box would fill the image
    spread: float  # deviation of one box's distance, as a share of it
    nearest_m: float  # distances from the lens that were measured
    farthest_m: float
    bundle: str = ""  # name of the one whose boxes were measured

    def distance_m(self, box: Box) -> float | None:
        """Return the distance along the optical axis.

        None if the box is cut off by the image's edge, or so large or small as it was never measured.
        """
        size = size_of(box, self.side)
        if size is None:
            return None
        distance_m = self.fills_at_m / size
        known = self.nearest_m / BEYOND <= distance_m <= self.farthest_m * BEYOND
        return distance_m if known else None


def size_of(box: Box, side: str) -> float | None:
    """Return a box's height or width; None if the image's edge may have cut that off."""
    low, high = (box.y0, box.y1) if side == "height" else (box.x0, box.x1)
    return high - low if low > CUT_OFF and high < 1 - CUT_OFF and not math.isclose(low, high) else None
