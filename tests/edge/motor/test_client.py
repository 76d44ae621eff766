"""The runtime's end of the motor process, with the other end in the tests' hands, or without any."""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator

import pytest

from edge.errors import EdgeError, HardwareMissing, MotorFault, PluginError, UsageError
from edge.motor import client
from edge.motor.client import MotorProcess
from edge.motor.wire import Arm, Failure, Hold, Quit, Stop, Touch, decode, encode
from edge.records import MotorState, MotorStatus, Velocity
from tests.edge.motor.motor_runtime import arm, fresh_chunk


def status(age_s: float = 0.0, ticks: int = 1) -> MotorStatus:
    stamp_ns = time.monotonic_ns() - round(age_s * 1e9)
    return MotorStatus(stamp_ns, MotorState.HOLDING, Velocity(), ticks=ticks)


def child(*code: str) -> "subprocess.Popen[bytes]":
    started = subprocess.Popen([sys.executable, "-c", "\n".join(code)], stdout=subprocess.PIPE)
    assert started.stdout is not None
    started.stdout.readline()  # it writes a line when it runs
    started.stdout.close()
    return started


SLEEPS = ("print(flush=True)", "import time", "time.sleep(60)")


@pytest.fixture
def motor(ends: tuple[socket.socket, socket.socket]) -> Iterator[MotorProcess]:
    process = MotorProcess(child(*SLEEPS), ends[0])
    yield process
    process._child.kill()
    process.close()


@pytest.fixture
def ends() -> Iterator[tuple[socket.socket, socket.socket]]:
    """Yield the runtime's end of the socket, and the one that a motor process would have."""
    here, there = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with here, there:
        yield here, there


def test_a_motor_process_that_was_kept_reports_anew() -> None:
    """Its socket is full of statuses from before; the first one that counts is of after that."""
    with MotorProcess.start("null://") as motor:
        time.sleep(0.8)
        kept_ns = time.monotonic_ns()
        kept = MotorProcess.kept(motor.pid, os.dup(motor.fd))
        assert kept._newest is not None and kept._newest.stamp_ns >= kept_ns
        assert kept.close() == 0


def test_a_motor_process_that_is_gone_is_not_kept() -> None:
    motor = MotorProcess.start("null://")
    fd = os.dup(motor.fd)
    os.kill(motor.pid, signal.SIGKILL)
    with pytest.raises(MotorFault, match="killed by signal 9"):
        MotorProcess.kept(motor.pid, fd)
    motor.close()


def test_a_real_process_starts_arms_and_ends() -> None:
    with MotorProcess.start("null://") as motor:
        assert motor.status().state is MotorState.DISARMED
        arm(motor)
        assert os.getsid(motor.pid) == motor.pid
    assert motor._child.returncode == 0
    assert motor.close() == 0  # once more changes nothing


def test_a_process_that_refuses_to_start_raises_its_own_error() -> None:
    with pytest.raises(UsageError, match="motors address"):
        MotorProcess.start("wheels://x")


def test_a_hold_and_a_contact_reach_the_process_with_their_reasons(
    motor: MotorProcess, ends: tuple[socket.socket, socket.socket]
) -> None:
    motor.hold("camera 'front' is away")
    assert decode(ends[1].recv(4096)) == Hold("camera 'front' is away")
    motor.touch("its picture stays")
    assert decode(ends[1].recv(4096)) == Touch("its picture stays")


def test_a_process_that_reports_nothing_in_time_is_a_fault_and_is_ended() -> None:
    with pytest.raises(MotorFault, match="within 0 s"):
        MotorProcess.start("null://", timeout_s=0.0)


@pytest.mark.parametrize(
    ("code", "error"), [(5, HardwareMissing), (2, UsageError), (1, EdgeError), (99, MotorFault)]
)
def test_last_words_before_the_first_report_say_which_error_it_is(motor, ends, code, error) -> None:  # type: ignore[no-untyped-def]
    ends[1].send(encode(Failure(code, "no port", "check the cable")))
    ends[1].close()
    motor._child.kill()
    with pytest.raises(error, match="no port") as caught:
        motor._await_first_status(5.0)
    assert type(caught.value) is error and caught.value.hint == "check the cable"


def test_an_end_without_words_before_the_first_report_is_a_fault(motor, ends) -> None:  # type: ignore[no-untyped-def]
    ends[1].close()
    motor._child.kill()
    with pytest.raises(MotorFault, match="killed by signal 9"):
        motor._await_first_status(5.0)


def test_the_newest_report_counts_and_other_messages_do_not(motor, ends) -> None:  # type: ignore[no-untyped-def]
    for message in (status(ticks=1), Arm(), status(ticks=2)):
        ends[1].send(encode(message))
    assert motor.status().ticks == 2
    assert motor.status().ticks == 2  # there is no newer one


