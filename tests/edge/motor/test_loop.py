"""The loop of the motor process in a thread; the tests hold the runtime's end of its socket.

Nothing here measures time: that is done with real processes, in test_process.py.
"""

import signal
import socket
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor

import pytest

from edge.errors import MotorFault, PluginError, SafetyStop, UsageError
from edge.interfaces import Feedback
from edge.motor import loop as loop_module
from edge.motor import process
from edge.motor.drivers.null import NullMotors
from edge.motor.guard import Guard
from edge.motor.limits import MotorLimits
from edge.motor.loop import MAX_MESSAGES, MotorLoop
from edge.motor.pulses import Correction
from edge.motor.watch import Objection, Watch
from edge.motor.wire import MAX_BYTES, Arm, Failure, Hold, Message, Quit, Stop, Touch, decode, encode
from edge.records import MotorState, MotorStatus, StopCause, Velocity
from tests.edge.motor.motor_runtime import fresh_chunk

PERIOD_NS = 20_000_000
PATIENCE_S = 20


class Base(NullMotors):
    """Motors whose feedback the tests choose; with `deaf`, they never report that they are armed."""

    def __init__(self) -> None:
        super().__init__()
        self.deaf = False
        self.fault = ""
        self.battery_fraction: float | None = None
        self.bumper = False

    def read(self) -> Feedback:
        armed = super().read().armed and not self.deaf
        return Feedback(armed, None, self.battery_fraction, self.fault, bumper=self.bumper)


class Runtime:
    """The other end: sends messages and reads statuses."""

    def __init__(self, control: socket.socket) -> None:
        self.control = control
        self.decision = 0

    def send(self, *messages: Message) -> None:
        for message in messages:
            self.control.send(encode(message))

    def until(self, condition: Callable[[MotorStatus], bool], driving: bool = False) -> MotorStatus:
        deadline_s = time.monotonic() + PATIENCE_S
        while time.monotonic() < deadline_s:
            if driving:
                self.send(fresh_chunk(self.decision))
                self.decision += 1
            status = decode(self.control.recv(MAX_BYTES))
            assert isinstance(status, MotorStatus)
            if condition(status):
                return status
        raise AssertionError(f"it never happened: {status}")

    def drive(self) -> MotorStatus:
        """Arm and send chunks until the base moves."""
        self.send(Arm())
        self.until(lambda status: status.state is MotorState.HOLDING)
        return self.until(lambda status: status.sent.linear_x_m_s > 0.05, driving=True)


class Listening(Base):
    """Remembers what it was told."""

    def __init__(self) -> None:
        super().__init__()
        self.told: list[Velocity] = []

    def write(self, command: Velocity) -> Velocity:
        self.told.append(command)
        return super().write(command)


@pytest.fixture
def base() -> Base:
    return Base()


@pytest.fixture
def ends() -> Iterator[tuple[Runtime, socket.socket]]:
    here, there = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with here, there:
        here.settimeout(PATIENCE_S)
        yield Runtime(here), there


@pytest.fixture
def loop(ends: tuple[Runtime, socket.socket], base: Base) -> MotorLoop:
    return MotorLoop(ends[1], base, Guard(MotorLimits()), PERIOD_NS)


@pytest.fixture
def ended(loop: MotorLoop) -> Iterator["Future[None]"]:
    """Yield the result of the running loop, which ends with the test."""
    with ThreadPoolExecutor(1) as pool:
        future = pool.submit(loop.run)
        try:
            yield future
        finally:
            loop.terminated = True


@pytest.fixture
def runtime(ends: tuple[Runtime, socket.socket], ended: "Future[None]") -> Runtime:
    return ends[0]


def test_a_chunk_is_followed_after_arming_and_a_stop_latches(runtime: Runtime) -> None:
    moving = runtime.drive()
    assert (moving.state, moving.cause) == (MotorState.FOLLOWING, StopCause.NONE)
    runtime.send(Stop("e-stop pressed"))
    stopped = runtime.until(lambda status: status.state is MotorState.LATCHED)
    assert (stopped.reason, stopped.cause) == ("e-stop pressed", StopCause.REQUESTED)
    assert stopped.sent.linear_x_m_s == 0


