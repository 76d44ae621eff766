"""The motor process: `python -m edge.motor.process --fd N --motors URI`. Started by `edge.motor.client`.

It owns the actuator alone, in a session of its own, and outlives the runtime long enough to stop the base.
It brakes to zero on its own when its socket ends, on SIGTERM, and whenever the guard or the watch says so.
Exit codes as in edge.errors; 0 when asked to quit, 4 when the runtime vanished.
"""

import argparse
import contextlib
import gc
import os
import select
import signal
import socket
import sys
import time
from types import FrameType

from edge.clock import Ticker
from edge.errors import EdgeError, SafetyStop, UsageError
from edge.interfaces import Feedback, Motors
from edge.motor.drivers.open import open_motors
from edge.motor.guard import Guard
from edge.motor.limits import MotorLimits
from edge.motor.watch import Watch, low_battery
from edge.motor.wire import MAX_BYTES, Arm, Failure, Message, Quit, Stop, decode, encode
from edge.records import ActionChunk, MotorState, MotorStatus, StopCause, Velocity

RATE_RANGE_HZ = (20.0, 200.0)
ARM_LIMIT_NS = 1_500_000_000  # for the base to say that it is armed
MAX_MESSAGES = 64  # a flood must not eat the tick
SUSPEND_LIMIT_NS = 100_000_000
FIFO_PRIORITY = 20


class MotorLoop:
    """The loop around guard and driver. It is its own clock, so that waiting for a tick hears the socket."""

    def __init__(self, control: socket.socket, motors: Motors, guard: Guard, period_ns: int) -> None:
        self._control = control
        self._motors = motors
        self._guard = guard
        self._ticker = Ticker(period_ns, self)
        self._watch = Watch()
        self._sent = Velocity()
        self._feedback = Feedback(armed=False)
        self._refused_messages = 0
        self._arm_asked_ns: int | None = None
        self._note = ""  # why arming failed
        self._ended = False  # the other end of the socket is gone
        self._leaving = False
        self.terminated = False  # by SIGTERM; only noted, since a handler runs between any two lines
        self._asleep_ns = _asleep_ns()

    def now_ns(self) -> int:
        return time.monotonic_ns()

    def sleep_until(self, deadline_ns: int) -> None:
        """Wait, while taking messages. A stop begins and ends when it is due, not at the next tick."""
        while (now_ns := self.now_ns()) < deadline_ns:
            zero_ns = self._guard.zero_ns
            if zero_ns is not None and zero_ns <= now_ns:
                self._sent = self._motors.write(self._guard.step(now_ns))
                continue
            wait_s = (min(deadline_ns, zero_ns or deadline_ns) - now_ns) / 1e9
            if self._ended:
                time.sleep(wait_s)
            elif select.select([self._control], [], [], wait_s)[0] and self._drain():
                self._sent = self._motors.write(self._guard.step(self.now_ns()))

    def run(self) -> None:
        """Until asked to leave and at zero. Raises SafetyStop when the runtime vanished."""
        while not (self._leaving and not self._guard.moving):
            self._ticker.wait()
            self._drain()
            if self.terminated:
                self._leave("SIGTERM", StopCause.QUIT)
            self._tick()
        if self._ended:
            raise SafetyStop("the runtime is gone: braked to zero and disarmed")

    def _leave(self, reason: str, cause: StopCause) -> None:
        """Brake to zero, then end `run`."""
        self._guard.stop(reason, cause)
        self._arm_asked_ns = None
        self._leaving = True

    def _tick(self) -> None:
        now_ns = self.now_ns()
        # After a suspend the clock stands as if no time had passed, and so do all ages.
        asleep_ns = _asleep_ns()
        if asleep_ns - self._asleep_ns > SUSPEND_LIMIT_NS:
            slept_s = (asleep_ns - self._asleep_ns) / 1e9
            self._guard.stop(f"this computer slept for {slept_s:.1f} s", StopCause.SUSPENDED)
        self._asleep_ns = asleep_ns
        self._sent = self._motors.write(self._guard.step(now_ns))
        self._feedback = self._motors.read()
        self._supervise(now_ns)
        self._report(now_ns)

    def _supervise(self, now_ns: int) -> None:
        if self._arm_asked_ns is not None:
            self._continue_arming(self._arm_asked_ns, now_ns)
        elif self._guard.state in (MotorState.HOLDING, MotorState.FOLLOWING) and (
            objection := self._watch.judge(self._feedback, self._sent, now_ns)
        ):
            self._guard.stop(objection.reason, objection.cause)

    def _continue_arming(self, asked_ns: int, now_ns: int) -> None:
        """Ask the base until it says that it is armed; only then may the guard move."""
        if self._feedback.armed and not self._feedback.fault:
            self._arm_asked_ns, self._note = None, ""
            self._watch.reset()
            self._guard.arm(now_ns)
        elif now_ns - asked_ns > ARM_LIMIT_NS:
            self._arm_asked_ns = None
            why = self._feedback.fault or f"the base did not arm within {ARM_LIMIT_NS / 1e9:.1f} s"
            self._note = f"not armed: {why}"
        else:
            self._motors.arm()

    def _drain(self) -> bool:
        """Take what has come. True when some of it asks for braking."""
        urgent = False
        for _ in range(MAX_MESSAGES):
            if self._ended:
                break
            try:
                packet = self._control.recv(MAX_BYTES + 1, socket.MSG_DONTWAIT)
            except BlockingIOError:
                break
            except ConnectionResetError:
                packet = b""
            if not packet:
                self._ended = urgent = True
                self._leave("the runtime is gone", StopCause.RUNTIME_GONE)
            else:
                urgent |= self._take(packet)
        return urgent

    def _take(self, packet: bytes) -> bool:
        try:
            message = decode(packet)
        except ValueError:
            self._refused_messages += 1
            return False
        match message:
            case ActionChunk():
                self._guard.follow(message, self.now_ns())
            case Arm():
                self._ask_to_arm()
            case Stop():
                self._arm_asked_ns = None
                self._guard.stop(message.reason)
            case Quit():
                self._leave("asked to quit", StopCause.QUIT)
            case _:
                self._refused_messages += 1
        return isinstance(message, Stop | Quit)

    def _ask_to_arm(self) -> None:
        if low := low_battery(self._feedback):
            self._note = f"not armed: {low}"
        elif self._guard.moving or self._leaving:
            self._note = "not armed: still braking"
        else:
            self._arm_asked_ns, self._note = self.now_ns(), ""

    def _report(self, now_ns: int) -> None:
        guard = self._guard
        status = MotorStatus(
            stamp_ns=now_ns,
            state=guard.state,
            sent=self._sent,
            reason=self._note or guard.reason,
            cause=guard.cause,
            decision=guard.decision,
            frame_to_motor_ns=guard.frame_to_motor_ns,
            ticks=self._ticker.ticks,
            missed_ticks=self._ticker.missed,
            refused=guard.counts.refusals(self._refused_messages),
            odometry=self._feedback.odometry,
            battery_fraction=self._feedback.battery_fraction,
        )
        _send(self._control, status)


