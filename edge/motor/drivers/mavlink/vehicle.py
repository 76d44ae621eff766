"""Which sender on a MAVLink line is the base, and in which mode it obeys setpoints."""

from dataclasses import dataclass

from edge.errors import HardwareMissing, UsageError
from edge.motor.drivers.mavlink.address import MavlinkAddress
from edge.motor.drivers.mavlink.stream import MavMessage, mav

AUTOPILOTS = {mav.MAV_AUTOPILOT_ARDUPILOTMEGA: "ArduPilot", mav.MAV_AUTOPILOT_PX4: "PX4"}
FAULT_STATES = {
    mav.MAV_STATE_CRITICAL: "critical: one of its failsafes is active; end that, then start again",
    mav.MAV_STATE_EMERGENCY: "emergency stop: release it at the base, then start again",
}
GUIDED = 15  # ArduRover's mode that obeys setpoints
ARDUROVER_MODES = {
    0: "MANUAL", 1: "ACRO", 3: "STEERING", 4: "HOLD", 5: "LOITER", 6: "FOLLOW", 7: "SIMPLE", 8: "DOCK",
    9: "CIRCLE", 10: "AUTO", 11: "RTL", 12: "SMART_RTL", GUIDED: "GUIDED", 16: "INITIALISING",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Vehicle:
    """The base: the autopilot of one system on the line."""

    system: int
    autopilot: int  # MAV_AUTOPILOT

    @property
    def about(self) -> str:
        """Say who it is, for people."""
        return f"{AUTOPILOTS.get(self.autopilot, 'a')} rover, MAVLink system {self.system}"

    @property
    def ardupilot(self) -> bool:
        """True for ArduPilot's firmware."""
        return self.autopilot == mav.MAV_AUTOPILOT_ARDUPILOTMEGA

    def check(self, address: MavlinkAddress) -> None:
        """Raise HardwareMissing if it does not obey a speed with a turn rate.

        Raises UsageError if it can't do what the address allows. ArduRover drives as far ahead as a setpoint
        is long (sqrt(vx^2 + vy^2)) in GUIDED, whatever its frame class, so it never goes sideways.
        """
        if self.autopilot == mav.MAV_AUTOPILOT_PX4:
            raise HardwareMissing(
                f"motors: {self.about}: PX4 takes a velocity over MAVLink for the bearing to drive to, and "
                "no turn rate",
                "drive it over ROS 2, by PX4's rover setpoints, or with ArduRover's firmware",
            )
        if address.omni and self.ardupilot:
            raise UsageError(
                f"motors: {self.about}: omni=yes, but ArduRover drives a sideways setpoint forward in "
                "GUIDED, also with an omni frame",
                "leave omni out, and state a base whose drive is differential",
            )
        if address.set_guided and not self.ardupilot:
            raise UsageError(
                f"motors: {self.about}: mode=guided switches ArduPilot alone",
                "leave mode out, and switch the base by its own means",
            )


@dataclass(frozen=True, slots=True)
class Mode:
    """The mode of a base."""

    name: str
    guided: bool  # it obeys setpoints


NO_MODE = Mode("an unknown mode", False)


def vehicle_of(heartbeat: MavMessage) -> Vehicle | None:
    """Return the base that sent a heartbeat; None if the sender is something else, such as a gimbal."""
    if (
        heartbeat.get_srcComponent() != mav.MAV_COMP_ID_AUTOPILOT1
        or heartbeat.type != mav.MAV_TYPE_GROUND_ROVER
        or heartbeat.autopilot == mav.MAV_AUTOPILOT_INVALID
    ):
        return None
    return Vehicle(heartbeat.get_srcSystem(), heartbeat.autopilot)


def mode_of(heartbeat: MavMessage) -> Mode:
    """Return the mode that a base's heartbeat tells.

    By number for ArduPilot, whose AUTO and RTL set the flag for guided, too. Other firmware numbers its modes
    as it likes: there the flag decides.
    """
    number = heartbeat.custom_mode
    if heartbeat.autopilot == mav.MAV_AUTOPILOT_ARDUPILOTMEGA:
        return Mode(ARDUROVER_MODES.get(number, f"mode {number}"), number == GUIDED)
    if heartbeat.base_mode & mav.MAV_MODE_FLAG_GUIDED_ENABLED:
        return Mode("GUIDED", True)
    return Mode(ARDUROVER_MODES.get(number, f"mode {number}"), False)


def sender_text(heartbeat: MavMessage) -> str:
    """Say who sent a heartbeat, such as "a gimbal (system 1, component 154)"."""
    kinds = mav.enums["MAV_TYPE"]
    kind = kinds[heartbeat.type].name.removeprefix("MAV_TYPE_") if heartbeat.type in kinds else "unknown type"
    words = kind.lower().replace("_", " ")
    return f"{words} (system {heartbeat.get_srcSystem()}, component {heartbeat.get_srcComponent()})"