def test_a_silent_process_is_a_fault(motor, ends) -> None:  # type: ignore[no-untyped-def]
    ends[1].send(encode(status(age_s=0.49)))
    motor._receive()
    assert motor._newest is not None
    ends[1].send(encode(status(age_s=2.0)))
    with pytest.raises(MotorFault, match=r"silent for 2\d\d\d ms \(limit 500 ms\)"):
        motor.status()


def test_a_report_that_is_under_way_is_waited_for(motor, ends, monkeypatch) -> None:  # type: ignore[no-untyped-def]
    """As if the runtime had been asleep: what it finds is old, and the next report is about to come."""
    ends[1].send(encode(status(age_s=2.0)))
    wait = motor._wait

    def report_first(timeout_s: float) -> None:
        ends[1].send(encode(status(ticks=9)))
        wait(timeout_s)

    monkeypatch.setattr(motor, "_wait", report_first)
    assert motor.status().ticks == 9


def test_what_is_asked_for_arrives_in_order(motor, ends) -> None:  # type: ignore[no-untyped-def]
    motor.arm()
    motor.stop("e-stop")
    motor.send(fresh_chunk(7))
    assert decode(ends[1].recv(4096)) == Arm()
    assert decode(ends[1].recv(4096)) == Stop("e-stop")
    assert decode(ends[1].recv(4096)).decision == 7  # type: ignore[union-attr]


def test_a_process_that_takes_no_messages_is_a_fault(motor) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(MotorFault, match="does not take messages"):
        for decision in range(100_000):
            motor.send(fresh_chunk(decision))


@pytest.mark.parametrize("unread", [False, True], ids=["end of file", "reset"])
def test_a_process_that_is_gone_is_a_fault_with_its_last_words(motor, ends, unread: bool) -> None:  # type: ignore[no-untyped-def]
    if unread:
        motor.arm()
    ends[1].send(encode(status()))
    ends[1].send(encode(Failure(5, "the port is gone", "check the cable")))
    ends[1].close()
    motor._child.kill()
    with pytest.raises(MotorFault, match="the port is gone") as caught:
        motor.status()
    assert caught.value.hint == "check the cable"
    with pytest.raises(MotorFault, match="the port is gone"):
        motor.arm()


def test_a_process_that_a_packages_driver_ended_is_that_packages_error(motor, ends) -> None:  # type: ignore[no-untyped-def]
    ends[1].send(encode(Failure(5, "motors 'x://1' (x.X) fails: ValueError: no", "mend x", True)))
    ends[1].close()
    motor._child.kill()
    for call in (motor.status, motor.arm, lambda: motor._await_first_status(5.0)):
        with pytest.raises(PluginError, match="ValueError: no") as caught:
            call()
        assert (caught.value.exit_code, caught.value.hint) == (5, "mend x")


@pytest.mark.parametrize("of_package", [True, False])
def test_what_fails_only_while_it_ends_is_raised_at_the_end_and_never_instead_of_another_error(
    ends, of_package: bool
) -> None:  # type: ignore[no-untyped-def]
    error = PluginError if of_package else MotorFault
    with pytest.raises(error, match="closing failed"), MotorProcess(child("print(flush=True)"), ends[0]):
        ends[1].send(encode(Failure(5, "closing failed", "", of_package)))
    here, there = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with there, pytest.raises(KeyError), MotorProcess(child("print(flush=True)"), here):
        there.send(encode(Failure(5, "closing failed", "", of_package)))
        raise KeyError


def test_what_was_told_once_is_not_told_again_at_the_end(ends) -> None:  # type: ignore[no-untyped-def]
    with MotorProcess(child("print(flush=True)"), ends[0]) as motor:
        ends[1].send(encode(Failure(5, "the port is gone", "")))
        ends[1].close()
        with pytest.raises(MotorFault, match="the port is gone"):
            motor.status()


def test_a_process_that_ended_without_words_tells_its_exit_code(ends) -> None:  # type: ignore[no-untyped-def]
    motor = MotorProcess(child("print(flush=True)", "raise SystemExit(7)"), ends[0])
    ends[1].close()
    with pytest.raises(MotorFault, match="exit code 7") as caught:
        motor.status()
    assert "its own timeout" in caught.value.hint
    assert motor.close() == 7


def test_a_socket_that_ends_before_its_process_is_a_fault_too(motor, ends, monkeypatch) -> None:  # type: ignore[no-untyped-def]
    monkeypatch.setattr(client, "EXIT_LIMIT_S", 0.01)
    ends[1].close()
    with pytest.raises(MotorFault, match="exit code None"):
        motor.status()


@pytest.mark.parametrize(
    ("deaf", "ended_by"), [(False, signal.SIGTERM), (True, signal.SIGKILL)], ids=["SIGTERM", "SIGKILL"]
)
def test_a_process_that_does_not_quit_is_terminated_then_killed(ends, deaf: bool, ended_by) -> None:  # type: ignore[no-untyped-def]
    ignore = "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN)"
    motor = MotorProcess(child(*[ignore] * deaf, *SLEEPS), ends[0])
    assert motor.close(timeout_s=0.3) == -ended_by
    assert decode(ends[1].recv(4096)) == Quit()