def test_a_measured_base_is_told_what_gives_the_speed_that_is_wanted(
    ends: tuple[Runtime, socket.socket], monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is judged by its true speed, and by what it was told `delay_s` ago."""
    expected: list[Velocity] = []
    judge = loop_module.Watch.judge

    def note(watch: Watch, feedback: Feedback, sent: Velocity, now_ns: int) -> Objection | None:
        expected.append(sent)
        return judge(watch, feedback, sent, now_ns)

    monkeypatch.setattr(loop_module.Watch, "judge", note)
    limits, base = MotorLimits(ahead_scale=0.5, ahead_offset_m_s=0.1, delay_s=0.5), Listening()
    loop = MotorLoop(ends[1], base, Guard(limits), PERIOD_NS)
    with ThreadPoolExecutor(1) as pool:
        running = pool.submit(loop.run)
        sent_m_s = ends[0].drive().sent.linear_x_m_s
        ends[0].send(Quit())
        running.result(PATIENCE_S)
    told = [command.linear_x_m_s for command in base.told]
    assert any(each == pytest.approx(sent_m_s / 0.5 + 0.1) for each in told)
    assert not any(0 < each < 0.1 for each in told)  # the dead band is jumped over, also while it brakes
    assert expected[0] == Velocity()
    # The newest that was judged was sent 25 ticks before, when it stood or moved more slowly.
    assert expected[-1].linear_x_m_s < max(
        each.linear_x_m_s for each in map(Correction(limits).effect, base.told)
    )


def test_a_hold_brakes_and_the_next_chunk_moves_the_base_again(runtime: Runtime) -> None:
    runtime.drive()
    runtime.send(Hold("camera 'front' is away"))
    held = runtime.until(lambda status: status.sent.linear_x_m_s == 0)
    assert (held.state, held.reason) == (MotorState.HOLDING, "camera 'front' is away")
    moving = runtime.until(lambda status: status.sent.linear_x_m_s > 0.05, driving=True)
    assert (moving.state, moving.cause) == (MotorState.FOLLOWING, StopCause.NONE)


def test_a_quit_brakes_before_it_ends_the_loop(
    runtime: Runtime, loop: MotorLoop, ended: "Future[None]"
) -> None:
    runtime.drive()
    runtime.send(Quit(), Arm())
    status = runtime.until(lambda status: status.cause is StopCause.QUIT)
    assert status.reason == "not armed: still braking"
    ended.result(PATIENCE_S)
    assert loop._sent.linear_x_m_s == 0


def test_sigterm_brakes_and_ends_the_loop(runtime: Runtime, loop: MotorLoop, ended: "Future[None]") -> None:
    runtime.drive()
    loop.terminated = True
    ended.result(PATIENCE_S)
    assert loop._sent.linear_x_m_s == 0
    assert loop._guard.cause is StopCause.QUIT


@pytest.mark.parametrize("unread", [True, False], ids=["reset", "end of file"])
def test_a_runtime_that_is_gone_is_braked_for_and_told_by_a_safety_stop(
    unread: bool, runtime: Runtime, loop: MotorLoop, ended: "Future[None]"
) -> None:
    runtime.drive()
    if unread:
        time.sleep(0.05)
    else:
        runtime.control.shutdown(socket.SHUT_WR)
    runtime.control.close()
    with pytest.raises(SafetyStop, match="the runtime is gone"):
        ended.result(PATIENCE_S)
    assert loop._sent.linear_x_m_s == 0
    assert loop._guard.cause is StopCause.RUNTIME_GONE


def test_a_base_that_disarms_itself_latches(runtime: Runtime, base: Base) -> None:
    runtime.drive()
    base.deaf = True
    status = runtime.until(lambda status: status.state is MotorState.LATCHED, driving=True)
    assert status.cause is StopCause.BASE_DISARMED


def test_arming_is_given_up_after_a_while(
    runtime: Runtime, base: Base, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(loop_module, "ARM_LIMIT_NS", 100_000_000)
    base.deaf = True
    runtime.send(Arm())
    status = runtime.until(lambda status: bool(status.reason))
    assert (status.state, status.reason) == (
        MotorState.DISARMED,
        "not armed: the base did not arm within 0.1 s",
    )
    base.fault = "emergency stop"
    runtime.send(Arm())
    status = runtime.until(lambda status: "emergency" in status.reason)
    assert status.reason == "not armed: emergency stop"
    base.deaf, base.fault = False, ""
    runtime.send(Arm())
    assert runtime.until(lambda status: status.state is MotorState.HOLDING).reason == ""


def test_a_stop_while_arming_takes_the_arming_back(runtime: Runtime, base: Base) -> None:
    base.deaf = True
    runtime.send(Arm())
    runtime.until(lambda status: True)
    runtime.send(Stop("never mind"))
    runtime.until(lambda status: status.state is MotorState.LATCHED)
    base.deaf = False
    first = runtime.until(lambda status: True).ticks
    runtime.until(lambda status: status.ticks > first + 5)
    assert runtime.until(lambda status: True).state is MotorState.LATCHED


@pytest.mark.parametrize("cause", [StopCause.OPERATOR, StopCause.OPERATOR_LOST])
def test_what_the_operator_has_stopped_is_never_armed_again(runtime: Runtime, cause: StopCause) -> None:
    """Fault 53: reset is not restart. Only a new process, which is a new run, starts the base again."""
    runtime.drive()
    runtime.send(Stop("stopped by the operator (space)", cause))
    status = runtime.until(lambda status: status.state is MotorState.LATCHED)
    assert (status.cause, status.reason) == (cause, "stopped by the operator (space)")
    for _ in range(3):
        runtime.send(Arm())
        status = runtime.until(lambda status: status.reason.startswith("not armed"), driving=True)
        assert status.state is MotorState.LATCHED and "stopped by the operator (space)" in status.reason


def test_an_operator_who_stops_before_arming_stops_it_too(runtime: Runtime) -> None:
    runtime.send(Stop("stopped by the operator (space)", StopCause.OPERATOR), Arm())
    status = runtime.until(lambda status: status.reason.startswith("not armed"))
    assert (status.state, status.cause) == (MotorState.LATCHED, StopCause.OPERATOR)


def test_a_base_that_is_armed_but_faulty_is_not_taken_for_armed(loop: MotorLoop, base: Base) -> None:
    base.fault = "manual takeover"
    base.arm()
    loop._take(encode(Arm()))
    loop._tick()
    assert loop._guard.state is MotorState.DISARMED


def test_arming_starts_the_watch_anew(loop: MotorLoop, base: Base, monkeypatch: pytest.MonkeyPatch) -> None:
    resets: list[str] = []
    monkeypatch.setattr(loop._watch, "reset", lambda: resets.append("reset"))
    base.arm()
    loop._take(encode(Arm()))
    loop._tick()
    assert (loop._guard.state, resets) == (MotorState.HOLDING, ["reset"])


def test_nothing_arms_any_more_once_the_drive_ends(loop: MotorLoop, base: Base) -> None:
    base.arm()
    loop._take(encode(Arm()))
    loop._take(encode(Quit()))
    loop._tick()
    assert loop._guard.state is MotorState.LATCHED
    loop._take(encode(Arm()))
    loop._tick()
    assert (loop._guard.state, loop._note) == (MotorState.LATCHED, "not armed: still braking")


def test_a_base_that_still_brakes_is_not_armed(loop: MotorLoop, base: Base) -> None:
    base.arm()
    loop._guard.arm(0)
    loop._take(encode(fresh_chunk(0)))
    now_ns = time.monotonic_ns()
    for _ in range(3):
        now_ns += PERIOD_NS
        loop._guard.step(now_ns)
    loop._take(encode(Stop("e-stop")))
    loop._take(encode(Arm()))
    assert (loop._guard.moving, loop._arming_since_ns) == (True, None)
    assert loop._note == "not armed: still braking"


def test_a_low_battery_keeps_it_from_arming(runtime: Runtime, base: Base) -> None:
    base.battery_fraction = 0.05
    runtime.until(lambda status: status.battery_fraction == 0.05)
    runtime.send(Arm())
    status = runtime.until(lambda status: bool(status.reason))
    assert status.reason == "not armed: battery at 5% (limit 10%)"
    assert status.state is MotorState.DISARMED


def test_a_pressed_bumper_keeps_it_from_arming(runtime: Runtime, base: Base) -> None:
    base.bumper = True
    for _ in range(3):  # it has been read by then
        runtime.until(lambda status: True)
    runtime.send(Arm())
    status = runtime.until(lambda status: bool(status.reason))
    assert (status.reason, status.state) == ("not armed: its bumper is pressed", MotorState.DISARMED)


def test_a_contact_that_the_runtime_sees_brakes_and_is_counted(runtime: Runtime) -> None:
    runtime.drive()
    runtime.send(Touch("its picture stays"))
    status = runtime.until(lambda status: status.state is MotorState.TOUCHED)
    assert status.reason == "its picture stays"
    assert runtime.until(lambda status: status.sent.linear_x_m_s == 0).contacts == 1


def test_what_is_not_for_the_motor_process_is_counted(runtime: Runtime) -> None:
    runtime.send(Failure(1, "not", "yours"))
    runtime.control.send(b"noise")
    assert runtime.until(lambda status: status.refused.messages == 2).reason == ""


def test_a_flood_is_taken_in_portions(ends: tuple[Runtime, socket.socket], loop: MotorLoop) -> None:
    runtime, _ = ends
    runtime.send(*[Failure(1, "", "")] * (MAX_MESSAGES + 3))
    assert loop._drain() is False
    assert loop._refused_messages == MAX_MESSAGES
    loop._drain()
    assert loop._refused_messages == MAX_MESSAGES + 3


def test_only_what_brakes_is_urgent(ends: tuple[Runtime, socket.socket], loop: MotorLoop) -> None:
    runtime, _ = ends
    for message, urgent in (
        (Arm(), False),
        (fresh_chunk(0), False),
        (Hold("now"), True),
        (Touch("now"), True),
        (Stop("now"), True),
        (Quit(), True),
    ):
        runtime.send(message)
        assert loop._drain() is urgent
    runtime.control.close()
    assert loop._drain() is True  # the end of the socket
    assert loop._drain() is False  # which ends only once


def test_a_reader_that_is_slow_or_gone_costs_no_tick(
    ends: tuple[Runtime, socket.socket], loop: MotorLoop
) -> None:
    runtime, _ = ends
    for _ in range(2000):  # more reports than the socket holds
        loop._tick()
    assert not loop._ended
    runtime.control.close()
    loop._tick()
    assert loop._guard.state is MotorState.DISARMED


def test_sleep_of_the_computer_latches(loop: MotorLoop, base: Base, monkeypatch: pytest.MonkeyPatch) -> None:
    """Fault 51: the monotonic clock stands still meanwhile, so no age tells of it."""
    base.arm()
    loop._guard.arm(time.monotonic_ns())
    loop._tick()
    assert loop._guard.state is MotorState.HOLDING
    slept = loop._asleep_ns
    monkeypatch.setattr(loop_module, "_asleep_ns", lambda: slept + loop_module.SUSPEND_LIMIT_NS)
    loop._tick()
    assert loop._guard.state is MotorState.HOLDING
    monkeypatch.setattr(loop_module, "_asleep_ns", lambda: slept + 7_100_000_000)
    loop._tick()
    assert loop._guard.state is MotorState.LATCHED
    assert loop._guard.reason == "this computer slept for 7.0 s"
    assert loop._guard.cause is StopCause.SUSPENDED


@pytest.fixture
def handlers(monkeypatch: pytest.MonkeyPatch) -> dict[int, Callable[[int, None], None]]:
    """Lets `main` run in this process without lasting effects on it; holds its handlers of signals."""
    kept: dict[int, Callable[[int, None], None]] = {}
    monkeypatch.setattr(process.signal, "signal", kept.__setitem__)

    def refuse(*_: object) -> None:
        raise PermissionError

    monkeypatch.setattr(process.os, "sched_setscheduler", refuse)
    monkeypatch.setattr(process.gc, "freeze", lambda: None)
    monkeypatch.setattr(process.gc, "disable", lambda: None)
    return kept


def main(there: socket.socket, *arguments: str) -> int:
    return process.main(["--fd", str(there.dup().detach()), *arguments])


def last_words(runtime: Runtime) -> Message:
    message = decode(runtime.control.recv(MAX_BYTES))
    while isinstance(message, MotorStatus):
        message = decode(runtime.control.recv(MAX_BYTES))
    return message


def test_the_process_ends_with_zero_when_it_is_asked_to(ends, handlers) -> None:  # type: ignore[no-untyped-def]
    runtime, there = ends
    runtime.send(Quit())
    assert main(there, "--motors", "null://", "--rate-hz", "200") == 0
    assert handlers[signal.SIGINT] is handlers[signal.SIGHUP] is signal.SIG_IGN


def test_sigterm_only_makes_a_note_for_the_loop(ends, handlers) -> None:  # type: ignore[no-untyped-def]
    runtime, there = ends
    with ThreadPoolExecutor(1) as pool:
        code = pool.submit(main, there, "--motors", "null://")
        runtime.until(lambda status: True)
        handlers[signal.SIGTERM](signal.SIGTERM, None)
        assert code.result(PATIENCE_S) == 0


def test_the_motors_are_stopped_and_closed_whatever_ends_the_loop(ends, handlers, monkeypatch) -> None:  # type: ignore[no-untyped-def]
    _, there = ends
    motors, calls = NullMotors(), []
    monkeypatch.setattr(process, "open_motors", lambda _: motors)
    monkeypatch.setattr(motors, "write", lambda _: 1 / 0)
    monkeypatch.setattr(motors, "stop", lambda: calls.append("stop"))
    monkeypatch.setattr(motors, "close", lambda: calls.append("close"))
    with pytest.raises(ZeroDivisionError):
        main(there, "--motors", "null://")
    assert calls == ["stop", "close"]


@pytest.mark.parametrize("error", [PluginError, MotorFault])
def test_stop_and_close_are_tried_whatever_fails_and_the_first_error_is_the_last_word(
    ends, handlers, monkeypatch, error
) -> None:  # type: ignore[no-untyped-def]
    runtime, there = ends
    motors, calls = NullMotors(), []

    def fails(name: str) -> Callable[..., None]:
        def call(*_: object) -> None:
            calls.append(name)
            raise error(f"{name} fails")

        return call

    monkeypatch.setattr(process, "open_motors", lambda _: motors)
    for name in ("read", "stop", "close"):
        monkeypatch.setattr(motors, name, fails(name))
    assert main(there, "--motors", "null://") == error.exit_code
    assert calls == ["read", "stop", "close"]
    failure = last_words(runtime)
    assert isinstance(failure, Failure) and failure.message == "read fails"
    assert failure.of_package is (error is PluginError)


def test_a_driver_that_fails_only_at_the_end_says_so(ends, handlers, monkeypatch) -> None:  # type: ignore[no-untyped-def]
    runtime, there = ends
    motors = NullMotors()

    def fails() -> None:
        raise PluginError("closing fails")

    monkeypatch.setattr(process, "open_motors", lambda _: motors)
    monkeypatch.setattr(motors, "close", fails)
    runtime.send(Quit())
    assert main(there, "--motors", "null://") == PluginError.exit_code
    failure = last_words(runtime)
    assert isinstance(failure, Failure) and failure.message == "closing fails"


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (("--motors", "null://", "--rate-hz", "19.9"), UsageError.exit_code, "motor rate 19.9 Hz"),
        (("--motors", "null://", "--rate-hz", "200.1"), UsageError.exit_code, "motor rate 200.1 Hz"),
        (("--motors", "null://", "--limits", "{"), UsageError.exit_code, "motor limits are not JSON"),
        (("--motors", "wheels://x"), UsageError.exit_code, "motors address"),
    ],
)
def test_what_keeps_it_from_starting_is_its_last_words(ends, handlers, arguments, code, message) -> None:  # type: ignore[no-untyped-def]
    runtime, there = ends
    assert main(there, *arguments) == code
    failure = last_words(runtime)
    assert isinstance(failure, Failure)
    assert failure.exit_code == code and message in failure.message


def test_the_end_of_the_runtime_is_a_safety_stop(ends, handlers) -> None:  # type: ignore[no-untyped-def]
    runtime, there = ends
    runtime.control.shutdown(socket.SHUT_WR)
    assert main(there, "--motors", "null://") == SafetyStop.exit_code
    failure = last_words(runtime)
    assert isinstance(failure, Failure) and "the runtime is gone" in failure.message


@pytest.mark.parametrize("sideways", [False, True])
def test_a_holonomic_robot_is_refused_by_motors_whose_base_never_goes_sideways(
    sideways, ends, handlers, monkeypatch
) -> None:  # type: ignore[no-untyped-def]
    """Row 21."""
    runtime, there = ends
    motors = NullMotors()
    monkeypatch.setattr(motors, "sideways", sideways, raising=False)
    monkeypatch.setattr(process, "open_motors", lambda _: motors)
    runtime.send(Quit())
    assert main(there, "--motors", "ahead://") == (0 if sideways else UsageError.exit_code)
    runtime.send(Quit())
    limits = MotorLimits(sideways=False).to_json()
    assert main(there, "--motors", "ahead://", "--limits", limits) == 0


def test_motors_that_take_fewer_setpoints_than_asked_for_are_refused_and_closed(
    ends, handlers, monkeypatch
) -> None:  # type: ignore[no-untyped-def]
    runtime, there = ends
    motors = NullMotors()
    motors.arm()
    monkeypatch.setattr(motors, "max_rate_hz", 49.9, raising=False)
    monkeypatch.setattr(process, "open_motors", lambda _: motors)
    assert main(there, "--motors", "slow://", "--rate-hz", "50") == UsageError.exit_code
    failure = last_words(runtime)
    assert isinstance(failure, Failure) and "its line carries 50 setpoints" in failure.message
    assert not motors.read().armed
