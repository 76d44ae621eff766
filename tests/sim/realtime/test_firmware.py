"""The firmware alone, with times made up and packets made by hand.

At one end of a socket pair: what is written to a pseudo-terminal arrives whenever the kernel likes.
"""

import json
import math
import os
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from edge.clock import VirtualClock
from edge.motor.drivers.mavlink.stream import MavMessage, MavStream, flipped, mav
from edge.records import ZERO, Odometry, Velocity
from sim.realtime.firmware import Firmware
from sim.realtime.terminal import open_pty

MS = 1_000_000
FORWARD = Velocity(0.3, 0.1, -0.2)


class Bench:
    """The companion's end of the line, and what the base was told."""

    def __init__(self, folder: Path) -> None:
        self.board, self.cable = (end.detach() for end in socket.socketpair())
        os.set_blocking(self.cable, False)
        self.clock = VirtualClock(10**9)
        self.applied: list[tuple[Velocity, bool]] = []
        self.log = folder / "firmware.jsonl"
        self.firmware = Firmware(
            self.board,
            lambda *told: self.applied.append(told),
            self.odometry,
            self.log,
            self.clock,
            lambda: 0.5,
        )
        self.stream = MavStream(1, mav.MAV_COMP_ID_ONBOARD_COMPUTER)
        self.heard: list[MavMessage] = []

    def odometry(self) -> Odometry:
        return Odometry(self.clock.now_ns(), 1.0, 2.0, 0.5, Velocity(0.1, 0.2, 0.3))

    def send(self, packet: bytes) -> None:
        os.write(self.cable, packet)
        self.poll()

    def poll(self, delta_ms: int = 5) -> None:
        self.clock.advance(delta_ms * MS)
        self.firmware.poll(self.clock.now_ns())
        try:
            data = os.read(self.cable, 65536)
        except BlockingIOError:
            return
        self.heard += self.stream.feed(data, self.clock.now_ns())

    def setpoint(self, velocity: Velocity, stamp_ms: int | None = None) -> bytes:
        x, y, turn = flipped(velocity.linear_x_m_s, velocity.linear_y_m_s, velocity.angular_z_rad_s)
        stamp_ms = self.clock.now_ns() // MS if stamp_ms is None else stamp_ms
        message = mav.MAVLink_set_position_target_local_ned_message(
            stamp_ms, 1, 1, mav.MAV_FRAME_BODY_NED, 0b010111000111, 0, 0, 0, x, y, 0, 0, 0, 0, 0, turn
        )
        return self.stream.pack(message)

    def command(self, number: int, value: float, system: int = 1) -> bytes:
        message = mav.MAVLink_command_long_message(system, 1, number, 0, value, 0, 0, 0, 0, 0, 0)
        return self.stream.pack(message)

    def arm(self, value: float = 1.0) -> int:
        """The result of the command."""
        self.send(self.command(mav.MAV_CMD_COMPONENT_ARM_DISARM, value))
        return [m for m in self.heard if isinstance(m, mav.MAVLink_command_ack_message)][-1].result

    def ready(self) -> None:
        self.send(self.setpoint(ZERO))
        assert self.arm() == mav.MAV_RESULT_ACCEPTED

    def lines(self) -> list[dict[str, float]]:
        return [json.loads(line) for line in self.log.read_text().splitlines()]

    @property
    def velocity(self) -> Velocity:
        return self.applied[-1][0]


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    made = Bench(tmp_path)
    yield made
    made.firmware.close()
    os.close(made.board)
    os.close(made.cable)


def approx(velocity: Velocity) -> tuple[object, ...]:
    parts = (velocity.linear_x_m_s, velocity.linear_y_m_s, velocity.angular_z_rad_s)
    return tuple(pytest.approx(part) for part in parts)


def told(velocity: Velocity) -> tuple[float, float, float]:
    return velocity.linear_x_m_s, velocity.linear_y_m_s, velocity.angular_z_rad_s


