"""Two wheels: kinematics, odometry and the lines of both protocols, on any input."""

import json
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.errors import MotorFault
from edge.motor.drivers.arduino import counters_of
from edge.motor.drivers.serial_port import MAX_LINE_BYTES, Lines
from edge.motor.drivers.waveshare import report_of
from edge.motor.drivers.wheels import WheelOdometry, WheelPair
from edge.records import ZERO, Velocity

PAIR = WheelPair(track_m=0.2, max_m_s=0.5, min_m_s=0.0, steps_per_m_s=200.0)
TICK_NS = 20_000_000
speeds = st.floats(-1, 1)


@given(speeds, speeds)
def test_what_is_sent_is_never_more_than_what_was_told_and_nearly_that(ahead: float, turn: float):
    left, right = PAIR.steps(Velocity(ahead, 0.0, turn))
    assert max(abs(left), abs(right)) <= PAIR.max_m_s * PAIR.steps_per_m_s
    sent = PAIR.sent(left, right)
    assert abs(sent.linear_x_m_s) <= abs(ahead) + 1e-12 and abs(sent.angular_z_rad_s) <= abs(turn) + 1e-12
    assert sent.linear_x_m_s * ahead >= 0 and sent.angular_z_rad_s * turn >= 0
    if abs(ahead) + abs(turn) * 0.1 <= 0.5:
        assert sent.linear_x_m_s == pytest.approx(ahead, abs=1 / 200)
        assert sent.angular_z_rad_s == pytest.approx(turn, abs=2 / (200 * 0.2))


def test_a_velocity_beyond_the_wheels_is_slowed_along_its_curve():
    fine = WheelPair(0.2, 0.5, 0.0, 1e6)
    sent = fine.sent(*fine.steps(Velocity(0.5, 0.0, 1.0)))
    assert sent.linear_x_m_s == pytest.approx(0.5 / 1.2, abs=1e-4)
    assert sent.linear_x_m_s / sent.angular_z_rad_s == pytest.approx(0.5, abs=1e-4)


def test_a_turn_to_the_left_speeds_up_the_right_wheel():
    assert PAIR.steps(Velocity(0.0, 0.0, 0.5)) == (-10, 10)


def test_what_is_too_slow_to_turn_a_wheel_stands():
    slow = WheelPair(0.2, 0.5, 0.05, 10_000)
    assert slow.steps(Velocity(0.04, 0.0, 0.05)) == (0, 0)
    assert slow.steps(Velocity(0.04, 0.0, 0.15)) == (250, 550)


def test_sideways_is_refused():
    with pytest.raises(MotorFault, match=r"can't move sideways, it was told 0\.20") as caught:
        PAIR.steps(Velocity(0.1, 0.2, 0.0))
    assert "differential" in caught.value.hint


@given(st.floats(-0.5, 0.5), st.floats(-1, 1))
def test_odometry_follows_an_arc(ahead: float, turn: float):
    odometry = WheelOdometry(PAIR)
    for tick in range(101):
        way_s = tick * TICK_NS / 1e9
        assert odometry.update(tick * TICK_NS, *((ahead + side * turn * 0.1) * way_s for side in (-1, 1)))
    found = odometry.newest()
    assert found is not None and found.stamp_ns == 2_000_000_000
    assert found.yaw_rad == pytest.approx(2 * turn, abs=1e-9)
    if abs(turn) > 0.01:
        assert found.x_m == pytest.approx(ahead / turn * math.sin(2 * turn), abs=1e-3)
        assert found.y_m == pytest.approx(ahead / turn * (1 - math.cos(2 * turn)), abs=1e-3)
    assert found.velocity.linear_x_m_s == pytest.approx(ahead, abs=1e-6)
    assert found.velocity.angular_z_rad_s == pytest.approx(turn, abs=1e-6)


