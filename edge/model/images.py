"""Images to tensors, the same on the robot, in training and at export."""

import cv2
import numpy as np
from numpy.typing import NDArray

from edge.bundle.manifest import ImageSpec
from edge.model.resample import resize, resize_planes
from edge.records import Image

Planes = NDArray[np.uint8] | NDArray[np.float64]


def image_to_tensor(image: Image, spec: ImageSpec) -> NDArray[np.float32]:
    """Return an RGB image (H, W, 3) uint8 as the model wants it: (1, 3, height, width) float32, contiguous.

    With fit stretch and single the whole image is squeezed into the model's, so boxes in fractions of the
    image stay true; with crop they are fractions of its middle. Raises ValueError if it is not an RGB uint8
    image, and for fits whose tensor has another shape, see `edge.model.patches`.
    """
    return normalised(_planes(image, spec), spec)[None]


def image_to_planes(image: Image, spec: ImageSpec) -> NDArray[np.uint8]:
    """Return the same before normalisation: (3, height, width) uint8, a quarter of the memory."""
    planes = _planes(image, spec)
    if planes.dtype == np.uint8:
        # These are the channels of an image; OpenCV gathers them six times faster than numpy.
        return np.array(cv2.split(np.ascontiguousarray(np.moveaxis(planes, 0, 2))), np.uint8)
    return planes.astype(np.uint8)  # whole numbers, so nothing is rounded


def check_image(image: Image) -> None:
    """Check that an image is RGB uint8. Raises ValueError if not."""
    if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3:
        raise ValueError(f"want an (H, W, 3) uint8 image, got {image.shape} {image.dtype}")


def normalised(planes: Planes, spec: ImageSpec) -> NDArray[np.float32]:
    """Return (x / 255 - mean) / std of planes (3, H, W) in [0, 255]."""
    std = np.asarray(spec.std, np.float32)
    scale = 1 / (255 * std)
    offset = -np.asarray(spec.mean, np.float32) / std
    tensor = np.empty(planes.shape, np.float32)
    for channel in range(3):
        np.multiply(planes[channel], scale[channel], out=tensor[channel])
        tensor[channel] += offset[channel]
    return tensor


def to_longest_edge(image: Image, spec: ImageSpec) -> Image:
    """Return the image (H, W, 3) scaled to the spec's longest edge; the other edge becomes even.

    Source: `_resize_output_size_rescale_to_max_len` of transformers' Idefics3 and SmolVLM image processors.
    Raises ValueError if the spec has no longest edge, or the filter area.
    """
    if spec.longest_edge is None or spec.resize == "area":
        raise ValueError(f"fit {spec.fit} has no longest edge")
    height, width = image.shape[:2]
    # As in the source, to the last bit: 2048 / (640 / 480) is not always 2048 * 480 / 640.
    ratio = width / height
    if width >= height:
        width = spec.longest_edge
        height = int(width / ratio)
        height += height % 2
    else:
        height = spec.longest_edge
        width = int(height * ratio)
        width += width % 2
    return resize(image, max(height, 1), max(width, 1), spec.resize)


def _planes(image: Image, spec: ImageSpec) -> Planes:
    """Return planes (3, height, width) of whole numbers in [0, 255]."""
    check_image(image)
    if spec.fit in ("multiple", "tiles"):
        raise ValueError(f"fit {spec.fit} gives several images; use edge.model.patches.vision_input")
    if spec.fit == "single":
        image = to_longest_edge(image, spec)
    height, width = image.shape[:2]
    if (height, width) == (spec.height, spec.width):
        return np.moveaxis(image, 2, 0)
    if spec.resize == "area":
        resized = cv2.resize(image, (spec.width, spec.height), interpolation=cv2.INTER_AREA)
        return np.moveaxis(np.asarray(resized, np.uint8), 2, 0)
    if spec.fit != "crop":
        return resize_planes(image, spec.height, spec.width, spec.resize)
    # transformers.image_transforms: get_resize_output_image_size, center_crop.
    edge, short = spec.height, min(height, width)
    height, width = int(edge * height / short), int(edge * width / short)
    top, left = (height - edge) // 2, (width - edge) // 2
    planes = resize_planes(image, height, width, spec.resize)
    return planes[:, top : top + edge, left : left + edge]
