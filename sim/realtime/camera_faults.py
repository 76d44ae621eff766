"""Faults of the simulated camera, to see what a drive makes of them: `sim?fault=freeze&fault_s=3`."""

import time
from collections import deque
from collections.abc import Callable

import numpy as np

from edge.errors import UsageError
from edge.records import Image

BACK_NS = 200_000_000
_PLAIN = {"black": 0, "white": 255, "covered": 40}  # grey level
_AHEAD_NS = {"ahead_100ms": 100_000_000, "ahead_18s": 18_000_000_000}
_EVERY = {"backwards": 10, "jumbled": 3}  # one frame in so many is stamped BACK_NS too early
_ONE_IN = {"slow": 10}  # one frame in so many is delivered
_PAST = ("late", "looped")  # images of the past, with stamps of now
FAULTS = ("none", "freeze", "still", *_PLAIN, *_AHEAD_NS, "wall_clock", *_EVERY, *_ONE_IN, *_PAST)
LAG_S = 1.0


class FaultyCamera:
    """Spoils what a camera delivers, from `after_s` after its first image on. `kind` is one of FAULTS.

    Images of a `late` one are `lag_s` old when they get their stamps; a `looped` one shows the last `lag_s`
    before its fault over and over.
    """

    def __init__(self, kind: str, after_s: float, lag_s: float = LAG_S) -> None:
        self._kind = kind
        self._after_ns = round(after_s * 1e9)
        self._lag_ns = round(lag_s * 1e9)
        self._past: deque[tuple[int, Image]] = deque()  # stamps and images, oldest first
        self._first_ns: int | None = None
        self._frozen: Image | None = None
        self._count = 0

    def spoil(self, image: Image, stamp_ns: int, noisy: Callable[[Image], Image]) -> tuple[Image, int] | None:
        """Return the image and stamp to deliver instead; None for a frame that is lost.

        `noisy` adds the sensor's noise to an image; `image` has it.
        """
        self._first_ns = stamp_ns if self._first_ns is None else self._first_ns
        self._remember(image, stamp_ns)
        if self._kind == "none" or stamp_ns - self._first_ns < self._after_ns:
            return image, stamp_ns
        self._count += 1
        if self._kind in _ONE_IN and self._count % _ONE_IN[self._kind]:
            return None
        if self._kind in _PAST:
            old = self._old(stamp_ns)
            return None if old is None else (old, stamp_ns)
        return self._image(image, noisy), self._stamp(stamp_ns)

    def _remember(self, image: Image, stamp_ns: int) -> None:
        """Keep the images that are still to be shown; a loop takes none of its own."""
        due = self._first_ns is not None and stamp_ns - self._first_ns >= self._after_ns
        if self._kind not in _PAST or (self._kind == "looped" and due):
            return
        self._past.append((stamp_ns, image))
        while len(self._past) > 1 and self._past[1][0] <= stamp_ns - self._lag_ns:
            self._past.popleft()

    def _old(self, stamp_ns: int) -> Image | None:
        """Return the image of the past that is shown now; None if there is none that old yet."""
        if self._kind == "looped":
            self._past.rotate(-1)
            return self._past[-1][1] if self._past else None
        return self._past[0][1] if self._past[0][0] <= stamp_ns - self._lag_ns else None

    def _image(self, image: Image, noisy: Callable[[Image], Image]) -> Image:
        if self._kind in _PLAIN:
            return noisy(np.full_like(image, _PLAIN[self._kind]))
        if self._kind not in ("freeze", "still"):
            return image
        self._frozen = image if self._frozen is None else self._frozen
        return self._frozen if self._kind == "freeze" else noisy(self._frozen)

    def _stamp(self, stamp_ns: int) -> int:
        if self._kind == "wall_clock":
            return stamp_ns - time.monotonic_ns() + time.time_ns()
        if self._kind in _EVERY and self._count % _EVERY[self._kind] == 0:
            return stamp_ns - BACK_NS
        return stamp_ns + _AHEAD_NS.get(self._kind, 0)


def check_fault(kind: str) -> str:
    """Return the kind of a fault. Raises UsageError if there is none of that name."""
    if kind not in FAULTS:
        raise UsageError(f"the simulated camera has no fault {kind[:40]!r}", f"known: {', '.join(FAULTS)}")
    return kind
