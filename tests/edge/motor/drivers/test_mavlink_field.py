"""What bases that speak MAVLink do in the field, each at the end of a line with real packets.

The rows are those of the cases that people met (20 to 28, 33).
"""

import math
import time
from collections.abc import Callable, Iterator

import pytest

from edge.errors import HardwareMissing, MotorFault, UsageError
from edge.interfaces import Feedback
from edge.motor.client import MotorProcess
from edge.motor.drivers.mavlink.driver import MavlinkMotors, open_address
from edge.motor.drivers.mavlink.stream import mav
from edge.motor.limits import MotorLimits
from edge.records import ZERO, MotorState, StopCause, Velocity
from tests.edge.motor.drivers.ardurover import AUTO, GUIDED, HOLD, MANUAL, RTL, RoverEnd, battery, on_serial
from tests.edge.motor.drivers.driver_contract import armed
from tests.edge.motor.motor_runtime import arm, fresh_chunk
from tests.waiting import until

FORWARD = Velocity(0.2, 0.0, -0.3)
NO_AUTOPILOT = mav.MAV_AUTOPILOT_INVALID
GIMBAL = (1, 154, mav.MAVLink_heartbeat_message(mav.MAV_TYPE_GIMBAL, NO_AUTOPILOT, 0, 0, 3, 3))
# An old gimbal says that it has an autopilot.
ODD_GIMBAL = (1, 154, mav.MAVLink_heartbeat_message(mav.MAV_TYPE_GIMBAL, 0, 0, 0, 3, 3))
STATION = (255, 190, mav.MAVLink_heartbeat_message(mav.MAV_TYPE_GCS, NO_AUTOPILOT, 0, 0, 3, 3))
OTHER_ROVER = (7, 1, mav.MAVLink_heartbeat_message(mav.MAV_TYPE_GROUND_ROVER, 3, 0, GUIDED, 3, 3))
DENIED, ACCEPTED, IN_PROGRESS = mav.MAV_RESULT_DENIED, mav.MAV_RESULT_ACCEPTED, mav.MAV_RESULT_IN_PROGRESS


@pytest.fixture
def rover() -> Iterator[RoverEnd]:
    with on_serial() as end:
        yield end


def read_until(motors: MavlinkMotors, condition: Callable[[Feedback], object], ask: bool = False) -> Feedback:
    """Write zero and read until the condition holds, as the motor process does."""
    newest = motors.read()

    def once() -> object:
        nonlocal newest
        if ask:
            motors.arm()
        motors.write(ZERO)
        newest = motors.read()
        return condition(newest)

    until(once, 8)
    return newest


def refusal(motors: MavlinkMotors) -> str:
    return read_until(motors, lambda feedback: "refused" in feedback.fault, ask=True).fault


@pytest.mark.parametrize(("mode", "name"), [(RTL, "RTL"), (AUTO, "AUTO"), (MANUAL, "MANUAL"), (HOLD, "HOLD")])
def test_an_operator_who_takes_over_has_the_base_alone(rover: RoverEnd, mode: int, name: str):
    """Row 20: AUTO and RTL set the flag for guided, too."""
    with open_address(rover.address) as motors:
        armed(motors)
        until(lambda: motors.write(FORWARD) == FORWARD and rover.velocity() != ZERO)
        rover.switches.mode = mode
        fault = read_until(motors, lambda feedback: feedback.fault).fault
        assert f"manual takeover, or a failsafe: the base went from GUIDED to {name}" in fault
        assert "switch it to GUIDED" in fault
        time.sleep(0.05)
        setpoints = rover.rover.setpoints
        for _ in range(10):
            assert motors.write(FORWARD) == ZERO  # what is reported is what went out
            motors.arm()
        motors.stop()
        time.sleep(0.05)
        assert rover.rover.setpoints == setpoints
        assert rover.switches.armed and rover.switches.mode == mode  # its new driver keeps it


@pytest.mark.realtime
def test_a_takeover_ends_the_drive_and_says_so(rover: RoverEnd):
    """Row 20, through the motor process."""
    limits = MotorLimits(sideways=False)
    with MotorProcess.start(rover.address, limits) as motor:
        arm(motor)
        for i in range(25):
            motor.send(fresh_chunk(i))
            time.sleep(0.02)
        rover.switches.mode = AUTO
        for i in range(100, 400):
            motor.send(fresh_chunk(i))
            time.sleep(0.02)
            if (status := motor.status()).state is MotorState.LATCHED:
                break
        assert status.cause is StopCause.BASE_FAULT and "GUIDED to AUTO" in status.reason
        assert status.sent == ZERO


