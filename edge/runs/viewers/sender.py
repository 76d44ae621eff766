"""A viewer behind the tap: a consumer that hands the events to a process of the viewer's own.

The packages of viewers are native code, large, and slow to load: neither what they hold up nor what ends them
must reach the recorder.
"""

import contextlib
import errno
import json
import logging
import select
import socket
import subprocess
import sys
from typing import Any

from edge.child import child_environment
from edge.runs.tap.events import TapEvent
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
        self._words = b""  # what the process said, up to a line's end
        self._pictures = PictureDue()
        self._socket, there = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
        self._socket.settimeout(STALLED_S)
        self._heard = select.poll()
        self._heard.register(self._socket, select.POLLIN)
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
            self._heed()
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
        self._socket.sendall(event.head() + event.line)
        if event.blob:
            self._socket.sendall(event.blob)

    def _heed(self) -> None:
        """Take what the process says meanwhile. Never waits. Raises OSError if it has ended."""
        while self._heard.poll(0) and (heard := self._socket.recv(4096)):
            *lines, self._words = (self._words + heard).split(b"\n")
            for line in lines:
                self._take_word(json.loads(line))

    def _take_word(self, word: Any) -> str | None:
        """Take a word for the run's log; return a last word."""
        if isinstance(word, str):
            return word
        if hint := word["fields"].get("hint"):
            log.warning("%s: %s; %s", word["fields"]["viewer"], word["fields"]["why"], hint)
        self._tell(word)
        return None

    def _last_word(self) -> str:
        with self._socket.makefile("rb") as stream:
            while True:
                line, self._words = self._words + stream.readline(), b""
                if (why := self._take_word(json.loads(line))) is not None:
                    return why

    def _end(self) -> str:
        """Return why the viewer lacks something, if it says so; end its process."""
        self._socket.settimeout(END_S)
        try:
            why = self._last_word()
        except TimeoutError:
            why = f"it has not taken the end within {END_S:g} s"
        except (OSError, ValueError):
            why = "its process has ended"
        self._socket.close()
        self._child.kill()  # it has said its last word, or has none
        self._child.wait()
        return why
