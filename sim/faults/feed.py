"""A camera at shm://NAME that hands images on, and can spoil them."""

import threading
from collections.abc import Callable, Iterable

from edge.cameras.shm import FrameRing
from edge.interfaces import Closing
from edge.records import Image

Shot = tuple[Image, int]  # an image (height, width, 3) and its stamp, CLOCK_MONOTONIC ns


def unspoilt(image: Image, stamp_ns: int) -> Shot | None:
    """Return both as they are."""
    return image, stamp_ns


class ImageFeed(Closing):
    """Writes what `images` yields into the ring `name`, from a thread; None means that nothing new is there.

    `spoil` makes of an image and its stamp what is delivered; None loses it.
    """

    def __init__(self, name: str, height: int, width: int, images: Iterable[Shot | None]) -> None:
        self.name = name
        self.spoil: Callable[[Image, int], Shot | None] = unspoilt
        self._images = images
        self._ring = FrameRing.create(name, height, width)
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._write, name=f"feed {name}", daemon=True)
        self._thread.start()

    def _write(self) -> None:
        for shot in self._images:
            if self._over.is_set():
                return
            spoilt = None if shot is None else self.spoil(*shot)
            if spoilt is not None:
                self._ring.write(*spoilt)

    def close(self) -> None:
        """End the thread and remove the ring."""
        self._over.set()
        self._thread.join()
        self._ring.close()
