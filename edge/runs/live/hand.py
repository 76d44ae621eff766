"""The page's line to the motor process: the stop of anybody, and the hand of one person at a time."""

import asyncio
import contextlib
import math
import socket
import time
from collections.abc import Callable, Hashable

from edge.motor.wire import MAX_BYTES, ByHand, LetGo, Message, Stop, encode
from edge.records import StopCause

CONFIRM_S = 0.5  # for the motor process to confirm a stop, which takes it a tick at most
SEEN_S = 0.5  # who drives must have seen what was sent to the page so short a time ago


class HandLine:
    """The server's end, for one event loop. A run without motion has it too; a recording has none."""

    def __init__(self, line: socket.socket | None, now_s: Callable[[], float] = time.monotonic) -> None:
        self.holder: Hashable | None = None  # who drives
        self._line, self._now_s = line, now_s
        self._confirmed = asyncio.Event()
        if line is not None:
            line.setblocking(False)
            asyncio.get_running_loop().add_reader(line.fileno(), self._read)

    @property
    def there(self) -> bool:
        """True while there is a motor process at the other end."""
        return self._line is not None

    async def stop(self) -> bool:
        """Stop the base for good; returns whether the motor process has confirmed it in time."""
        self._confirmed.clear()
        if not self.send_stop():
            return False
        with contextlib.suppress(asyncio.TimeoutError):
            await asyncio.wait_for(self._confirmed.wait(), CONFIRM_S)
        return self._confirmed.is_set()

    def send_stop(self) -> bool:
        """Send the stop, without waiting; returns whether it could be sent."""
        return self._send(Stop("stopped by the operator (live page)", StopCause.OPERATOR))

    def drive(self, who: Hashable, ahead: float, turn: float, seen_s: float) -> str:
        """Drive the base by hand; returns why not, empty if it is driven.

        `ahead` and `turn` are shares of the highest speeds, `seen_s` is when what `who` saw last was sent.
        """
        if not (math.isfinite(ahead) and math.isfinite(turn)):
            return "not a number"
        if self.holder not in (None, who):
            return "somebody else drives"
        if self._now_s() - seen_s > SEEN_S:
            return "the connection is too slow to drive"
        if not self._send(ByHand(ahead, turn)):
            return "the motor process is gone"
        self.holder = who
        return ""

    def let_go(self, who: Hashable) -> None:
        """Take note that a hand has let go."""
        if self.holder == who:
            self._send(LetGo())
            self.holder = None

    def lose(self, who: Hashable) -> None:
        """Take note that a viewer is gone. One that drove has not let go, so the base stands.

        Somebody else may take it, before the motor process stops it for good.
        """
        if self.holder == who:
            self.holder = None

    def close(self) -> None:
        """Close the line."""
        if self._line is not None:
            with contextlib.suppress(RuntimeError):
                asyncio.get_running_loop().remove_reader(self._line.fileno())
            self._line.close()
            self._line = None

    def _send(self, message: Message) -> bool:
        try:
            return self._line is not None and bool(self._line.send(encode(message)))
        except OSError:
            return False

    def _read(self) -> None:
        assert self._line is not None
        try:
            gone = not self._line.recv(MAX_BYTES)
        except BlockingIOError:
            return
        except OSError:
            gone = True
        if gone:
            self.close()
        else:
            self._confirmed.set()