def test_a_base_that_boots_in_hold_is_asked_for_guided_and_never_armed_before(rover: RoverEnd):
    """Row 24: it never was in guided mode, so nobody took over."""
    rover.switches.mode = HOLD
    with open_address(rover.address) as motors:
        fault = read_until(motors, lambda feedback: feedback.fault, ask=True).fault
        assert fault.startswith(
            "the base is in HOLD: switch it to GUIDED, or allow this driver to: mode=guided"
        )
        until(lambda: motors.arm() or (motors.write(ZERO) == ZERO and rover.rover.setpoints > 5))
        assert not rover.switches.armed
        rover.switches.mode = GUIDED
        armed(motors)


def test_a_base_in_hold_is_switched_with_the_operators_consent():
    """Row 24."""
    with on_serial("?mode=guided") as rover:
        rover.switches.mode = HOLD
        with open_address(rover.address) as motors:
            assert "allow this driver" not in motors.read().fault
            armed(motors)
            assert rover.switches.mode == GUIDED
            read_until(motors, lambda feedback: feedback.armed)
            motors.write(FORWARD)
            rover.switches.mode = MANUAL
            read_until(motors, lambda feedback: "takeover" in feedback.fault)
            for _ in range(50):
                motors.arm()
                motors.write(ZERO)
                time.sleep(0.01)
            assert rover.switches.mode == MANUAL  # consent is for the start, not against a takeover


@pytest.mark.realtime
def test_a_base_in_hold_is_switched_and_armed_within_the_time_to_arm():
    with on_serial("?mode=guided") as rover:
        rover.switches.mode = HOLD
        with MotorProcess.start(rover.address, MotorLimits(sideways=False)) as motor:
            arm(motor)
            assert rover.switches.armed and rover.switches.mode == GUIDED


def test_sideways_setpoints_never_reach_a_base_that_would_drive_them_forward(rover: RoverEnd):
    """Row 21: ArduRover drives sqrt(vx^2 + vy^2) ahead."""
    with pytest.raises(UsageError, match="can't go sideways") as caught:
        MotorProcess.start(rover.address)  # the default base is holonomic
    assert "differential" in caught.value.hint
    assert not rover.switches.armed
    with open_address(rover.address) as motors:
        assert not motors.sideways
        armed(motors)
        with pytest.raises(MotorFault, match=r"0\.10 m/s sideways"):
            motors.write(Velocity(0.0, 0.1, 0.0))
        time.sleep(0.1)
        assert rover.velocity() == ZERO


def test_an_ardurover_is_never_taken_for_omnidirectional():
    """Row 21: its GUIDED mode has no sideways motion, whatever its frame."""
    with on_serial("?omni=yes") as rover, pytest.raises(UsageError, match="also with an omni frame"):
        open_address(rover.address)


def test_another_firmware_goes_sideways_where_its_operator_says_so():
    with on_serial("?omni=yes") as rover:
        rover.switches.autopilot = mav.MAV_AUTOPILOT_GENERIC
        with open_address(rover.address) as motors:
            assert motors.sideways and motors.write(Velocity(0, 0.1, 0)) == Velocity(0, 0.1, 0)


@pytest.mark.parametrize("other", [GIMBAL, ODD_GIMBAL, STATION])
def test_the_base_is_the_autopilot_whoever_is_heard_first(rover: RoverEnd, other: tuple):
    """Row 22: heartbeats of gimbals and ground stations come first, and are neither base nor takeover."""
    rover.switches.extra.append(other)
    with open_address(rover.address) as motors:
        armed(motors)
        assert motors.read().about == "ArduPilot rover, MAVLink system 1"
        deadline_s = time.monotonic() + 1.3  # another heartbeat of each comes
        while time.monotonic() < deadline_s:
            motors.write(FORWARD)
            assert not motors.read().fault
            time.sleep(0.01)
    assert (1, mav.MAV_COMP_ID_ONBOARD_COMPUTER) in rover.rover.heard


