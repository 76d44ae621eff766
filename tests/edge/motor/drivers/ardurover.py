"""A double of ArduRover at the end of a pseudo-terminal or a UDP port, with real MAVLink packets.

It does what ArduRover's source does with what the driver sends: modes by number, setpoints in GUIDED alone,
the length of (vx, vy) driven ahead, the turn rate kept, a stop GUID_TIMEOUT after the newest setpoint. Its
switches are what goes wrong in the field.
"""

import contextlib
import math
import os
import socket
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from edge.motor.drivers.mavlink.stream import MavMessage, MavStream, mav
from edge.records import ZERO, Velocity
from sim.realtime.terminal import open_pty

MANUAL, HOLD, AUTO, RTL, GUIDED = 0, 4, 10, 11, 15
GUID_TIMEOUT_NS = 500_000_000
PERIOD_NS = 20_000_000
COMPANION = mav.MAV_COMP_ID_ONBOARD_COMPUTER


@dataclass
class Switches:
    """What the rover, and others on its line, do. Tests change them while it runs."""

    mode: int = GUIDED
    armed: bool = False
    autopilot: int = mav.MAV_AUTOPILOT_ARDUPILOTMEGA
    kind: int = mav.MAV_TYPE_GROUND_ROVER
    state: int = mav.MAV_STATE_ACTIVE
    heartbeats: bool = True
    deaf: bool = False  # its RX is not wired
    acks: tuple[int, ...] = (mav.MAV_RESULT_ACCEPTED,)  # results of a request to arm, one after the other
    ack_target: tuple[int, int] | None = None  # None: whoever asked
    texts: tuple[tuple[int, str], ...] = ()  # severity and text, said when asked to arm
    odometry: str = "ned"  # ned | odometry | nan | repeated | world | none
    moves: bool = True  # False: it says that it stands
    battery: int = 80
    guid_timeout_s: float | None = 0.5  # None: older firmware, which does not have the parameter
    extra: list[tuple[int, int, MavMessage]] = field(default_factory=list)  # system, component, message


