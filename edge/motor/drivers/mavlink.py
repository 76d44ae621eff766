"""The driver `mavlink:///dev/ttyACM0?baud=115200`: a rover that speaks MAVLink 2 over a serial port.

MAVLink has x forward, y right, z down, and this runtime x forward, y left, z up: y and yaw change sign.
Imported only if such an address is opened, since it needs pyserial and pymavlink.
"""

import math
import time

from edge.address import Address
from edge.errors import EdgeError, HardwareMissing
from edge.interfaces import Closing, Feedback
from edge.motor.drivers.mavlink_stream import MavMessage, MavStream, flipped, mav
from edge.motor.drivers.serial_port import BITS_PER_BYTE, SerialPort
from edge.records import Odometry, Velocity

HEARTBEAT_PERIOD_NS = 1_000_000_000
HEARTBEAT_LIMIT_NS = 2_500_000_000  # a base silent for longer is a fault
ARM_RETRY_NS = 200_000_000
# Bits that make the base use velocity and yaw rate, and ignore position, acceleration and yaw.
VELOCITY_AND_YAW_RATE = 0b010111000111
FAULT_STATES = {mav.MAV_STATE_CRITICAL: "critical failure", mav.MAV_STATE_EMERGENCY: "emergency stop"}
SETPOINT_BYTES, HEARTBEAT_BYTES = 65, 21  # sizes of whole MAVLink 2 packets
EXAMPLE = "such as mavlink:///dev/ttyACM0?baud=115200&timeout_s=3"
SYSTEM, COMPONENT = 1, mav.MAV_COMP_ID_ONBOARD_COMPUTER


