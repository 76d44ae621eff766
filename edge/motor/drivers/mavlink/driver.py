"""The driver of a rover that speaks MAVLink 2: heartbeats, arming, setpoints, and what the base reports.

MAVLink has x forward, y right, z down, and this runtime x forward, y left, z up: y and yaw change sign.
Imported only if such an address is opened, since it needs pyserial and pymavlink.
"""

import time

from edge.errors import EdgeError, HardwareMissing, MotorFault, UsageError
from edge.interfaces import Closing, Feedback
from edge.motor.drivers.mavlink.address import parse_address
from edge.motor.drivers.mavlink.commands import Commands, command_long
from edge.motor.drivers.mavlink.line import COMPONENT, MavlinkLine
from edge.motor.drivers.mavlink.motion import PERIOD_US, WANTED
from edge.motor.drivers.mavlink.report import COAST_PARAMETER, BaseReport
from edge.motor.drivers.mavlink.stream import MavMessage, flipped, mav
from edge.motor.drivers.mavlink.vehicle import GUIDED, Vehicle, sender_text, vehicle_of
from edge.records import ZERO, Velocity

HEARTBEAT_PERIOD_NS = 1_000_000_000
ARM_RETRY_NS = 200_000_000
SETTLE_NS = 1_200_000_000  # every base on a network has been heard once after a heartbeat's period
COAST_TRIES = 5  # older firmware lacks the parameter, and never answers
STOP_REPEATS = 3  # nobody waits for the answer, and a network may lose one
# Bits that make the base use velocity and yaw rate, and ignore position, acceleration and yaw.
VELOCITY_AND_YAW_RATE = 0b010111000111


