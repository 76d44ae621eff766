"""What each viewer of the page gets: the newest state and pictures, no faster than it takes them."""

import asyncio
import contextlib
import json
import struct
import time
from collections.abc import Awaitable, Callable
from typing import Any, Protocol, cast

from edge.runs.live.hand import HandLine
from edge.runs.live.packets import Picture, Settings, State, Wish

SHORTEST_S = 0.08  # between two messages to a viewer
PERIOD_S = 0.1  # and so long more, at most, without anything new
IN_FLIGHT = 2  # messages that a viewer has not confirmed; no more are sent until it does
FROZEN_S = 10.0  # a viewer that confirms nothing for so long is let go
_LENGTH = struct.Struct(">I")


class Newest:
    """The newest of everything that came from the run; viewers wait for it to change."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.state_line = b"{}"
        self.path: list[Any] = []
        self.path_version = 0
        self.pictures: dict[str, Picture] = {}
        self._camera = ""  # that the policy sees with
        self._behind_ms = 0.0  # how far a recording's clock is behind
        self.wish: Wish | None = None  # the newest
        self.wished = asyncio.Event()
        self.over = False  # the run has ended, and nothing more will come
        self.changed = asyncio.Event()

    def take(self, packet: State | Picture) -> None:
        """Take what has come."""
        if isinstance(packet, Picture):
            self.pictures[packet.camera] = packet
        else:
            state = dict(packet)
            self._camera = state.get("camera", "")
            if (path := state.pop("path", None)) is not None:
                self.path, self.path_version = path, self.path_version + 1
            self.state_line = json.dumps(state).encode()  # once for all viewers
            if not self.settings.controls:
                self._behind_ms = time.monotonic_ns() / 1e6 - state["at_ms"]
        self._wake()

    @property
    def now_ms(self) -> float:
        """What time it is on the clock of the stamps."""
        return time.monotonic_ns() / 1e6 - self._behind_ms

    @property
    def seen_with(self) -> Picture | None:
        """The newest picture of the camera that the policy sees with."""
        return self.pictures.get(self._camera)

    def want(self, recording: bool) -> None:
        """Take somebody's wish that the run is recorded, or no longer; a recorded run takes none."""
        if self.settings.controls:
            self.wish = Wish(self.wish.number + 1 if self.wish else 1, recording)
            self.wished.set()

    def end(self) -> None:
        """Take note that nothing more will come."""
        self.over = True
        self._wake()

    def _wake(self) -> None:
        self.changed.set()
        self.changed = asyncio.Event()


class OtherWay(Protocol):
    """The way of one picture beside the messages, whose page says what it shows."""

    answer: str  # to the page's offer; empty without
    saw_s: float  # when the newest picture was sent of which the page said that it shows it

    @property
    def can(self) -> bool:
        """True if an offer would be answered."""
        ...

    @property
    def works(self) -> bool:
        """True while the page says that it shows what is sent."""
        ...

    def take_offer(self, part: Any, last: Any) -> None:
        """Take a part of the page's offer. Raises TypeError or ValueError for what no page sends."""
        ...

    def saw(self, number: int) -> None:
        """Take note that the page shows the picture of a number."""
        ...


