"""The parts of the MAVLink driver alone: addresses, modes, texts, motion, answers. No line, no time."""

import math
from itertools import pairwise

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from edge.errors import UsageError
from edge.motor.drivers.mavlink.address import MavlinkAddress, parse_address
from edge.motor.drivers.mavlink.commands import ANSWER_LIMIT_NS, Commands
from edge.motor.drivers.mavlink.motion import ATTITUDE_LIMIT_NS, Motion
from edge.motor.drivers.mavlink.report import BaseReport
from edge.motor.drivers.mavlink.stream import MavMessage, MavStream, mav
from edge.motor.drivers.mavlink.texts import RECENT_NS, StatusTexts
from edge.motor.drivers.mavlink.vehicle import Vehicle, mode_of, vehicle_of

ARM = mav.MAV_CMD_COMPONENT_ARM_DISARM
GUIDED_FLAG = mav.MAV_MODE_FLAG_GUIDED_ENABLED
BODY, WORLD = mav.MAV_FRAME_BODY_FRD, mav.MAV_FRAME_LOCAL_FRD


def heard(message: MavMessage, system: int = 1, component: int = 1) -> MavMessage:
    """Return the message as it comes out of a line."""
    (received,) = MavStream(9, 9).feed(MavStream(system, component).pack(message), 0)
    return received


def heartbeat(number: int = 15, flags: int = GUIDED_FLAG, autopilot: int = 3, kind: int = 10) -> MavMessage:
    return mav.MAVLink_heartbeat_message(kind, autopilot, flags, number, 4, 3)


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("mavlink:///dev/ttyTHS1", MavlinkAddress("/dev/ttyTHS1", 115_200)),
        ("mavlink:///dev/ttyACM0?baud=57600&system=3", MavlinkAddress("/dev/ttyACM0", 57600, system=3)),
        ("mavlink://udp:0.0.0.0:14550", MavlinkAddress("0.0.0.0:14550")),
        ("mavlink://udpin:0.0.0.0:14550?mode=guided", MavlinkAddress("0.0.0.0:14550", set_guided=True)),
        ("mavlink://udpout:rover.local:14550", MavlinkAddress("rover.local:14550", connects=True)),
        (
            "mavlink:///dev/ttyTHS1?omni=yes&timeout_s=9",
            MavlinkAddress("/dev/ttyTHS1", 115_200, False, 9.0, omni=True),
        ),
    ],
)
def test_an_address_says_where_the_base_is(text: str, address: MavlinkAddress):
    assert parse_address(text) == address


@given(st.text(max_size=40))
@example("udp:0.0.0.0:65536")
@example("udp:0.0.0.0:99999999")
@example("/dev/tty?baud=1e5")
def test_any_other_text_is_refused_or_understood(text: str):
    try:
        address = parse_address(f"mavlink://{text}")
    except UsageError as error:
        assert error.message.startswith("motors address") and error.hint
    else:
        assert address.place.startswith("/") or ":" in address.place


@pytest.mark.parametrize(
    ("autopilot", "flags", "number", "name", "guided"),
    [
        (3, GUIDED_FLAG, 15, "GUIDED", True),
        (3, 0, 15, "GUIDED", True),
        (3, GUIDED_FLAG, 10, "AUTO", False),
        (3, GUIDED_FLAG, 11, "RTL", False),
        (3, GUIDED_FLAG, 12, "SMART_RTL", False),
        (3, 0, 4, "HOLD", False),
        (3, 0, 16, "INITIALISING", False),
        (3, GUIDED_FLAG, 99, "mode 99", False),
        (0, GUIDED_FLAG, 7, "GUIDED", True),  # firmware of one's own numbers its modes as it likes
        (0, 0, 0, "MANUAL", False),
    ],
)
def test_the_mode_is_told_by_number_where_the_flag_says_too_little(autopilot, flags, number, name, guided):
    """Row 20."""
    mode = mode_of(heard(heartbeat(number, flags, autopilot)))
    assert (mode.name, mode.guided) == (name, guided)