def test_one_reading_that_jumps_is_noise_and_two_that_agree_are_a_restart():
    odometry = WheelOdometry(PAIR)
    assert odometry.newest() is None
    assert odometry.update(0, 5.0, 5.0) and odometry.update(TICK_NS, 5.01, 5.01)
    assert odometry.update(2 * TICK_NS, 0.5, 5.02)  # a digit was lost
    assert odometry.update(3 * TICK_NS, 5.03, 5.03)
    assert odometry.update(4 * TICK_NS, 0.0, 0.0)
    assert not odometry.update(5 * TICK_NS, 0.0, 0.0)
    assert odometry.update(6 * TICK_NS, 0.01, 0.01)
    found = odometry.newest()
    assert found is not None and found.x_m == pytest.approx(0.03)


@given(st.binary(max_size=300), st.integers(1, 50))
def test_lines_come_out_the_same_however_the_bytes_arrive(data: bytes, size: int):
    at_once, bit_by_bit = Lines(), Lines()
    parts = [data[i : i + size] for i in range(0, len(data), size)]
    assert at_once.feed(data) == [line for part in parts for line in bit_by_bit.feed(part)]


def test_a_line_without_an_end_is_dropped_and_takes_no_memory():
    lines = Lines()
    for _ in range(100):
        assert lines.feed(b"x" * 999) == []
        assert len(lines._rest) <= MAX_LINE_BYTES
    assert lines.feed(b"tail\r\n1 2\r\n") == [b"1 2"]


@given(st.binary(max_size=80))
def test_any_bytes_are_counters_or_not(line: bytes):
    found = counters_of(line)
    assert (found is None) == (line.count(b" ") != 1 or not all(_is_count(part) for part in line.split(b" ")))


def _is_count(part: bytes) -> bool:
    digits = part.removeprefix(b"-")
    return digits.isdigit() and len(digits) <= 10


@given(st.integers(-(2**31), 2**31 - 1), st.integers(-(2**31), 2**31 - 1))
def test_counters_are_read_back(left: int, right: int):
    assert counters_of(b"%d %d" % (left, right)) == (left, right)


@given(st.binary(max_size=200) | st.binary(max_size=60).map(lambda tail: b'{"T":1001,"L":' + tail + b"}"))
def test_any_bytes_are_a_report_or_not(line: bytes):
    report = report_of(line)
    if report is not None:
        numbers = [*(report.speeds_m_s or ()), *(report.ways_m or ()), report.battery_v or 0.0]
        assert all(map(math.isfinite, numbers))


numbers = st.floats(-4, 4)


@given(numbers, numbers, st.integers(-(10**6), 10**6), st.integers(-(10**6), 10**6), st.integers(700, 2600))
def test_reports_are_read_back(left: float, right: float, odl: int, odr: int, volts: int):
    message = {"T": 1001, "L": left, "R": right, "odl": odl, "odr": odr, "v": volts}
    report = report_of(json.dumps(message).encode())
    assert report is not None and report.speeds_m_s == (left, right)
    assert report.ways_m == (odl / 100, odr / 100) and report.battery_v == volts / 100


@pytest.mark.parametrize(
    "line",
    [
        b"[" * 1024,
        b'{"T":1,"L":0.1,"R":0.1}',  # an echo
        b'{"T":true,"L":0,"R":0}',
        b'{"T":1001,"L":9,"R":0,"odl":0,"odr":0}',
        b'{"T":1001',
    ],
)
def test_what_is_not_a_report_is_none(line: bytes):
    assert report_of(line) is None


def test_numbers_that_are_none_are_left_out():
    report = report_of(b'{"T":1001,"L":NaN,"R":1e999,"odl":1,"odr":2,"v":"12"}')
    assert report is not None and (report.speeds_m_s, report.battery_v) == (None, None)
    report = report_of(b'{"T":1001,"L":-255,"R":255,"v":11.8}')  # older firmware: duties and volts
    assert report is not None and (report.speeds_m_s, report.ways_m, report.battery_v) == (None, None, 11.8)


def test_standing_still_measures_zero():
    odometry = WheelOdometry(PAIR)
    odometry.update(0, 1.0, 1.0)
    found = odometry.newest()
    assert found is not None and found.velocity == ZERO
