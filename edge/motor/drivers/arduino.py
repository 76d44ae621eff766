"""The driver `arduino:///dev/ttyACM0?counts_per_m=5000&track_m=0.2`: a board with ROSArduinoBridge.

Its firmware takes `m LEFT RIGHT` in encoder counts per turn of its control loop and answers `e` with both
counters; every command ends with CR. It knows no arming, and as it comes it stops 2 s after the last `m`.
Imported only if such an address is opened, since it needs pyserial.
"""

import re

from edge.address import Address
from edge.motor.drivers.serial_port import BITS_PER_BYTE, SerialPort
from edge.motor.drivers.wheels import SerialWheels, WheelPair, take_port, take_wheels

EXAMPLE = "such as arduino:///dev/ttyACM0?counts_per_m=5000&track_m=0.2"
BYTES_PER_SETPOINT = 32  # what comes back is longer: "OK" and both counters
MAX_STEP_M_S, MAX_STEP_RAD_S = 0.05, 0.25  # a coarser setpoint could not follow a ramp
COUNTERS = re.compile(rb"(-?\d{1,10}) (-?\d{1,10})")
INVALID = b"Invalid Command"


class ArduinoMotors(SerialWheels):
    """The driver. Its constructor opens and locks the port, which restarts most boards, and awaits an answer.

    It raises UsageError for a malformed address, HardwareMissing if the port or the base is not there or the
    port is taken; later HardwareMissing if the port goes away, MotorFault if a write blocks.
    """

    def __init__(self, uri: str) -> None:
        path, baud, wheels, counts_per_m, timeout_s = _parsed(uri)
        self.max_rate_hz = baud / BITS_PER_BYTE / BYTES_PER_SETPOINT
        self._counts_per_m = counts_per_m
        super().__init__(SerialPort(path, baud), wheels, timeout_s)

    def _greeting(self) -> bytes:
        # What another program left half written ends here, and what it meant ends with it.
        return b"\r" + self._setpoint(0, 0)

    def _setpoint(self, left: int, right: int) -> bytes:
        return b"m %d %d\re\r" % (left, right)

    def _take(self, line: bytes, now_ns: int) -> bool:
        counters = counters_of(line)
        if counters is None:
            return False
        left, right = (count / self._counts_per_m for count in counters)
        if not self._odometry.update(now_ns, left, right):
            self._restarted()
        return True

    def _advice(self, said: bytes) -> str:
        if INVALID not in said:
            return ""
        return "its firmware was built without motors: define USE_BASE in ROSArduinoBridge.ino and flash it"


def open_address(address: str) -> ArduinoMotors:
    """Open the port and wait for the board's answer. Raises what `ArduinoMotors` raises."""
    return ArduinoMotors(address)


def counters_of(line: bytes) -> tuple[int, int] | None:
    """Return the counters of the left and the right wheel in an answer to `e`; None for any other line."""
    found = COUNTERS.fullmatch(line)
    return (int(found[1]), int(found[2])) if found is not None else None


def _parsed(uri: str) -> tuple[str, int, WheelPair, float, float]:
    """Return the port's path, baud rate, wheels, counts per metre and the patience of an address, seconds."""
    address = Address(uri, "motors", EXAMPLE)
    path, baud = take_port(address, 57_600)
    counts_per_m = address.number("counts_per_m", 0.0, 1.0, 1e6)
    pid_hz = address.number("pid_hz", 30.0, 1.0, 1000.0)
    timeout_s = address.number("timeout_s", 5.0, 0.1, 60.0)
    if not counts_per_m:
        raise address.error("counts_per_m is missing: encoder counts for each metre that a wheel goes")
    wheels = take_wheels(address, counts_per_m / pid_hz)
    address.finish()
    step_m_s, step_rad_s = 1 / wheels.steps_per_m_s, 2 / (wheels.steps_per_m_s * wheels.track_m)
    if step_m_s > MAX_STEP_M_S or step_rad_s > MAX_STEP_RAD_S:
        raise address.error(
            f"its setpoints come in steps of {step_m_s:.3f} m/s and {step_rad_s:.2f} rad/s "
            f"(limits {MAX_STEP_M_S} and {MAX_STEP_RAD_S}): it needs finer encoders or a lower pid_hz"
        )
    return path, baud, wheels, counts_per_m, timeout_s
