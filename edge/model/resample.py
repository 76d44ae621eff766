"""Pillow's antialiased resizing in numpy, bit for bit: HF's image processors feed training with it.

Source of the formulas: Pillow, src/libImaging/Resample.c (`precompute_coeffs`, `normalize_coeffs_8bpc`,
`ImagingResampleHorizontal_8bpc`). cv2's bilinear and bicubic look at 2 and 4 pixels at any scale, so that
they alias where an image shrinks.
"""

from collections.abc import Callable
from functools import lru_cache
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from edge.records import Image

Kernel = Literal["bilinear", "bicubic", "lanczos"]
_ONE = 1 << 22  # 1.0 in Pillow's fixed-point weights
_BLOCK = 16  # output pixels a product: small ones skip the zeros off the diagonal, large ones keep BLAS busy

Doubles = NDArray[np.float64]


def _bilinear(x: Doubles) -> Doubles:
    return np.maximum(1 - np.abs(x), 0)


def _bicubic(x: Doubles) -> Doubles:
    a, x = -0.5, np.abs(x)
    near = ((a + 2) * x - (a + 3)) * x * x + 1
    far = (((x - 5) * x + 8) * x - 4) * a
    return np.where(x < 1, near, np.where(x < 2, far, 0.0))


def _lanczos(x: Doubles) -> Doubles:
    return np.where((x >= -3) & (x < 3), np.sinc(x) * np.sinc(x / 3), 0.0)


_KERNELS: dict[Kernel, tuple[Callable[[Doubles], Doubles], float]] = {  # with the support in pixels
    "bilinear": (_bilinear, 1.0),
    "bicubic": (_bicubic, 2.0),
    "lanczos": (_lanczos, 3.0),
}


def resize(image: Image, height: int, width: int, kernel: Kernel) -> Image:
    """Return an RGB image (H, W, 3) uint8 as (height, width, 3) uint8, equal to PIL's `Image.resize`."""
    planes = resize_planes(image, height, width, kernel)
    return np.ascontiguousarray(np.moveaxis(planes, 0, 2), np.uint8)


def resize_planes(image: Image, height: int, width: int, kernel: Kernel) -> Doubles:
    """Return the same as planes (3, height, width) of whole numbers in [0, 255]."""
    old_height, old_width = image.shape[:2]
    planes = np.empty((3, old_height, old_width))
    for channel in range(3):
        planes[channel] = image[:, :, channel]
    if height_first(old_height, old_width, height, width):
        return _wide(_high(planes, height, kernel), width, kernel)
    return _high(_wide(planes, width, kernel), height, kernel)


def height_first(height: int, width: int, new_height: int, new_width: int) -> bool:
    """Return whether Pillow 13 resizes the height before the width, found by trying; earlier ones never do.

    The passes round to whole numbers, so the order shows: by up to 23/255 where noise goes through bicubic.
    """
    return new_height < height and 2 * (width - new_width) < height - new_height


def _wide(planes: Doubles, width: int, kernel: Kernel) -> Doubles:
    if width == planes.shape[2]:
        return planes
    wide = np.empty((3, planes.shape[1], width))
    for out, taken, weights in _blocks(planes.shape[2], width, kernel):
        wide[:, :, out] = _rounded(planes[:, :, taken] @ np.transpose(weights))
    return wide


def _high(planes: Doubles, height: int, kernel: Kernel) -> Doubles:
    if height == planes.shape[1]:
        return planes
    high = np.empty((3, height, planes.shape[2]))
    for out, taken, weights in _blocks(planes.shape[1], height, kernel):
        high[:, out] = _rounded(weights @ planes[:, taken])
    return high


def _rounded(sums: Doubles) -> Doubles:
    """Round halves up and clip to [0, 255], in place, while the block is in the processor's cache."""
    sums += 0.5
    np.floor(sums, out=sums)
    np.maximum(sums, 0, out=sums)
    return np.minimum(sums, 255, out=sums)


@lru_cache(maxsize=64)
def _blocks(size: int, wanted: int, kernel: Kernel) -> tuple[tuple[slice, slice, Doubles], ...]:
    """Return the matrix (wanted, size) that resizes one axis as blocks (outputs, inputs, weights)."""
    shape, support = _KERNELS[kernel]
    scale = size / wanted
    stretch = max(scale, 1.0)
    centres = (np.arange(wanted) + 0.5) * scale
    first = np.maximum((centres - support * stretch + 0.5).astype(np.int64), 0)
    last = np.minimum((centres + support * stretch + 0.5).astype(np.int64), size)
    blocks: list[tuple[slice, slice, Doubles]] = []
    for start in range(0, wanted, _BLOCK):
        out = slice(start, min(start + _BLOCK, wanted))
        taken = slice(int(first[start]), int(last[out.stop - 1]))
        inputs = np.arange(taken.start, taken.stop)
        weights = shape((inputs - centres[out, None] + 0.5) / stretch)
        weights[(inputs < first[out, None]) | (inputs >= last[out, None])] = 0
        weights /= weights.sum(axis=1, keepdims=True)
        # Pillow sums whole numbers of up to 30 bits. float64 holds them, so that no half is rounded the other
        # way; float32 does not, is twice as fast, and 2/255 off where three resizes follow on each other.
        fixed = np.copysign(np.floor(np.abs(weights) * _ONE + 0.5), weights) / _ONE
        blocks.append((out, taken, fixed))
    return tuple(blocks)
