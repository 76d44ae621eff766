"""A recording that begins in the middle of a drive: at the first frames whose images it has."""

from edge.runs.recording.recorder import Recorder
from edge.runs.tap.events import TapEvent
from edge.runs.tap.plain import to_line

AFTER = "after_event"  # in the header: number of the last event before the recording


class LateRecorder:
    """A consumer that leaves out what nobody could look at without what came before."""

    def __init__(self, recorder: Recorder, header: TapEvent, start: TapEvent) -> None:
        """Take the events of a drive whose header and start have passed: they are written first."""
        self.name = recorder.name
        self._recorder, self._before = recorder, (header, start)
        self._images: dict[str, TapEvent] = {}  # the newest, by camera
        self._begun = False

    def take(self, event: TapEvent) -> None:
        """Write an event, from the first tick on whose images came since, as all will from then on."""
        if self._begun:
            self._recorder.take(event)
        elif event.topic == "image":
            self._images[event.data["camera"]] = event
        elif event.topic == "tick" and event.data["all_images"] and self._has_images(event):
            self._begun = True
            header, start = self._before
            for each in (begun_header(header, event.seq - 1), start, *self._images.values(), event):
                self._recorder.take(each)
            self._images = {}

    def finish(self, whole: bool) -> list[str]:
        """Write the index. Returns a note if there is no file."""
        return self._recorder.finish(whole) if self._begun else [f"{self.name}: no frame came meanwhile"]

    def _has_images(self, tick: TapEvent) -> bool:
        wanted = {name: each["image_ns"] for name, each in tick.data["frames"].items()}
        return wanted == {name: each.stamp_ns for name, each in self._images.items() if name in wanted}


def begun_header(header: TapEvent, after: int) -> TapEvent:
    """Return the header of a recording that lacks the run's first events, up to the number `after`."""
    return TapEvent(header.topic, header.seq, header.stamp_ns, to_line({**header.data, AFTER: after}))