class ArduRover:
    """The double. `send` and `receive` are its end of the line; `poll` is called every few ms."""

    def __init__(
        self, send: Callable[[bytes], object], receive: Callable[[], bytes], system: int = 1, version: int = 2
    ) -> None:
        self.switches = Switches()
        self.velocity = ZERO  # what its wheels do
        self.commands: list[MavMessage] = []
        self.setpoints = 0
        self.heard: set[tuple[int, int]] = set()  # systems and components that spoke to it
        self._send, self._receive, self._system = send, receive, system
        self._stream = MavStream(system, 1)
        self._streams = {(system, 1): self._stream}
        self._version = version
        self._setpoint_ns = self._beat_ns = self._tick_ns = 0
        self._boot_ns = time.monotonic_ns()
        self._reported: object = None
        self._x = self._y = self._yaw = 0.0

    def poll(self, now_ns: int) -> None:
        """Read, obey, report."""
        for message in self._stream.feed(self._receive(), now_ns):
            if not self.switches.deaf:
                self._obey(message, now_ns)
        obeys = self.switches.mode == GUIDED and self.switches.armed
        if not obeys or now_ns - self._setpoint_ns > GUID_TIMEOUT_NS:
            self.velocity = ZERO
        if now_ns - self._tick_ns >= PERIOD_NS:
            self._tick_ns = now_ns
            self._move(PERIOD_NS / 1e9)
            self._report(now_ns)

    def say(self, severity: int, text: str, number: int = 0) -> None:
        """Send a STATUSTEXT, in chunks if it is long."""
        raw = text.encode()
        parts = [raw[at : at + 50] for at in range(0, len(raw), 50)]
        for i, part in enumerate(parts):
            chunked = number if len(parts) > 1 else 0
            self._tell(mav.MAVLink_statustext_message(severity, part, chunked, i))

    def _obey(self, message: MavMessage, now_ns: int) -> None:
        self.heard.add((message.get_srcSystem(), message.get_srcComponent()))
        if isinstance(message, mav.MAVLink_set_position_target_local_ned_message):
            self.setpoints += 1
            mine = message.target_system == self._system and message.target_component == 1
            if mine and self.switches.mode == GUIDED and self.switches.armed:
                assert message.type_mask == 0b010111000111
                assert message.coordinate_frame == mav.MAV_FRAME_BODY_NED
                speed = math.copysign(math.hypot(message.vx, message.vy), message.vx)
                self.velocity, self._setpoint_ns = Velocity(speed, 0.0, -message.yaw_rate), now_ns
        elif isinstance(message, mav.MAVLink_command_long_message) and message.target_system == self._system:
            self.commands.append(message)
            self._on_command(message)
        elif isinstance(message, mav.MAVLink_param_request_read_message):
            self._on_request(message.param_id)

    def _on_request(self, name: str) -> None:
        value = self.switches.guid_timeout_s
        if name == "GUID_TIMEOUT" and value is not None:
            self._tell(mav.MAVLink_param_value_message(name.encode(), value, 9, 1000, 7))

    def _on_command(self, message: MavMessage) -> None:
        switches = self.switches
        asked_by = (message.get_srcSystem(), message.get_srcComponent())
        target = switches.ack_target or asked_by
        results: tuple[int, ...] = (mav.MAV_RESULT_UNSUPPORTED,)
        if message.command == mav.MAV_CMD_COMPONENT_ARM_DISARM:
            results = switches.acks if message.param1 == 1.0 else (mav.MAV_RESULT_ACCEPTED,)
            for i, (severity, text) in enumerate(switches.texts * (message.param1 == 1.0)):
                self.say(severity, text, 10 + i)
            if results[-1:] == (mav.MAV_RESULT_ACCEPTED,):
                switches.armed = message.param1 == 1.0
        elif message.command == mav.MAV_CMD_DO_SET_MODE:
            results = (mav.MAV_RESULT_ACCEPTED,)
            switches.mode = int(message.param2)
        for result in results:
            self._tell(mav.MAVLink_command_ack_message(message.command, result, 0, 0, *target))

    def _move(self, dt_s: float) -> None:
        self._yaw -= self.velocity.angular_z_rad_s * dt_s  # clockwise from north
        self._x += self.velocity.linear_x_m_s * dt_s * math.cos(self._yaw)
        self._y += self.velocity.linear_x_m_s * dt_s * math.sin(self._yaw)

    def _report(self, now_ns: int) -> None:
        switches = self.switches
        # ArduRover sends a heartbeat at once when its mode changes, and one each second.
        seen = (switches.mode, switches.armed, switches.state)
        if switches.heartbeats and (now_ns - self._beat_ns >= 1_000_000_000 or seen != self._reported):
            self._beat_ns, self._reported = now_ns, seen
            for system, component, message in switches.extra:
                stream = self._streams.setdefault((system, component), MavStream(system, component))
                self._send(stream.pack(message))
            self._tell(self._heartbeat())
            self._tell(battery(0, switches.battery))
        self._report_motion(now_ns)

    def _heartbeat(self) -> MavMessage:
        switches = self.switches
        mode = mav.MAV_MODE_FLAG_CUSTOM_MODE_ENABLED | mav.MAV_MODE_FLAG_MANUAL_INPUT_ENABLED  # stick mixing
        if switches.mode in (AUTO, RTL, GUIDED):
            mode |= mav.MAV_MODE_FLAG_GUIDED_ENABLED
        if switches.armed:
            mode |= mav.MAV_MODE_FLAG_SAFETY_ARMED
        return mav.MAVLink_heartbeat_message(
            switches.kind, switches.autopilot, mode, switches.mode, switches.state, 3
        )

    def _report_motion(self, now_ns: int) -> None:
        how = self.switches.odometry
        speed = self.velocity.linear_x_m_s if self.switches.moves else 0.0
        turn = -self.velocity.angular_z_rad_s if self.switches.moves else 0.0
        stamp_ms = (now_ns - self._boot_ns) // 1_000_000
        if how == "ned":
            self._tell(mav.MAVLink_attitude_message(stamp_ms, 0, 0, self._yaw, 0, 0, turn))
            vx, vy = speed * math.cos(self._yaw), speed * math.sin(self._yaw)
            self._tell(mav.MAVLink_local_position_ned_message(stamp_ms, self._x, self._y, 0, vx, vy, 0))
        elif how != "none":
            stamp_us = 123 if how == "repeated" else stamp_ms * 1000
            child = mav.MAV_FRAME_LOCAL_NED if how == "world" else mav.MAV_FRAME_BODY_FRD
            q = [math.cos(self._yaw / 2), 0, 0, math.sin(self._yaw / 2)]
            ahead = math.nan if how == "nan" else speed
            self._tell(
                mav.MAVLink_odometry_message(
                    stamp_us, mav.MAV_FRAME_LOCAL_FRD, child, self._x, self._y, 0, q, ahead, 0, 0, 0, 0, turn,
                    [math.nan] * 21, [math.nan] * 21,
                )
            )  # fmt: skip

    def _tell(self, message: MavMessage) -> None:
        if self._version == 1:
            codec = self._stream._codec
            packet = bytes(message.pack(codec, force_mavlink1=True))
            codec.seq = (codec.seq + 1) % 256
        else:
            packet = self._stream.pack(message)
        self._send(packet)


