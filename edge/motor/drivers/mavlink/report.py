"""What a base reports about itself, and what of it forbids to drive. It does no input or output."""

from edge.interfaces import Feedback
from edge.motor.drivers.mavlink.address import MavlinkAddress
from edge.motor.drivers.mavlink.commands import Commands
from edge.motor.drivers.mavlink.motion import Motion
from edge.motor.drivers.mavlink.stream import MavMessage, mav
from edge.motor.drivers.mavlink.texts import StatusTexts
from edge.motor.drivers.mavlink.vehicle import FAULT_STATES, NO_MODE, Vehicle, mode_of, vehicle_of

HEARTBEAT_LIMIT_NS = 2_500_000_000  # a base silent for longer is a fault
COAST_LIMIT_S = 0.5  # a base that drives on for longer when setpoints stop is warned of
COAST_PARAMETER = "GUID_TIMEOUT"  # ArduPilot's name for that time
MOTION_GRACE_NS = 2_000_000_000  # from opening to the first odometry


class BaseReport:
    """The newest of all that one base said. Times are CLOCK_MONOTONIC ns that the caller passes in."""

    def __init__(self, vehicle: Vehicle, commands: Commands, address: MavlinkAddress, now_ns: int) -> None:
        self.motion = Motion()
        self.guided = False  # it obeys setpoints
        self.ours = False  # this driver has asked it to arm
        self.taken_over = False  # somebody switched it away from guided while it was ours
        self.coast_s: float | None = None  # how long it drives on when setpoints stop, if it says so
        self.trouble = ""  # what went wrong while it was stopped
        self._vehicle = vehicle
        self._commands = commands
        self._address = address
        self._opened_ns = self._heard_ns = now_ns
        self._mode = NO_MODE
        self._state = 0  # MAV_STATE
        self._armed = False
        self._rival: Vehicle | None = None
        self._battery: tuple[bool, float | None] = (False, None)  # from BATTERY_STATUS; fraction
        self._texts = StatusTexts()
        # A base reports its buttons when one changes: until then none is pressed.
        self._bumper = False if address.bumper else None

    def hear(self, message: MavMessage, now_ns: int) -> None:
        """Take a message from the line; what others than the base send changes nothing."""
        if isinstance(message, mav.MAVLink_heartbeat_message):
            vehicle = vehicle_of(message)
            if vehicle is not None and vehicle.system == self._vehicle.system:
                self._on_heartbeat(message, now_ns)
            elif vehicle is not None and not self._address.system:
                self._rival = vehicle
        elif (message.get_srcSystem(), message.get_srcComponent()) == (
            self._vehicle.system,
            mav.MAV_COMP_ID_AUTOPILOT1,
        ):
            self._on_telemetry(message, now_ns)

    def feedback(self, now_ns: int) -> Feedback:
        """Return it for the motor process, with the cause and the next step in each fault."""
        fault = self._fault(now_ns)
        texts = self._texts.recent(now_ns)
        if texts and fault:
            fault += f"; the base says: {texts}"
        warnings = (self._no_motion(now_ns), self._coasts(), texts and f"the base says: {texts}")
        warning = "; ".join(filter(None, warnings))
        return Feedback(
            self._armed,
            self.motion.newest,
            self._battery[1],
            fault,
            self._vehicle.about,
            warning,
            self._bumper,
        )

    def _on_heartbeat(self, heartbeat: MavMessage, now_ns: int) -> None:
        self._heard_ns = now_ns
        self._state = heartbeat.system_status
        self._armed = bool(heartbeat.base_mode & mav.MAV_MODE_FLAG_SAFETY_ARMED)
        self._mode = mode_of(heartbeat)
        was_guided, self.guided = self.guided, self._mode.guided
        self.taken_over = not self.guided and (self.taken_over or (was_guided and self.ours))
        if self.guided:
            self._commands.done(mav.MAV_CMD_DO_SET_MODE)
        if self._armed:
            self._commands.done(mav.MAV_CMD_COMPONENT_ARM_DISARM)

    def _on_telemetry(self, message: MavMessage, now_ns: int) -> None:
        if isinstance(message, mav.MAVLink_command_ack_message):
            self._commands.hear(message)
        elif isinstance(message, mav.MAVLink_statustext_message):
            self._texts.hear(message, now_ns)
        elif isinstance(message, mav.MAVLink_battery_status_message):
            if message.id == 0:  # others drive something else, such as a payload
                self._battery = (True, _fraction(message.battery_remaining))
        elif isinstance(message, mav.MAVLink_sys_status_message):
            if not self._battery[0]:
                self._battery = (False, _fraction(message.battery_remaining))
        elif isinstance(message, mav.MAVLink_button_change_message):
            if self._address.bumper:
                self._bumper = bool(message.state >> (self._address.bumper - 1) & 1)
        elif isinstance(message, mav.MAVLink_param_value_message):
            if message.param_id == COAST_PARAMETER:
                self.coast_s = message.param_value
        else:
            self.motion.hear(message, now_ns)

    def _fault(self, now_ns: int) -> str:
        silent_ns = now_ns - self._heard_ns
        if silent_ns > HEARTBEAT_LIMIT_NS:
            limit_s = HEARTBEAT_LIMIT_NS / 1e9
            return (
                f"no heartbeat from the base for {silent_ns / 1e9:.1f} s (limit {limit_s:.1f} s): check its "
                "power and the cable, then start again"
            )
        if self._rival is not None:
            systems = f"{self._vehicle.system} and {self._rival.system}"
            return f"rovers of systems {systems} are on one line: say which to drive, such as system=1"
        if self.taken_over:
            return (
                f"manual takeover, or a failsafe: the base went from GUIDED to {self._mode.name}; no "
                "setpoint is sent any more. To drive again, switch it to GUIDED and start anew"
            )
        if self._state in FAULT_STATES:
            return f"the base reports: {FAULT_STATES[self._state]}"
        if refused := self._commands.refusal or self._commands.unanswered(now_ns):
            return refused
        if not self.guided:
            offered = self._vehicle.ardupilot and not self._address.set_guided
            how = ", or allow this driver to: mode=guided in the address" * offered
            return f"the base is in {self._mode.name}: switch it to GUIDED{how}"
        return self.trouble

    def _coasts(self) -> str:
        if self.coast_s is None or not self.coast_s > COAST_LIMIT_S:
            return ""
        return (
            f"the base drives on for {self.coast_s:.1f} s when setpoints stop (limit {COAST_LIMIT_S:.1f} s): "
            f"set its {COAST_PARAMETER} to {COAST_LIMIT_S:.1f}"
        )

    def _no_motion(self, now_ns: int) -> str:
        if self.motion.newest is not None or now_ns - self._opened_ns < MOTION_GRACE_NS:
            return ""
        why = self.motion.complaint or "no ODOMETRY, and no LOCAL_POSITION_NED with ATTITUDE"
        return (
            f"the base reports no motion ({why}): nothing checks that it moves as told. ArduRover reports "
            "it, and moves, only with a position estimate"
        )


def _fraction(percent: int) -> float | None:
    """Return a battery's charge in [0, 1]; None if the base does not measure it (-1)."""
    return percent / 100 if 0 <= percent <= 100 else None
