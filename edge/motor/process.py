"""Run the motor process: `python -m edge.motor.process --fd N --motors URI`. `edge.motor.client` starts it.

It alone owns the actuator, in a session of its own, and outlives the runtime long enough to stop the base.
It brakes to zero when its socket ends, on SIGTERM, and whenever the guard or the watch decides to.
Exit codes are those of edge.errors: 0 after a request to quit or SIGTERM, 4 if the runtime vanished.
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
from collections.abc import Callable
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
ARM_LIMIT_NS = 1_500_000_000  # from a request to arm to feedback that the base is armed
MAX_MESSAGES = 64  # read at once: a flood of messages must not delay a tick
SUSPEND_LIMIT_NS = 100_000_000
FIFO_PRIORITY = 20


class MotorLoop:
    """The loop around guard and driver. It is its own clock, so that it reads messages while it waits."""

    def __init__(self, control: socket.socket, motors: Motors, guard: Guard, period_ns: int) -> None:
        self._control = control
        self._motors = motors
        self._guard = guard
        self._ticker = Ticker(period_ns, self)
        self._watch = Watch()
        self._sent = Velocity()
        self._feedback = Feedback(armed=False)
        self._refused_messages = 0
        self._arming_since_ns: int | None = None
        self._note = ""  # why arming failed
        self._ended = False  # the other end of the socket is gone
        self._leaving = False
        # SIGTERM's handler sets this and does no more, since it may run between any two lines.
        self.terminated = False
        self._asleep_ns = _asleep_ns()

    def now_ns(self) -> int:
        return time.monotonic_ns()

    def sleep_until(self, deadline_ns: int) -> None:
        """Wait and read messages meanwhile. A stop begins and ends when it is due, not at the next tick."""
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
        """Run until the drive has ended and the base stands. Raises SafetyStop if the runtime vanished."""
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
        self._arming_since_ns = None
        self._leaving = True

    def _tick(self) -> None:
        now_ns = self.now_ns()
        # The clock stands still while the computer sleeps, so no age shows that it slept.
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
        if self._arming_since_ns is not None:
            self._continue_arming(self._arming_since_ns, now_ns)
        elif self._guard.state in (MotorState.HOLDING, MotorState.FOLLOWING) and (
            objection := self._watch.judge(self._feedback, self._sent, now_ns)
        ):
            self._guard.stop(objection.reason, objection.cause)

    def _continue_arming(self, since_ns: int, now_ns: int) -> None:
        """Request arming until the feedback confirms it; only then may the guard move the base."""
        if self._feedback.armed and not self._feedback.fault:
            self._arming_since_ns, self._note = None, ""
            self._watch.reset()
            self._guard.arm(now_ns)
        elif now_ns - since_ns > ARM_LIMIT_NS:
            self._arming_since_ns = None
            why = self._feedback.fault or f"the base did not arm within {ARM_LIMIT_NS / 1e9:.1f} s"
            self._note = f"not armed: {why}"
        else:
            self._motors.arm()

    def _drain(self) -> bool:
        """Read the messages that are there. Returns True if one of them demands braking."""
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
                self._start_arming()
            case Stop():
                self._arming_since_ns = None
                self._guard.stop(message.reason)
            case Quit():
                self._leave("the runtime ended the drive", StopCause.QUIT)
            case _:
                self._refused_messages += 1
        return isinstance(message, Stop | Quit)

    def _start_arming(self) -> None:
        if low := low_battery(self._feedback):
            self._note = f"not armed: {low}"
        elif self._guard.moving or self._leaving:
            self._note = "not armed: still braking"
        else:
            self._arming_since_ns, self._note = self.now_ns(), ""

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
    """Return how long this computer has slept since it booted, ns."""
    return time.clock_gettime_ns(time.CLOCK_BOOTTIME) - time.monotonic_ns()


def _send(control: socket.socket, message: Message) -> None:
    # A slow reader misses a status, and no tick is late for it. `_drain` notices a reader that is gone.
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
    # Without this permission the loop runs at normal priority; its counts of missed ticks show the cost.
    with contextlib.suppress(PermissionError):
        os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(FIFO_PRIORITY))


def _drive(control: socket.socket, motors: Motors, limits: MotorLimits, period_ns: int) -> None:
    loop = MotorLoop(control, motors, Guard(limits, period_ns=period_ns), period_ns)

    def on_sigterm(_signal: int, _frame: FrameType | None) -> None:
        loop.terminated = True

    signal.signal(signal.SIGTERM, on_sigterm)
    # All objects that exist now exist until the end, so no tick need wait for a collection.
    gc.collect()
    gc.freeze()
    gc.disable()
    loop.run()


def main(argv: list[str], opens: Callable[[str], Motors] | None = None) -> int:
    """Run until the base is stopped for good. Returns the exit code; a Failure on the socket tells why.

    `opens` opens the driver behind an address, in place of `open_motors`.
    """
    # The terminal's signals are for the runtime: this process must still be there to stop the base.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    arguments = _arguments(argv)
    with socket.socket(fileno=arguments.fd) as control:
        try:
            _serve(control, arguments, opens or open_motors)
        except EdgeError as error:
            _send(control, Failure(error.exit_code, error.message, error.hint))
            return error.exit_code
    return 0


def _serve(control: socket.socket, arguments: argparse.Namespace, opens: Callable[[str], Motors]) -> None:
    """Open the motors, drive them until the loop ends, then stop and close them. Raises EdgeError."""
    if not RATE_RANGE_HZ[0] <= arguments.rate_hz <= RATE_RANGE_HZ[1]:
        raise UsageError(f"motor rate {arguments.rate_hz} Hz is not in {RATE_RANGE_HZ}")
    limits = MotorLimits.from_json(arguments.limits)
    motors = opens(arguments.motors)
    try:
        if arguments.rate_hz > motors.max_rate_hz:
            raise UsageError(
                f"motors address {arguments.motors!r}: its line carries {motors.max_rate_hz:.0f} setpoints a "
                f"second, {arguments.rate_hz:g} are to be sent",
                "make the line faster (`baud`)",
            )
        _raise_priority()
        _drive(control, motors, limits, round(1e9 / arguments.rate_hz))
    finally:
        motors.stop()
        motors.close()


if __name__ == "__main__":  # pragma: no cover - runs in a process of its own, which every drive starts
    sys.exit(main(sys.argv[1:]))