def test_without_a_base_whoever_is_heard_is_named():
    """Row 22."""
    with on_serial("?timeout_s=1.5") as rover:
        rover.switches.kind = mav.MAV_TYPE_QUADROTOR
        rover.switches.extra.append(GIMBAL)
        with pytest.raises(HardwareMissing, match=r"no MAVLink heartbeat within 1\.5 s; heard") as caught:
            open_address(rover.address)
    assert "gimbal (system 1, component 154), quadrotor (system 1, component 1)" in caught.value.message
    assert "component 1" in caught.value.hint


def test_of_several_rovers_one_is_named_or_none_is_driven():
    """Row 22."""
    with on_serial("?system=7&timeout_s=1.5") as rover, pytest.raises(HardwareMissing, match="with system=7"):
        open_address(rover.address)
    with on_serial() as rover, open_address(rover.address) as motors:
        rover.switches.extra.append(OTHER_ROVER)
        fault = read_until(motors, lambda feedback: "systems" in feedback.fault).fault
        assert "systems 1 and 7" in fault and "system=1" in fault
    with on_serial("?system=1") as rover:
        rover.switches.extra.append(OTHER_ROVER)
        with open_address(rover.address) as motors:
            armed(motors)


def test_the_driver_speaks_as_a_part_of_the_bases_own_system():
    with on_serial("?system=7", system=7) as rover, open_address(rover.address) as motors:
        armed(motors)
        assert motors.read().about == "ArduPilot rover, MAVLink system 7"
        assert (7, mav.MAV_COMP_ID_ONBOARD_COMPUTER) in rover.rover.heard


def test_px4_is_refused_since_it_takes_a_velocity_for_a_bearing(rover: RoverEnd):
    rover.switches.autopilot = mav.MAV_AUTOPILOT_PX4
    with pytest.raises(HardwareMissing, match="PX4 takes a velocity over MAVLink for the bearing") as caught:
        open_address(rover.address)
    assert "ROS 2" in caught.value.hint
    with on_serial("?mode=guided") as other:
        other.switches.autopilot = mav.MAV_AUTOPILOT_GENERIC
        with pytest.raises(UsageError, match="mode=guided switches ArduPilot alone"):
            open_address(other.address)


def test_a_refusal_to_arm_comes_with_the_bases_own_words(rover: RoverEnd):
    """Row 23."""
    rover.switches.acks = (mav.MAV_RESULT_FAILED,)
    long = "PreArm: Compass not calibrated: do a large vehicle calibration in the open, away from metal"
    rover.switches.texts = ((2, long), (6, "Frame: ROVER"), (4, "PreArm: GPS 1: Bad fix"))
    with open_address(rover.address) as motors:
        fault = refusal(motors)
        assert fault == f"the base refused to arm (failed); the base says: {long}; PreArm: GPS 1: Bad fix"
        rover.switches.acks, rover.switches.texts = (ACCEPTED,), ()
        armed(motors)  # what was refused before does not stick


def test_the_reason_for_not_arming_reaches_the_operator(rover: RoverEnd):
    """Row 23, through the motor process."""
    rover.switches.acks, rover.switches.texts = (DENIED,), ((2, "PreArm: Battery 1 low"),)
    with MotorProcess.start(rover.address, MotorLimits(sideways=False)) as motor:
        motor.arm()
        until(lambda: "not armed" in motor.status().reason)
        reason = "not armed: the base refused to arm (denied); the base says: PreArm: Battery 1 low"
        assert motor.status().reason == reason


def test_answers_to_others_and_unasked_answers_change_nothing(rover: RoverEnd):
    """Row 25: a ground station's failed request to arm stopped a running drive."""
    number = mav.MAV_CMD_COMPONENT_ARM_DISARM
    with open_address(rover.address) as motors:
        armed(motors)
        motors.write(FORWARD)
        ours = (1, mav.MAV_COMP_ID_ONBOARD_COMPUTER)
        for target in ((255, 190), (1, 190), ours, (0, 0)):
            message = mav.MAVLink_command_ack_message(number, DENIED, 0, 0, *target)
            rover.switches.extra.append((1, 1, message))
        rover.switches.state = mav.MAV_STATE_STANDBY  # which sends all of it at once
        deadline_s = time.monotonic() + 0.3
        while time.monotonic() < deadline_s:
            motors.write(FORWARD)
            assert not motors.read().fault
            time.sleep(0.01)


