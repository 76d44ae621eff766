"""What bases with two driven wheels on a serial port share: kinematics, odometry, and when they may move.

Imported only by drivers, since it needs pyserial.
"""

import math
import time
from abc import abstractmethod
from collections import deque
from dataclasses import dataclass

from edge.address import Address
from edge.errors import EdgeError, HardwareMissing, MotorFault
from edge.interfaces import Closing, Feedback
from edge.motor.drivers.serial_port import Lines, SerialPort
from edge.records import ZERO, Odometry, Velocity

FEEDBACK_LIMIT_NS = 500_000_000  # a board silent for longer is a fault
NEAR_ZERO = 0.01  # m/s and rad/s; what a base must be told before it may be armed
VELOCITY_SPAN_NS = 100_000_000  # velocities are measured over at least this long
ASK_PERIOD_NS = 500_000_000  # between two attempts to reach a board that is starting
STOP_TRIES, STOP_PAUSE_S = 20, 0.005
# Readings of a wheel farther apart than it can have gone are a jump; a stall delays them by as much as this.
JUMP_SLACK_M = 0.25
MAX_SHOWN_BYTES = 60


@dataclass(frozen=True, slots=True)
class WheelPair:
    """Two wheels beside each other: a velocity of the base to whole steps of wheel speed, and back.

    A step is `1 / steps_per_m_s` m/s. Nothing is rounded up, so no part of a velocity grows.
    """

    track_m: float  # distance between the wheels
    max_m_s: float  # highest speed of a wheel; a faster velocity is slowed along its curve
    min_m_s: float  # slowest speed at which a wheel turns; where both are slower, both stand
    steps_per_m_s: float

    def steps(self, command: Velocity) -> tuple[int, int]:
        """Return the steps of the left and the right wheel. Raises MotorFault for a sideways velocity."""
        if abs(command.linear_y_m_s) > NEAR_ZERO:
            raise MotorFault(
                f"this base can't move sideways, it was told {command.linear_y_m_s:.2f} m/s",
                "state a differential drive for it",
            )
        ahead, turn = command.linear_x_m_s, command.angular_z_rad_s * self.track_m / 2
        fastest = abs(ahead) + abs(turn)
        if fastest < self.min_m_s:
            return 0, 0
        scale = self.steps_per_m_s * min(1.0, self.max_m_s / fastest if fastest else 1.0)
        ahead_steps, turn_steps = math.trunc(ahead * scale), math.trunc(turn * scale)
        return ahead_steps - turn_steps, ahead_steps + turn_steps

    def sent(self, left: int, right: int) -> Velocity:
        """Return the velocity that these steps mean."""
        return self.velocity(left / self.steps_per_m_s, right / self.steps_per_m_s)

    def velocity(self, left_m_s: float, right_m_s: float) -> Velocity:
        """Return the velocity of the base from the speeds of its wheels."""
        return Velocity((left_m_s + right_m_s) / 2, 0.0, (right_m_s - left_m_s) / self.track_m)


