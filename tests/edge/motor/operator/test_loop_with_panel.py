"""The loop of the motor process with a gamepad at hand: the button, the stick and a cable that is pulled."""

import socket
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from edge.motor.guard import Guard
from edge.motor.limits import MotorLimits
from edge.motor.loop import MotorLoop
from edge.motor.operator.panel import Panel
from edge.motor.wire import Arm
from edge.records import MotorState, StopCause
from tests.edge.motor.operator.test_panel import Pad
from tests.edge.motor.test_loop import PERIOD_NS, Base, Runtime


@pytest.fixture
def pad() -> Pad:
    return Pad()


@pytest.fixture
def base() -> Base:
    return Base()


@pytest.fixture
def runtime(pad: Pad, base: Base) -> Iterator[Runtime]:
    here, there = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with here, there, ThreadPoolExecutor(1) as pool:
        here.settimeout(20)
        loop = MotorLoop(there, base, Guard(MotorLimits()), PERIOD_NS, Panel([pad.opened]))
        future = pool.submit(loop.run)
        yield Runtime(here)
        loop.terminated = True
        future.result(20)


def stopped(runtime: Runtime, cause: StopCause, reason: str) -> None:
    """Wait for the stop, then try to arm: it is for good."""
    status = runtime.until(lambda status: status.state is MotorState.LATCHED, driving=True)
    assert (status.cause, status.reason, status.sent.linear_x_m_s) == (cause, reason, 0.0)
    runtime.send(Arm())
    status = runtime.until(lambda status: status.reason.startswith("not armed"), driving=True)
    assert status.reason == f"not armed: {reason}" and status.state is MotorState.LATCHED


def test_the_button_stops_for_good(runtime: Runtime, pad: Pad):
    """Fault 53."""
    runtime.drive()
    pad.button("east")
    pad.button("east", False)
    stopped(runtime, StopCause.OPERATOR, "stopped by the operator (gamepad)")


def test_a_lost_gamepad_stops_for_good(runtime: Runtime, pad: Pad):
    """Fault 54."""
    runtime.drive()
    pad.unplug()
    stopped(runtime, StopCause.OPERATOR_LOST, "the operator's gamepad is gone")


def test_a_button_pressed_before_arming_is_not_forgotten(runtime: Runtime, pad: Pad):
    pad.button("east")
    pad.button("east", False)
    stopped(runtime, StopCause.OPERATOR, "stopped by the operator (gamepad)")


def test_a_button_pressed_while_the_base_is_arming_ends_that(runtime: Runtime, pad: Pad, base: Base):
    base.deaf = True
    runtime.send(Arm())
    runtime.until(lambda status: status.ticks > 3)
    pad.button("east")
    pad.button("east", False)
    runtime.until(lambda status: status.cause is StopCause.OPERATOR)
    base.deaf = False
    stopped(runtime, StopCause.OPERATOR, "stopped by the operator (gamepad)")


def test_the_stick_drives_ahead_of_the_policy_and_hands_back(runtime: Runtime, pad: Pad):
    """Fault 56."""
    runtime.drive()
    pad.stick(0.0, 1.0)
    status = runtime.until(lambda status: status.sent.linear_x_m_s < -0.4, driving=True)
    assert (status.reason, status.decision, status.frame_to_motor_ns) == ("driven by hand", -1, -1)
    assert status.state is MotorState.FOLLOWING and status.by_hand
    pad.stick(0.0, 0.0)
    status = runtime.until(lambda status: status.sent.linear_x_m_s > 0.4, driving=True)
    assert status.decision > 0 and not status.by_hand


def test_the_stick_works_while_the_policy_says_nothing(runtime: Runtime, pad: Pad):
    runtime.send(Arm())
    runtime.until(lambda status: status.state is MotorState.HOLDING)
    pad.stick(-1.0, 0.0)
    runtime.until(lambda status: status.sent.angular_z_rad_s > 0.9)
