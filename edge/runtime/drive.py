"""The real-time loop of a drive: frames to the policy, chunks to the motors, until there is an outcome."""

import contextlib
import logging
import time
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from edge.cameras.open import EndOfFrames
from edge.clock import Clock
from edge.errors import CameraAway, MotorFault, PluginError, SafetyStop, StaleFrame
from edge.goals.goals import GOALS
from edge.interfaces import DriveObserver, LooksRound, Policy
from edge.motor.client import MotorProcess
from edge.motor.guard import ARMED
from edge.records import DriveEnd, Frame, Goal, MotorState, MotorStatus, Odometry, Outcome, StopCause
from edge.runtime.cameras import CameraSet
from edge.runtime.causes.witness import Witness
from edge.runtime.ending import (
    ChunkCount,
    DriveStop,
    Played,
    ending_at_limit,
    ending_by_policy,
    ending_of,
    model_silent,
    stop_hint,
)
from edge.runtime.heat import HeatWatch
from edge.runtime.loop import Contacts, Loop, Sent, Step, Worker
from edge.runtime.observers import Observers
from edge.runtime.operator import Operator
from edge.runtime.robot import Robot
from edge.runtime.signals import Interrupts
from edge.runtime.start.loading import Loading, first_observation
from edge.runtime.watched.camera import POLL_S

MAX_FRAME_AGE_S = 0.25  # an older frame of a camera is refused
FIRST_FRAME_S = 5.0
INFERENCE_LIMIT_NS = 2_000_000_000
ARM_LIMIT_S = 3.0
MAX_REASON_CHARS = 200
STAND_LIMIT_S = 1.5  # braking takes 0.25 s
_STEADY = "`--log-level debug` writes into run.log what is wrong with them"
SETTLE_S = 0.3  # between a setpoint of zero and a base that stands

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class DriveParts:
    """All that is up and running when a drive begins."""

    goal: Goal
    policy: Policy
    worker: Worker
    cameras: CameraSet
    motor: MotorProcess
    robot: Robot
    clock: Clock
    interrupts: Interrupts
    operator: Operator
    heat: HeatWatch | None = None  # None: the heat of the machine is not watched
    witness: Witness | None = None  # None: nobody tells what was late
    loading: Loading = field(default_factory=Loading)