class WheelOdometry:
    """Where a base is, by the ways that its wheels have gone since they were first read."""

    def __init__(self, wheels: WheelPair) -> None:
        self._wheels = wheels
        self._readings: deque[tuple[int, float, float]] = deque()  # (time, left, right), the newest last
        self._suspect: tuple[int, float, float] | None = None
        self._anew = True  # the next reading begins a new count
        self._x_m = self._y_m = self._yaw_rad = 0.0

    def update(self, now_ns: int, left_m: float, right_m: float) -> bool:
        """Take in what the wheels' counters say, metres. False if the counters have started anew.

        One reading that jumps is set aside as noise; if the next one agrees with it, the counters did jump.
        """
        reading = (now_ns, left_m, right_m)
        if self._anew:
            self._readings, self._suspect, self._anew = deque([reading]), None, False
            return True
        if self._continues(self._readings[-1], reading):
            self._suspect = None
            self._advance(self._readings[-1], reading)
            self._readings.append(reading)
            while len(self._readings) > 2 and now_ns - self._readings[1][0] >= VELOCITY_SPAN_NS:
                self._readings.popleft()
            return True
        if self._suspect is None or not self._continues(self._suspect, reading):
            self._suspect = reading
            return True
        self.begin_anew()
        return False

    def begin_anew(self) -> None:
        """Take the next reading as where the base is now: the counters may have been reset."""
        self._anew = True

    def newest(self, velocity: Velocity | None = None) -> Odometry | None:
        """Return the pose at the newest reading, with the stated velocity or the measured one."""
        if not self._readings:
            return None
        return Odometry(
            self._readings[-1][0], self._x_m, self._y_m, self._yaw_rad, velocity or self._measured()
        )

    def _continues(self, before: tuple[int, float, float], after: tuple[int, float, float]) -> bool:
        limit_m = JUMP_SLACK_M + 2 * self._wheels.max_m_s * (after[0] - before[0]) / 1e9
        return max(abs(after[1] - before[1]), abs(after[2] - before[2])) <= limit_m

    def _advance(self, before: tuple[int, float, float], after: tuple[int, float, float]) -> None:
        left_m, right_m = after[1] - before[1], after[2] - before[2]
        way_m, turn_rad = (left_m + right_m) / 2, (right_m - left_m) / self._wheels.track_m
        heading_rad = self._yaw_rad + turn_rad / 2
        self._x_m += way_m * math.cos(heading_rad)
        self._y_m += way_m * math.sin(heading_rad)
        self._yaw_rad = math.remainder(self._yaw_rad + turn_rad, math.tau)

    def _measured(self) -> Velocity:
        first, last = self._readings[0], self._readings[-1]
        span_s = (last[0] - first[0]) / 1e9
        if span_s <= 0:
            return ZERO
        return self._wheels.velocity((last[1] - first[1]) / span_s, (last[2] - first[2]) / span_s)


