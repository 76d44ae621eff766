"""The loop of the motor process: messages in, setpoints out, at a fixed rate."""

import contextlib
import select
import socket
import time

from edge.clock import Ticker
from edge.errors import SafetyStop
from edge.interfaces import Feedback, Motors
from edge.motor.contact import ContactWatch
from edge.motor.guard import ARMED, Guard
from edge.motor.operator.panel import Panel
from edge.motor.operator.takeover import Takeover
from edge.motor.pulses import Correction, InEffect, Pulses
from edge.motor.watch import Watch, low_battery
from edge.motor.wire import MAX_BYTES, Arm, Hold, Message, Quit, Stop, Touch, decode, encode
from edge.records import ActionChunk, MotorStatus, StopCause, Velocity

ARM_LIMIT_NS = 1_500_000_000  # from a request to arm to feedback that the base is armed
MAX_MESSAGES = 64  # read at once: a flood of messages must not delay a tick
SUSPEND_LIMIT_NS = 100_000_000


class MotorLoop:
    """The loop around guard, pulses and driver. It is its own clock: it reads messages while it waits."""

    def __init__(
        self, control: socket.socket, motors: Motors, guard: Guard, period_ns: int, panel: Panel | None = None
    ) -> None:
        self._control = control
        self._takeover = Takeover(guard, panel or Panel())
        self._motors = motors
        self._guard = guard
        self._ticker = Ticker(period_ns, self)
        self._pulses = Pulses(guard.limits)
        self._correction = Correction(guard.limits)
        self._in_effect = InEffect(guard.limits.delay_s)
        self._watch = Watch(guard.limits)
        self._contacts = ContactWatch(guard)
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
                self._write(now_ns)
                continue
            wait_s = (min(deadline_ns, zero_ns or deadline_ns) - now_ns) / 1e9
            if self._ended:
                time.sleep(wait_s)
            elif self._await_word(wait_s):
                self._write(self.now_ns())

    def _await_word(self, wait_s: float) -> bool:
        """Wait for the runtime and the operator. Returns True if one of them demands braking."""
        ready = select.select([self._control, *self._takeover.panel.inputs], [], [], wait_s)[0]
        urgent = self._control in ready and self._drain()
        return self._takeover.heed_stop() or urgent

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
        self._takeover.heed_stop()
        self._takeover.drive(now_ns)
        self._write(now_ns)
        self._feedback = self._motors.read()
        self._supervise(now_ns)
        self._report(now_ns)

    def _write(self, now_ns: int) -> None:
        wanted = self._pulses.step(self._guard.step(now_ns), now_ns)
        self._sent = self._correction.effect(self._motors.write(self._correction.command(wanted)))
        self._in_effect.add(self._sent, now_ns)

    def _supervise(self, now_ns: int) -> None:
        if self._arming_since_ns is not None:
            self._continue_arming(self._arming_since_ns, now_ns)
        elif self._guard.state in ARMED:
            expected = self._in_effect.at(now_ns)
            objection = self._watch.judge(self._feedback, expected, now_ns)
            if objection is None:
                objection = self._contacts.judge(self._feedback, expected, now_ns)
            if objection is not None:
                self._guard.stop(objection.reason, objection.cause)

    def _continue_arming(self, since_ns: int, now_ns: int) -> None:
        """Request arming until the feedback confirms it; only then may the guard move the base."""
        if self._takeover.stopped:
            self._arming_since_ns = None
        elif self._feedback.armed and not self._feedback.fault:
            self._arming_since_ns, self._note = None, ""
            self._watch.reset()
            self._contacts.reset()
            self._guard.arm(now_ns)
            self._takeover.begin()
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
                self._takeover.follow(message, self.now_ns())
            case Arm():
                self._start_arming()
            case Stop():
                self._arming_since_ns = None
                self._takeover.stop(message.reason, message.cause)
            case Hold():
                self._guard.hold(message.reason)
            case Touch():
                self._contacts.touch(message.reason, self.now_ns())
            case Quit():
                self._leave("the runtime ended the drive", StopCause.QUIT)
            case _:
                self._refused_messages += 1
        return isinstance(message, Stop | Hold | Touch | Quit)

    def _start_arming(self) -> None:
        if self._takeover.stopped:
            self._note = f"not armed: {self._takeover.stopped}"
        elif low := low_battery(self._feedback):
            self._note = f"not armed: {low}"
        elif self._feedback.bumper:
            self._note = "not armed: its bumper is pressed"
        elif self._guard.moving or self._leaving:
            self._note = "not armed: still braking"
        else:
            self._arming_since_ns, self._note = self.now_ns(), ""

    def _report(self, now_ns: int) -> None:
        guard, by_hand, stopped = self._guard, self._takeover.by_hand, self._takeover.stopped
        status = MotorStatus(
            stamp_ns=now_ns,
            state=guard.state,
            sent=self._sent,
            reason=self._note or stopped or guard.reason or ("driven by hand" if by_hand else ""),
            # A person's stop of a base that another stop had latched already counts as well.
            cause=self._takeover.cause if stopped else guard.cause,
            decision=-1 if by_hand else guard.decision,
            frame_to_motor_ns=-1 if by_hand else guard.frame_to_motor_ns,
            ticks=self._ticker.ticks,
            missed_ticks=self._ticker.missed,
            refused=guard.counts.refusals(self._refused_messages),
            odometry=self._feedback.odometry,
            battery_fraction=self._feedback.battery_fraction,
            about=self._feedback.about,
            warning=self._feedback.warning,
            contacts=guard.back.contacts,
            touched=guard.back.touched,
            by_hand=by_hand and guard.state in ARMED,
        )
        send(self._control, status)


def _asleep_ns() -> int:
    """Return how long this computer has slept since it booted, ns."""
    return time.clock_gettime_ns(time.CLOCK_BOOTTIME) - time.monotonic_ns()


def send(control: socket.socket, message: Message) -> None:
    """Send a message to the runtime without waiting; lost if it reads too slowly or is gone."""
    # A slow reader misses a status, and no tick is late for it. `_drain` notices a reader that is gone.
    with contextlib.suppress(BlockingIOError, BrokenPipeError, ConnectionResetError):
        control.send(encode(message), socket.MSG_DONTWAIT)
