"""A gamepad at `gamepad:///dev/input/by-id/…-event-joystick?stop=east&deadman=tr`, read from the kernel.

One button stops the base for good. The left stick drives it by hand, ahead of the policy, for as long as it
is off its centre and half a second more. With `deadman`, nothing moves unless that button is held.
"""

import array
import fcntl
import os
import struct
from collections.abc import Callable
from dataclasses import dataclass

from edge.address import Address
from edge.errors import HardwareMissing
from edge.interfaces import Closing
from edge.motor.limits import MotorLimits
from edge.motor.operator.panel import EXAMPLE, PanelStop
from edge.records import ZERO, StopCause, Velocity

# Names and numbers of the kernel's input-event-codes.h, without their BTN_.
BUTTONS = {
    "south": 0x130, "east": 0x131, "north": 0x133, "west": 0x134, "tl": 0x136, "tr": 0x137, "tl2": 0x138,
    "tr2": 0x139, "select": 0x13A, "start": 0x13B, "mode": 0x13C,
}  # fmt: skip
TURN_AXIS, AHEAD_AXIS = 0, 1  # ABS_X, ABS_Y: left and up are negative
EVENT = struct.Struct("llHHi")  # seconds, microseconds, type, code, value
EV_SYN, EV_KEY, EV_ABS, SYN_DROPPED = 0, 1, 3, 3
MAX_EVENTS = 64  # read at once
DEAD_ZONE = 0.15  # share of a stick's way around its centre
HAND_BACK_NS = 500_000_000  # from the stick's return to its centre to the policy's turn
KEY_BYTES = 96  # a bit for each of 0x300 keys
ABSINFO = struct.Struct("6i")  # value, minimum, maximum, fuzz, flat, resolution


@dataclass(frozen=True, slots=True)
class PadState:
    """What is pressed, and where the stick's axes are, each in [-1, 1]."""

    pressed: frozenset[int]
    axes: tuple[float, float]  # turn, ahead


@dataclass(frozen=True, slots=True)
class PadSettings:
    """What the buttons mean, and how fast full sticks are."""

    stop: int  # number of the button that stops for good
    deadman: int | None  # number of the button without which nothing moves
    linear_m_s: float
    angular_rad_s: float