class SerialWheels(Closing):
    """A base with two wheels at the end of a serial port. Subclasses know its protocol.

    The boards know nothing of arming, so it happens here: until `arm`, and after a restart or a silence of
    the board, only zero is sent, and nothing is armed before a velocity near zero was asked for.
    """

    sideways = False

    def __init__(self, port: SerialPort, wheels: WheelPair, timeout_s: float) -> None:
        """Wait until the board answers. Raises HardwareMissing if it does not, and closes the port then."""
        self._port = port
        self._wheels = wheels
        self._lines = Lines()
        self._odometry = WheelOdometry(wheels)
        self._speeds: Velocity | None = None  # what the board states as its velocity
        self._battery_fraction: float | None = None
        self._heard_ns = 0  # time of the newest good answer
        self._armed = self._neutral = False
        self._fault = ""
        self._last_text = b""  # newest line that is not an answer, or bytes without any line
        try:
            self._await_answer(timeout_s)
        except EdgeError:
            port.close()
            raise

    @abstractmethod
    def _greeting(self) -> bytes:
        """Return what sets the board up and makes it answer."""

    @abstractmethod
    def _setpoint(self, left: int, right: int) -> bytes:
        """Return the message that tells the wheels their steps."""

    @abstractmethod
    def _take(self, line: bytes, now_ns: int) -> bool:
        """Take in a line. Returns True if it is an answer of this protocol."""

    @abstractmethod
    def _advice(self, said: bytes) -> str:
        """Return what to do about a board that said this, and no answer; empty for the general advice."""

    def arm(self) -> None:
        """Allow motion from now on, if a velocity near zero was asked for and the board answers."""
        self._armed |= self._neutral and not self._silent_ns()

    def write(self, command: Velocity) -> Velocity:
        """Send one setpoint; zero while not armed. Raises MotorFault (also for sideways), HardwareMissing."""
        self._neutral |= abs(command.linear_x_m_s) + abs(command.angular_z_rad_s) <= NEAR_ZERO
        left, right = self._wheels.steps(command)
        if not self._armed:
            left = right = 0
        self._port.write(self._setpoint(left, right))
        return self._wheels.sent(left, right)

    def stop(self) -> None:
        """Send zero and disarm. Never raises: on a port that is gone there is nothing left to stop."""
        self._disarm()
        try:
            for _ in range(STOP_TRIES):  # a message that has begun to go out is finished first
                if self._port.write(self._setpoint(0, 0)):
                    break
                time.sleep(STOP_PAUSE_S)
        except EdgeError as error:
            self._fault = error.message

    def read(self) -> Feedback:
        """Return the newest feedback. Never blocks. Raises HardwareMissing if the port is gone."""
        self._receive()
        fault = self._fault
        if silent_ns := self._silent_ns():
            self._restarted()
            limit_s = FEEDBACK_LIMIT_NS / 1e9
            fault = fault or f"no answer from the base for {silent_ns / 1e9:.1f} s (limit {limit_s:.1f} s)"
        return Feedback(self._armed, self._odometry.newest(self._speeds), self._battery_fraction, fault)

    def close(self) -> None:
        """Close the port, which unlocks it."""
        self._port.close()

    def _restarted(self) -> None:
        """Note that the board may have restarted: it knows nothing of what it was told."""
        self._disarm()
        self._odometry.begin_anew()

    def _disarm(self) -> None:
        self._armed = self._neutral = False

    def _silent_ns(self) -> int:
        """Return for how long the board has been silent; 0 if that is within the limit."""
        silent_ns = time.monotonic_ns() - self._heard_ns
        return silent_ns if silent_ns > FEEDBACK_LIMIT_NS else 0

    def _receive(self) -> None:
        now_ns = time.monotonic_ns()
        data = self._port.read()
        self._last_text = self._last_text or data
        for line in self._lines.feed(data):
            if self._take(line, now_ns):
                self._heard_ns = now_ns
            else:
                self._last_text = line

    def _await_answer(self, timeout_s: float) -> None:
        """Greet the board until it answers: opening the port restarts many, which takes seconds."""
        begun_ns = time.monotonic_ns()
        asked_ns = 0
        while not self._heard_ns:
            now_ns = time.monotonic_ns()
            if now_ns - begun_ns > timeout_s * 1e9:
                raise self._no_answer(timeout_s)
            if now_ns - asked_ns >= ASK_PERIOD_NS:
                asked_ns = now_ns
                self._port.write(self._greeting())
            time.sleep(0.005)
            self._receive()

    def _no_answer(self, timeout_s: float) -> HardwareMissing:
        said = self._last_text[:MAX_SHOWN_BYTES]
        text = said.decode("ascii", "replace")
        advice = self._advice(self._last_text)
        if not said:
            what = "nothing came"
            advice = advice or "check that the base is powered, the cable, and `baud` in the address"
        elif text.isascii() and text.isprintable():
            what = f"it says {text!r}"
            advice = advice or "check that the firmware on the board is the one that the address names"
        else:
            what = f"what came is not text, such as {said.hex(' ')[:30]}"
            advice = "check `baud` in the address: it must be that of the firmware"
        return HardwareMissing(
            f"motors {self._port.path}: no answer from the base within {timeout_s:g} s; {what}", advice
        )


def take_wheels(address: Address, steps_per_m_s: float, track_m: float = math.nan) -> WheelPair:
    """Take the options `track_m`, `max_m_s` and `min_m_s` of an address. `track_m` NaN: it must be given.

    Raises UsageError for a value out of range.
    """
    track_m = address.number("track_m", track_m, 0.02, 2.0)
    if math.isnan(track_m):
        raise address.error("track_m is missing: the distance between the wheels, metres")
    max_m_s = address.number("max_m_s", 0.5, 0.05, 2.0)
    return WheelPair(track_m, max_m_s, address.number("min_m_s", 0.0, 0.0, max_m_s), steps_per_m_s)


def take_port(address: Address, baud: int) -> tuple[str, int]:
    """Take the path of the port and the option `baud`. Raises UsageError if it is not the path of a port."""
    if not address.place.startswith("/") or address.place == "/":
        raise address.error("it is not the path of a port")
    return address.place, address.whole("baud", baud, 1, 4_000_000)