class MavlinkMotors(Closing):
    """The driver. Its constructor opens and locks the port and waits for the base's heartbeat.

    It raises UsageError for a malformed address, HardwareMissing if the port or the base is not there or the
    port is taken; later HardwareMissing if the port goes away, MotorFault if a write blocks.
    """

    def __init__(self, uri: str) -> None:
        self._path, baud, timeout_s = _parsed(uri)
        self.max_rate_hz = (baud / BITS_PER_BYTE - HEARTBEAT_BYTES) / SETPOINT_BYTES
        self._port = SerialPort(self._path, baud)
        self._stream = MavStream(SYSTEM, COMPONENT)
        self._base: tuple[int, int] | None = None  # system and component of the base
        self._heard_ns = 0
        self._beat_ns = 0
        self._arm_sent_ns = 0
        self._armed = False
        self._refusal = ""
        self._fault = ""
        self._odometry: Odometry | None = None
        self._battery_fraction: float | None = None
        try:
            self._await_heartbeat(timeout_s)
        except EdgeError:
            self._port.close()
            raise

    def arm(self) -> None:
        """Ask the base to arm, at most every 200 ms. `read().armed` is true once it has."""
        now_ns = time.monotonic_ns()
        if now_ns - self._arm_sent_ns >= ARM_RETRY_NS:
            self._arm_sent_ns = now_ns
            self._refusal = ""
            self._send(self._arm_command(1.0))

    def write(self, command: Velocity) -> Velocity:
        """Send one setpoint, and a heartbeat if it is due. Raises MotorFault, HardwareMissing."""
        now_ns = time.monotonic_ns()
        if now_ns - self._beat_ns >= HEARTBEAT_PERIOD_NS:
            self._beat_ns = now_ns
            self._send(self._heartbeat())
        self._send(self._setpoint(command, now_ns))
        return command

    def stop(self) -> None:
        """Send zero and disarm. Never raises: on a port that is gone there is nothing left to stop."""
        try:
            self._send(self._setpoint(Velocity(), time.monotonic_ns()))
            self._send(self._arm_command(0.0))
        except EdgeError as error:
            self._fault = error.message

    def read(self) -> Feedback:
        """Return the base's newest feedback. Never blocks. Raises HardwareMissing if the port is gone."""
        self._receive()
        silent_ns = time.monotonic_ns() - self._heard_ns
        fault = self._fault
        if silent_ns > HEARTBEAT_LIMIT_NS:
            limit_s = HEARTBEAT_LIMIT_NS / 1e9
            fault = f"no heartbeat from the base for {silent_ns / 1e9:.1f} s (limit {limit_s:.1f} s)"
        return Feedback(self._armed, self._odometry, self._battery_fraction, fault or self._refusal)

    def close(self) -> None:
        """Close the port, which unlocks it."""
        self._port.close()

    def _await_heartbeat(self, timeout_s: float) -> None:
        deadline_ns = time.monotonic_ns() + round(timeout_s * 1e9)
        self._send(self._heartbeat())
        while self._base is None:
            if time.monotonic_ns() > deadline_ns:
                raise HardwareMissing(
                    f"motors {self._path}: no MAVLink heartbeat within {timeout_s:g} s",
                    "check that the base is powered, the cable, and `baud` in the address",
                )
            time.sleep(0.005)
            self._receive()

    def _receive(self) -> None:
        for message in self._stream.feed(self._port.read(), time.monotonic_ns()):
            self._handle(message)

    def _handle(self, message: MavMessage) -> None:
        sender = (message.get_srcSystem(), message.get_srcComponent())
        if isinstance(message, mav.MAVLink_heartbeat_message) and self._base in (None, sender):
            if message.autopilot != mav.MAV_AUTOPILOT_INVALID:  # ground stations on the same line have it
                self._base = sender
                self._heard(message)
        elif sender == self._base:
            self._handle_telemetry(message)

    def _heard(self, heartbeat: MavMessage) -> None:
        self._heard_ns = time.monotonic_ns()
        self._armed = bool(heartbeat.base_mode & mav.MAV_MODE_FLAG_SAFETY_ARMED)
        guided = bool(heartbeat.base_mode & mav.MAV_MODE_FLAG_GUIDED_ENABLED)
        state = FAULT_STATES.get(heartbeat.system_status, "")
        if state:
            self._fault = f"the base reports: {state}"
        else:
            self._fault = "" if guided else "manual takeover: the base has left guided mode"

    def _handle_telemetry(self, message: MavMessage) -> None:
        if isinstance(message, mav.MAVLink_odometry_message):
            self._odometry = _odometry(message)
        elif isinstance(message, (mav.MAVLink_battery_status_message, mav.MAVLink_sys_status_message)):
            percent = message.battery_remaining  # -1 if the base does not measure it
            self._battery_fraction = percent / 100 if 0 <= percent <= 100 else None
        elif (
            isinstance(message, mav.MAVLink_command_ack_message)
            and message.command == mav.MAV_CMD_COMPONENT_ARM_DISARM
        ):
            accepted = message.result == mav.MAV_RESULT_ACCEPTED
            self._refusal = "" if accepted else f"the base refused to arm (MAV_RESULT {message.result})"

    def _heartbeat(self) -> MavMessage:
        return mav.MAVLink_heartbeat_message(
            mav.MAV_TYPE_ONBOARD_CONTROLLER, mav.MAV_AUTOPILOT_INVALID, 0, 0, mav.MAV_STATE_ACTIVE, 3
        )

    def _arm_command(self, arm: float) -> MavMessage:
        system, component = self._base or (0, 0)
        return mav.MAVLink_command_long_message(
            system, component, mav.MAV_CMD_COMPONENT_ARM_DISARM, 0, arm, 0, 0, 0, 0, 0, 0
        )

    def _setpoint(self, command: Velocity, now_ns: int) -> MavMessage:
        system, component = self._base or (0, 0)
        x, y, yaw_rate = flipped(command.linear_x_m_s, command.linear_y_m_s, command.angular_z_rad_s)
        return mav.MAVLink_set_position_target_local_ned_message(
            now_ns // 1_000_000 % 2**32, system, component, mav.MAV_FRAME_BODY_NED, VELOCITY_AND_YAW_RATE,
            0, 0, 0, x, y, 0, 0, 0, 0, 0, yaw_rate,
        )  # fmt: skip

    def _send(self, message: MavMessage) -> None:
        """Send a message without blocking; a full line drops it."""
        # A message that is dropped must not use up a sequence number: the base would count it as lost.
        self._port.write(b"" if self._port.busy else self._stream.pack(message))


def open_address(address: str) -> MavlinkMotors:
    """Open the port and wait for the base's heartbeat. Raises what `MavlinkMotors` raises."""
    return MavlinkMotors(address)


def _parsed(uri: str) -> tuple[str, int, float]:
    """Return the path, baud rate and heartbeat timeout in seconds of an address. Raises UsageError."""
    address = Address(uri, "motors", EXAMPLE)
    baud = address.whole("baud", 115_200, 1, 4_000_000)
    timeout_s = address.number("timeout_s", 3.0, 0.1, 60.0)
    address.finish()
    if not address.place.startswith("/") or address.place == "/":
        raise address.error("it is not the path of a port")
    return address.place, baud, timeout_s


def _odometry(message: MavMessage) -> Odometry | None:
    w, x, y, z = message.q
    # A turn to the left is negative with z down.
    yaw_rad = -math.atan2(2 * (w * z + x * y), 1 - 2 * (y * y + z * z))
    velocity = Velocity(*flipped(message.vx, message.vy, message.yawspeed))
    values = (message.x, message.y, yaw_rad, velocity.linear_x_m_s, velocity.linear_y_m_s)
    if not all(map(math.isfinite, (*values, velocity.angular_z_rad_s))):
        return None
    return Odometry(time.monotonic_ns(), message.x, -message.y, yaw_rad, velocity)
