"""An image to all inputs of a family's vision graph, named as the outputs of its HF processor.

fit              arrays
stretch, crop    pixel_values (1, 3, height, width)
multiple         pixel_values (patches, 3 * 2 * patch * patch), image_grid_thw (1, 3) of patches
tiles, single    pixel_values (1, tiles, 3, height, width), pixel_attention_mask (1, tiles, height, width)
"""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from edge.bundle.manifest import ImageSpec
from edge.interfaces import Tensor
from edge.model.images import check_image, image_to_tensor, normalised, to_longest_edge
from edge.model.resample import Kernel, resize, resize_planes
from edge.records import Image

# All published Qwen-VL checkpoints have tokens of 2x2 patches, and take a still image as two frames.
_MERGE = 2
_FRAMES = 2
_MAX_RATIO = 200  # longer edge over the shorter, as Qwen's


@dataclass(frozen=True, slots=True)
class VisionInput:
    """The vision graph's inputs, with what the prompt has to show of them.

    `rows` and `columns` count image tokens with fit multiple, and tiles with fit tiles (0 if the image is not
    cut); otherwise they are 0.
    """

    arrays: dict[str, Tensor]
    rows: int = 0
    columns: int = 0


def vision_input(image: Image, spec: ImageSpec) -> VisionInput:
    """Return the arrays of an RGB image (H, W, 3) uint8.

    Raises ValueError if it is not one, and with fit multiple if its edges are more than 200 to 1.
    """
    check_image(image)
    if spec.fit == "multiple" and spec.pixels is not None and spec.resize != "area":
        height, width = smart_size(image.shape[0], image.shape[1], spec.height, *spec.pixels)
        planes = normalised(resize_planes(image, height, width, spec.resize), spec)
        patch = spec.height // _MERGE
        grid = np.array([[1, height // patch, width // patch]], np.int64)
        arrays: dict[str, Tensor] = {"pixel_values": _patches(planes, patch), "image_grid_thw": grid}
        return VisionInput(arrays, height // spec.height, width // spec.width)
    if spec.fit == "tiles" and spec.resize != "area":
        tiles, rows, columns = _tiles(to_longest_edge(image, spec), spec.height, spec.resize)
        pixels = np.stack([normalised(np.moveaxis(tile, 2, 0), spec) for tile in tiles])
        return VisionInput(_unpadded(pixels), rows, columns)
    if spec.fit == "single":
        return VisionInput(_unpadded(image_to_tensor(image, spec)))
    return VisionInput({"pixel_values": image_to_tensor(image, spec)})


def _unpadded(pixels: NDArray[np.float32]) -> dict[str, Tensor]:
    """Return tiles (tiles, 3, H, W) of one image with their mask, all ones: tiles have one size."""
    tiles, _, height, width = pixels.shape
    mask = np.ones((1, tiles, height, width), np.int64)
    return {"pixel_values": pixels[None], "pixel_attention_mask": mask}


def smart_size(height: int, width: int, multiple: int, least: int, most: int) -> tuple[int, int]:
    """Return height and width as multiples, the ratio about kept, between `least` and `most` pixels in all.

    Source: `smart_resize` of transformers' Qwen2-VL image processor. Raises ValueError if the edges are more
    than 200 to 1.
    """
    if max(height, width) > _MAX_RATIO * min(height, width):
        raise ValueError(f"an image of {width}x{height} is longer than {_MAX_RATIO} to 1")
    high, wide = round(height / multiple) * multiple, round(width / multiple) * multiple
    if high * wide > most:
        shrink = math.sqrt(height * width / most)
        high = max(multiple, math.floor(height / shrink / multiple) * multiple)
        wide = max(multiple, math.floor(width / shrink / multiple) * multiple)
    elif high * wide < least:
        grow = math.sqrt(least / (height * width))
        high = math.ceil(height * grow / multiple) * multiple
        wide = math.ceil(width * grow / multiple) * multiple
    return high, wide


def _patches(planes: NDArray[np.float32], patch: int) -> NDArray[np.float32]:
    """Planes (3, H, W) as (patches, 3 * frames * patch * patch), the four of a token one after the other.

    Source: `patchify` of transformers' Qwen2-VL image processor.
    """
    rows, columns = planes.shape[1] // patch // _MERGE, planes.shape[2] // patch // _MERGE
    cut = np.reshape(planes, (3, rows, _MERGE, patch, columns, _MERGE, patch))
    patches = np.expand_dims(np.transpose(cut, (1, 4, 2, 5, 0, 3, 6)), 5)
    shape = (rows, columns, _MERGE, _MERGE, 3, _FRAMES, patch, patch)
    return np.reshape(np.broadcast_to(patches, shape), (-1, 3 * _FRAMES * patch * patch))


def _tiles(image: Image, tile: int, kernel: Kernel) -> tuple[list[Image], int, int]:
    """Tiles row by row, the whole image last, and their rows and columns; one tile and 0, 0 where it fits in.

    Source: `resize_for_vision_encoder` and `split_images` of transformers' Idefics3 and SmolVLM.
    """
    height, width = image.shape[:2]
    ratio = width / height
    if width >= height:
        width = math.ceil(width / tile) * tile
        height = math.ceil(int(width / ratio) / tile) * tile
    else:
        height = math.ceil(height / tile) * tile
        width = math.ceil(int(height * ratio) / tile) * tile
    image = resize(image, height, width, kernel)
    rows, columns = height // tile, width // tile
    if rows == columns == 1:
        return [image], 0, 0
    tiles = [image[y : y + tile, x : x + tile] for y in range(0, height, tile) for x in range(0, width, tile)]
    return [*tiles, resize(image, tile, tile, kernel)], rows, columns
