"""The firmware of the simulated base: MAVLink over the far end of a pseudo-terminal, as on a robot's board.

It boots disarmed, obeys motion only after a setpoint near zero, and stops when setpoints stop coming. Each
setpoint that it applies is one line of its log, written out before the next one is read: what really
reached the actuator, and when.
"""

import math
import os
from collections.abc import Callable
from pathlib import Path

from edge.clock import Clock, MonotonicClock
from edge.motor.drivers.mavlink.stream import MavMessage, MavStream, flipped, mav
from edge.records import ZERO, Odometry, Velocity
from sim.realtime.room_time import SetpointLog

SETPOINT_LIMIT_NS = 300_000_000  # no setpoint for this long: zero
NEAR_ZERO = 0.01  # m/s and rad/s
HEARTBEAT_PERIOD_NS = 1_000_000_000
ODOMETRY_PERIOD_NS = 20_000_000
BUMPER_PERIOD_NS = 1_000_000_000  # and whenever it changes, as button 1
BATTERY_PERIOD_NS = 1_000_000_000
SYSTEM, COMPONENT = 1, mav.MAV_COMP_ID_AUTOPILOT1
MANUAL, GUIDED = 0, 15  # numbers of its modes, as ArduRover has them
NO_COVARIANCE = [math.nan, *[0.0] * 20]  # NaN first: unknown


