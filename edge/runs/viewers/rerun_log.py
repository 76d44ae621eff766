"""Tells Rerun of a drive: a consumer behind the tap that sends to a viewer, or writes a file for one."""

import errno
import os
import socket
import time
from enum import Enum, auto
from importlib import import_module
from pathlib import Path
from typing import Any

from edge.runs.tap.events import TapEvent
from edge.runs.tap.switch import Tell
from edge.runs.viewers.rerun_scene import RerunScene

APPLICATION = "vla-edge"
FILE_ENDING = ".rrd"
FLUSH_PERIOD_S = 1.0
FLUSH_S = 1.0  # a viewer that takes nothing for so long is behind
FILE_S = 5.0  # for a file
LOOK_S = 0.2  # for a viewer that has gone to answer again


class ViewerState(Enum):
    """What a viewer does with what it is told."""

    TAKES = auto()
    BEHIND = auto()  # it is told nothing until it has taken what waits for it
    GONE = auto()


class RerunLog:
    """Sends to the viewer at a URL, or writes a file of Rerun's.

    A viewer that takes nothing is told nothing until it has caught up. One that was closed is looked for once
    a second, and told from then on.
    """

    def __init__(self, to: str, run: Path, tell: Tell = lambda word: None) -> None:
        """Begin. `tell` takes words for the run's log."""
        self.name = f"Rerun at {to}"
        self._to, self._run, self._tell = to, run, tell
        self._file = to.endswith(FILE_ENDING)
        self._stream: Any = None
        self._scene: RerunScene | None = None
        self._flush_at_s = 0.0
        self._state = ViewerState.TAKES
        self._said_gone = False
        self._unconfirmed = 0  # events that were sent since all that was sent had arrived
        self._left_out = 0  # events
        self._why: list[str] = []  # they were

    def take(self, event: TapEvent) -> None:
        """Tell of an event. Raises OSError if the file can't be written."""
        if self._scene is None:
            self._stream = self._open()
            self._scene = RerunScene(self._stream)
        if time.monotonic() >= self._flush_at_s:
            if self._state is ViewerState.GONE:
                self._look_for_viewer(self._scene)
            else:
                self._flush()
            self._flush_at_s = time.monotonic() + FLUSH_PERIOD_S
        takes = self._state is ViewerState.TAKES
        self._unconfirmed += takes
        self._left_out += not takes
        self._scene.take(event, tell=takes)

    def finish(self, whole: bool) -> list[str]:
        """Send the rest, and let go. Raises OSError as `take` does."""
        if self._stream is not None and self._state is not ViewerState.GONE:
            self._flush()
            if self._state is ViewerState.TAKES:
                self._stream.disconnect()
        if self._state is not ViewerState.TAKES:
            self._left_out += self._unconfirmed
        if not self._left_out:
            return []
        return [f"it lacks {self._left_out} events: the viewer {' and '.join(self._why)}"]

    def _open(self) -> Any:
        os.environ["RUST_LOG"] = "off"  # what is worth saying is said here, once
        rerun = import_module("rerun")
        stream = rerun.RecordingStream(APPLICATION, recording_id=self._run.name)
        if not rerun.is_enabled(stream):
            raise OSError(errno.EPERM, f"the environment has RERUN={os.environ.get('RERUN', '')}")
        if self._file:
            stream.save(self._to)
        else:
            stream.connect_grpc(self._to)
        return stream

    def _flush(self) -> None:
        """Wait a moment for what was sent to arrive. Raises OSError if a file can't be written."""
        begun_s = time.monotonic()
        try:
            self._stream.flush(timeout_sec=FILE_S if self._file else FLUSH_S)
        except RuntimeError as error:
            if self._file:
                raise OSError(errno.EIO, f"{self._to} can't be written: is the disk full?") from error
            gone = time.monotonic() - begun_s < FLUSH_S / 2
            self._note("had gone" if gone else "took none for a while")
            if gone:
                self._lose()
            else:
                self._state = ViewerState.BEHIND
        else:
            self._state, self._unconfirmed = ViewerState.TAKES, 0
            if self._said_gone:
                self._said_gone = False
                self._tell({"log": "viewer is back", "fields": {"viewer": self.name}})

    def _lose(self) -> None:
        """Take note that the viewer has gone; say so, once for each time that it was there."""
        self._state = ViewerState.GONE
        self._left_out, self._unconfirmed = self._left_out + self._unconfirmed, 0
        if not self._said_gone:
            self._said_gone = True
            port = viewer_address(self._to)[1]
            hint = f"start it again, and it is told from then on: `rerun --port {port}`"
            why = {"viewer": self.name, "why": "it was closed, or can't be reached", "hint": hint}
            self._tell({"log": "viewer gone", "fields": why})

    def _look_for_viewer(self, scene: RerunScene) -> None:
        """Connect again if something listens there, and tell what is told once."""
        try:
            socket.create_connection(viewer_address(self._to), LOOK_S).close()
        except OSError:
            return
        self._stream.connect_grpc(self._to)
        scene.begin()
        self._state = ViewerState.TAKES

    def _note(self, why: str) -> None:
        if why not in self._why:
            self._why.append(why)


def viewer_address(url: str) -> tuple[str, int]:
    """Return host and port of a viewer's URL."""
    host, _, number = url.removeprefix("rerun+http://").removesuffix("/proxy").rpartition(":")
    return host.strip("[]"), int(number)
