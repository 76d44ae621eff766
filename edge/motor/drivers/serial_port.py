"""A serial port as drivers use it: opened, locked, written without blocking.

Imported only by drivers, since it needs pyserial.
"""

import errno
import os
import termios
import time

import serial

from edge.board.ports import owners_of
from edge.errors import HardwareMissing, MotorFault, reason_of
from edge.interfaces import Closing

WRITE_LIMIT_NS = 100_000_000  # if bytes wait for longer, the base does not read
MAX_READ_BYTES = 4096
BITS_PER_BYTE = 10  # a serial line adds a start bit and a stop bit
MAX_LINE_BYTES = 1024  # a longer line is noise


class SerialPort(Closing):
    """An open port that this process alone may use."""

    def __init__(self, path: str, baud: int) -> None:
        """Open and lock the port. Raises HardwareMissing with what to do about it."""
        self.path = path
        self._port = _opened(path, baud)
        self._unsent, self._unsent_ns = b"", 0

    @property
    def busy(self) -> bool:
        """True if a message has not gone out whole yet."""
        return bool(self._unsent)

    def read(self) -> bytes:
        """Return what has come, at most 4096 bytes; empty if nothing has. Raises HardwareMissing if gone."""
        try:
            return bytes(self._port.read(MAX_READ_BYTES))
        except (serial.SerialException, OSError) as error:
            raise self._gone(error) from error

    def write(self, message: bytes) -> bool:
        """Send a message without blocking. A full line drops whole messages and finishes a begun one.

        Returns True if this message, or its first part, went out. Raises MotorFault if the line has been full
        for too long, HardwareMissing if the port is gone.
        """
        now_ns = time.monotonic_ns()
        begins = not self._unsent
        if begins:
            self._unsent, self._unsent_ns = message, now_ns
        # pyserial's own write spins on a full line, and reports a good write as late after a preemption.
        try:
            self._unsent = self._unsent[os.write(self._port.fileno(), self._unsent) :]
        except BlockingIOError as error:
            if now_ns - self._unsent_ns > WRITE_LIMIT_NS:
                limit_ms = WRITE_LIMIT_NS / 1e6
                raise MotorFault(
                    f"motors {self.path}: writing is blocked for more than {limit_ms:.0f} ms",
                    "the base does not read its port: restart it",
                ) from error
        except OSError as error:
            raise self._gone(error) from error
        return begins

    def close(self) -> None:
        """Close the port, which unlocks it."""
        self._port.close()

    def _gone(self, error: Exception) -> HardwareMissing:
        return HardwareMissing(f"motors {self.path}: the port is gone: {reason_of(error)}", "check the cable")


class Lines:
    """Cuts a byte stream into lines, for protocols of text. Never raises on any bytes."""

    def __init__(self) -> None:
        self._rest = b""
        self._too_long = False  # the line under way is dropped up to its end

    def feed(self, data: bytes) -> list[bytes]:
        """Return the lines that `data` completes, without their ends (CR, LF or both) and without empty."""
        *whole, rest = (self._rest + data).replace(b"\r", b"\n").split(b"\n")
        if self._too_long and whole:
            whole[0], self._too_long = b"", False
        self._too_long |= len(rest) > MAX_LINE_BYTES
        self._rest = b"" if self._too_long else rest
        return [line for line in whole if 0 < len(line) <= MAX_LINE_BYTES]


def _opened(path: str, baud: int) -> serial.Serial:
    try:
        port = serial.Serial(path, baud, timeout=0, exclusive=True)
        port.reset_input_buffer()
    except (serial.SerialException, OSError, ValueError) as error:
        if getattr(error, "errno", None) == errno.ENOENT:
            raise HardwareMissing(
                f"motors: no port {path}",
                "check the cable and the name: `ls /dev/ttyACM* /dev/ttyUSB*` lists what is plugged in",
            ) from error
        if getattr(error, "errno", None) == errno.EACCES:
            raise HardwareMissing(
                f"motors: no permission for port {path}",
                "add this user to the port's group, `sudo usermod -aG dialout $USER`, and log in again",
            ) from error
        if "lock" in str(error):
            owners = " and ".join(owners_of(os.path.realpath(path)))
            raise HardwareMissing(
                f"motors: port {path} is taken by another process{': ' * bool(owners)}{owners}",
                f"end it (`fuser -v {path}` shows it); `vla-edge doctor` names what else uses serial ports",
            ) from error
        # pyserial hands on the number of a failed setting in words of its own.
        setting = error.__context__ if isinstance(error.__context__, termios.error) else None
        why = reason_of(error) if setting is None else os.strerror(setting.args[0])
        raise HardwareMissing(
            f"motors: port {path} does not open: {why}", "`ls /dev/tty*` lists serial ports"
        ) from error
    return port