def test_boots_disarmed_at_zero_and_says_so(bench: Bench) -> None:
    bench.send(bench.setpoint(FORWARD))
    assert bench.applied[0] == bench.applied[-1] == (ZERO, False)
    heartbeat = next(m for m in bench.heard if isinstance(m, mav.MAVLink_heartbeat_message))
    assert not heartbeat.base_mode & mav.MAV_MODE_FLAG_SAFETY_ARMED
    assert bench.firmware.ignored == 1


def test_every_applied_setpoint_is_a_line_with_its_time(bench: Bench) -> None:
    bench.ready()
    bench.send(bench.setpoint(FORWARD))
    last = bench.lines()[-1]
    assert last == {
        "stamp_ns": bench.clock.now_ns(),
        "linear_x": pytest.approx(0.3),
        "linear_y": pytest.approx(0.1),
        "angular_z": pytest.approx(-0.2),
        "armed": True,
    }
    assert len(bench.lines()) == len(bench.applied)


def test_does_not_arm_while_motion_is_asked_for(bench: Bench) -> None:
    """Faults 41 and 57."""
    bench.send(bench.setpoint(FORWARD))
    assert bench.arm() == mav.MAV_RESULT_TEMPORARILY_REJECTED
    bench.send(bench.setpoint(Velocity(0.0, 0.0, 0.4)))
    assert bench.arm() == mav.MAV_RESULT_TEMPORARILY_REJECTED
    bench.send(bench.setpoint(Velocity(0.005, 0.0, 0.0)))
    assert bench.arm() == mav.MAV_RESULT_ACCEPTED


def test_armed_base_waits_for_a_setpoint_near_zero(bench: Bench) -> None:
    assert bench.arm() == mav.MAV_RESULT_ACCEPTED
    bench.send(bench.setpoint(FORWARD))
    assert bench.velocity == ZERO
    bench.send(bench.setpoint(ZERO))
    bench.send(bench.setpoint(FORWARD))
    assert told(bench.velocity) == approx(FORWARD)


def test_reboot_under_way_stops_until_armed_again(bench: Bench) -> None:
    """Fault 41."""
    bench.ready()
    bench.send(bench.setpoint(FORWARD))
    bench.firmware.reboot()
    bench.send(bench.setpoint(FORWARD))
    assert bench.applied[-1] == (ZERO, False)


def test_silence_of_300_ms_stops_it(bench: Bench) -> None:
    bench.ready()
    bench.send(bench.setpoint(FORWARD))
    for _ in range(60):
        bench.poll()
    assert told(bench.velocity) == approx(FORWARD)
    bench.poll()
    assert bench.velocity == ZERO
    count = len(bench.lines())
    bench.poll(1000)
    assert len(bench.lines()) == count
    bench.send(bench.setpoint(FORWARD))
    assert told(bench.velocity) == approx(FORWARD)


def test_disarming_stops_it(bench: Bench) -> None:
    bench.ready()
    bench.send(bench.setpoint(FORWARD))
    assert bench.arm(0.0) == mav.MAV_RESULT_ACCEPTED
    assert bench.applied[-1] == (ZERO, False)
    bench.send(bench.setpoint(FORWARD))
    assert bench.velocity == ZERO


def test_duplicated_and_replayed_packets_are_ignored(bench: Bench) -> None:
    """Fault 39."""
    bench.ready()
    old = bench.setpoint(FORWARD)
    bench.send(old)
    bench.send(bench.setpoint(ZERO))
    count = len(bench.applied)
    for _ in range(3):
        bench.send(old)
    assert len(bench.applied) == count
    assert bench.firmware.stream.repeated == 3
    bench.poll(1000)  # the sequence may start anew after a silence, the sender's time may not
    count = len(bench.applied)
    bench.send(old)
    assert len(bench.applied) == count


def test_lost_packets_are_counted(bench: Bench) -> None:
    bench.ready()
    for _ in range(3):
        bench.setpoint(FORWARD)
    bench.send(bench.setpoint(FORWARD))
    assert told(bench.velocity) == approx(FORWARD)
    assert bench.firmware.stream.lost == 3


