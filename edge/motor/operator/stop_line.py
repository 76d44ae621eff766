"""An emergency stop's contact at `gpio:///dev/gpiochip0?line=17`: a circuit that opens stops the base.

The contact is closed while all is well and pulls the line to ground; the line's own pull-up shows a contact
that opens, a wire that breaks and a plug that falls out alike.
"""

import errno
import fcntl
import os
import struct
from collections.abc import Callable

from edge.address import Address
from edge.errors import HardwareMissing
from edge.interfaces import Closing
from edge.motor.operator.panel import EXAMPLE, PanelStop
from edge.records import StopCause

# struct gpio_v2_line_request of linux/gpio.h: offsets, consumer, flags, attributes, count, descriptor.
REQUEST = struct.Struct("=64I32sQI20x240xII20xi")
VALUES = struct.Struct("=QQ")  # bits, mask
GET_LINE = 3 << 30 | REQUEST.size << 16 | 0xB4 << 8 | 0x07
GET_VALUES = 3 << 30 | VALUES.size << 16 | 0xB4 << 8 | 0x0E
INPUT, BOTH_EDGES = 1 << 2, 1 << 4 | 1 << 5
BIASES = {"up": 1 << 8, "down": 1 << 9, "none": 1 << 10}
EVENT_BYTES = 48 * 16


class StopLine(Closing):
    """An open line. `is_open` tells if the circuit is open now, and raises OSError if the line is gone."""

    def __init__(self, fd: int, is_open: Callable[[], bool]) -> None:
        os.set_blocking(fd, False)
        self._fd = fd
        self._is_open = is_open

    def fileno(self) -> int:
        """Return the descriptor to wait for: readable after each edge."""
        return self._fd

    def read(self) -> PanelStop | None:
        """Return why the base must stop: the circuit is open now, or was since the last call."""
        try:
            moved = os.read(self._fd, EVENT_BYTES)
        except BlockingIOError:
            moved = None
        except OSError:
            moved = b""
        try:
            is_open = self._is_open()
        except OSError:
            moved = b""
        else:
            if moved or (is_open and moved is None):
                return PanelStop(StopCause.OPERATOR, "stopped by the operator (stop line)")
        if moved == b"":
            return PanelStop(StopCause.OPERATOR_LOST, "the operator's stop line is gone")
        return None

    def close(self) -> None:
        """Give the line back."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1


def open_stop_line(text: str) -> StopLine:
    """Request the line for this process alone.

    Raises UsageError for a malformed address, HardwareMissing if it is not there, taken or not permitted.
    """
    path, line, open_is_high, bias = parse_stop_line(text)
    try:
        fd = _requested(path, line, bias)
    except OSError as error:
        hints = {
            errno.ENOENT: "`ls /dev/gpiochip*` and `gpioinfo` list lines",
            errno.EACCES: "add this user to its group, `sudo usermod -aG gpio $USER`, and log in again",
            errno.EBUSY: "another program has the line: `gpioinfo` names it",
        }
        raise HardwareMissing(
            f"operator: line {line} of {path} does not open: {error.strerror}",
            hints.get(error.errno or 0, "does the chip have a pull-up? if not: bias=none and a resistor"),
        ) from error
    return StopLine(fd, lambda: _level(fd) == open_is_high)


def parse_stop_line(text: str) -> tuple[str, int, bool, int]:
    """Return path, line, whether an open circuit reads high, and the flag of its bias. Raises UsageError."""
    address = Address(text, "operator", EXAMPLE)
    line = address.whole("line", -1, 0, 1023)
    bias = address.choice("bias", "up", BIASES)
    opened = address.choice("open", "low" if bias == "down" else "high", ("high", "low"))
    address.finish()
    if not address.place.startswith("/"):
        raise address.error("it is not the path of a device")
    if line < 0:
        raise address.error("line is missing: the number of the line on its chip")
    if (bias, opened) in (("up", "low"), ("down", "high")):
        raise address.error(f"with bias={bias} and open={opened} a broken wire would read as closed")
    return address.place, line, opened == "high", BIASES[bias]


def _requested(path: str, line: int, bias: int) -> int:
    """Return the descriptor of a line that is watched for both edges. Raises OSError."""
    chip = os.open(path, os.O_RDWR | os.O_CLOEXEC)
    try:
        flags = INPUT | BOTH_EDGES | bias
        request = REQUEST.pack(line, *[0] * 63, b"vla-edge stop", flags, 0, 1, 0, -1)
        return REQUEST.unpack(fcntl.ioctl(chip, GET_LINE, request))[-1]
    finally:
        os.close(chip)


def _level(fd: int) -> bool:
    """Return True if the line is high. Raises OSError."""
    return bool(VALUES.unpack(fcntl.ioctl(fd, GET_VALUES, VALUES.pack(0, 1)))[0] & 1)
