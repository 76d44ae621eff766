"""The live page at `page://?fd=N`: the line from its server to the motor process, past the runtime.

A person at the page stops the base for good, and drives it for as long as a finger holds the page's pad: the
server sends each word of that hand, and a hand that falls silent moves nothing. Nobody types this address:
`vla-edge run --web` makes it.
"""

import contextlib
import math
import socket
import time
from collections.abc import Callable

from edge.address import Address
from edge.interfaces import Closing
from edge.motor.limits import MotorLimits
from edge.motor.operator.panel import EXAMPLE, PanelStop
from edge.motor.wire import MAX_BYTES, ByHand, LetGo, Stop, decode
from edge.records import ZERO, StopCause, Velocity

SILENT_NS = 300_000_000  # the base brakes, since the newest word of a hand is older
LOST_NS = 2_000_000_000  # that hand does not come back: the base is stopped for good
HAND_BACK_NS = 500_000_000  # from letting go to the policy's turn
MAX_MESSAGES = 64  # read at once
STOPPED = PanelStop(StopCause.OPERATOR, "stopped by the operator (live page)")
GONE = PanelStop(StopCause.OPERATOR_LOST, "the operator's live page is gone")
SILENT = PanelStop(
    StopCause.OPERATOR_LOST,
    f"the hand that drove at the live page is gone (silent for {LOST_NS / 1e9:g} s)",
)


class PageLine(Closing):
    """The motor process's end of that line."""

    def __init__(
        self, line: socket.socket, limits: MotorLimits, now_ns: Callable[[], int] = time.monotonic_ns
    ) -> None:
        self._line, self._limits, self._now_ns = line, limits, now_ns
        self._held: Velocity | None = None  # the newest word of a hand that has not let go
        self._word_ns = 0  # when its newest word came, or that it lets go
        self._free = True  # it has let go since the base was armed
        self._handing_back = False

    def fileno(self) -> int:
        """Return the descriptor to wait for."""
        return self._line.fileno()

    def read(self) -> PanelStop | None:
        """Take in the messages that have come."""
        for _ in range(MAX_MESSAGES):
            try:
                packet = self._line.recv(MAX_BYTES + 1, socket.MSG_DONTWAIT)
            except BlockingIOError:
                break
            except OSError:
                packet = b""
            if not packet:
                return GONE
            if self._take(packet):
                return STOPPED
        if self._held is not None and self._now_ns() - self._word_ns > LOST_NS:
            return SILENT
        return None

    def begin(self) -> None:
        """Note that the base was just armed: a hand that holds moves nothing until it has let go."""
        self._free = self._held is None

    def takeover(self, now_ns: int) -> Velocity | None:
        """Return how the hand drives the base; None if the policy may drive it."""
        if self._held is not None:
            return self._held if self._free and now_ns - self._word_ns <= SILENT_NS else ZERO
        self._handing_back = self._handing_back and now_ns - self._word_ns <= HAND_BACK_NS
        return ZERO if self._handing_back else None

    def close(self) -> None:
        """Close the line."""
        self._line.close()

    def _take(self, packet: bytes) -> bool:
        """Take in one message. Returns True if it means a stop, and confirms that one."""
        try:
            message = decode(packet)
        except ValueError:
            return False
        match message:
            case Stop():
                with contextlib.suppress(OSError):  # a server that is gone needs no word
                    self._line.send(packet, socket.MSG_DONTWAIT)
                return True
            case ByHand(ahead, turn) if math.isfinite(ahead) and math.isfinite(turn):
                self._held, self._word_ns = self._velocity(ahead, turn), self._now_ns()
            case LetGo():
                self._handing_back = self._held is not None
                self._held, self._word_ns, self._free = None, self._now_ns(), True
            case _:
                pass
        return False

    def _velocity(self, ahead: float, turn: float) -> Velocity:
        ahead, turn = (max(-1.0, min(1.0, share)) for share in (ahead, turn))
        return Velocity(ahead * self._limits.linear_m_s, 0.0, turn * self._limits.angular_rad_s)


def open_page(text: str, limits: MotorLimits) -> PageLine:
    """Open the line whose number the address has. Raises UsageError if it is malformed or not open."""
    address = Address(text, "operator", EXAMPLE)
    fd = address.whole("fd", -1, 3, 1 << 20)
    address.finish()
    if fd < 0:
        raise address.error("fd is missing: the number of its socket")
    try:
        return PageLine(socket.socket(fileno=fd), limits)
    except OSError as error:
        raise address.error(f"its socket is not open: {error.strerror}") from error