@pytest.mark.parametrize(
    ("component", "kind", "autopilot"),
    [(154, 10, 3), (1, mav.MAV_TYPE_GIMBAL, 3), (1, mav.MAV_TYPE_QUADROTOR, 3), (1, 10, 8), (190, 6, 8)],
)
def test_only_the_autopilot_of_a_ground_rover_is_a_base(component: int, kind: int, autopilot: int):
    """Row 22."""
    assert vehicle_of(heard(heartbeat(autopilot=autopilot, kind=kind), 4, component)) is None
    assert vehicle_of(heard(heartbeat(), 4)) == Vehicle(4, 3)


def said(
    texts: StatusTexts, severity: int, raw: bytes, number: int = 0, chunk: int = 0, now_ns: int = 0
) -> None:
    texts.hear(heard(mav.MAVLink_statustext_message(severity, raw, number, chunk)), 0)


def test_texts_are_kept_from_warnings_up_for_five_seconds_each_once():
    """Row 23."""
    texts = StatusTexts()
    for severity, raw in ((2, b"PreArm: a"), (5, b"notice"), (4, b"b"), (6, b"info"), (2, b"PreArm: a")):
        said(texts, severity, raw)
    assert texts.recent(RECENT_NS) == "PreArm: a; b"
    assert texts.recent(RECENT_NS + 1) == ""
    for i in range(20):
        said(texts, 0, b"%d" % i)
    assert texts.recent(0) == "17; 18; 19"


def test_chunks_of_a_text_are_joined_and_what_was_lost_shows():
    """Row 23."""
    texts = StatusTexts()
    said(texts, 3, b"a" * 50, 7, 0)
    said(texts, 3, b"other")
    said(texts, 3, b"b" * 50, 7, 1)
    said(texts, 3, b"end", 7, 2)
    assert texts.recent(0) == f"other; {'a' * 50}{'b' * 50}end"
    said(texts, 3, b"begin", 8, 0)
    said(texts, 3, b"end", 8, 2)
    assert texts.recent(0).endswith("; begin…end")
    said(texts, 3, b"new", 8, 0)  # the id comes round again
    assert texts.recent(0).endswith("; new")


@given(st.lists(st.tuples(st.integers(0, 7), st.binary(max_size=50), st.integers(0, 9), st.integers(0, 255))))
def test_any_texts_make_one_printable_line(heard_texts):
    texts = StatusTexts()
    for severity, raw, number, chunk in heard_texts:
        said(texts, severity, raw, number, chunk)
    line = texts.recent(0)
    assert line.isprintable() or not line
    assert len(line) < 3 * (5 * 50 + 10)


def odometry(
    stamp_us: int, ahead: float = 0.1, child: int = BODY, frame: int = WORLD, q: tuple = (1, 0, 0, 0)
):
    unknown = [math.nan] * 21
    return heard(
        mav.MAVLink_odometry_message(
            stamp_us, frame, child, 1, 2, 0, list(q), ahead, 0.2, 0, 0, 0, 0.3, unknown, unknown
        )
    )


def test_odometry_is_as_old_as_the_base_says_however_late_it_is_read():
    """It is measured every 20 ms and read by ticks of 17 ms: its stamps are 20 ms apart all the same."""
    motion, stamps_ms = Motion(), []
    for number in range(200):
        measured_ms = 5000 + 20 * number
        read_ms = 17 * math.ceil((measured_ms - 4900) / 17)
        motion.hear(odometry(1000 * measured_ms), read_ms * 1_000_000)
        assert motion.newest is not None
        stamps_ms.append(motion.newest.stamp_ns / 1e6)
    assert {round(after - before) for before, after in pairwise(stamps_ms[20:])} == {20}
    assert stamps_ms[-1] == 5000 + 20 * 199 - 4900
    motion.hear(odometry(1000 * (measured_ms + 20)), (read_ms + 400) * 1_000_000)  # after a long silence
    assert motion.newest.stamp_ns == (read_ms + 400) * 1_000_000


def test_odometry_changes_its_axes_and_counts_once_for_each_time():
    """Row 27."""
    motion = Motion()
    motion.hear(odometry(5), 10)
    first = motion.newest
    assert first is not None and first.stamp_ns == 10
    assert (first.x_m, first.y_m, first.yaw_rad) == (1, -2, 0)
    velocity = first.velocity
    parts = (velocity.linear_x_m_s, velocity.linear_y_m_s, velocity.angular_z_rad_s)
    assert parts == pytest.approx((0.1, -0.2, -0.3))
    motion.hear(odometry(5, 0.4), 20)
    assert motion.newest is first
    motion.hear(odometry(6), 30)
    assert motion.newest is not None and motion.newest.stamp_ns == 30
    motion.hear(odometry(1), 40)  # the base was started anew
    assert motion.newest.stamp_ns == 40
    for now_ns in (50, 60):  # a base without a clock
        motion.hear(odometry(0), now_ns)
        assert motion.newest.stamp_ns == now_ns


