"""The end of a tap: what its process says once its files are done, and what is said for one that can't.

A run that goes on in a new program hands its tap over: the process finishes its files meanwhile, and the end
of the run asks for its last word too.
"""

import socket
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from edge.child import KeptChild
from edge.runs.tap.events import TapLine

FINISH_S = 10.0  # for the process to finish its files, once the run has ended
SOONEST_S = 0.1  # to read what one says that has been done for long


@dataclass(frozen=True, slots=True)
class TapReport:
    """What became of a tap's events."""

    notes: tuple[str, ...] = ()  # for people: what is missing, and why
    files: tuple[str, ...] = ()  # the recordings


@dataclass(frozen=True, slots=True)
class KeptTap:
    """A tap whose drive is over while its run goes on; the numbers are of its process and its open socket."""

    pid: int
    fd: int
    lost: int  # events that were dropped, out of so many
    count: int
    recording: str  # the file of --record; empty without one
    words: str  # what the process said, up to a line's end

    def report(self, deadline_s: float) -> TapReport:
        """Return what became of its events; its process is waited for until then, by time.monotonic."""
        with socket.socket(fileno=self.fd) as link:
            ending = TapEnding(TapLine(link, self.words.encode()), KeptChild(self.pid), self.recording)
            return ending.report(deadline_s, self.lost, self.count, _ignore)


class TapChild(Protocol):
    """The process at the far end, as `subprocess.Popen` shows one."""

    def poll(self) -> int | None: ...
    def kill(self) -> None: ...
    def wait(self, timeout: float | None = None) -> int: ...


class TapEnding:
    """Hears out the process of a tap that gets no more events."""

    def __init__(self, line: TapLine, child: TapChild, recording: str) -> None:
        self._line, self._child, self._recording = line, child, recording

    def report(
        self, deadline_s: float, lost: int, count: int, heed: Callable[[dict[str, Any]], None]
    ) -> TapReport:
        """Wait for the process; return what it and this end have to say.

        `heed` takes what it says before its last word. It is killed if it is not done by the deadline.
        """
        notes: list[str] = []
        files: list[str] = []
        told = None
        try:
            self._line.link.settimeout(_left_s(deadline_s))
            told = self._last_word(heed)
        except (OSError, ValueError):
            pass
        try:
            self._child.wait(_left_s(deadline_s))
        except subprocess.TimeoutExpired:
            told = None
        if told is None:
            notes.append(self._gone())
            files = [self._recording] if self._recording and Path(self._recording).exists() else []
        else:
            notes, files = told["notes"], told["files"]
        if lost:
            notes.append(f"{lost} of {count} events of the drive are not recorded")
        return TapReport(tuple(notes), tuple(files))

    def _last_word(self, heed: Callable[[dict[str, Any]], None]) -> dict[str, Any] | None:
        """Wait for what the process says once its files are done; None if it has gone without."""
        for word in self._line.rest():
            if "files" in word:
                return word
            heed(word)
        return None

    def _gone(self) -> str:
        """Return why the process has not finished its files; it is killed if it still runs."""
        code = self._child.poll()
        if code is None:
            self._child.kill()
            why = f"was not done {FINISH_S:g} s after the run (is the disk slow?)"
        else:
            why = f"ended early ({f'signal {-code}' if code < 0 else f'exit code {code}'})"
        self._child.wait()
        torn = f"; `vla-edge recover {self._recording}`" if self._recording else ""
        return f"the recorder {why}: what it kept of this run may lack its end{torn}"


def _left_s(deadline_s: float) -> float:
    return max(SOONEST_S, deadline_s - time.monotonic())


def _ignore(word: dict[str, Any]) -> None:
    """Leave out what the process of an earlier drive would log: that was written in its own time."""
