"""The boxes in a model's answer, as fractions of the camera's whole image."""

from dataclasses import dataclass, replace

from edge.bundle.manifest import ImageSpec
from edge.parsing import Detections, parse_detections
from edge.records import Box, Image

_IN_PIXELS = "qwen2.5-vl"  # its boxes are in pixels of its input; other Qwens' go from 0 to 1000


@dataclass(frozen=True, slots=True)
class BoxReader:
    """Reads the answers of one bundle."""

    family: str
    image: ImageSpec | None = None  # the model's input; None: the whole image, of unknown size

    def read(self, text: str, confidence: float, target: str, image: Image) -> Detections:
        """Return the detections in a model's text about an image: those of `target`, or all if it is empty.

        Never raises: text that can't be read gives no detection.
        """
        seen = None
        if self.image is not None and self.family == _IN_PIXELS:
            seen = self.image.height, self.image.width
        found = parse_detections(text, self.family, target=target, image_size=seen, confidence=confidence)
        if self.image is None or self.image.fit != "crop":
            return found
        height, width = image.shape[:2]
        edge = min(height, width)
        whole = (replace(d, box=_uncropped(d.box, edge / height, edge / width)) for d in found.detections)
        return replace(found, detections=tuple(whole))


def _uncropped(box: Box, high: float, wide: float) -> Box:
    """Return a box of the image's middle, `high` and `wide` of the whole, as one of the whole image."""
    top, left = (1 - high) / 2, (1 - wide) / 2
    return Box(top + high * box.y0, left + wide * box.x0, top + high * box.y1, left + wide * box.x1)
