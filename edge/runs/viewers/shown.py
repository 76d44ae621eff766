"""Which images of a drive viewers get: a few a second of each camera, small."""

from edge.runs.tap.events import TapEvent

WIDTH_PX = 640
PERIOD_NS = 90_000_000  # the tap offers ten a second; where a run is recorded, all of them


class PictureDue:
    """Says which images are due."""

    def __init__(self) -> None:
        self._shown_ns: dict[str, int] = {}  # by camera

    def due(self, event: TapEvent) -> bool:
        """Return True if an image is to be shown; it counts as shown then."""
        camera: str = event.data["camera"]
        before_ns = self._shown_ns.get(camera)
        if before_ns is not None and event.stamp_ns - before_ns < PERIOD_NS:
            return False
        self._shown_ns[camera] = event.stamp_ns
        return True