def test_an_answer_to_a_ground_station_does_not_stand_for_ours(rover: RoverEnd):
    """Row 25."""
    rover.switches.acks, rover.switches.ack_target = (DENIED,), (255, 190)
    with open_address(rover.address) as motors:
        fault = read_until(motors, lambda feedback: feedback.fault, ask=True).fault
        assert "does not answer the request to arm" in fault


def test_in_progress_is_not_an_answer(rover: RoverEnd):
    """Row 25."""
    rover.switches.acks = (IN_PROGRESS, IN_PROGRESS, ACCEPTED)
    with open_address(rover.address) as motors:
        for _ in range(60):
            motors.arm()
            motors.write(ZERO)
            assert "refused" not in motors.read().fault
            time.sleep(0.005)
        armed(motors)


def test_a_second_battery_does_not_stand_for_the_bases_own(rover: RoverEnd):
    """Row 26: by its id, and by its sender."""
    rover.switches.extra += [(1, 1, battery(1, 5)), (1, 180, battery(0, 4)), (255, 1, battery(0, 3))]
    with open_address(rover.address) as motors:
        read_until(motors, lambda feedback: feedback.battery_fraction is not None)
        deadline_s = time.monotonic() + 1.3
        while time.monotonic() < deadline_s:
            motors.write(ZERO)
            assert motors.read().battery_fraction in (None, 0.8)
            time.sleep(0.01)


@pytest.mark.parametrize("how", ["nan", "repeated", "world", "none"])
@pytest.mark.parametrize("first", ["odometry", pytest.param("ned", marks=pytest.mark.slow)])
def test_odometry_that_gets_unusable_grows_old(rover: RoverEnd, how: str, first: str):
    """Row 27: NaN, the same time again, another frame, nothing; the watch stops the base after 1 s."""
    rover.switches.odometry = first
    with open_address(rover.address) as motors:
        armed(motors)
        read_until(motors, lambda feedback: feedback.odometry is not None)
        rover.switches.odometry = how

        def old(feedback: Feedback) -> bool:
            assert feedback.odometry is not None
            return time.monotonic_ns() - feedback.odometry.stamp_ns > 600_000_000

        read_until(motors, old)


@pytest.mark.realtime
def test_lost_odometry_stops_the_base(rover: RoverEnd):
    """Row 27, through the motor process."""
    rover.switches.odometry = "odometry"
    with MotorProcess.start(rover.address, MotorLimits(sideways=False)) as motor:
        arm(motor)
        until(lambda: motor.status().odometry is not None)
        rover.switches.odometry = "nan"
        for i in range(500):
            motor.send(fresh_chunk(i))
            time.sleep(0.02)
            if motor.status().state is MotorState.LATCHED:
                break
        assert motor.status().cause is StopCause.STALE_ODOMETRY


@pytest.mark.realtime
@pytest.mark.parametrize("how", ["odometry", pytest.param("ned", marks=pytest.mark.slow)])
def test_motion_is_measured_in_the_bodys_frame(rover: RoverEnd, how: str):
    """Row 27: LOCAL_POSITION_NED counts north and east, and is turned by the heading."""
    rover.switches.odometry = how
    with open_address(rover.address) as motors:
        armed(motors)
        deadline_s = time.monotonic() + 1.0
        while time.monotonic() < deadline_s:
            motors.write(Velocity(0.3, 0.0, 1.0))
            feedback = motors.read()
            time.sleep(0.01)
        odometry = feedback.odometry
        assert odometry is not None and odometry.yaw_rad > 0.5  # turned left
        assert odometry.x_m > 0.1 and odometry.y_m > 0.02
        velocity = odometry.velocity
        assert velocity.linear_x_m_s == pytest.approx(0.3, abs=0.02)
        assert velocity.linear_y_m_s == pytest.approx(0.0, abs=0.02)
        assert velocity.angular_z_rad_s == pytest.approx(1.0, abs=0.02)


