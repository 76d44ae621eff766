"""The way of the picture to each viewer: by WebRTC while that is seen to work, and by JPEGs otherwise."""

import asyncio
import importlib.util
import logging
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from edge.runs.live.viewers import Newest

if TYPE_CHECKING:
    from edge.runs.live.rtc.peer import VideoPeer

MOST_PEERS = 4
MOST_OFFER = 16384  # characters; it comes in parts
STALLED_S = 1.5  # without word of a picture the JPEGs go again
GIVEN_UP_S = 10.0  # and the connection is closed

log = logging.getLogger(__name__)


class Peers:
    """The connections of one run's page, at most MOST_PEERS."""

    def __init__(self, newest: Newest) -> None:
        """Load aiortc now, so that no stop has to wait for it later."""
        from edge.runs.live.rtc.peer import VideoPeer

        self._make: Callable[[], VideoPeer] = lambda: VideoPeer(newest)
        self._open: set[VideoWay] = set()

    @classmethod
    def where_installed(cls, newest: Newest) -> "Peers | None":
        """Return them, or None without aiortc, or where it can't be loaded."""
        if importlib.util.find_spec("aiortc") is None:
            return None
        try:
            return cls(newest)
        except ImportError as error:
            log.warning("no picture by WebRTC: aiortc can't be loaded: %s", error)
            return None

    def way(self, here: str, there: str) -> "VideoWay":
        """Return the way to one viewer, whose page came from the address `there` to the address `here`."""
        return VideoWay(self, here, there)

    def take(self, way: "VideoWay") -> "VideoPeer | None":
        """Return a new connection, or None if there are enough."""
        if len(self._open) >= MOST_PEERS:
            return None
        self._open.add(way)
        return self._make()

    def free(self, way: "VideoWay") -> None:
        """Take note that a connection is closed."""
        self._open.discard(way)

    @property
    def full(self) -> bool:
        """True while no more are let in."""
        return len(self._open) >= MOST_PEERS

    async def close(self) -> None:
        """End all."""
        for way in list(self._open):
            await way.close()


class VideoWay:
    """One viewer's picture by WebRTC, from its offer on."""

    def __init__(self, peers: Peers, here: str, there: str) -> None:
        self.answer = ""  # for the page, once there is one
        self.saw_s = float("-inf")  # when the newest picture was sent of which the page said that it shows it
        self._peers, self._here, self._there = peers, here, there
        self._offer = ""
        self._peer: VideoPeer | None = None
        self._heard_s = 0.0  # when the page said so last, or the connection began
        self._task: asyncio.Task[None] | None = None

    @property
    def can(self) -> bool:
        """True if an offer would be answered."""
        return not self._busy and not self._peers.full

    @property
    def _busy(self) -> bool:
        return self._task is not None and not self._task.done()

    @property
    def works(self) -> bool:
        """True while the page says that it shows what is sent."""
        return self.saw_s > float("-inf") and time.monotonic() - self._heard_s < STALLED_S

    def take_offer(self, part: Any, last: Any) -> None:
        """Take a part of the page's offer. Raises TypeError or ValueError for what no page sends."""
        if not isinstance(part, str) or len(self._offer) + len(part) > MOST_OFFER:
            raise ValueError("not an offer")
        self._offer += part
        if last is True:
            whole, self._offer = self._offer, ""
            if not self._busy:
                self._task = asyncio.ensure_future(self._serve(whole))

    def saw(self, number: int) -> None:
        """Take note that the page shows the picture of a number."""
        sent_s = None if self._peer is None else self._peer.sent_s(number)
        if sent_s is not None:
            self.saw_s, self._heard_s = max(self.saw_s, sent_s), time.monotonic()

    async def close(self) -> None:
        """End the connection; the JPEGs go on."""
        if self._task is not None and not self._task.done():
            self._task.cancel()
            await asyncio.wait([self._task])

    async def _serve(self, offer: str) -> None:
        """Answer, and close what the page no longer shows."""
        peer = self._peer = self._peers.take(self)
        if peer is None:
            return
        try:
            self.answer = await peer.answer(offer, self._here, self._there)
            self._heard_s = time.monotonic()
            while not peer.gone and time.monotonic() - self._heard_s < GIVEN_UP_S:
                await asyncio.sleep(0.5)
        except Exception as error:  # noqa: BLE001 - whatever a page offers: the JPEGs go on
            log.warning("no picture by WebRTC: %s: %s", type(error).__name__, error)
        finally:
            self._peer, self.answer, self.saw_s = None, "", float("-inf")
            await peer.close()
            self._peers.free(self)
