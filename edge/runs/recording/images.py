"""Images of events, made smaller."""

import cv2
import numpy as np

from edge.records import Image
from edge.runs.tap.events import TapEvent
from edge.runs.tap.options import JPEG
from edge.runs.tap.plain import to_line

QUALITY = 85
FEW_WIDTH_PX = 320


def pixels_of(event: TapEvent) -> Image:
    """Return the image (H, W, 3) RGB of an event that holds pixels."""
    facts = event.data
    height, width = int(facts["height"]), int(facts["width"])
    return np.ndarray((height, width, 3), np.uint8, event.blob)


def as_jpeg(event: TapEvent, most_width_px: int = 0) -> TapEvent:
    """Return an event of pixels as one of a JPEG, at most so wide; 0: as wide as it is."""
    image = pixels_of(event)
    height, width = image.shape[:2]
    if most_width_px and width > most_width_px:
        size = most_width_px, max(1, round(height * most_width_px / width))
        image = np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_AREA), np.uint8)
        height, width = image.shape[:2]
    bgr = cv2.cvtColor(image, cv2.COLOR_RGB2BGR)
    jpeg = cv2.imencode(".jpg", bgr, [cv2.IMWRITE_JPEG_QUALITY, QUALITY])[1].tobytes()
    facts = {**event.data, "width": width, "height": height, "encoding": JPEG}
    return TapEvent(event.topic, event.seq, event.stamp_ns, to_line(facts), jpeg)