def battery(number: int, percent: int) -> MavMessage:
    """Return what the battery of this id reports."""
    return mav.MAVLink_battery_status_message(number, 0, 0, 32767, [65535] * 10, -1, -1, -1, percent)


class RoverEnd:
    """The double on a line of its own, polled by a thread: a far end for the contract."""

    def __init__(self, address: str, rover: ArduRover, unplug: Callable[[], None]) -> None:
        self.address, self.rover, self._unplug = address, rover, unplug
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._work)
        self._thread.start()

    @property
    def switches(self) -> Switches:
        """What it does."""
        return self.rover.switches

    def velocity(self) -> Velocity:
        return self.rover.velocity

    def unplug(self) -> None:
        if not self._ended.is_set():
            self._ended.set()
            self._thread.join()
            self._unplug()

    def _work(self) -> None:
        while not self._ended.wait(0.002):
            self.rover.poll(time.monotonic_ns())


@contextlib.contextmanager
def on_serial(options: str = "", **how: int) -> Iterator[RoverEnd]:
    """Yield the double at the end of a pseudo-terminal."""
    board, cable, port = open_pty()
    os.set_blocking(board, False)

    def send(data: bytes) -> None:
        with contextlib.suppress(BlockingIOError):
            os.write(board, data)

    def receive() -> bytes:
        with contextlib.suppress(BlockingIOError):
            return os.read(board, 4096)
        return b""

    def unplug() -> None:
        os.close(cable)
        os.close(board)

    end = RoverEnd(f"mavlink://{port}{options}", ArduRover(send, receive, **how), unplug)
    try:
        yield end
    finally:
        end.unplug()


@contextlib.contextmanager
def on_udp(listens: bool = False, options: str = "?timeout_s=5&system=1", **how: int) -> Iterator[RoverEnd]:
    """Yield the double on UDP: sending to a port where the driver listens, or listening itself.

    Its address names it, so that the driver does not wait for other rovers.
    """
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as taken:
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
    end = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    end.setblocking(False)
    peer = [("127.0.0.1", 0 if listens else port)]
    if listens:
        end.bind(("127.0.0.1", port))

    def send(data: bytes) -> None:
        with contextlib.suppress(BlockingIOError, ConnectionRefusedError):
            if peer[0][1]:
                end.sendto(data, peer[0])

    def receive() -> bytes:
        with contextlib.suppress(BlockingIOError, ConnectionRefusedError):
            data, peer[0] = end.recvfrom(4096)
            return data
        return b""

    kind = "udpout" if listens else "udp"
    address = f"mavlink://{kind}:127.0.0.1:{port}{options}"
    rover = RoverEnd(address, ArduRover(send, receive, **how), end.close)
    try:
        yield rover
    finally:
        rover.unplug()
