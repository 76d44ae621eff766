"""Where the labels of a drawing go, so that none covers another, or a thing that is drawn."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

Point = tuple[int, int]


@dataclass(frozen=True, slots=True)
class Rect:
    """A rectangle of a drawing, in pixels; y grows downwards."""

    x0: int
    y0: int
    x1: int
    y1: int

    @classmethod
    def around(cls, center: Point, radius: int) -> "Rect":
        """Return the square around a point."""
        return cls(center[0] - radius, center[1] - radius, center[0] + radius, center[1] + radius)

    @property
    def area(self) -> int:
        return max(0, self.x1 - self.x0) * max(0, self.y1 - self.y0)

    def shared(self, other: "Rect") -> int:
        """Return the area that lies in both."""
        x0, y0 = max(self.x0, other.x0), max(self.y0, other.y0)
        return Rect(x0, y0, min(self.x1, other.x1), min(self.y1, other.y1)).area if x0 < other.x1 else 0


def label_spot(center: Point, gap: int, size: Point, taken: Sequence[Rect], sheet: Rect) -> Rect:
    """Return where a label of `size` (width, height) about `center` covers least of what is taken.

    It lies `gap` pixels from the center, to the right if that is as good as elsewhere, and inside of the
    sheet if it can.
    """

    def covered(spot: Rect) -> int:
        outside = spot.area - spot.shared(sheet)
        return 100 * outside + sum(spot.shared(each) for each in taken)

    return min(_spots(center, gap, size), key=covered)


def _spots(center: Point, gap: int, size: Point) -> Iterator[Rect]:
    """Yield the places around a point, the best first."""
    (x, y), (width, height) = center, size
    right, left, middle = x + gap, x - gap - width, x - width // 2
    level, above, below = y - height // 2, y - gap - height, y + gap
    near = round(gap * 0.7)  # along a diagonal
    for x0, y0 in (
        (right, level),
        (left, level),
        (middle, above),
        (middle, below),
        (x + near, y - near - height),
        (x + near, y + near),
        (x - near - width, y - near - height),
        (x - near - width, y + near),
    ):
        yield Rect(x0, y0, x0 + width, y0 + height)
