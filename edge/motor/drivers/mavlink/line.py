"""A port with MAVLink on it: messages out and in, none of which blocks."""

import time

from edge.interfaces import Closing
from edge.motor.drivers.mavlink.address import MavlinkAddress
from edge.motor.drivers.mavlink.stream import MavMessage, MavStream, mav
from edge.motor.drivers.mavlink.udp import UdpPort
from edge.motor.drivers.serial_port import SerialPort

SYSTEM, COMPONENT = 1, mav.MAV_COMP_ID_ONBOARD_COMPUTER
MAX_READS = 32  # in one go: a flood of datagrams must not delay a tick


class MavlinkLine(Closing):
    """An open port, locked for this process. Its methods raise what those of its port raise."""

    def __init__(self, address: MavlinkAddress) -> None:
        """Open the port. Raises HardwareMissing."""
        self.place = address.place
        self._port: SerialPort | UdpPort
        if address.baud:
            self._port = SerialPort(address.place, address.baud)
        else:
            self._port = UdpPort(address.place, address.connects)
        self._stream = MavStream(SYSTEM, COMPONENT)
        self._senders: dict[int, tuple[str, int]] = {}  # UDP: whence each system was heard

    @property
    def shared(self) -> bool:
        """True if bases other than the one that is wanted may send here, too."""
        return isinstance(self._port, UdpPort)

    def join(self, system: int) -> None:
        """Become a part of this system, and exchange datagrams with it alone."""
        self._stream.speak_for(system)
        if isinstance(self._port, UdpPort) and system in self._senders:
            self._port.keep_to(self._senders[system])

    def receive(self) -> list[MavMessage]:
        """Return the messages that have come, in order."""
        messages: list[MavMessage] = []
        for _ in range(MAX_READS):
            data = self._port.read()
            if not data:
                break
            new = self._stream.feed(data, time.monotonic_ns())
            if isinstance(self._port, UdpPort):
                self._senders |= {message.get_srcSystem(): self._port.sender for message in new}
            messages += new
        return messages

    def send(self, message: MavMessage) -> bool:
        """Send a message; False if the line was full, which drops it."""
        # A message that is dropped must not use up a sequence number: the base would count it as lost.
        busy = self._port.busy
        return self._port.write(b"" if busy else self._stream.pack(message)) and not busy

    def close(self) -> None:
        """Close the port, which unlocks it."""
        self._port.close()
