"""The driver `waveshare:///dev/ttyUSB0?baud=115200`: a UGV of Waveshare, whose board speaks lines of JSON.

The messages are those of its firmware: T 1 sets the speeds of both wheels in m/s, T 1001 is its feedback,
T 136 sets after how many ms without a setpoint it stops by itself (3000 until then). It knows no arming.
Imported only if such an address is opened, since it needs pyserial.
"""

import json
import time
from dataclasses import dataclass
from typing import Any, cast

from edge.address import Address
from edge.errors import UsageError
from edge.motor.drivers.serial_port import BITS_PER_BYTE, SerialPort
from edge.motor.drivers.wheels import SerialWheels, WheelPair, take_port, take_wheels

EXAMPLE = "such as waveshare:///dev/ttyUSB0?baud=115200"
BYTES_PER_SETPOINT = 40
STEPS_PER_M_S = 10_000  # four decimals
FIRMWARE_TIMEOUT_MS = 300  # its own limit without a setpoint
SETTINGS_PERIOD_NS = 1_000_000_000  # the settings are sent again, for a board that restarted unnoticed
EMPTY_V, FULL_V = 3.2, 4.2  # volts of one lithium cell
CELL_RANGE_V = (2.0, 4.5)
TENTHS_V = 60  # newer firmware states hundredths of a volt: no pack has more volts than this
MAX_WHEEL_M_S = 5.0  # what is faster is noise
MAX_NUMBER = 1e9


@dataclass(frozen=True, slots=True)
class BoardReport:
    """What one line of feedback says; None for what it does not say."""

    speeds_m_s: tuple[float, float] | None  # left and right wheel
    ways_m: tuple[float, float] | None  # that they have gone since the board started
    battery_v: float | None


class WaveshareMotors(SerialWheels):
    """The driver. Its constructor opens and locks the port, sets the board up and waits for its feedback.

    It raises UsageError for a malformed address or a number of cells that the voltage denies, HardwareMissing
    if the port or the base is not there or the port is taken; later HardwareMissing if the port goes away,
    MotorFault if a write blocks.
    """

    def __init__(self, uri: str) -> None:
        path, baud, wheels, self._cells, timeout_s = _parsed(uri)
        self.max_rate_hz = baud / BITS_PER_BYTE / BYTES_PER_SETPOINT
        self._battery_v: float | None = None
        self._settings_ns = 0
        super().__init__(SerialPort(path, baud), wheels, timeout_s)
        self._check_cells(uri)

    def _greeting(self) -> bytes:
        return self._setpoint(0, 0)

    def _setpoint(self, left: int, right: int) -> bytes:
        speeds = f'{{"T":1,"L":{left / STEPS_PER_M_S:.4f},"R":{right / STEPS_PER_M_S:.4f}}}\n'.encode()
        now_ns = time.monotonic_ns()
        if now_ns - self._settings_ns < SETTINGS_PERIOD_NS or self._port.busy:
            return speeds
        self._settings_ns = now_ns
        return speeds + _SETTINGS

    def _take(self, line: bytes, now_ns: int) -> bool:
        if b"rst:0x" in line:  # the first words of this processor after a restart
            self._restarted()
        report = report_of(line)
        if report is None:
            return False
        if report.ways_m is not None and not self._odometry.update(now_ns, *report.ways_m):
            self._restarted()
        if report.speeds_m_s is not None:
            self._speeds = self._wheels.velocity(*report.speeds_m_s)
        self._battery_v = report.battery_v
        if self._cells and report.battery_v is not None:
            share = (report.battery_v / self._cells - EMPTY_V) / (FULL_V - EMPTY_V)
            self._battery_fraction = min(1.0, max(0.0, share))
        return True

    def _restarted(self) -> None:
        super()._restarted()
        self._settings_ns = 0  # it has forgotten them

    def _advice(self, said: bytes) -> str:
        return ""

    def _check_cells(self, uri: str) -> None:
        if not self._cells or self._battery_v is None:
            return
        cell_v = self._battery_v / self._cells
        if not CELL_RANGE_V[0] <= cell_v <= CELL_RANGE_V[1]:
            self.close()
            raise UsageError(
                f"motors address {uri!r}: {self._battery_v:.1f} V are not those of {self._cells} cells: "
                f"{cell_v:.1f} V each (limits {CELL_RANGE_V[0]} and {CELL_RANGE_V[1]})",
                "state the number of cells in series, such as cells=3",
            )


_SETTINGS = (
    f'{{"T":136,"cmd":{FIRMWARE_TIMEOUT_MS}}}\n'  # its own command timeout, ms
    '{"T":143,"cmd":0}\n'  # no echo
    '{"T":142,"cmd":50}\n'  # ms between two reports
    '{"T":131,"cmd":1}\n'  # report without being asked
).encode()


def open_address(address: str) -> WaveshareMotors:
    """Open the port and wait for the board's feedback. Raises what `WaveshareMotors` raises."""
    return WaveshareMotors(address)


def report_of(line: bytes) -> BoardReport | None:
    """Return what a line of feedback says; None for any other line, whatever its bytes."""
    try:
        parsed: object = json.loads(line)
    except (ValueError, RecursionError):
        return None
    if not isinstance(parsed, dict):
        return None
    values = cast("dict[str, Any]", parsed)
    if _number(values.get("T")) != 1001:
        return None
    ways = _pair(values, "odl", "odr")
    # Boards without encoders state the motors' duty in the place of the speeds.
    speeds = _pair(values, "L", "R") if ways is not None else None
    if speeds is not None and max(map(abs, speeds)) > MAX_WHEEL_M_S:
        return None
    volts = _number(values.get("v"))
    if volts is not None and volts > TENTHS_V:
        volts /= 100
    return BoardReport(
        speeds,
        None if ways is None else (ways[0] / 100, ways[1] / 100),
        volts or None,  # zero: nothing measures it
    )


def _pair(values: dict[str, Any], left: str, right: str) -> tuple[float, float] | None:
    pair = _number(values.get(left)), _number(values.get(right))
    return None if pair[0] is None or pair[1] is None else (pair[0], pair[1])


def _number(value: object) -> float | None:
    # `type` and not isinstance: true is not a number.
    if type(value) not in (int, float):
        return None
    number = cast("int | float", value)
    return float(number) if -MAX_NUMBER <= number <= MAX_NUMBER else None  # so that NaN is refused too


def _parsed(uri: str) -> tuple[str, int, WheelPair, int, float]:
    """Return the port's path, baud rate, wheels, cells (0: not stated) and patience in seconds."""
    address = Address(uri, "motors", EXAMPLE)
    path, baud = take_port(address, 115_200)
    cells = address.whole("cells", 0, 1, 24)
    timeout_s = address.number("timeout_s", 10.0, 0.1, 60.0)
    wheels = take_wheels(address, STEPS_PER_M_S, track_m=0.172)
    address.finish()
    return path, baud, wheels, cells, timeout_s