@pytest.mark.parametrize(
    "bad",
    [
        odometry(9, math.nan),
        odometry(9, math.inf),
        odometry(9, q=(math.nan, 0, 0, 0)),
        odometry(9, child=mav.MAV_FRAME_LOCAL_NED),
        odometry(9, frame=mav.MAV_FRAME_LOCAL_ENU),
    ],
)
def test_odometry_that_is_of_no_use_is_not_new(bad: MavMessage):
    """Row 27."""
    motion = Motion()
    motion.hear(bad, 1)
    assert motion.newest is None
    motion.hear(odometry(5), 10)
    first = motion.newest
    motion.hear(bad, 20)
    assert motion.newest is first is not None and motion.complaint == ""


def attitude(stamp_ms: int, yaw: float, turn: float = 0.5) -> MavMessage:
    return heard(mav.MAVLink_attitude_message(stamp_ms, 0, 0, yaw, 0, 0, turn))


def position(stamp_ms: int, vx: float, vy: float) -> MavMessage:
    return heard(mav.MAVLink_local_position_ned_message(stamp_ms, 3, 4, 0, vx, vy, 0))


def test_a_velocity_by_the_compass_is_turned_into_the_bodys_frame():
    motion = Motion()
    motion.hear(position(1, 0.5, 0), 1)
    assert motion.newest is None  # without a heading it is of no use
    motion.hear(attitude(1, math.pi / 2), 2)  # it looks east
    motion.hear(position(2, 0.0, 0.5), 3)  # and drives east
    assert motion.newest is not None
    velocity = motion.newest.velocity
    parts = (velocity.linear_x_m_s, velocity.linear_y_m_s, velocity.angular_z_rad_s)
    assert parts == pytest.approx((0.5, 0.0, -0.5), abs=1e-6)
    assert (motion.newest.x_m, motion.newest.y_m) == (3, -4)
    motion.hear(position(3, 0.5, 0.0), 4)  # it slides north, to its left
    assert motion.newest.velocity.linear_y_m_s == pytest.approx(0.5)
    motion.hear(position(3, 0.1, 0.0), 5)  # the same time again is not new
    motion.hear(position(4, math.nan, 0.0), 6)
    assert motion.newest.stamp_ns == 4


@pytest.mark.parametrize("stale", [attitude(1, 0.0), attitude(2, math.nan), None])
def test_a_heading_that_stops_ends_the_odometry(stale: MavMessage | None):
    motion = Motion()
    motion.hear(attitude(1, 0.0), 0)
    motion.hear(position(1, 0.5, 0), 1)
    late_ns = ATTITUDE_LIMIT_NS + 1
    if stale is not None:
        motion.hear(stale, late_ns - 1)
    motion.hear(position(2, 0.5, 0), late_ns - 1)
    assert motion.newest is not None and motion.newest.stamp_ns == late_ns - 1
    motion.hear(position(3, 0.5, 0), late_ns)
    assert motion.newest.stamp_ns == late_ns - 1
    motion.hear(attitude(3, 0.0), late_ns)
    motion.hear(position(4, 0.5, 0), late_ns)
    assert motion.newest.stamp_ns == late_ns


def test_one_source_of_motion_never_stands_in_for_the_other():
    """Row 27: odometry that was there and goes is a fault, not a change of its source."""
    motion = Motion()
    motion.hear(odometry(1), 1)
    motion.hear(attitude(1, 0.0), 2)
    motion.hear(position(1, 0.5, 0), 3)
    assert motion.newest is not None and motion.newest.stamp_ns == 1


def ack(result: int, command: int = ARM, target: tuple[int, int] = (1, 191)) -> MavMessage:
    return heard(mav.MAVLink_command_ack_message(command, result, 0, 0, *target))


