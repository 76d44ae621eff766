"""Tells Rerun of a drive: a consumer behind the tap that sends to a viewer, or writes a file for one."""

import errno
import os
import time
from importlib import import_module
from pathlib import Path
from typing import Any

from edge.runs.tap.events import TapEvent
from edge.runs.viewers.rerun_scene import RerunScene

APPLICATION = "vla-edge"
FILE_ENDING = ".rrd"
FLUSH_PERIOD_S = 1.0
FLUSH_S = 1.0  # a viewer that takes nothing for so long is behind
FILE_S = 5.0  # for a file


class RerunLog:
    """Sends to the viewer at a URL, or writes a file of Rerun's.

    A viewer that takes nothing is told nothing until it has caught up; one that has gone stays gone.
    """

    def __init__(self, to: str, run: Path) -> None:
        self.name = f"Rerun at {to}"
        self._to, self._run = to, run
        self._file = to.endswith(FILE_ENDING)
        self._stream: Any = None
        self._scene: RerunScene | None = None
        self._flush_at_s = 0.0
        self._behind, self._left_out = False, 0

    def take(self, event: TapEvent) -> None:
        """Tell of an event. Raises OSError if the viewer has gone, or the file can't be written."""
        if self._scene is None:
            self._stream = self._open()
            self._scene = RerunScene(self._stream)
        if time.monotonic() >= self._flush_at_s:
            self._flush()
            self._flush_at_s = time.monotonic() + FLUSH_PERIOD_S
        self._left_out += self._behind
        self._scene.take(event, tell=not self._behind)

    def finish(self, whole: bool) -> list[str]:
        """Send the rest, and let go. Raises OSError as `take` does."""
        if self._stream is not None:
            self._flush()
            if not self._behind:
                self._stream.disconnect()
        if not self._left_out:
            return []
        return [f"it lacks {self._left_out} events: the viewer took none for a while"]

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
        """Wait a moment for what was sent to arrive. Raises OSError if it can't."""
        begun_s = time.monotonic()
        try:
            self._stream.flush(timeout_sec=FILE_S if self._file else FLUSH_S)
        except RuntimeError as error:
            if self._file:
                raise OSError(errno.EIO, f"{self._to} can't be written: is the disk full?") from error
            if time.monotonic() - begun_s < FLUSH_S / 2:
                raise OSError(errno.EPIPE, "the viewer has gone") from error
            self._behind = True
        else:
            self._behind = False
