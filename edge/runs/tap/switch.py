"""Begins and ends the recordings of a run: that of --record, and those of a person at the live page."""

import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edge.errors import UsageError
from edge.files import free_path
from edge.runs.folder import check_runs_dir
from edge.runs.recording.recorder import Recorder
from edge.runs.tap.consumers import Consumer, Spooled
from edge.runs.tap.events import TapEvent
from edge.runs.tap.late import LateRecorder, begun_header
from edge.runs.tap.options import TapOptions
from edge.runs.tap.plain import to_line

Tell = Callable[[Mapping[str, Any]], None]


@dataclass
class _KeptFile:
    """One file, under way or done."""

    path: Path
    recorder: Recorder
    spool: Spooled
    begun_ns: int = 0  # stamps of its first event and its newest
    newest_ns: int = 0
    after: int = 0  # number of the last event before it
    lost_before: int = 0  # events that the tap had dropped before
    lost: int = 0  # and since
    logged: bool = False  # its trouble


class RecordingSwitch:
    """Hands the events to the recording that is under way, if there is one. Never waits for a disk.

    Events come in one thread; another one may begin and end recordings, and look at the state.
    """

    def __init__(self, options: TapOptions, tell: Tell) -> None:
        """Begin the recording of --record. `tell` takes words for the runtime."""
        self._options, self._tell = options, tell
        self._lock = threading.Lock()
        self._header: TapEvent | None = None
        self._start: TapEvent | None = None
        self._seq = self._stamp_ns = self._lost = 0  # the newest event's; dropped by the tap so far
        self._number = 0  # the newest wish's
        self._refused = ""  # why the newest wish was not heeded
        self._on = False
        self._all: list[_KeptFile] = []
        if options.recording:
            self._add(Path(options.recording))

    def take(self, event: TapEvent) -> None:
        """Hand an event over."""
        with self._lock:
            if event.topic == "header":
                self._header = event = self._named(event)
                if self._on and (after := self._all[-1].after):
                    event = begun_header(event, after)
            elif event.topic == "start":
                self._start = event
            elif event.topic == "tick":
                self._lost = event.data["lost"]
            self._seq, self._stamp_ns = max(self._seq, event.seq), event.stamp_ns
            if self._on:
                recording = self._all[-1]
                recording.begun_ns = recording.begun_ns or event.stamp_ns
                recording.newest_ns, recording.lost = event.stamp_ns, self._lost - recording.lost_before
                recording.spool.take(event)

    def heed(self, number: int, on: bool) -> None:
        """Heed a wish once; beginning twice, and an end of nothing, change nothing."""
        if number <= self._number:
            return
        if on and not self._on:
            self._begin()
        elif self._on and not on:
            with self._lock:
                stopped = TapEvent("stopped", self._seq, self._stamp_ns, to_line({"last": self._seq}))
                self._all[-1].spool.take(stopped)
                self._all[-1].spool.end(True)
                self._off("recording ends")
        self._number = number

    def state(self) -> dict[str, Any]:
        """Return for the page what is recorded, or was last."""
        with self._lock:
            if not self._all:
                return {"number": self._number, "on": False, "trouble": self._refused}
            newest = self._all[-1]
            done = not newest.spool.running
            trouble = newest.spool.trouble or "; ".join(newest.spool.notes() if done else [])
            if trouble and not newest.logged:
                newest.logged = True
                self._tell({"log": "recording failed", "fields": {"file": str(newest.path), "why": trouble}})
            if trouble and self._on:
                newest.spool.end(True)
                self._off("recording ends")
            return {
                "number": self._number,
                "on": self._on,
                "done": done,
                "file": str(newest.path),
                "seconds": round((newest.newest_ns - newest.begun_ns) / 1e9, 1),
                "bytes": newest.recorder.bytes,
                "lost": newest.spool.lost + newest.lost,
                "trouble": self._refused or trouble,
            }

    def finish(self, whole: bool) -> None:
        """Take the end of the events."""
        with self._lock:
            if self._on:
                self._on = False
                self._all[-1].spool.end(whole)

    def notes(self) -> list[str]:
        """Wait for the files; return what people should know."""
        return [note for each in self._all for note in each.spool.notes()]

    def files(self) -> list[str]:
        """Return the files that are there."""
        return list(dict.fromkeys(str(each.path) for each in self._all if each.path.exists()))

    def _named(self, header: TapEvent) -> TapEvent:
        facts = {**header.data, "images": self._options.images.value}
        return TapEvent(header.topic, header.seq, header.stamp_ns, to_line(facts))

    def _begin(self) -> None:
        path = free_path(Path(self._options.later))  # without the lock: a disk may take its time
        try:
            check_runs_dir(path.parent, "recordings folder")
        except UsageError as error:
            self._refused = error.message
            self._tell({"log": "recording refused", "fields": {"why": error.message}})
            return
        with self._lock:
            self._add(path)
        self._tell({"images": True, "log": "recording begins", "fields": {"file": str(path)}})

    def _add(self, path: Path) -> None:
        recorder = Recorder(path, self._options.images)
        consumer: Consumer = recorder
        if self._header is not None and self._start is not None:
            consumer = LateRecorder(recorder, self._header, self._start)
        recording = _KeptFile(path, recorder, Spooled(consumer), after=self._seq, lost_before=self._lost)
        if self._header is not None and self._start is None:  # before the drive: nothing of it is missing
            recording.spool.take(begun_header(self._header, self._seq))
        self._all.append(recording)
        self._on, self._refused = True, ""

    def _off(self, event: str) -> None:
        self._on = False
        self._tell({"images": False, "log": event, "fields": {"file": str(self._all[-1].path)}})