class Drive:
    """One drive. Goals without motion never arm the motors, nor do pictures that are shown one by one.

    A policy that looks round for such a goal arms them, to turn in place.

    `observers` follow it from threads of their own and can neither delay nor end it. `inline` observers are
    parts of the run itself and called at once: see `edge.runtime.observers`.
    """

    def __init__(
        self, parts: DriveParts, inline: Sequence[DriveObserver] = (), observers: Sequence[DriveObserver] = ()
    ) -> None:
        self.observers_ended = True
        self._parts = parts
        self._observers = Observers([parts.witness, *inline] if parts.witness else inline, observers)
        # Cameras that wait for answers show no real time, so nothing that comes late could stop a base.
        looks_round = isinstance(parts.policy, LooksRound) and parts.policy.looks_round
        needs_motion = GOALS[parts.goal.kind].moves or (looks_round and not parts.robot.recorded)
        self._moves = needs_motion and not parts.cameras.await_answers
        self._loop = Loop(
            parts.policy, parts.worker, parts.goal, parts.cameras.pacing, parts.cameras.await_answers
        )
        self._armed = False
        self._answered_ns = 0
        self._status: MotorStatus | None = None  # the newest report of the motor process
        self._odometry: Odometry | None = None  # the newest
        self._sent = Sent()
        self._contacts = Contacts(parts.policy, parts.cameras)
        self._chunks = ChunkCount()
        self._start_ns: int | None = None
        self._seconds = 0.0  # from the start to the end, without braking

    def run(self, max_seconds: float) -> DriveEnd:
        """Warm up, arm, drive, and stand again, whatever happens.

        Raises what ended it early, once the base brakes. Either way the observers learn last how it ended.
        """
        end = DriveEnd(Outcome.FAULT, "a bug", 1)
        try:
            end = self._drive_and_stand(max_seconds)
        except BaseException as error:
            end = ending_of(error)
            raise
        finally:
            end = replace(end, seconds=self._seconds)
            self.observers_ended = self._observers.on_end(end)
        return end

    def _drive_and_stand(self, max_seconds: float) -> DriveEnd:
        try:
            self._warm_up()
            self._await_first_frames()
            if self._moves:
                self._arm()
            end = self._drive(max_seconds)
            self._seconds = self._elapsed_s()
        except BaseException as error:
            self._seconds = self._elapsed_s()
            if (witness := self._parts.witness) is not None:
                witness.stopped(self._answered_ns if self._parts.worker.busy else 0)
            with contextlib.suppress(MotorFault, PluginError):  # gone: the firmware stops the base
                self._stand(str(error) or type(error).__name__)
            if witness is not None and (named := witness.name(error, self._parts.cameras.all)) is not None:
                raise named from error
            raise
        self._stand(end.reason)
        return end

    def _warm_up(self) -> None:
        """Run one inference on black images, so that nothing is armed before the model is fast."""
        parts = self._parts
        cameras = parts.cameras
        observation = first_observation(parts.goal, cameras.names, cameras.pacing, parts.clock.now_ns())
        parts.loading.first_answer(parts.worker, observation, self._watch)
        parts.policy.reset(parts.goal)  # a policy with a memory must not remember the black images

    def _drive(self, max_seconds: float) -> DriveEnd:
        parts, observers = self._parts, self._observers
        self._start_ns = self._answered_ns = parts.clock.now_ns()
        observers.on_start(self._start_ns)
        end_ns = self._start_ns + round(max_seconds * 1e9)
        played = Played(parts.goal)
        while True:
            try:
                frames = self._next_frames(end_ns)
            except EndOfFrames as end:
                return played.end(Outcome.STOPPED, end.message, StopCause.END_OF_FRAMES)
            status = self._watch()
            step = self._loop.on_frame(frames, status.odometry)
            observers.on_step(step.observation, step.inference, step.chunk, parts.cameras.doubt)
            step = self._cooled(step)
            policy = parts.policy.status
            chunk = self._sent.choose(step, parts.cameras.doubt, policy.reached, self._contacts.touched)
            if self._armed and (held := self._contacts.seen()):
                parts.motor.touch(held)
            if chunk is not None and self._moves:
                parts.motor.send(chunk)
                self._chunks.sent += 1
            now_ns = parts.clock.now_ns()
            observers.on_frame(step.observation, policy)
            if step.inference is not None:
                self._answered_ns = now_ns
                observers.on_inference(step.inference)
            elif not parts.worker.busy:  # the policy waits for a frame to infer
                self._answered_ns = now_ns
            elif self._moves and now_ns - self._answered_ns > INFERENCE_LIMIT_NS:
                raise model_silent(now_ns - self._answered_ns, INFERENCE_LIMIT_NS)
            if chunk is not None:
                observers.on_chunk(chunk)
            played.update(policy, step.inference)
            if step.inference is not None:
                parts.cameras.answered()
            # A goal without motion has nothing that a last look could show.
            sure = parts.cameras.may_arrive if self._moves and policy.reached else not parts.cameras.suspect
            ends = not parts.robot.recorded and sure
            if ends and (end := ending_by_policy(parts.goal, policy)) is not None:
                return end
            if now_ns >= end_ns and parts.robot.recorded:
                return played.end(Outcome.TIMEOUT, f"watched for {max_seconds:g} s")
            if now_ns >= end_ns:
                self._chunks.check()
                return ending_at_limit(policy, max_seconds)

    def _cooled(self, step: Step) -> Step:
        """Return the step as the heat of the machine allows it: slower, or as it is."""
        if self._parts.heat is None or step.chunk is None:
            return step
        return replace(step, chunk=self._parts.heat.slowed(step.chunk))

    def _elapsed_s(self) -> float:
        return 0.0 if self._start_ns is None else (self._parts.clock.now_ns() - self._start_ns) / 1e9

    def _await_first_frames(self) -> None:
        """Wait until the frames of every camera are fresh and steady: only then may anything be armed."""
        deadline_ns = self._parts.clock.now_ns() + round(FIRST_FRAME_S * 1e9)
        while True:
            late = self._parts.clock.now_ns() > deadline_ns
            try:
                if self._parts.cameras.check(self._odometry):
                    return
                if late:
                    raise StaleFrame(f"no steady frames of all cameras within {FIRST_FRAME_S:g} s", _STEADY)
            except SafetyStop:  # many cameras begin with dark frames, or none
                if late:
                    raise
            self._watch()
            time.sleep(POLL_S)

    def _arm(self) -> None:
        self._parts.motor.arm()
        deadline_ns = self._parts.clock.now_ns() + round(ARM_LIMIT_S * 1e9)
        # It follows already if a person drives it by hand.
        while (status := self._watch()).state not in ARMED:
            if self._parts.clock.now_ns() > deadline_ns:
                why = status.reason.removeprefix("not armed: ") or f"not armed within {ARM_LIMIT_S:g} s"
                hint = "do what the reason says; if it names none: is its emergency stop released?"
                raise MotorFault(f"the base did not arm: {why}", hint)
            time.sleep(POLL_S)
        self._armed = True

    def _next_frames(self, end_ns: int) -> dict[str, Frame]:
        """Wait for the next frame set. Raises StaleFrame when none comes in time.

        While a camera is away the base holds and the drive waits, at most until `end_ns`.
        """
        held = False
        while True:
            try:
                frames = self._parts.cameras.next(self._odometry)
            except CameraAway as away:
                if self._parts.clock.now_ns() >= end_ns:
                    raise
                if not held:
                    self._hold(away)
                held, frames = True, None
            if frames is not None:
                if held:
                    self._answered_ns = self._parts.clock.now_ns()  # nobody asked the model meanwhile
                    log.warning("frames are back")
                return frames
            self._watch()
            self._observers.on_wait()
            self._parts.cameras.wait()

    def _hold(self, away: CameraAway) -> None:
        log.warning("holding: %s", away.message)
        if self._armed:
            self._parts.motor.hold(away.message[:MAX_REASON_CHARS])

    def _watch(self) -> MotorStatus:
        """Return the newest report of the motor process. Raises whatever must end the drive."""
        self._parts.interrupts.check()
        self._parts.operator.check()
        self._parts.robot.check()
        if self._parts.heat is not None:
            self._parts.heat.check()
        status = self._parts.motor.status()
        if status is not self._status:
            self._status, self._odometry = status, status.odometry
            self._parts.cameras.base.take(status)
            self._chunks.update(status)
            self._observers.on_status(status)
        if status.cause in (StopCause.OPERATOR, StopCause.OPERATOR_LOST):  # also before anything is armed
            raise DriveStop(status.cause, status.reason)
        if self._armed and status.state in (MotorState.RAMPING, MotorState.LATCHED):
            reason = f"the motor process stopped: {status.reason}"
            raise DriveStop(status.cause, reason, stop_hint(status.cause, self._parts.robot.recorded))
        if self._armed:
            self._contacts.update(status)
        return status

    def _stand(self, reason: str) -> None:
        """Brake to zero, latch, and wait until the base stands. Raises what `MotorProcess.status` raises."""
        was_armed, self._armed = self._armed, False
        motor, clock = self._parts.motor, self._parts.clock
        motor.stop(reason[:MAX_REASON_CHARS])
        deadline_ns = clock.now_ns() + round(STAND_LIMIT_S * 1e9)
        while True:
            status = motor.status()
            self._observers.on_status(status)
            if status.state is MotorState.LATCHED or clock.now_ns() >= deadline_ns:
                break
            time.sleep(POLL_S)
        if was_armed:
            time.sleep(SETTLE_S)
