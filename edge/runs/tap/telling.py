"""What the runtime's end of the tap makes events of."""

import contextlib
import logging
from collections.abc import Callable
from dataclasses import replace
from functools import lru_cache
from typing import Any

import numpy as np

from edge.records import Frame, Image
from edge.runs.tap.events import TapEvent
from edge.runs.tap.options import RGB
from edge.runs.tap.plain import to_line, to_plain

log = logging.getLogger(__name__)


def named(frame: Frame, image_ns: int | None) -> dict[str, Any]:
    """Return what a tick says of a frame; `image_ns` is the stamp of the frame that has its pixels."""
    height, width = frame.image.shape[:2]
    return {**to_plain(frame), "width": width, "height": height, "image_ns": image_ns}


def without_pixels(frame: Frame) -> Frame:
    """Return the frame with an image of the same shape that takes no memory."""
    return replace(frame, image=_black(frame.image.shape))


@lru_cache(16)
def _black(shape: tuple[int, ...]) -> Image:
    return np.asarray(np.broadcast_to(np.uint8(0), shape), np.uint8)


def event_of(topic: str, seq: int, stamp_ns: int, what: Any, image: Frame | None) -> TapEvent:
    """Return an event; that of an image has its pixels."""
    if image is None:
        return TapEvent(topic, seq, stamp_ns, to_line(what))
    line = to_line({**named(image, image.stamp_ns), "encoding": RGB})
    pixels = np.ascontiguousarray(image.image).data.cast("B")
    return TapEvent(topic, seq, image.stamp_ns, line, pixels)


class LogTap(logging.Handler):
    """Offers the lines of the log from level info on."""

    def __init__(self, offer: Callable[[str, Callable[[], Any]], bool]) -> None:
        super().__init__(logging.INFO)
        self._offer = offer

    def emit(self, record: logging.LogRecord) -> None:
        """Offer a line."""
        with contextlib.suppress(Exception):  # a value that can't be printed must not end a drive
            line = {
                "level": record.levelname.lower(),
                "logger": record.name,
                "event": record.getMessage(),
                "fields": getattr(record, "fields", {}),
            }
            self._offer("log", lambda: line)


def relay(event: str, values: dict[str, Any]) -> None:
    """Log what the process would log: a warning if it says why."""
    log.log(logging.WARNING if "why" in values else logging.INFO, event, extra={"fields": values})
