"""A list that stays short however much is added to it."""

from typing import Generic, TypeVar

T = TypeVar("T")


class Thinned(Generic[T]):
    """A list that keeps at most `limit` items, evenly spread over all that were added, and the last one."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._kept: list[T] = []
        self._stride = 1
        self._count = 0
        self._last: list[T] = []

    def add(self, item: T) -> None:
        """Keep the item, at least until the next one."""
        if len(self._kept) == self._limit - 1:
            self._kept = self._kept[::2]
            self._stride *= 2
        on_stride = self._count % self._stride == 0
        self._kept += [item] if on_stride else []
        self._last = [] if on_stride else [item]
        self._count += 1

    def all(self) -> list[T]:
        """Return the items that are kept."""
        return self._kept + self._last
