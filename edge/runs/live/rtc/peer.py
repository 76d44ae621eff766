"""One viewer's picture by WebRTC, by aiortc: the only file that knows it.

Nothing but the viewer's own address and the address of this machine at which its page came is spoken to: no
STUN, no TURN, no names to look up.
"""

import asyncio
import contextlib
import re
import time
from fractions import Fraction
from typing import Any

import cv2
import numpy as np
from aiortc import RTCConfiguration, RTCPeerConnection, RTCSessionDescription
from aiortc.mediastreams import MediaStreamError, MediaStreamTrack
from av import VideoFrame

from edge.records import Image
from edge.runs.live.packets import Picture
from edge.runs.live.rtc.strip import NUMBERS, numbered
from edge.runs.live.viewers import Newest

SHORTEST_S = 0.08  # between two pictures
REPEAT_S = 0.2  # and after so long without a new one the newest goes again, so that the way is seen to work
KEPT = 64  # pictures whose number is known; a number comes again after an hour and more
CLOCK_HZ = 90_000
_CANDIDATE = re.compile(r"a=candidate:\S+ \d+ (\S+) \d+ (\S+) \d+ typ (\S+)")


class VideoPeer:
    """A connection that sends the camera that the policy sees with."""

    def __init__(self, newest: Newest) -> None:
        # No list at all would mean a foreign server.
        self._connection = RTCPeerConnection(RTCConfiguration(iceServers=[]))
        self._track = _Pictures(newest)

    @property
    def gone(self) -> bool:
        """True once the connection has failed or was closed."""
        return self._connection.connectionState in ("failed", "closed")

    def sent_s(self, number: int) -> float | None:
        """Return when the picture of a number was sent; None if that is long ago, or it never was."""
        return self._track.sent_s.get(number)

    async def answer(self, offer: str, here: str, there: str) -> str:
        """Return the answer to a page's offer. `here` and `there` are the addresses of both ends of its page.

        Raises ValueError for an offer that no page makes, or if nothing can listen at `here`.
        """
        connection = self._connection
        sender = connection.addTrack(self._track)
        _gather_at(sender.transport.transport.iceGatherer, here)
        await connection.setRemoteDescription(RTCSessionDescription(bounded_offer(offer, there), "offer"))
        await connection.setLocalDescription(await connection.createAnswer())
        told = connection.localDescription.sdp
        hosts = {found[2] for found in map(_CANDIDATE.match, told.splitlines()) if found is not None}
        if hosts != {here}:
            raise ValueError(f"it listens at {sorted(hosts)} instead of {here}")
        return told

    async def close(self) -> None:
        """End it."""
        self._track.stop()
        with contextlib.suppress(ConnectionError):
            await self._connection.close()


class _Pictures(MediaStreamTrack):
    """The newest picture whenever the encoder takes one; what it does not take in time is left out."""

    kind = "video"

    def __init__(self, newest: Newest) -> None:
        super().__init__()
        self.sent_s: dict[int, float] = {}
        self._newest = newest
        self._number = 0
        self._begun_s = time.monotonic()
        self._last_s = -SHORTEST_S
        self._shown: tuple[float, Image] | None = None  # stamp and pixels of the newest

    async def recv(self) -> VideoFrame:
        """Return the next frame. Raises MediaStreamError once the track has ended."""
        picture = await self._next()
        now_s = self._last_s = time.monotonic()
        self._number = (self._number + 1) % NUMBERS
        frame = await asyncio.get_running_loop().run_in_executor(None, self._frame, picture, self._number)
        frame.pts, frame.time_base = round((now_s - self._begun_s) * CLOCK_HZ), Fraction(1, CLOCK_HZ)
        self.sent_s[self._number] = now_s
        while len(self.sent_s) > KEPT:
            del self.sent_s[next(iter(self.sent_s))]
        return frame

    async def _next(self) -> Picture:
        """Return the newest picture, once it is new or REPEAT_S old."""
        await asyncio.sleep(self._last_s + SHORTEST_S - time.monotonic())
        while self.readyState == "live" and not self._newest.over:
            changed, picture = self._newest.changed, self._newest.seen_with
            repeat_s = self._last_s + REPEAT_S - time.monotonic()
            before_ms = None if self._shown is None else self._shown[0]
            if picture is not None and (repeat_s <= 0 or picture.stamp_ms != before_ms):
                return picture
            with contextlib.suppress(asyncio.TimeoutError):
                await asyncio.wait_for(changed.wait(), REPEAT_S if picture is None else repeat_s)
        raise MediaStreamError

    def _frame(self, picture: Picture, number: int) -> VideoFrame:
        if self._shown is None or self._shown[0] != picture.stamp_ms:
            found = cv2.imdecode(np.frombuffer(picture.jpeg, np.uint8), cv2.IMREAD_COLOR)
            assert found is not None  # our own recorder has just made it
            self._shown = picture.stamp_ms, np.asarray(found, np.uint8)
        return VideoFrame.from_ndarray(numbered(self._shown[1], number), "bgr24").reformat(format="yuv420p")


def bounded_offer(offer: str, there: str) -> str:
    """Return a page's offer with its own address alone. Raises ValueError if it is about more than a picture.

    Browsers hide their addresses behind names that only a search in the whole network would resolve; the
    page's connection has told where it is.
    """
    lines = offer.splitlines()
    media = [line for line in lines if line.startswith("m=")]
    if len(media) != 1 or not media[0].startswith("m=video "):
        raise ValueError("an offer of something else than one picture")
    kept: list[str] = []
    for line in lines:
        if line.startswith("a=candidate:"):
            found = _CANDIDATE.match(line)
            if found is None or found[1].lower() != "udp" or found[3] != "host":
                continue
            line = line[: found.start(2)] + there + line[found.end(2) :]
        kept.append(line)
    return "\r\n".join([*kept, ""])


def _gather_at(gatherer: Any, address: str) -> None:
    """Let a connection listen at one address of this machine, and not at all that there are."""
    connection = gatherer._connection
    gather = connection.get_component_candidates

    def gather_here(component: int, addresses: list[str]) -> Any:
        return gather(component, [address])

    connection.get_component_candidates = gather_here
