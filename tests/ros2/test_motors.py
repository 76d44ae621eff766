"""The driver `ros2://` against bases of ROS 2 in this process and others."""

import math
import os
import time
from pathlib import Path

import pytest

from edge.errors import HardwareMissing
from edge.motor.client import MotorProcess
from edge.motor.drivers.open import open_motors
from edge.records import ZERO, MotorState, StopCause, Velocity
from edge.ros2 import RosNode, load_ros
from tests.edge.motor.drivers.driver_contract import DriverCase, DriverContract
from tests.ros2.topics import base_node, domain
from tests.waiting import until

FORWARD = Velocity(0.2, 0.0, -0.3)


CASE = DriverCase(
    "ros2",
    lambda _: base_node(),
    (
        "ros2://",
        "ros2://cmd_vel",
        "ros2:///cmd vel",
        "ros2:///cmd_vel/",
        "ros2:///cmd_vel?domain=233",
        "ros2:///cmd_vel?odom=odom",
        "ros2:///cmd_vel?type=twists",
        "ros2:///cmd_vel?qos=best",
        "ros2:///cmd_vel?timeout_s=nan",
        "ros2:///cmd_vel?speed=1",
    ),
    ("ros2:///nobody?timeout_s=0.5", "ros2:///nobody?timeout_s=0.5&odom=none&domain=102"),
)


@pytest.mark.parametrize("case", [CASE], ids=["ros2"])
class TestRosDriver(DriverContract):
    """The contract of all drivers."""


def driven(address: str, command: Velocity = FORWARD) -> Velocity:
    """Arm, write, and return what was sent in the end."""
    with open_motors(address) as motors:
        motors.arm()
        until(lambda: motors.read().armed)
        sent = motors.write(command)
        time.sleep(0.1)
        motors.stop()
        return sent


def test_a_stamped_velocity_carries_the_wall_clock_and_its_frame():
    with base_node(kind="TwistStamped", quality="reliable") as base:
        assert driven(f"{base.address}?type=stamped") == FORWARD
        until(lambda: base.commands and base.commands[-1] == ZERO)
        assert FORWARD in base.commands
        assert base.header.frame_id == "base_link" and abs(base.header.stamp.sec - time.time()) < 5


@pytest.mark.parametrize(("kind", "name"), [("TwistStamped", "stamped"), ("Twist", "twist")])
def test_a_base_that_wants_another_type_is_told_which(kind: str, name: str):
    other = {"stamped": "twist", "twist": "stamped"}[name]
    with base_node(kind=kind) as base, pytest.raises(HardwareMissing, match=f"listens to .*{kind}") as caught:
        open_motors(f"{base.address}?type={other}&timeout_s=2")
    assert caught.value.hint == f"add type={name}"


def test_a_base_that_wants_a_reliable_topic_is_not_driven_by_best_effort():
    with (
        base_node(quality="reliable") as base,
        pytest.raises(HardwareMissing, match="can reach it") as caught,
    ):
        open_motors(f"{base.address}?qos=best_effort&timeout_s=2")
    assert "qos=best_effort" in caught.value.hint


def test_odometry_is_demanded_unless_the_address_says_that_there_is_none():
    with base_node(odometry=False) as base:
        with pytest.raises(HardwareMissing, match=r"no odometry on /odom") as caught:
            open_motors(f"{base.address}?timeout_s=2")
        assert "odom=none" in caught.value.hint
        with open_motors(f"{base.address}?odom=none") as motors:
            assert motors.read().odometry is None


def test_odometry_is_what_the_base_measured_and_turns_to_the_left():
    with base_node() as base, open_motors(base.address) as motors:
        odometry = motors.read().odometry
        assert odometry is not None
        assert (odometry.x_m, odometry.y_m) == (1, 0)
        assert odometry.yaw_rad == pytest.approx(math.pi / 2)
        assert 0 <= time.monotonic_ns() - odometry.stamp_ns < 5e9


def test_each_tick_reads_the_newest_message():
    with base_node() as base, open_motors(base.address) as motors:
        base.broken = "silent"
        time.sleep(0.1)
        motors.read()
        read = []
        for x_m in range(10):
            message = base._measured()
            message.pose.pose.position.x = float(x_m)
            base._odometry_out.publish(message)  # pyright: ignore[reportAttributeAccessIssue]
            time.sleep(0.05)
            odometry = motors.read().odometry
            read.append(odometry is not None and odometry.x_m == x_m)
    assert sum(read) >= 8  # a busy machine may lose one


