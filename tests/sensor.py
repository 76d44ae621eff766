"""Images as a sensor gives them: lit, with forms, and never the same twice."""

import numpy as np

from edge.records import Image


def sensed(seq: int, height: int = 24, width: int = 32) -> Image:
    """Return the image (height, width, 3) of a frame's number."""
    return np.random.default_rng(seq).integers(0, 255, (height, width, 3), np.uint8)