def _asleep_ns() -> int:
    """How long this computer has slept since it booted."""
    return time.clock_gettime_ns(time.CLOCK_BOOTTIME) - time.monotonic_ns()


def _send(control: socket.socket, message: Message) -> None:
    # A slow reader costs itself a status, never the base a tick. `_drain` notices one that is gone.
    with contextlib.suppress(BlockingIOError, BrokenPipeError, ConnectionResetError):
        control.send(encode(message), socket.MSG_DONTWAIT)


def _arguments(argv: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m edge.motor.process", description="The motor process.")
    parser.add_argument("--fd", type=int, required=True, help="the socket to the runtime, inherited")
    parser.add_argument("--motors", required=True, help="address of the actuator, such as null://")
    parser.add_argument("--rate-hz", type=float, default=50.0, help="setpoints per second, in [20, 200]")
    parser.add_argument("--limits", default="{}", help="motor limits as JSON, stricter than the defaults")
    return parser.parse_args(argv)


def _raise_priority() -> None:
    # Without the permission the loop runs at normal priority, which its tick counters show.
    with contextlib.suppress(PermissionError):
        os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(FIFO_PRIORITY))


def _drive(control: socket.socket, motors: Motors, limits: MotorLimits, period_ns: int) -> None:
    loop = MotorLoop(control, motors, Guard(limits, period_ns=period_ns), period_ns)

    def on_sigterm(_signal: int, _frame: FrameType | None) -> None:
        loop.terminated = True

    signal.signal(signal.SIGTERM, on_sigterm)
    # All that lives now lives until the end: nothing is left to collect, so no tick waits for it.
    gc.collect()
    gc.freeze()
    gc.disable()
    loop.run()


def main(argv: list[str]) -> int:
    """Run until the base is stopped for good; returns the exit code and leaves last words on the socket."""
    # The terminal's signals are for the runtime; this process must be there to stop the base after it.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    arguments = _arguments(argv)
    control = socket.socket(fileno=arguments.fd)
    motors: Motors | None = None
    try:
        if not RATE_RANGE_HZ[0] <= arguments.rate_hz <= RATE_RANGE_HZ[1]:
            raise UsageError(f"motor rate {arguments.rate_hz} Hz is not in {RATE_RANGE_HZ}")
        limits = MotorLimits.from_json(arguments.limits)
        motors = open_motors(arguments.motors)
        if arguments.rate_hz > motors.max_rate_hz:
            raise UsageError(
                f"motors address {arguments.motors!r}: its line carries {motors.max_rate_hz:.0f} setpoints a "
                f"second, {arguments.rate_hz:g} are to be sent",
                "make the line faster (`baud`)",
            )
        _raise_priority()
        _drive(control, motors, limits, round(1e9 / arguments.rate_hz))
    except EdgeError as error:
        _send(control, Failure(error.exit_code, error.message, error.hint))
        return error.exit_code
    finally:
        if motors is not None:
            motors.stop()
            motors.close()
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
