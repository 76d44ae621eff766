"""The real-time loop of a run: frames to the policy, chunks to the motors, until there is an outcome."""

import contextlib
import math
import shutil
import signal
import sys
import time
from collections.abc import Generator
from dataclasses import dataclass
from types import FrameType

import numpy as np

from edge.cameras.open import EndOfFrames
from edge.clock import Clock
from edge.errors import MotorFault, SafetyStop, StaleFrame
from edge.interfaces import Camera, Inference, Policy
from edge.motor.client import MotorProcess
from edge.records import ZERO, Frame, Goal, MotorState, MotorStatus, Observation, Odometry, StopCause
from edge.runs.tally import Tally
from edge.runtime.loop import Loop, ThreadWorker
from edge.runtime.robot import Robot

MAX_FRAME_AGE_S = 0.25
FIRST_FRAME_S = 5.0
POLL_S = 0.002
INFERENCE_LIMIT_NS = 2_000_000_000
WARM_UP_LIMIT_S = 60.0  # the first inference allocates and compiles
ARM_LIMIT_S = 3.0
MAX_REASON_CHARS = 200
STAND_LIMIT_S = 1.5  # braking takes 0.25 s
SETTLE_S = 0.3  # between a setpoint of zero and a base that stands
LIVE_PERIOD_NS = 100_000_000
SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a run ended."""

    outcome: str  # reached | timeout | stopped | fault
    reason: str
    exit_code: int
    hint: str = ""
    answer: str = ""  # of goals that end in words


class Interrupts:
    """Turns SIGINT, SIGTERM and SIGHUP into one KeyboardInterrupt; what comes after it is only noted."""

    def __init__(self) -> None:
        self.name = ""

    def check(self) -> None:
        """Raises again what a callback may have swallowed."""
        if self.name:
            raise KeyboardInterrupt(self.name)

    @contextlib.contextmanager
    def caught(self) -> Generator[None]:
        """Where the signals are caught. For the main thread."""
        before = {number: signal.signal(number, self._on_signal) for number in SIGNALS}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def _on_signal(self, number: int, _frame: FrameType | None) -> None:
        first, self.name = not self.name, self.name or signal.Signals(number).name
        if first:
            raise KeyboardInterrupt(self.name)


class LiveLine:
    """One line on a terminal that is written over and over; silent elsewhere."""

    def __init__(self, enabled: bool) -> None:
        self._enabled = enabled and sys.stderr.isatty()
        self._due_ns = 0

    def show(self, text: str, now_ns: int) -> None:
        """Not more than 10 times a second."""
        if now_ns >= self._due_ns:
            self._due_ns = now_ns + LIVE_PERIOD_NS
            self.say(text)

    def say(self, text: str) -> None:
        """At once, and cut where the terminal ends: a line that wraps could not be written over."""
        if self._enabled:
            width = shutil.get_terminal_size().columns - 1
            print(f"\r{text[:width]}\x1b[K", end="", file=sys.stderr, flush=True)

    def clear(self) -> None:
        if self._enabled:
            print("\r\x1b[K", end="", file=sys.stderr, flush=True)


@dataclass(frozen=True, slots=True)
class Parts:
    """All that is up and running when a drive begins."""

    goal: Goal
    policy: Policy
    worker: ThreadWorker
    camera: Camera
    motor: MotorProcess
    robot: Robot
    clock: Clock


class Drive:
    """One drive. `moves` is False for goals without motion: then the motors are never armed."""

    def __init__(
        self, parts: Parts, tally: Tally, interrupts: Interrupts, live: LiveLine, moves: bool
    ) -> None:
        self._parts = parts
        self._tally = tally
        self._interrupts = interrupts
        self._live = live
        self._moves = moves
        self._loop = Loop(parts.policy, parts.worker, parts.goal)
        self._seq = -1
        self._armed = False
        self._plan_ns = 0  # the capture of the frame that the newest plan answers

    def warm_up(self) -> None:
        """One inference about a black picture, so that nothing is armed before the model is fast."""
        parts = self._parts
        frame = Frame(np.zeros((240, 320, 3), np.uint8), parts.clock.now_ns(), 0)
        nowhere = Odometry(frame.stamp_ns, 0.0, 0.0, 0.0, ZERO)
        parts.worker.submit(Observation({frame.camera: frame}, parts.goal, nowhere))
        deadline_ns = parts.clock.now_ns() + round(WARM_UP_LIMIT_S * 1e9)
        while parts.worker.poll() is None:
            self._watch()
            if parts.clock.now_ns() > deadline_ns:
                raise SafetyStop(f"the model's first answer took longer than {WARM_UP_LIMIT_S:.0f} s")
            time.sleep(POLL_S)
        parts.policy.reset(parts.goal)  # a policy with a memory must not remember the black picture

    def run(self, max_seconds: float) -> Outcome:
        """Arm, drive, and stand again, whatever happens. Raises what ended it early, once the base brakes."""
        try:
            self._await_first_frame()
            if self._moves:
                self._arm()
            outcome = self._drive(max_seconds)
        except BaseException as error:
            with contextlib.suppress(MotorFault):  # a motor process that is gone: the firmware stops the base
                self._stand(str(error) or type(error).__name__)
            raise
        finally:
            self._live.clear()
        self._stand(outcome.reason)
        return outcome

    def _drive(self, max_seconds: float) -> Outcome:
        parts, tally = self._parts, self._tally
        tally.start_ns = answered_ns = parts.clock.now_ns()
        end_ns = tally.start_ns + round(max_seconds * 1e9)
        seen: Inference | None = None
        found = False
        while True:
            try:
                frame = self._next_frame()
            except EndOfFrames as end:
                return self._played(end, found)
            status = self._watch()
            chunk = self._loop.on_frame(frame, status.odometry)
            if chunk is not None:
                parts.motor.send(chunk)
                self._plan_ns = chunk.t0_ns
            now_ns = parts.clock.now_ns()
            tally.seconds = (now_ns - tally.start_ns) / 1e9
            newest = self._loop.inference
            if newest is not None and newest is not seen:
                seen, answered_ns = newest, now_ns
                tally.on_inference(newest)
            elif self._moves and now_ns - answered_ns > INFERENCE_LIMIT_NS:
                raise SafetyStop(
                    f"the model has not answered for {(now_ns - answered_ns) / 1e9:.1f} s "
                    f"(limit {INFERENCE_LIMIT_NS / 1e9:.0f} s)",
                    "is the machine overloaded? `--threads` gives the model more cores",
                )
            now = parts.policy.status
            found |= now.reached or now.detection is not None
            self._live.show(self._line(status, seen), now_ns)
            if now.reached and not parts.robot.recorded:
                target = parts.goal.target
                reason = f"{now.state}: {target}" if target else now.state
                return Outcome("reached", reason, 0, answer=now.answer)
            if now_ns >= end_ns:
                return Outcome("timeout", f"not reached within {max_seconds:g} s", 3, answer=now.answer)

    def _played(self, end: EndOfFrames, found: bool) -> Outcome:
        """How a run on pictures ends: to have found the target in them is all that can be asked for."""
        now, moves = self._parts.policy.status, self._moves
        missed = "" if found else "; the target was not seen" if moves else "; the model had not answered yet"
        return Outcome("stopped", f"{end.message}{missed}", 0 if found else 3, answer=now.answer)

    def _await_first_frame(self) -> None:
        """Frames must be fresh before anything is armed."""
        deadline_ns = self._parts.clock.now_ns() + round(FIRST_FRAME_S * 1e9)
        while True:
            try:
                self._parts.camera.latest(MAX_FRAME_AGE_S)
                return
            except StaleFrame:
                if self._parts.clock.now_ns() > deadline_ns:
                    raise
            self._watch()
            time.sleep(POLL_S)

    def _arm(self) -> None:
        self._parts.motor.arm()
        deadline_ns = self._parts.clock.now_ns() + round(ARM_LIMIT_S * 1e9)
        while (status := self._watch()).state is not MotorState.HOLDING:
            if self._parts.clock.now_ns() > deadline_ns:
                why = status.reason or f"not armed within {ARM_LIMIT_S:g} s"
                raise MotorFault(f"the base did not arm: {why}", "is its emergency stop released?")
            time.sleep(POLL_S)
        self._armed = True

    def _next_frame(self) -> Frame:
        """The next frame that was not seen yet. Raises StaleFrame when none comes in time."""
        while (frame := self._parts.camera.latest(MAX_FRAME_AGE_S)).seq == self._seq:
            self._watch()
            time.sleep(POLL_S)
        self._seq = frame.seq
        return frame

    def _watch(self) -> MotorStatus:
        """The newest report of the motor process. Raises when somebody or something wants the run to end."""
        self._interrupts.check()
        self._parts.robot.check()
        status = self._parts.motor.status()
        self._tally.on_status(status)
        if self._armed and status.state in (MotorState.RAMPING, MotorState.LATCHED):
            raise SafetyStop(f"the motor process stopped: {status.reason}", self._stop_hint(status))
        return status

    def _stop_hint(self, status: MotorStatus) -> str:
        """What a person can do about a stop by the motor process."""
        if status.cause is not StopCause.STALE_PLAN:
            return "mend that, then run it again"
        if status.stamp_ns - self._plan_ns > MAX_FRAME_AGE_S * 1e9:  # none on the way to it either
            return (
                "the model answers too late: close what else uses this machine, give it `--threads 2`, or "
                "take a faster bundle; `vla-edge bench latency BUNDLE` measures it"
            )
        return (
            "run it again; if that repeats, take another bundle: this one's plans don't fit together in time"
        )

    def _stand(self, reason: str) -> None:
        """Brake to zero, latch, and wait until the base stands. Raises MotorFault when nobody can tell."""
        was_armed, self._armed = self._armed, False
        motor, clock = self._parts.motor, self._parts.clock
        motor.stop(reason[:MAX_REASON_CHARS])
        deadline_ns = clock.now_ns() + round(STAND_LIMIT_S * 1e9)
        while (status := motor.status()).state is not MotorState.LATCHED and clock.now_ns() < deadline_ns:
            self._tally.on_status(status)
            time.sleep(POLL_S)
        if was_armed:
            time.sleep(SETTLE_S)

    def _line(self, status: MotorStatus, inference: Inference | None) -> str:
        now, tally, sent = self._parts.policy.status, self._tally, status.sent
        speed_m_s = math.hypot(sent.linear_x_m_s, sent.linear_y_m_s)
        seen = f" {inference.confidence:.2f}" if inference is not None else ""
        words = [
            f"{tally.seconds:5.1f} s",
            f"{now.state:<8} {self._parts.goal.target}{seen}",
            f"{speed_m_s:.2f} m/s {sent.angular_z_rad_s:+.2f} rad/s",
        ]
        if inference is not None:
            words.append(f"model {sum(inference.stages_ms.values()):.0f} ms")
        if tally.frame_to_motor_ms >= 0:
            words.append(f"motor {tally.frame_to_motor_ms:.0f} ms")
        return "  ".join(words)
