"""Addresses of MAVLink bases, such as `mavlink:///dev/ttyTHS1?baud=115200` and `mavlink://udp:0.0.0.0:14550`."""

import math
import re
from dataclasses import dataclass

from edge.address import Address
from edge.motor.drivers.serial_port import BITS_PER_BYTE

EXAMPLE = "such as mavlink:///dev/ttyTHS1?baud=115200 or mavlink://udp:0.0.0.0:14550"
SETPOINT_BYTES, HEARTBEAT_BYTES = 65, 21  # sizes of whole MAVLink 2 packets
_UDP = re.compile(r"(udp|udpin|udpout):([^/?#\s:]+):([0-9]{1,5})", re.ASCII)


@dataclass(frozen=True, slots=True)
class MavlinkAddress:
    """What the address of a MAVLink base says."""

    place: str  # path of a serial port; for UDP HOST:PORT
    baud: int = 0  # 0: UDP
    connects: bool = False  # UDP: sends first, instead of listening
    timeout_s: float = 3.0  # wait for the base's heartbeat
    system: int = 0  # MAVLink system of the base; 0: the only rover on the line
    set_guided: bool = False  # the operator lets the driver switch the base to its guided mode
    omni: bool = False  # the operator states that the base obeys sideways setpoints
    bumper: int = 0  # number of the base's button that is its bumper; 0: it has none

    @property
    def max_rate_hz(self) -> float:
        """Setpoints per second that the line carries, beside a heartbeat."""
        if not self.baud:
            return math.inf
        return (self.baud / BITS_PER_BYTE - HEARTBEAT_BYTES) / SETPOINT_BYTES


def parse_address(text: str) -> MavlinkAddress:
    """Return the parts of an address. Raises UsageError if it is malformed."""
    address = Address(text, "motors", EXAMPLE)
    udp = _UDP.fullmatch(address.place)
    baud = 0 if udp else address.whole("baud", 115_200, 1, 4_000_000)
    timeout_s = address.number("timeout_s", 3.0, 0.1, 60.0)
    system = address.whole("system", 0, 1, 255)
    set_guided = address.choice("mode", "", ("", "guided")) == "guided"
    omni = address.choice("omni", "no", ("yes", "no")) == "yes"
    bumper = address.whole("bumper", 0, 1, 8)
    address.finish()
    place, connects = address.place, False
    if udp:
        if not 1 <= int(udp[3]) <= 65535:
            raise address.error(f"port {udp[3]} is not a number from 1 to 65535")
        place, connects = f"{udp[2]}:{int(udp[3])}", udp[1] == "udpout"
    elif not place.startswith("/") or place == "/":
        raise address.error("it is neither the path of a port nor udp:HOST:PORT, udpin: or udpout:")
    return MavlinkAddress(place, baud, connects, timeout_s, system, set_guided, omni, bumper)
