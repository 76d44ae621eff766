"""Small charts and panels for the pictures of calibrations, drawn with OpenCV: robots have no matplotlib."""

from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import ArrayLike, NDArray

from edge.records import Image

Floats = NDArray[np.float64]
Colour = tuple[int, int, int]
BLACK, GREY, GRID = (20, 20, 20), (120, 120, 120), (225, 225, 225)
BLUE, RED, GREEN, ORANGE = (31, 98, 180), (200, 40, 40), (40, 140, 60), (230, 130, 20)
_LEFT, _RIGHT, _TOP, _BOTTOM = 56, 14, 34, 40  # margins around the axes
_FONT = cv2.FONT_HERSHEY_SIMPLEX


class Axes:
    """A chart of one pair of axes: (height, width, 3) RGB on white. Add things, then take `image`."""

    def __init__(
        self, title: str, x: tuple[float, float], y: tuple[float, float], size: tuple[int, int] = (480, 360)
    ) -> None:
        """Draw axes from x[0] to x[1] and y[0] to y[1] into an image of so many pixels, width and height."""
        width, height = size
        self.image: Image = np.full((height, width, 3), 255, np.uint8)
        self._low = np.array([x[0], y[0]], np.float64)
        span = np.array([x[1] - x[0], y[1] - y[0]], np.float64)
        inner = np.array([width - _LEFT - _RIGHT, -(height - _TOP - _BOTTOM)], np.float64)
        self._scale = inner / np.where(span == 0, 1, span)
        self._origin = np.array([_LEFT, height - _BOTTOM], np.float64)
        write(self.image, title, (_LEFT, 20), 0.45)
        for value in ticks(*x):
            across, _ = self._at([[value, y[0]]])[0]
            cv2.line(self.image, (across, _TOP), (across, height - _BOTTOM), GRID, 1)
            write(self.image, f"{value:g}", (across - 10, height - _BOTTOM + 16), 0.35, GREY)
        for value in ticks(*y):
            _, down = self._at([[x[0], value]])[0]
            cv2.line(self.image, (_LEFT, down), (width - _RIGHT, down), GRID, 1)
            write(self.image, f"{value:g}", (6, down + 4), 0.35, GREY)
        cv2.rectangle(self.image, (_LEFT, _TOP), (width - _RIGHT, height - _BOTTOM), GREY, 1)

    def label(self, x: str, y: str = "") -> None:
        """Write what the axes count."""
        height, width = self.image.shape[:2]
        write(self.image, x, (max(_LEFT, width // 2 - 4 * len(x)), height - 8), 0.38, GREY)
        write(self.image, y, (4, 14), 0.35, GREY)

    def points(self, values: ArrayLike, colour: Colour = BLUE, radius_px: int = 3) -> None:
        """Draw points (N, 2)."""
        for x, y in self._at(values):
            cv2.circle(self.image, (x, y), radius_px, colour, -1, cv2.LINE_AA)

    def line(self, values: ArrayLike, colour: Colour = BLUE) -> None:
        """Draw a line through points (N, 2)."""
        cv2.polylines(self.image, [np.array(self._at(values), np.int32)], False, colour, 1, cv2.LINE_AA)

    def bars(self, edges: ArrayLike, heights: ArrayLike, colour: Colour = BLUE) -> None:
        """Draw bars from zero: N + 1 edges, N heights."""
        sides = np.asarray(edges, np.float64)
        for low, high, top in zip(sides[:-1], sides[1:], np.asarray(heights, np.float64), strict=True):
            first, second = self._at([[low, max(0.0, self._low[1])], [high, top]])
            cv2.rectangle(self.image, first, second, colour, -1)

    def _at(self, values: ArrayLike) -> list[tuple[int, int]]:
        pixels = self._origin + (np.asarray(values, np.float64).reshape(-1, 2) - self._low) * self._scale
        limit = max(self.image.shape)
        return [(int(x), int(y)) for x, y in np.clip(np.rint(pixels), -limit, 2 * limit)]


def ticks(low: float, high: float, most: int = 6) -> list[float]:
    """Return round numbers from `low` to `high`, at most so many."""
    low, high = min(low, high), max(low, high)
    span = high - low
    if not span > 0:
        return [low]
    step = 10.0 ** np.floor(np.log10(span / most))
    step *= next(factor for factor in (1, 2, 5, 10, 20) if span / (step * factor) <= most)
    first = int(np.ceil(low / step - 1e-9))
    return [float(f"{n * step:.10g}") for n in range(first, int(np.floor(high / step + 1e-9)) + 1)]


def write(image: Image, text: str, at: tuple[int, int], scale: float = 0.4, colour: Colour = BLACK) -> None:
    """Write a line of ASCII into an image, from its lower left corner on."""
    cv2.putText(image, text, at, _FONT, scale, colour, 1, cv2.LINE_AA)


def panel(image: Image, title: str, width: int) -> Image:
    """Return an image scaled to a width, under a title."""
    height = round(image.shape[0] * width / image.shape[1])
    shrinks = width < image.shape[1]
    scaled = cv2.resize(image, (width, height), interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR)
    whole: Image = np.full((height + _TOP, width, 3), 255, np.uint8)
    whole[_TOP:] = scaled
    write(whole, title, (4, 20), 0.45)
    return whole


def grid(rows: Sequence[Sequence[Image]], gap_px: int = 10) -> Image:
    """Return images in rows, on white."""
    lines = [_joined(row, gap_px, across=True) for row in rows]
    return _joined(lines, gap_px, across=False)


def _joined(images: Sequence[Image], gap_px: int, across: bool) -> Image:
    """Return images beside each other, or one below the other."""
    along, over = (1, 0) if across else (0, 1)
    shape = [0, 0, 3]
    shape[along] = sum(each.shape[along] + gap_px for each in images) + gap_px
    shape[over] = max(each.shape[over] for each in images) + (2 * gap_px if not across else 0)
    whole: Image = np.full(shape, 255, np.uint8)
    at = gap_px
    for each in images:
        height, width = each.shape[:2]
        y, x = (0, at) if across else (at, 0)
        whole[y : y + height, x : x + width] = each
        at += each.shape[along] + gap_px
    return whole
