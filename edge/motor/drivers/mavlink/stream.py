"""MAVLink 2 packets from and to a byte stream; checksums and sequence are checked, faults counted."""

from importlib import import_module
from typing import Any

# pymavlink's generated modules have no types that a checker can read, so they are Any on purpose.
mav: Any = import_module("pymavlink.dialects.v20.common")
MavMessage = Any

# A sender that has been silent for this long may have restarted its sequence.
SEQUENCE_RESET_NS = 300_000_000


class MavStream:
    """One end of a line. Neither method does input or output, or raises on any bytes."""

    def __init__(self, system: int, component: int) -> None:
        self._codec = mav.MAVLink(None, srcSystem=system, srcComponent=component)
        self._codec.robust_parsing = True  # turns bad data into a message instead of an exception
        self._last: dict[tuple[int, int], tuple[int, int]] = {}  # (sequence, time) by sender
        self.bad = 0  # runs of bytes that don't form a packet, and packets with a wrong checksum
        self.repeated = 0  # duplicated, replayed or out of order
        self.lost = 0  # gaps in the sequence

    def speak_for(self, system: int) -> None:
        """Send as a component of this system from now on."""
        self._codec.srcSystem = system

    def pack(self, message: MavMessage) -> bytes:
        """Return the bytes of one packet, with the next sequence number."""
        packet = message.pack(self._codec)
        self._codec.seq = (self._codec.seq + 1) % 256
        return bytes(packet)

    def feed(self, data: bytes, now_ns: int) -> list[MavMessage]:
        """Return the good and new messages that `data` completes, in order."""
        messages: list[MavMessage] = []
        parsed: list[MavMessage] = self._codec.parse_buffer(data) or []
        for message in parsed:
            if isinstance(message, mav.MAVLink_bad_data):
                self.bad += 1
            elif not isinstance(message, mav.MAVLink_unknown) and self._is_new(message, now_ns):
                messages.append(message)
        return messages

    def _is_new(self, message: MavMessage, now_ns: int) -> bool:
        sender = (message.get_srcSystem(), message.get_srcComponent())
        sequence = message.get_seq()
        last, heard_ns = self._last.get(sender, (sequence - 1, now_ns))
        ahead = (sequence - last) % 256
        if now_ns - heard_ns > SEQUENCE_RESET_NS:
            ahead = 1
        if ahead == 0 or ahead > 128:
            self.repeated += 1
            return False
        self.lost += ahead - 1
        self._last[sender] = (sequence, now_ns)
        return True


def flipped(x: float, y: float, turn: float) -> tuple[float, float, float]:
    """Convert between this runtime's axes (y left, z up) and MAVLink's (y right, z down); its own inverse."""
    return x, -y, -turn