def threads() -> set[int]:
    return {int(task.name) for task in Path("/proc/self/task").iterdir()}


def test_what_receives_goes_before_ordinary_threads_where_that_is_permitted():
    """A model on every core held up two of three odometry messages."""
    try:
        os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(1))
        os.sched_setscheduler(0, os.SCHED_OTHER, os.sched_param(0))
    except PermissionError:
        pytest.skip("this user may not raise a priority")
    with base_node() as base:
        before = threads()
        with open_motors(base.address):
            new = threads() - before
            assert new and {os.sched_getscheduler(thread) for thread in new} == {os.SCHED_FIFO}
            assert os.sched_getscheduler(0) == os.SCHED_OTHER


@pytest.mark.parametrize(("broken", "said"), [("nan", "not finite"), ("repeats", "repeats itself")])
def test_odometry_that_breaks_is_a_fault_27(broken: str, said: str):
    with base_node() as base, open_motors(base.address) as motors:
        assert not motors.read().fault
        base.broken = broken
        until(lambda: said in motors.read().fault)
        base.broken = ""
        until(lambda: not motors.read().fault)


def test_odometry_in_the_frame_of_the_room_is_refused_27():
    with base_node() as base:
        base.frame_ids = ("odom", "odom")
        with pytest.raises(HardwareMissing, match="velocity in 'odom'"):
            open_motors(f"{base.address}?timeout_s=2")


def test_an_emergency_stop_is_a_fault_until_it_is_false_again():
    with base_node() as base:
        with pytest.raises(HardwareMissing, match="nobody publishes /estop"):
            open_motors(f"{base.address}?estop=/estop&timeout_s=2")
        base.estop = False
        with open_motors(f"{base.address}?estop=/estop") as motors:
            until(lambda: not motors.read().fault)
            base.estop = True
            until(lambda: "emergency stop" in motors.read().fault)
            base.estop = False
            until(lambda: not motors.read().fault)


def test_an_emergency_stop_that_says_nothing_is_a_fault():
    with base_node() as base:
        base.estop = False
        until(lambda: base._estop_out is not None)
        base.estop = None  # its publisher is there, and silent
        time.sleep(0.1)
        with open_motors(f"{base.address}?estop=/estop") as motors:
            motors.arm()
            until(lambda: "nothing has come on /estop" in motors.read().fault)


def test_an_emergency_stop_latches_the_motor_process_until_it_is_armed_anew():
    with base_node() as base:
        base.estop = False
        with MotorProcess.start(f"{base.address}?estop=/estop") as motor:
            motor.arm()
            until(lambda: motor.status().state is MotorState.HOLDING)
            base.estop = True
            until(lambda: motor.status().state is MotorState.LATCHED)
            status = motor.status()
            assert status.cause is StopCause.BASE_FAULT and "/estop" in status.reason
            base.estop = False
            time.sleep(0.2)
            assert motor.status().state is MotorState.LATCHED
            motor.arm()
            until(lambda: motor.status().state is MotorState.HOLDING)
        assert base.velocity() == ZERO


def test_another_node_that_drives_is_a_manual_takeover():
    with base_node() as base, open_motors(base.address) as motors:
        assert not motors.read().fault
        with RosNode("teleop", domain()) as teleop:
            teleop.publisher(load_ros("geometry_msgs.msg").Twist, "/cmd_vel", "reliable")
            until(lambda: "manual takeover" in motors.read().fault)
            with pytest.raises(HardwareMissing, match=r"is taken: (teleop|another node)"):
                open_motors(base.address)
        until(lambda: not motors.read().fault)


def test_a_motor_process_whose_base_goes_away_ends_with_its_name():
    with base_node() as base, MotorProcess.start(base.address) as motor:
        base.unplug()
        with pytest.raises(Exception, match="nobody listens to /cmd_vel any more"):
            until(lambda: motor.status() is None)


def test_an_empty_domain_names_what_to_check_31():
    with pytest.raises(HardwareMissing, match=r"domain 103\): no other ROS 2 node") as caught:
        open_motors("ros2:///cmd_vel?domain=103&timeout_s=0.5")
    assert "ROS_AUTOMATIC_DISCOVERY_RANGE=LOCALHOST" in caught.value.hint