class Viewer:
    """One open page. `send` sends bytes to it; `video` is where a picture goes beside the messages."""

    def __init__(
        self,
        newest: Newest,
        hand: HandLine,
        send: Callable[[bytes], Awaitable[None]],
        video: OtherWay | None = None,
    ) -> None:
        self.refused = ""  # why its hand does not drive
        self._newest, self._hand, self._send, self._video = newest, hand, send, video
        self._by_video: set[int] = set()  # messages without the picture, as it goes the other way
        self._number = self._seen = 0  # the newest message sent, and confirmed
        self._sent_s = {0: time.monotonic()}  # when messages were sent that are not older than the confirmed
        self._confirmed = asyncio.Event()
        self._knows_end = False
        self._path_version = -1
        self._shown: dict[str, float] = {}  # stamps of the pictures that it has, by camera

    async def serve(self) -> None:
        """Send until the viewer is frozen or the run is over and it knows. Raises what `send` raises."""
        while True:
            changed = self._newest.changed
            self._confirmed.clear()
            if self._number - self._seen >= IN_FLIGHT:
                try:
                    await asyncio.wait_for(self._confirmed.wait(), FROZEN_S)
                except asyncio.TimeoutError:
                    return
                continue
            if self._newest.over and self._knows_end and self._seen == self._number:
                return
            self._number += 1
            self._sent_s[self._number] = time.monotonic()
            self._knows_end = self._newest.over
            await self._send(self._message())
            # Also without anything new: ages grow, and who drives must see that the connection works.
            await asyncio.sleep(SHORTEST_S)
            with contextlib.suppress(asyncio.TimeoutError):
                await asyncio.wait_for(changed.wait(), PERIOD_S)

    def take(self, text: str) -> None:
        """Take a message of the page. Raises ValueError, TypeError or OverflowError for another."""
        found = json.loads(text)
        if not isinstance(found, dict):
            raise TypeError("not an object")
        message = cast("dict[str, Any]", found)
        if "seen" in message:
            self._confirm(int(message["seen"]))
        if "drive" in message:
            ahead, turn = map(float, message["drive"])
            self.refused = self._hand.drive(self, ahead, turn, self._seen_s())
        if "let_go" in message:
            self.refused = ""
            self._hand.let_go(self)
        if "record" in message:
            if not isinstance(message["record"], bool):
                raise TypeError("neither on nor off")
            self._newest.want(message["record"])
        if self._video is not None and "offer" in message:
            self._video.take_offer(message["offer"], message.get("last"))
        if self._video is not None and "saw" in message:
            self._video.saw(int(message["saw"]))
        if "stop" in message:
            self._hand.send_stop()

    def _seen_s(self) -> float:
        """Return when what the person saw last was sent: the message, and the picture if it went apart."""
        sent_s = self._sent_s[self._seen]
        if self._video is not None and self._seen in self._by_video:
            return min(sent_s, self._video.saw_s)
        return sent_s

    def _confirm(self, number: int) -> None:
        if not self._seen <= number <= self._number:
            raise ValueError(f"message {number} was never sent")
        self._seen = number
        self._sent_s = {each: at_s for each, at_s in self._sent_s.items() if each >= number}
        self._by_video = {each for each in self._by_video if each >= number}
        self._confirmed.set()

    def _message(self) -> bytes:
        """Return state and pictures that are new to it: a length, a line of JSON, and the JPEGs."""
        newest, video, apart = self._newest, self._video, None
        if video is not None and video.works:
            self._by_video.add(self._number)
            apart = newest.seen_with
        pictures = [
            each
            for each in newest.pictures.values()
            if each is not apart and self._shown.get(each.camera) != each.stamp_ms
        ]
        self._shown |= {each.camera: each.stamp_ms for each in pictures}
        holder = self._hand.holder
        head: dict[str, Any] = {
            "number": self._number,
            "now_ms": newest.now_ms,
            "title": newest.settings.title,
            "controls": newest.settings.controls,
            "hand": "nobody" if holder is None else "you" if holder is self else "other",
            "refused": self.refused,
            "over": newest.over,
            "wish": newest.wish.number if newest.wish else 0,
            "pictures": [[each.camera, each.stamp_ms, len(each.jpeg), each.boxes] for each in pictures],
        }
        if video is not None:
            head["video"] = {"can": video.can, "answer": video.answer}
        if newest.path_version != self._path_version:
            head["path"], self._path_version = newest.path, newest.path_version
        line = json.dumps(head)[:-1].encode() + b', "state": ' + newest.state_line + b"}"
        return b"".join([_LENGTH.pack(len(line)), line, *(each.jpeg for each in pictures)])