class Firmware:
    """The board. Call `poll` every few ms from one thread; nothing in it blocks.

    `apply` gets each setpoint with whether the base is armed, `odometry` is asked 50 times a second (None: it
    is not measured), `battery_fraction` once, `bumper` at each poll (None: there is none). `manual` and
    `emergency` are the switches on the robot: setpoints are not obeyed. Times are CLOCK_MONOTONIC ns of
    `clock`.
    """

    def __init__(
        self,
        fd: int,
        apply: Callable[[Velocity, bool], None],
        odometry: Callable[[], Odometry] | None,
        log: Path,
        clock: Clock | None = None,
        battery_fraction: Callable[[], float] = lambda: 1.0,
        bumper: Callable[[], bool | None] = lambda: None,
    ) -> None:
        os.set_blocking(fd, False)
        self._fd = fd
        self._apply = apply
        self._odometry = odometry
        self._battery_fraction = battery_fraction
        self._bumper = bumper
        self._clock: Clock = clock or MonotonicClock()
        self.log = SetpointLog(log)
        self.manual = False
        self.emergency = False
        self.dropped = 0  # packets of telemetry that were not taken
        self.ignored = 0  # setpoints and commands that were not obeyed
        self.reboot()

    def reboot(self) -> None:
        """Start as after a loss of power: disarmed, at zero, nothing remembered."""
        self.stream = MavStream(SYSTEM, COMPONENT)
        self.armed = False
        self._neutral = False  # a setpoint near zero has come since the base was last disarmed
        self._wanted = ZERO  # the newest setpoint, obeyed or not
        self._setpoint_ns: int | None = None
        self._setpoint_ms: int | None = None  # the sender's own time
        self._boot_ns = self._clock.now_ns()
        self._due_ns = {"heartbeat": 0, "odometry": 0, "battery": 0, "bumper": 0}
        self._pressed: bool | None = None  # as it was reported last
        self._reported: tuple[bool, bool, bool] | None = None
        self._set(ZERO, self._boot_ns)

    def close(self) -> None:
        """Close the log; the descriptor of the line belongs to the caller."""
        self.log.close()

    def poll(self, now_ns: int) -> None:
        """Read what came, watch the time limit, send what is due."""
        data = self._read()
        now_ns = max(now_ns, self._clock.now_ns())  # a machine that stalled before it read must not be early
        for message in self.stream.feed(data, now_ns):
            if isinstance(message, mav.MAVLink_set_position_target_local_ned_message):
                self._on_setpoint(message, now_ns)
            elif isinstance(message, mav.MAVLink_command_long_message):
                self._on_command(message, now_ns)
            elif isinstance(message, mav.MAVLink_heartbeat_message):
                self._reported = None  # answered with ours, so that a newcomer need not wait for it
        if self._setpoint_ns is not None and now_ns - self._setpoint_ns > SETPOINT_LIMIT_NS:
            self._setpoint_ns = None
            self._wanted = ZERO
            self._set(ZERO, now_ns)
        self._send_due(now_ns)

    def _on_setpoint(self, message: MavMessage, now_ns: int) -> None:
        wanted = Velocity(*flipped(message.vx, message.vy, message.yaw_rate))
        values = (wanted.linear_x_m_s, wanted.linear_y_m_s, wanted.angular_z_rad_s)
        stamp_ms = message.time_boot_ms
        replayed = self._setpoint_ms is not None and (stamp_ms - self._setpoint_ms) % 2**32 > 2**31
        if replayed or message.target_system != SYSTEM or not all(map(math.isfinite, values)):
            self.ignored += 1
            return
        self._setpoint_ms, self._setpoint_ns, self._wanted = stamp_ms, now_ns, wanted
        near_zero = _near_zero(wanted)
        self._neutral = self._neutral or near_zero
        obeyed = self.armed and self._neutral and not self.manual and not self.emergency
        self.ignored += not (obeyed or near_zero)
        self._set(wanted if obeyed else ZERO, now_ns)

    def _on_command(self, message: MavMessage, now_ns: int) -> None:
        if message.target_system != SYSTEM:
            return
        result = mav.MAV_RESULT_UNSUPPORTED
        if message.command == mav.MAV_CMD_COMPONENT_ARM_DISARM:
            arm = message.param1 == 1.0
            pending = not self.armed and not _near_zero(self._wanted)
            refused = arm and (pending or self.emergency)
            result = mav.MAV_RESULT_TEMPORARILY_REJECTED if refused else mav.MAV_RESULT_ACCEPTED
            self.ignored += refused
            if not refused:
                self._arm(arm, now_ns)
        sender = (message.get_srcSystem(), message.get_srcComponent())
        self._send(mav.MAVLink_command_ack_message(message.command, result, 0, 0, *sender))

    def _arm(self, armed: bool, now_ns: int) -> None:
        if armed != self.armed:
            self.armed = armed
            if not armed:
                self._neutral = False
            self._set(ZERO, now_ns)

    def _set(self, velocity: Velocity, now_ns: int) -> None:
        self._apply(velocity, self.armed)
        self.log.write(velocity, now_ns, armed=self.armed)

    def _read(self) -> bytes:
        try:
            return os.read(self._fd, 4096)
        except BlockingIOError:
            return b""
        except OSError:
            return b""  # EIO: the port is closed at the other end; the time limit of setpoints deals with it

    def _send(self, message: MavMessage) -> None:
        packet = self.stream.pack(message)
        try:
            taken = os.write(self._fd, packet)
        except OSError:
            taken = 0  # the line is full, or closed at the other end
        self.dropped += taken != len(packet)

    def _due(self, what: str, period_ns: int, now_ns: int) -> bool:
        if now_ns < self._due_ns[what]:
            return False
        # From now on, and not from when it was due: late telemetry is skipped, never sent in a burst.
        self._due_ns[what] = now_ns + period_ns
        return True

    def _send_due(self, now_ns: int) -> None:
        switches = (self.armed, self.manual, self.emergency)
        if self._due("heartbeat", HEARTBEAT_PERIOD_NS, now_ns) or switches != self._reported:
            self._reported = switches
            self._send(self._heartbeat())
        self._send_bumper(now_ns)
        if self._odometry is not None and self._due("odometry", ODOMETRY_PERIOD_NS, now_ns):
            self._send(self._odometry_message(self._odometry()))
        if self._due("battery", BATTERY_PERIOD_NS, now_ns):
            percent = round(100 * min(1.0, max(0.0, self._battery_fraction())))
            voltages = [65535] * 10  # unknown
            self._send(mav.MAVLink_battery_status_message(0, 0, 0, 32767, voltages, -1, -1, -1, percent))

    def _send_bumper(self, now_ns: int) -> None:
        pressed = self._bumper()
        if pressed is None or (pressed == self._pressed and now_ns < self._due_ns["bumper"]):
            return
        self._pressed, self._due_ns["bumper"] = pressed, now_ns + BUMPER_PERIOD_NS
        stamp_ms = (now_ns - self._boot_ns) // 1_000_000
        self._send(mav.MAVLink_button_change_message(stamp_ms, stamp_ms, int(pressed)))

    def _heartbeat(self) -> MavMessage:
        mode = mav.MAV_MODE_FLAG_MANUAL_INPUT_ENABLED if self.manual else mav.MAV_MODE_FLAG_GUIDED_ENABLED
        mode |= mav.MAV_MODE_FLAG_CUSTOM_MODE_ENABLED
        if self.armed:
            mode |= mav.MAV_MODE_FLAG_SAFETY_ARMED
        state = mav.MAV_STATE_ACTIVE if self.armed else mav.MAV_STATE_STANDBY
        if self.emergency:
            state = mav.MAV_STATE_EMERGENCY
        kind = mav.MAV_TYPE_GROUND_ROVER
        number = MANUAL if self.manual else GUIDED
        return mav.MAVLink_heartbeat_message(kind, mav.MAV_AUTOPILOT_GENERIC, mode, number, state, 3)

    def _odometry_message(self, state: Odometry) -> MavMessage:
        velocity = state.velocity
        vx, vy, turn = flipped(velocity.linear_x_m_s, velocity.linear_y_m_s, velocity.angular_z_rad_s)
        x, y, yaw = flipped(state.x_m, state.y_m, state.yaw_rad)
        rotation = [math.cos(yaw / 2), 0.0, 0.0, math.sin(yaw / 2)]
        return mav.MAVLink_odometry_message(
            max(1, (state.stamp_ns - self._boot_ns) // 1000), mav.MAV_FRAME_LOCAL_FRD, mav.MAV_FRAME_BODY_FRD,
            x, y, 0.0, rotation, vx, vy, 0.0, 0.0, 0.0, turn, NO_COVARIANCE, NO_COVARIANCE,
        )  # fmt: skip


def _near_zero(velocity: Velocity) -> bool:
    parts = (velocity.linear_x_m_s, velocity.linear_y_m_s, velocity.angular_z_rad_s)
    return max(map(abs, parts)) <= NEAR_ZERO