def test_corrupted_bytes_are_counted_and_never_obeyed(bench: Bench) -> None:
    """Fault 38."""
    bench.ready()
    good = bench.setpoint(Velocity(0.1, 0.0, 0.0))
    for at in range(len(good)):
        bench.send(good[:at] + bytes([good[at] ^ 0x55]) + good[at + 1 :])
        assert bench.velocity == ZERO
    bench.send(bytes(300))
    assert bench.firmware.stream.bad > 0
    bench.send(bench.setpoint(FORWARD))
    assert told(bench.velocity) == approx(FORWARD)


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_setpoints_that_are_not_finite_are_ignored(bad: float, bench: Bench) -> None:
    bench.ready()
    count = len(bench.applied)
    bench.send(bench.setpoint(Velocity(bad, 0.0, 0.0)))
    assert len(bench.applied) == count
    assert bench.firmware.ignored == 1


def test_messages_for_others_and_unknown_commands(bench: Bench) -> None:
    bench.send(bench.command(mav.MAV_CMD_COMPONENT_ARM_DISARM, 1.0, system=9))
    assert not bench.firmware.armed
    bench.send(bench.command(mav.MAV_CMD_DO_SET_MODE, 1.0))
    acks = [m for m in bench.heard if isinstance(m, mav.MAVLink_command_ack_message)]
    assert [ack.result for ack in acks] == [mav.MAV_RESULT_UNSUPPORTED]


@pytest.mark.parametrize("switch", ["manual", "emergency"])
def test_switches_on_the_robot_win(switch: str, bench: Bench) -> None:
    """Fault 56."""
    bench.ready()
    setattr(bench.firmware, switch, True)
    bench.send(bench.setpoint(FORWARD))
    assert bench.velocity == ZERO
    heartbeat = [m for m in bench.heard if isinstance(m, mav.MAVLink_heartbeat_message)][-1]
    guided = bool(heartbeat.base_mode & mav.MAV_MODE_FLAG_GUIDED_ENABLED)
    assert (heartbeat.custom_mode == 15) == guided
    assert guided == (switch == "emergency")
    assert (heartbeat.system_status == mav.MAV_STATE_EMERGENCY) == (switch == "emergency")


def test_telemetry_at_its_rates_with_the_signs_of_mavlink(bench: Bench) -> None:
    for _ in range(200):
        bench.poll()
    counts = {name: sum(m.get_type() == name for m in bench.heard) for name in ("HEARTBEAT", "ODOMETRY")}
    assert counts == {"HEARTBEAT": 1, "ODOMETRY": 50}
    odometry = next(m for m in bench.heard if m.get_type() == "ODOMETRY")
    assert (odometry.x, odometry.y, odometry.vx, odometry.vy) == approx_all(1.0, -2.0, 0.1, -0.2)
    assert odometry.yawspeed == pytest.approx(-0.3)
    assert 2 * math.atan2(odometry.q[3], odometry.q[0]) == pytest.approx(-0.5)
    battery = next(m for m in bench.heard if m.get_type() == "BATTERY_STATUS")
    assert battery.battery_remaining == 50


def approx_all(*values: float) -> tuple[object, ...]:
    return tuple(pytest.approx(value) for value in values)


def test_telemetry_that_nobody_reads_is_dropped(bench: Bench) -> None:
    for _ in range(5000):
        bench.clock.advance(20 * MS)
        bench.firmware.poll(bench.clock.now_ns())
    assert bench.firmware.dropped > 0


def test_newcomers_heartbeat_is_answered(bench: Bench) -> None:
    bench.poll()
    bench.heard.clear()
    bench.send(bench.stream.pack(mav.MAVLink_heartbeat_message(18, 8, 0, 0, 4, 3)))
    assert any(isinstance(m, mav.MAVLink_heartbeat_message) for m in bench.heard)


def test_line_that_is_gone_stops_it_by_time(bench: Bench) -> None:
    """Fault 37."""
    bench.ready()
    bench.send(bench.setpoint(FORWARD))
    board, cable, port = open_pty()
    assert port.startswith("/dev/")
    os.close(cable)
    os.set_blocking(board, False)
    os.dup2(board, bench.board)  # from now on it answers every read and write with an error
    os.close(board)
    for _ in range(70):
        bench.clock.advance(5 * MS)
        bench.firmware.poll(bench.clock.now_ns())
    assert bench.velocity == ZERO
