"""Feeds the live page: a consumer behind the tap that sends states and pictures to the page's process.

It never waits for that process: a packet that finds the socket full is left out, and a newer one follows.
"""

import contextlib
import errno
import socket
import time
from typing import Any

from edge.runs.live.packets import Packet, Picture, pack, unpack_wish
from edge.runs.live.snapshot import Snapshot
from edge.runs.recording.images import as_jpeg
from edge.runs.tap.events import TapEvent
from edge.runs.tap.switch import RecordingSwitch

STATE_PERIOD_NS = 100_000_000
PATH_PERIOD_NS = 1_000_000_000
PICTURE_PERIOD_NS = 90_000_000  # the tap offers ten a second; a recording has them all
WIDTHS_PX = (640, 320, 160)  # the largest whose JPEG fits a packet
WATCHED_NS = 2_000_000_000  # pictures are made so long after the page's newest word that somebody looks
WORD_BYTES = 64  # more than a packet of the way back has
END_S = 1.0  # for the last state to be taken


class PageFeed:
    """Sends to the page's process by its socket, which it closes at the end."""

    name = "the live page"

    def __init__(self, feed: socket.socket, switch: RecordingSwitch | None = None) -> None:
        """Feed the page; a run has a `switch`, by which somebody at the page records it."""
        feed.setblocking(False)
        self._feed, self._switch = feed, switch
        self._snapshot = Snapshot()
        self._state_ns = self._path_ns = -STATE_PERIOD_NS
        self._picture_ns: dict[str, int] = {}  # by camera, of the newest that was sent
        self._watched_ns = -WATCHED_NS
        self._pending: list[TapEvent] = []  # images whose tick has not come

    def take(self, event: TapEvent) -> None:
        """Take an event; send the state, ten times a second, and pictures while somebody looks."""
        self._listen()
        if event.topic == "image":
            self._pending = [*self._pending[-7:], event]
        else:
            self._snapshot.take(event.topic, event.stamp_ns, event.data)
        if event.topic == "tick":  # it has the boxes of the images before it
            for each in self._pending:
                self._send_picture(each)
            self._pending = []
        if event.stamp_ns - self._state_ns >= STATE_PERIOD_NS or event.topic in ("end", "outcome"):
            self._send_state(event.stamp_ns)

    def finish(self, whole: bool) -> list[str]:
        """Send the last state, and let go of the socket."""
        with contextlib.suppress(OSError):
            self._feed.settimeout(END_S)
            self._feed.send(pack(self._state(with_path=True)))
        self._feed.close()
        return []

    def _send_state(self, stamp_ns: int) -> None:
        self._state_ns = stamp_ns
        with_path = stamp_ns - self._path_ns >= PATH_PERIOD_NS
        if self._send(self._state(with_path)) and with_path:
            self._path_ns = stamp_ns

    def _state(self, with_path: bool) -> dict[str, Any]:
        state = {**self._snapshot.state(with_path), "at_ms": self._state_ns / 1e6}
        return state if self._switch is None else {**state, "recording": self._switch.state()}

    def _send_picture(self, event: TapEvent) -> None:
        camera: str = event.data["camera"]
        before_ns = self._picture_ns.get(camera)
        if (before_ns is not None and event.stamp_ns - before_ns < PICTURE_PERIOD_NS) or not self.watched:
            return
        boxes = self._snapshot.boxes if camera == self._snapshot.camera else []
        for width_px in WIDTHS_PX:
            jpeg = as_jpeg(event, width_px).blob
            try:
                self._send(Picture(camera, event.stamp_ns / 1e6, bytes(jpeg), boxes))
            except OSError:
                continue
            self._picture_ns[camera] = event.stamp_ns
            return

    def _send(self, packet: Packet) -> bool:
        """Send it, or leave it out where the page does not keep up. Raises OSError if it is too large."""
        try:
            self._feed.send(pack(packet))
        except OSError as error:
            if error.errno == errno.EMSGSIZE:
                raise
            return False
        return True

    @property
    def watched(self) -> bool:
        """True while somebody looks at the page."""
        self._listen()
        return time.monotonic_ns() - self._watched_ns < WATCHED_NS

    def _listen(self) -> None:
        """Take what has come from the page's process."""
        with contextlib.suppress(OSError):
            while word := self._feed.recv(WORD_BYTES):
                wish = unpack_wish(word)
                if wish is None:
                    self._watched_ns = time.monotonic_ns()
                elif self._switch is not None:
                    self._switch.heed(wish.number, wish.on)