class Gamepad(Closing):
    """An open gamepad. `axis_ranges` are the lowest and highest values of turn and ahead.

    `state` asks the device for all that is pressed now: at the start, and if the kernel has dropped events.
    It raises OSError if the device is gone.
    """

    def __init__(
        self,
        fd: int,
        settings: PadSettings,
        axis_ranges: tuple[tuple[int, int], tuple[int, int]],
        state: Callable[[], PadState],
    ) -> None:
        os.set_blocking(fd, False)
        self._fd = fd
        self._settings = settings
        self._ranges = axis_ranges
        self._state = state
        begun = state()
        self._pressed, self._axes = set(begun.pressed), list(begun.axes)
        self._centred = False  # the stick has been at its centre since the base was armed
        self._by_hand_ns: int | None = None  # newest time of a stick off its centre

    def fileno(self) -> int:
        """Return the descriptor to wait for."""
        return self._fd

    def read(self) -> PanelStop | None:
        """Take in the events that have come. A button that was pressed and released in between stops too."""
        try:
            data = os.read(self._fd, EVENT.size * MAX_EVENTS)
        except BlockingIOError:
            data = None
        except OSError:
            data = b""
        if data == b"":
            return PanelStop(StopCause.OPERATOR_LOST, "the operator's gamepad is gone")
        stop = self._settings.stop in self._pressed
        try:
            for at in range(0, len(data or b"") // EVENT.size * EVENT.size, EVENT.size):
                stop |= self._take(*EVENT.unpack_from(data or b"", at)[2:])
        except OSError:
            return PanelStop(StopCause.OPERATOR_LOST, "the operator's gamepad is gone")
        return PanelStop(StopCause.OPERATOR, "stopped by the operator (gamepad)") if stop else None

    def begin(self) -> None:
        """Note that the base was just armed: a stick off its centre must come back to it first."""
        self._centred, self._by_hand_ns = not any(map(_shaped, self._axes)), None

    def takeover(self, now_ns: int) -> Velocity | None:
        """Return how the stick drives the base; None if the policy may drive it."""
        if self._settings.deadman is not None and self._settings.deadman not in self._pressed:
            return ZERO
        turn, ahead = map(_shaped, self._axes)
        if turn == ahead == 0:
            self._centred = True
        elif self._centred:
            self._by_hand_ns = now_ns
        if self._by_hand_ns is None or now_ns - self._by_hand_ns > HAND_BACK_NS:
            return None
        return Velocity(-ahead * self._settings.linear_m_s, 0.0, -turn * self._settings.angular_rad_s)

    def close(self) -> None:
        """Close the device."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1

    def _take(self, kind: int, code: int, value: int) -> bool:
        """Take in one event. Returns True if it means a stop. Raises OSError if the device is gone."""
        if kind == EV_KEY:
            (self._pressed.add if value else self._pressed.discard)(code)
            return bool(value) and code == self._settings.stop
        if kind == EV_ABS and code in (TURN_AXIS, AHEAD_AXIS):
            self._axes[code] = _share(value, *self._ranges[code])
        elif kind == EV_SYN and code == SYN_DROPPED:
            now = self._state()
            self._pressed, self._axes = set(now.pressed), list(now.axes)
            return self._settings.stop in self._pressed
        return False


def open_gamepad(text: str, limits: MotorLimits) -> Gamepad:
    """Open a gamepad.

    Raises UsageError for a malformed address, HardwareMissing if it is not there, not permitted or not one.
    """
    path, settings = parse_gamepad(text, limits)
    try:
        fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        hint = "`ls /dev/input/by-id/*-event-joystick` lists gamepads"
        if isinstance(error, PermissionError):
            hint = "add this user to its group, `sudo usermod -aG input $USER`, and log in again"
        raise HardwareMissing(f"operator: gamepad {path} does not open: {error.strerror}", hint) from error
    try:
        axis_ranges = (_axis(fd, TURN_AXIS)[1:], _axis(fd, AHEAD_AXIS)[1:])
        return Gamepad(fd, settings, axis_ranges, lambda: _asked(fd, axis_ranges))
    except OSError as error:
        os.close(fd)
        raise HardwareMissing(
            f"operator: {path} is not a gamepad with a stick: {error.strerror}",
            "name its event device: `ls /dev/input/by-id/*-event-joystick`",
        ) from error


def parse_gamepad(text: str, limits: MotorLimits) -> tuple[str, PadSettings]:
    """Return the device's path and the settings of an address. Raises UsageError if it is malformed."""
    address = Address(text, "operator", EXAMPLE)
    stop = address.choice("stop", "east", BUTTONS)
    deadman = address.choice("deadman", "none", ("none", *BUTTONS))
    linear_m_s = address.number("linear_m_s", limits.linear_m_s, 0.01, limits.linear_m_s)
    angular_rad_s = address.number("angular_rad_s", limits.angular_rad_s, 0.01, limits.angular_rad_s)
    address.finish()
    if not address.place.startswith("/"):
        raise address.error("it is not the path of a device")
    if deadman == stop:
        raise address.error("stop and deadman are the same button")
    return address.place, PadSettings(BUTTONS[stop], BUTTONS.get(deadman), linear_m_s, angular_rad_s)


def _share(value: int, low: int, high: int) -> float:
    return max(-1.0, min(1.0, (2 * value - low - high) / max(1, high - low)))


def _shaped(share: float) -> float:
    """Return a stick's share without its dead zone, growing from zero at its edge."""
    beyond = max(0.0, abs(share) - DEAD_ZONE) / (1 - DEAD_ZONE)
    return beyond if share > 0 else -beyond


def _asked(fd: int, ranges: tuple[tuple[int, int], tuple[int, int]]) -> PadState:
    bits = array.array("B", bytes(KEY_BYTES))
    fcntl.ioctl(fd, _ioc_read(0x18, KEY_BYTES), bits)
    pressed = frozenset(code for code in BUTTONS.values() if bits[code // 8] >> code % 8 & 1)
    turn, ahead = (_share(_axis(fd, axis)[0], *ranges[axis]) for axis in (TURN_AXIS, AHEAD_AXIS))
    return PadState(pressed, (turn, ahead))


def _axis(fd: int, axis: int) -> tuple[int, int, int]:
    """Return value, lowest and highest value of an axis. Raises OSError if the device has none."""
    info = fcntl.ioctl(fd, _ioc_read(0x40 + axis, ABSINFO.size), bytes(ABSINFO.size))
    value, low, high, *_ = ABSINFO.unpack(info)
    return value, low, high


def _ioc_read(number: int, size: int) -> int:
    """Return the kernel's number of a request that reads `size` bytes from an input device."""
    return 2 << 30 | size << 16 | ord("E") << 8 | number
