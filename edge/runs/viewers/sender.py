"""A viewer behind the tap: a consumer that hands the events to a process of the viewer's own.

The packages of viewers are native code, large, and slow to load: neither what they hold up nor what ends them
must reach the recorder.
"""

import contextlib
import errno
import logging
import socket
import subprocess
import sys
from typing import Any

from edge.child import child_environment
from edge.runs.tap.events import TapEvent, TapLine
from edge.runs.tap.options import TapOptions
from edge.runs.tap.plain import to_line
from edge.runs.tap.switch import Tell
from edge.runs.viewers.shown import PictureDue

STALLED_S = 10.0  # a process that leaves an event unread for so long is given up
END_S = 3.0  # for a viewer to take the end of a run
PATIENCE_S = 5.0  # for all that waits for one

log = logging.getLogger(__name__)


class ViewerSender:
    """Feeds the process of one viewer: all events, and of the images a few."""

    def __init__(self, name: str, options: TapOptions, tell: Tell) -> None:
        """Start the process; `options` name this viewer alone. `tell` takes words for the run's log."""
        self.name = name
        self._tell = tell
        self._lacks: str | None = None  # why the viewer lacks something: the last word of its process
        self._pictures = PictureDue()
        self._socket, there = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
        self._socket.settimeout(STALLED_S)
        self._line = TapLine(self._socket)
        with there:
            command = [sys.executable, "-m", "edge.runs.viewers.process", "--fd", str(there.fileno())]
            self._child = subprocess.Popen(
                command, pass_fds=[there.fileno()], stdin=subprocess.DEVNULL, env=child_environment()
            )
        self._send(TapEvent("options", 0, 0, to_line(options)))

    def take(self, event: TapEvent) -> None:
        """Hand an event over. Raises OSError once the viewer has gone, or hangs."""
        if event.topic == "image" and not self._pictures.due(event):
            return
        try:
            self._send(event)
            for word in self._line.heard():
                self._take_word(word)
        except TimeoutError as error:
            self._end()
            raise OSError(errno.ETIMEDOUT, f"it took nothing for {STALLED_S:g} s") from error
        except OSError as error:
            raise OSError(errno.EPIPE, self._end()) from error

    def finish(self, whole: bool) -> list[str]:
        """Let the viewer take the end."""
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_WR)
        why = self._end()
        return [f"{self.name}: {why}"] if why else []

    def _send(self, event: TapEvent) -> None:
        self._line.send([event.head() + event.line], event.blob)

    def _take_word(self, word: dict[str, Any]) -> None:
        """Keep the last word; take the others for the run's log."""
        if "lacks" in word:
            self._lacks = word["lacks"]
            return
        if hint := word["fields"].get("hint"):
            log.warning("%s: %s; %s", word["fields"]["viewer"], word["fields"]["why"], hint)
        self._tell(word)

    def _end(self) -> str:
        """Return why the viewer lacks something, if it says so; end its process."""
        self._socket.settimeout(END_S)
        try:
            for word in self._line.rest():
                self._take_word(word)
            why = "its process has ended"
        except TimeoutError:
            why = f"it has not taken the end within {END_S:g} s"
        except (OSError, ValueError):
            why = "its process has ended"
        self._socket.close()
        self._child.kill()  # it has said its last word, or has none
        self._child.wait()
        return why if self._lacks is None else self._lacks
