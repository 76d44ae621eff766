"""JPEG images decoded no larger than a view needs them."""

import cv2
import numpy as np
from numpy.typing import NDArray

from edge.cameras.gstreamer.pipelines import crop_px, size_out
from edge.cameras.recordings.encoded import decode_picture
from edge.cameras.recordings.frame_sizes import size_in
from edge.cameras.view import ImageView
from edge.records import Image

_REDUCED = {  # parts of a side that are decoded
    8: cv2.IMREAD_REDUCED_COLOR_8,
    4: cv2.IMREAD_REDUCED_COLOR_4,
    2: cv2.IMREAD_REDUCED_COLOR_2,
    1: cv2.IMREAD_COLOR,
}
_HEAD_BYTES = 4096  # hold the size; what cameras write before it are tables


def decode_jpeg(content: NDArray[np.uint8], view: ImageView) -> tuple[Image, tuple[int, int]] | None:
    """Return the image (H, W, 3) RGB as a view wants it, and the JPEG's own height and width.

    Without a size of the view, its longest side is at most LONGEST_SIDE_PX. None if it can't be decoded.
    """
    size = size_in(content[:_HEAD_BYTES].tobytes(), hevc=False)
    if size is None or 0 in size:
        return None
    left, right, top, bottom = crop_px(view, *size)
    kept = size.height - top - bottom, size.width - left - right
    out = size_out(view, *size)
    wanted = out if view.rotate_deg in (0, 180) else (out[1], out[0])
    part = next(each for each in _REDUCED if each == 1 or _covers(kept, each, wanted))
    bgr = decode_picture(content, _REDUCED[part] | cv2.IMREAD_IGNORE_ORIENTATION)
    if bgr is None:
        return None
    image = ImageView(view.crop, view.rotate_deg, view.flip, out).apply(bgr)
    return np.asarray(cv2.cvtColor(image, cv2.COLOR_BGR2RGB), np.uint8), size


def _covers(kept: tuple[int, int], part: int, wanted: tuple[int, int]) -> bool:
    return kept[0] >= part * wanted[0] and kept[1] >= part * wanted[1]
