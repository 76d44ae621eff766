"""Images to tensors, the same on the robot, in training and at export."""

import cv2
import numpy as np
from numpy.typing import NDArray

from edge.manifest import ImageSpec
from edge.records import Image

_FILTERS = {"area": cv2.INTER_AREA, "bilinear": cv2.INTER_LINEAR, "bicubic": cv2.INTER_CUBIC}


def image_to_tensor(image: Image, spec: ImageSpec) -> NDArray[np.float32]:
    """An RGB image (H, W, 3) uint8 as the model wants it: (1, 3, height, width) float32, contiguous.

    The whole image is squeezed into the model's, so boxes in fractions of the image stay true. Raises
    ValueError when it is not an RGB uint8 image.
    """
    if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3:
        raise ValueError(f"want an (H, W, 3) uint8 image, got {image.shape} {image.dtype}")
    if image.shape[:2] != (spec.height, spec.width):
        resized = cv2.resize(image, (spec.width, spec.height), interpolation=_FILTERS[spec.resize])
        image = np.asarray(resized, np.uint8)
    std = np.asarray(spec.std, np.float32)
    scale = 1 / (255 * std)
    offset = -np.asarray(spec.mean, np.float32) / std
    tensor = np.empty((1, 3, spec.height, spec.width), np.float32)
    for channel in range(3):
        np.multiply(image[:, :, channel], scale[channel], out=tensor[0, channel])
        tensor[0, channel] += offset[channel]
    return tensor
