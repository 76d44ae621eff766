"""The last seconds of a run, in memory, and in a file if the run ends badly."""

from collections import deque
from pathlib import Path

from edge.records import Outcome
from edge.runs.recording.images import FEW_WIDTH_PX, as_jpeg
from edge.runs.recording.mcap_file import McapFile
from edge.runs.tap.events import TapEvent
from edge.runs.tap.options import FEW_PERIOD_NS, Images
from edge.runs.tap.plain import to_line

KEPT_NS = 30_000_000_000
MOST_BYTES = 32 << 20
_BAD = {each.value for each in (Outcome.FAULT, Outcome.FALSE_ARRIVAL, Outcome.FALSE_ANSWER, Outcome.TIMEOUT)}


class Ring:
    """Keeps the events of the last 30 s, with at most 10 small images a second of each camera."""

    def __init__(self, path: Path, most_bytes: int = MOST_BYTES) -> None:
        self._path, self._most_bytes = path, most_bytes
        self._header: TapEvent | None = None
        self._events: deque[TapEvent] = deque()
        self._bytes = 0
        self._due_ns: dict[str, int] = {}  # by camera
        self._drove = self._bad = False

    def take(self, event: TapEvent) -> None:
        """Keep an event, and forget what is too old."""
        if event.topic == "image":
            camera = event.data["camera"]
            if event.stamp_ns < self._due_ns.get(camera, 0):
                return
            self._due_ns[camera] = event.stamp_ns + FEW_PERIOD_NS
            event = as_jpeg(event, FEW_WIDTH_PX)
        elif event.topic == "header":
            facts = {**event.data, "images": Images.FEW.value}
            self._header = TapEvent(event.topic, event.seq, event.stamp_ns, to_line(facts))
            return
        elif event.topic == "end":
            self._bad |= event.data["outcome"] in _BAD
        elif event.topic == "outcome":
            self._bad |= event.data["end"] is not None and event.data["end"]["outcome"] in _BAD
        self._drove |= event.topic == "tick"
        self._events.append(event)
        self._bytes += event.size
        while self._bytes > self._most_bytes or event.stamp_ns - self._events[0].stamp_ns > KEPT_NS:
            self._bytes -= self._events.popleft().size

    def finish(self, whole: bool) -> list[str]:
        """Write the file if the run drove and ended badly, or without a word; return why that failed."""
        if not self._drove or (whole and not self._bad):
            return []
        path, number = self._path, 1
        while path.exists():  # the same run's, before its engine was started again
            number += 1
            path = self._path.with_stem(f"{self._path.stem}-{number}")
        try:
            file = McapFile(path)
            for event in (*filter(None, [self._header]), *self._events):
                file.write(event)
            file.close()
        except OSError as error:
            return [f"{path} lacks its end: {error.strerror}"]
        return []