@pytest.mark.parametrize("target", [(1, 191), (0, 0), (1, 0)])
def test_an_answer_to_us_counts_and_may_be_taken_back(target: tuple[int, int]):
    commands = Commands(1, 191)
    commands.pack(ARM, 1.0, now_ns=0)
    commands.hear(ack(mav.MAV_RESULT_DENIED, target=target))
    assert commands.refusal == "the base refused to arm (denied)"
    commands.pack(mav.MAV_CMD_DO_SET_MODE, 1.0, now_ns=0)
    commands.hear(ack(mav.MAV_RESULT_ACCEPTED, mav.MAV_CMD_DO_SET_MODE))
    assert commands.refusal and commands.accepted == mav.MAV_CMD_DO_SET_MODE
    commands.pack(ARM, 1.0, now_ns=0)
    commands.hear(ack(mav.MAV_RESULT_ACCEPTED))
    assert not commands.refusal and commands.accepted == ARM


@pytest.mark.parametrize(
    "other",
    [
        ack(mav.MAV_RESULT_DENIED, target=(255, 190)),
        ack(mav.MAV_RESULT_DENIED, target=(1, 190)),
        ack(mav.MAV_RESULT_DENIED, target=(2, 191)),
        ack(mav.MAV_RESULT_DENIED, mav.MAV_CMD_SET_MESSAGE_INTERVAL),
        ack(mav.MAV_RESULT_IN_PROGRESS),
    ],
)
def test_other_answers_leave_the_question_open(other: MavMessage):
    """Row 25."""
    commands = Commands(1, 191)
    commands.hear(ack(mav.MAV_RESULT_DENIED))  # nobody asked
    assert not commands.refusal
    commands.pack(ARM, 1.0, now_ns=0)
    commands.pack(ARM, 1.0, now_ns=900)  # asking again does not begin anew
    commands.hear(other)
    assert not commands.refusal
    assert not commands.unanswered(ANSWER_LIMIT_NS)
    assert "request to arm" in commands.unanswered(ANSWER_LIMIT_NS + 1)
    commands.done(ARM)
    assert not commands.unanswered(ANSWER_LIMIT_NS + 1)


def test_a_base_that_arms_though_its_answer_was_lost_has_no_fault():
    commands = Commands(1, 191)
    report = BaseReport(Vehicle(1, 3), commands, MavlinkAddress("/dev/x", 115_200), 0)
    commands.pack(ARM, 1.0, now_ns=0)
    report.hear(heard(heartbeat(flags=mav.MAV_MODE_FLAG_SAFETY_ARMED)), ANSWER_LIMIT_NS)
    feedback = report.feedback(ANSWER_LIMIT_NS + 1)
    assert feedback.armed and not feedback.fault


@pytest.mark.parametrize(
    ("autopilot", "options", "offered"), [(3, {}, True), (3, {"set_guided": True}, False), (0, {}, False)]
)
def test_switching_to_guided_is_offered_where_the_driver_can(autopilot: int, options: dict, offered: bool):
    """Row 24."""
    address = MavlinkAddress("/dev/x", 115_200, **options)
    report = BaseReport(Vehicle(1, autopilot), Commands(1, 191), address, 0)
    report.hear(heard(heartbeat(4, 0, autopilot)), 0)
    fault = report.feedback(0).fault
    assert fault.startswith("the base is in HOLD: switch it to GUIDED")
    assert ("mode=guided in the address" in fault) == offered


def test_the_battery_is_that_of_sys_status_until_its_own_message_comes():
    """Row 26."""
    report = BaseReport(Vehicle(1, 3), Commands(1, 191), MavlinkAddress("/dev/x", 115_200), 0)
    status = [
        heard(mav.MAVLink_sys_status_message(0, 0, 0, 0, 0, 0, left, 0, 0, 0, 0, 0, 0)) for left in (-1, 60)
    ]
    own = [
        heard(mav.MAVLink_battery_status_message(number, 0, 0, 0, [65535] * 10, -1, -1, -1, left))
        for number, left in ((1, 5), (0, 70))
    ]
    found = []
    for message in (*status, *own, status[1]):
        report.hear(message, 0)
        found.append(report.feedback(0).battery_fraction)
    assert found == [None, 0.6, 0.6, 0.7, 0.7]