@pytest.mark.realtime
@pytest.mark.parametrize(
    ("how", "why"),
    [
        ("none", "no ODOMETRY, and no"),
        pytest.param("world", "child_frame_id 1", marks=pytest.mark.slow),
    ],
)
def test_a_base_that_measures_no_motion_is_warned_of(rover: RoverEnd, how: str, why: str):
    """Row 28."""
    rover.switches.odometry = how
    with MotorProcess.start(rover.address, MotorLimits(sideways=False)) as motor:
        until(lambda: motor.status().warning)
        warning = motor.status().warning
        assert warning.startswith("the base reports no motion") and why in warning
        asked = {int(c.param1) for c in rover.rover.commands if c.command == mav.MAV_CMD_SET_MESSAGE_INTERVAL}
        assert asked == {331, 32, 30}
        arm(motor)
        assert motor.status().state is MotorState.HOLDING


@pytest.mark.parametrize(("timeout_s", "warns"), [(3.0, True), (0.5, False), (None, False)])
def test_a_base_that_drives_on_without_setpoints_is_warned_of(
    rover: RoverEnd, timeout_s: float | None, warns: bool
):
    """Row 29: ArduPilot tells for how long."""
    rover.switches.guid_timeout_s = timeout_s
    with open_address(rover.address) as motors:
        read_until(motors, lambda feedback: feedback.odometry is not None)
        if warns:
            warning = read_until(motors, lambda feedback: feedback.warning).warning
            assert warning.startswith("the base drives on for 3.0 s when setpoints stop (limit 0.5 s)")
            assert warning.endswith("set its GUID_TIMEOUT to 0.5")
        for _ in range(20):
            motors.write(ZERO)
            assert bool(motors.read().warning) == warns
            time.sleep(0.005)


@pytest.mark.realtime
def test_a_base_that_stands_though_it_says_that_it_is_driven_stops_the_run(rover: RoverEnd):
    """Row 28: heartbeats, arms, accepts, and does nothing."""
    rover.switches.moves = False
    with MotorProcess.start(rover.address, MotorLimits(sideways=False)) as motor:
        arm(motor)
        for i in range(500):
            motor.send(fresh_chunk(i))
            time.sleep(0.02)
            if motor.status().state is MotorState.LATCHED:
                break
        assert motor.status().cause is StopCause.BASE_DISAGREES


def test_a_base_that_is_heard_and_does_not_hear_names_the_wire(rover: RoverEnd):
    """Row 28: TX is not wired."""
    rover.switches.deaf = True
    with MotorProcess.start(rover.address, MotorLimits(sideways=False)) as motor:
        motor.arm()
        until(lambda: "not armed" in motor.status().reason)
        assert "does not answer the request to arm" in motor.status().reason
        assert "TX here to its RX" in motor.status().reason


def test_a_failsafe_and_a_silent_base_say_what_to_do(rover: RoverEnd):
    rover.switches.state = mav.MAV_STATE_CRITICAL
    with open_address(rover.address) as motors:
        fault = read_until(motors, lambda feedback: feedback.fault).fault
        assert "failsafes" in fault and "start again" in fault
        rover.switches.state = mav.MAV_STATE_ACTIVE
        read_until(motors, lambda feedback: not feedback.fault)
        rover.switches.heartbeats = False
        fault = read_until(motors, lambda feedback: feedback.fault).fault
        assert "no heartbeat from the base for 2.5 s (limit 2.5 s)" in fault and "cable" in fault


def test_a_base_that_nobody_armed_is_not_disarmed_at_the_end(rover: RoverEnd):
    rover.switches.armed = True  # by its operator, who holds it still
    with open_address(rover.address) as motors:
        motors.write(ZERO)
        motors.stop()
    time.sleep(0.1)
    assert rover.switches.armed
    with open_address(rover.address) as motors:
        read_until(motors, lambda feedback: feedback.armed)
        motors.write(FORWARD)  # from now on it is ours
        motors.stop()
        until(lambda: not rover.switches.armed)


def test_mavlink_1_is_understood():
    """Row 33."""
    with on_serial(version=1) as rover, open_address(rover.address) as motors:
        armed(motors)
        read_until(motors, lambda feedback: feedback.odometry is not None)
        until(lambda: motors.write(FORWARD) == FORWARD and rover.velocity() != ZERO)
        assert rover.velocity().linear_x_m_s == pytest.approx(0.2)
        assert math.isclose(rover.velocity().angular_z_rad_s, -0.3, abs_tol=1e-3)
