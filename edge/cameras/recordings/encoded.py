"""Encoded pictures of others to pixels."""

from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray


def decode_picture(content: bytes | NDArray[np.uint8], flags: int = cv2.IMREAD_COLOR) -> NDArray[Any] | None:
    """Return a picture (H, W, 3) BGR, or what else `flags` of OpenCV ask for; None if it can't be decoded.

    OpenCV raises for a header that tells of more pixels than it takes, or than there is memory for.
    """
    data = np.frombuffer(content, np.uint8) if isinstance(content, bytes) else content
    if not len(data):
        return None
    try:
        image = cv2.imdecode(data, flags)
    except (cv2.error, MemoryError):
        return None
    return None if image is None else np.asarray(image)