class MavlinkMotors(Closing):
    """The driver. Its constructor opens and locks the port and waits for the base's heartbeat.

    It raises UsageError for a malformed address and for several rovers on one line, HardwareMissing if the
    port or the base is not there or the port is taken; later HardwareMissing if the port goes away,
    MotorFault if a write blocks.
    """

    def __init__(self, uri: str) -> None:
        self._address = parse_address(uri)
        self.max_rate_hz = self._address.max_rate_hz
        self._line = MavlinkLine(self._address)
        self._beat_ns = self._arm_sent_ns = self._coast_tries = 0
        self._sent = ZERO  # the newest setpoint that went out
        try:
            self._vehicle, first = self._find_base()
            self._vehicle.check(self._address)
        except EdgeError:
            self._line.close()
            raise
        self._commands = Commands(self._vehicle.system, COMPONENT)
        self._report = BaseReport(self._vehicle, self._commands, self._address, time.monotonic_ns())
        self._report.hear(first, time.monotonic_ns())
        self.sideways = self._address.omni

    def arm(self) -> None:
        """Ask the base to arm, at most every 200 ms. `read().armed` is true once it has.

        A base that is not in its guided mode is not armed. It is asked to switch first if the address says
        so, and never after a takeover.
        """
        now_ns = time.monotonic_ns()
        if now_ns - self._arm_sent_ns < ARM_RETRY_NS:
            return
        self._arm_sent_ns = now_ns
        report = self._report
        if report.guided or self._commands.accepted == mav.MAV_CMD_DO_SET_MODE:
            report.ours = True
            command, values = mav.MAV_CMD_COMPONENT_ARM_DISARM, (1.0,)
        elif self._address.set_guided and not report.taken_over:
            command = mav.MAV_CMD_DO_SET_MODE
            values = (float(mav.MAV_MODE_FLAG_CUSTOM_MODE_ENABLED), float(GUIDED))
        else:
            return
        self._line.send(self._commands.pack(command, *values, now_ns=now_ns))

    def write(self, command: Velocity) -> Velocity:
        """Send one setpoint, and a heartbeat if it is due; return the newest setpoint that went out.

        After a takeover nothing but heartbeats goes out. Raises MotorFault for a sideways setpoint to a base
        that can't obey it, and if the base does not read; HardwareMissing if the port is gone.
        """
        now_ns = time.monotonic_ns()
        if now_ns - self._beat_ns >= HEARTBEAT_PERIOD_NS:
            self._beat_ns = now_ns
            self._line.send(heartbeat())
            self._ask()
        self._report.ours |= command != ZERO
        if self._report.taken_over:
            self._sent = ZERO
        elif command.linear_y_m_s != 0 and not self.sideways:
            raise MotorFault(
                f"motors {self._address.place}: {command.linear_y_m_s:.2f} m/s sideways, which this base "
                "drives forward",
                "state a base whose drive is differential or ackermann",
            )
        elif self._line.send(self._setpoint(command, now_ns)):
            self._sent = command
        return self._sent

    def stop(self) -> None:
        """Send zero and disarm, unless this driver never asked to arm, or somebody else has taken over.

        Never raises: on a port that is gone there is nothing left to stop.
        """
        if not self._report.ours or self._report.taken_over:
            return
        try:
            self._commands.forget()
            for _ in range(STOP_REPEATS):
                self._line.send(self._setpoint(ZERO, time.monotonic_ns()))
                self._line.send(command_long(self._vehicle.system, mav.MAV_CMD_COMPONENT_ARM_DISARM, 0.0))
        except EdgeError as error:
            self._report.trouble = error.message

    def read(self) -> Feedback:
        """Return the base's newest feedback. Never blocks. Raises HardwareMissing if the port is gone."""
        for message in self._line.receive():
            self._report.hear(message, time.monotonic_ns())
        return self._report.feedback(time.monotonic_ns())

    def close(self) -> None:
        """Close the port, which unlocks it."""
        self._line.close()

    def _find_base(self) -> tuple[Vehicle, MavMessage]:
        """Wait for the heartbeat of the base, join its system, and return it with its newest heartbeat."""
        address = self._address
        now_ns = time.monotonic_ns()
        deadline_ns, settled_ns = now_ns + round(address.timeout_s * 1e9), now_ns
        if self._line.shared and not address.system:
            settled_ns = min(now_ns + SETTLE_NS, deadline_ns)
        found: dict[int, tuple[Vehicle, MavMessage]] = {}
        others: set[str] = set()
        while not found or time.monotonic_ns() < settled_ns:
            now_ns = time.monotonic_ns()
            if not found and now_ns > deadline_ns:
                raise self._nobody(sorted(others))
            if now_ns - self._beat_ns >= HEARTBEAT_PERIOD_NS:
                self._beat_ns = now_ns
                self._line.send(heartbeat())
            for message in self._line.receive():
                if isinstance(message, mav.MAVLink_heartbeat_message):
                    vehicle = vehicle_of(message)
                    if vehicle is None or address.system not in (0, vehicle.system):
                        others.add(sender_text(message))
                    else:
                        found[vehicle.system] = (vehicle, message)
            time.sleep(0.005)
        if len(found) > 1:
            raise several(sorted(found))
        ((vehicle, first),) = found.values()
        self._line.join(vehicle.system)
        return vehicle, first

    def _nobody(self, others: list[str]) -> HardwareMissing:
        address = self._address
        whom = f" of a rover with system={address.system}" if address.system else ""
        heard = f"; heard were {', '.join(others[:4])}" if others else ""
        hint = "check that the base is powered, the cable, and `baud` in the address"
        if others:
            hint = "the base is component 1 of its system, of type ground rover; check system="
        elif not address.baud:
            hint = "check the base's power, its network, and that it sends MAVLink to this host and port"
        return HardwareMissing(
            f"motors {address.place}: no MAVLink heartbeat{whom} within {address.timeout_s:g} s{heard}", hint
        )

    def _ask(self) -> None:
        """Ask the base to report its motion, until it does, and a few times for how long it coasts."""
        if self._report.coast_s is None and self._coast_tries < COAST_TRIES and self._vehicle.ardupilot:
            self._coast_tries += 1
            name = COAST_PARAMETER.encode()
            system, component = self._vehicle.system, mav.MAV_COMP_ID_AUTOPILOT1
            self._line.send(mav.MAVLink_param_request_read_message(system, component, name, -1))
        if self._report.motion.newest is not None:
            return
        for number in WANTED:
            interval = command_long(self._vehicle.system, mav.MAV_CMD_SET_MESSAGE_INTERVAL, number, PERIOD_US)
            self._line.send(interval)

    def _setpoint(self, command: Velocity, now_ns: int) -> MavMessage:
        x, y, yaw_rate = flipped(command.linear_x_m_s, command.linear_y_m_s, command.angular_z_rad_s)
        return mav.MAVLink_set_position_target_local_ned_message(
            now_ns // 1_000_000 % 2**32, self._vehicle.system, mav.MAV_COMP_ID_AUTOPILOT1,
            mav.MAV_FRAME_BODY_NED, VELOCITY_AND_YAW_RATE, 0, 0, 0, x, y, 0, 0, 0, 0, 0, yaw_rate,
        )  # fmt: skip


def open_address(address: str) -> MavlinkMotors:
    """Open the port and wait for the base's heartbeat. Raises what `MavlinkMotors` raises."""
    return MavlinkMotors(address)


def heartbeat() -> MavMessage:
    """Return the heartbeat of a companion computer."""
    return mav.MAVLink_heartbeat_message(
        mav.MAV_TYPE_ONBOARD_CONTROLLER, mav.MAV_AUTOPILOT_INVALID, 0, 0, mav.MAV_STATE_ACTIVE, 3
    )


def several(systems: list[int]) -> UsageError:
    """Return the error for rovers of several systems on one line."""
    names = " and ".join(map(str, systems))
    return UsageError(
        f"motors: rovers of systems {names} are on one line", f"say which to drive: ...?system={systems[0]}"
    )
