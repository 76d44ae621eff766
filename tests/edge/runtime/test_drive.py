"""A drive without a model: how it ends, and that no observer delays or ends it."""

import time
from dataclasses import replace

import numpy as np
import pytest

from edge.clock import MonotonicClock
from edge.interfaces import Inference, PolicyStatus
from edge.model.boxes import BoxReader
from edge.motor.client import MotorProcess
from edge.records import (
    ActionChunk,
    DriveEnd,
    Frame,
    Goal,
    MotorState,
    MotorStatus,
    Observation,
    Outcome,
    StopCause,
    Velocity,
)
from edge.runs.tally import Tally
from edge.runtime import drive as drive_module
from edge.runtime.cameras import CameraSet
from edge.runtime.drive import Drive, DriveParts
from edge.runtime.ending import DriveStop
from edge.runtime.loop import ThreadWorker
from edge.runtime.operator import Operator
from edge.runtime.robot import PlainRobot
from edge.runtime.signals import Interrupts
from tests.edge.runtime.test_observers import Notes
from tests.sensor import sensed

GOAL = Goal("find_object", "red cup")
PERIOD_NS = 33_333_333


class Camera:
    """30 frames a second."""

    name = "front"

    def latest(self, max_age_s: float) -> Frame:
        seq = time.monotonic_ns() // PERIOD_NS
        return Frame(sensed(seq), seq * PERIOD_NS, seq)

    def close(self) -> None: ...


class Turning:
    """Turns at each frame, and answers after `answer_s`."""

    def __init__(self, answer_s: float = 0.01) -> None:
        self.status = PolicyStatus("search")
        self._answer_s = answer_s
        self._decision = 0

    def reset(self, goal: Goal) -> None: ...

    def infer(self, observation: Observation) -> Inference:
        time.sleep(self._answer_s)
        return Inference(observation.frame, "none", 0.9, {"vision": 1.0})

    def act(self, observation: Observation, inference: Inference | None) -> ActionChunk:
        self._decision += 1
        now_ns = observation.frame.stamp_ns
        rows = np.tile(np.array((0.0, 0.0, 0.5), np.float32), (5, 1))
        return ActionChunk(rows, 0.1, now_ns, now_ns + 500_000_000, 0.9, self._decision)


class FakeMotor:
    """A motor process that arms at once, and stops by itself after `reports` reports."""

    def __init__(self, stop: MotorStatus, reports: int) -> None:
        self._stop, self._left, self.armed, self.reason = stop, reports, False, ""
        self.sent = 0

    def arm(self) -> None:
        self.armed = True

    def send(self, chunk: ActionChunk) -> None:
        self.sent += 1

    def stop(self, reason: str, cause: StopCause = StopCause.REQUESTED) -> None:
        self.reason = reason

    def status(self) -> MotorStatus:
        self._left -= self.armed
        state = MotorState.HOLDING if self.armed else MotorState.DISARMED
        status = self._stop if self._left < 0 or self.reason else MotorStatus(0, state, Velocity())
        return replace(status, stamp_ns=time.monotonic_ns())


class Robot(PlainRobot):
    recorded = False


def parts(motor, policy: Turning, worker: ThreadWorker, kind: type[PlainRobot] = Robot) -> DriveParts:
    robot = kind({"front": "fake://"}, "null://")
    cameras = CameraSet({"front": Camera()}, "front", 0.25)
    return DriveParts(
        GOAL, policy, worker, cameras, motor, robot, MonotonicClock(), Interrupts(), Operator(motor.stop)
    )


@pytest.mark.parametrize(
    ("cause", "reason", "hint"),
    [
        (StopCause.STALE_CHUNK, "newest frame is 300 ms old (limit 250 ms)", "close what else uses this"),
        (StopCause.JUMPING_CHUNK, "newest frame is 300 ms old (limit 250 ms)", "take another bundle"),
        (StopCause.STALE_ODOMETRY, "newest odometry is 1200 ms old (limit 1000 ms)", "mend that"),
        (StopCause.BASE_FAULT, "the motor driver is 80 ms old", "mend that"),
    ],
)
def test_the_hint_follows_the_cause_of_a_stop_and_not_its_words(cause: StopCause, reason: str, hint: str):
    stop = MotorStatus(0, MotorState.LATCHED, Velocity(), reason, cause)
    motor, policy, notes = FakeMotor(stop, 20), Turning(), Notes()
    with (
        ThreadWorker(policy) as worker,
        pytest.raises(DriveStop, match="the motor process stopped") as caught,
    ):
        Drive(parts(motor, policy, worker), [notes]).run(30.0)
    assert caught.value.cause is cause and hint in caught.value.hint and reason in caught.value.message
    assert notes.events[-1] == "fault" and motor.reason == caught.value.message


def test_a_recording_that_is_too_fast_for_the_model_can_be_shown_image_by_image():
    stop = MotorStatus(0, MotorState.LATCHED, Velocity(), "newest frame is 300 ms old", StopCause.STALE_CHUNK)
    policy = Turning()
    with ThreadWorker(policy) as worker, pytest.raises(DriveStop) as caught:
        Drive(parts(FakeMotor(stop, 20), policy, worker, PlainRobot)).run(30.0)
    assert "?every=10" in caught.value.hint


class LookingRound(Turning):
    """Has looked round after 5 frames."""

    def __init__(self, looks_round: bool) -> None:
        super().__init__()
        self.looks_round = looks_round

    def act(self, observation: Observation, inference: Inference | None) -> ActionChunk:
        chunk = super().act(observation, inference)
        self.status = PolicyStatus("said", reached=self._decision >= 5, answer="a cup")
        return chunk


@pytest.mark.parametrize("looks_round", [True, False])
@pytest.mark.parametrize("recorded", [True, False])
def test_only_who_looks_round_arms_the_base_for_a_goal_without_motion(looks_round: bool, recorded: bool):
    motor, policy = (
        FakeMotor(MotorStatus(0, MotorState.LATCHED, Velocity()), 10_000),
        LookingRound(looks_round),
    )
    with ThreadWorker(policy) as worker:
        made = replace(parts(motor, policy, worker), goal=Goal("describe_scene"))
        if recorded:
            made = replace(made, robot=PlainRobot({"front": "fake://"}, "null://"))
        end = Drive(made).run(0.6)
    assert motor.armed == (looks_round and not recorded) == bool(motor.sent)
    assert end.answer == "a cup" and end.exit_code == 0
    assert end.outcome is (Outcome.TIMEOUT if recorded else Outcome.REACHED)


class Sleeper(Notes):
    """Takes 0.2 s for each event."""

    def on_frame(self, observation: Observation, policy: PolicyStatus) -> None:
        time.sleep(0.2)

    def on_status(self, status: MotorStatus) -> None:
        time.sleep(0.2)


class Raiser(Notes):
    def on_status(self, status: MotorStatus) -> None:
        raise OSError("no space left on device")


class Punctual(Notes):
    """Measures how late the loop is done with each frame."""

    def __init__(self) -> None:
        super().__init__()
        self.late_ms: list[float] = []
        self.end: DriveEnd | None = None

    def on_frame(self, observation: Observation, policy: PolicyStatus) -> None:
        self.late_ms.append((time.monotonic_ns() - observation.frame.stamp_ns) / 1e6)

    def on_end(self, end: DriveEnd) -> None:
        self.end = end


@pytest.mark.realtime
def test_observers_that_sleep_or_raise_neither_delay_nor_end_a_drive():
    policy, inline = Turning(), Punctual()
    tally = Tally(BoxReader("paligemma"), GOAL, "detect red cup")
    with MotorProcess.start("null://") as motor, ThreadWorker(policy) as worker:
        drive = Drive(parts(motor, policy, worker), [inline, tally], [Sleeper(), Raiser()])
        end = drive.run(3.0)
    assert (end.outcome, end.exit_code, end.cause) == (Outcome.TIMEOUT, 3, StopCause.NONE)
    assert inline.end is not None and inline.end.seconds == pytest.approx(3.0, abs=0.2)
    assert drive.observers_ended is False  # the one that sleeps is left behind after 2 s, with 25 s to go
    assert len(inline.late_ms) >= 80 and np.percentile(inline.late_ms, 95) < 30
    figures = tally.figures()
    assert figures.frame_to_motor_ms.p50 is not None and figures.frame_to_motor_ms.p50 < 50
    assert figures.ticks > 100 and figures.missed_ticks < 0.1 * figures.ticks
    assert figures.decisions >= 80 and figures.refused_chunks.old == 0


@pytest.mark.parametrize("cause", [StopCause.OPERATOR, StopCause.OPERATOR_LOST])
def test_a_stop_by_the_operator_at_the_motors_ends_a_drive_that_is_not_armed(cause: StopCause):
    """Fault 53: a button pressed while the model loads must not be forgotten."""
    stop = MotorStatus(0, MotorState.LATCHED, Velocity(), "stopped by the operator (gamepad)", cause)
    motor, policy = FakeMotor(stop, 20), Turning()
    motor.reason = "pressed"
    with ThreadWorker(policy) as worker, pytest.raises(DriveStop) as caught:
        Drive(parts(motor, policy, worker)).run(30.0)
    assert (caught.value.cause, caught.value.message) == (cause, "stopped by the operator (gamepad)")
    assert not motor.armed and not motor.sent


def test_a_drive_ends_by_the_operator_before_it_is_armed():
    motor, policy = FakeMotor(MotorStatus(0, MotorState.LATCHED, Velocity()), 10_000), Turning()
    with ThreadWorker(policy) as worker:
        made = parts(motor, policy, worker)
        made.operator.stop("space")
        with pytest.raises(DriveStop, match=r"stopped by the operator \(space\)") as caught:
            Drive(made).run(30.0)
    assert caught.value.cause is StopCause.OPERATOR and not motor.armed


class Outdated(Turning):
    """Plans about frames of 300 ms ago, as a model does that takes so long."""

    def act(self, observation: Observation, inference: Inference | None) -> ActionChunk:
        chunk = super().act(observation, inference)
        return replace(chunk, t0_ns=chunk.t0_ns - 300_000_000)


def test_a_drive_in_which_no_chunk_was_followed_is_a_fault_and_not_a_timeout():
    """Field case 34, with a real motor process."""
    policy, notes = Outdated(), Notes()
    with (
        MotorProcess.start("null://") as motor,
        ThreadWorker(policy) as worker,
        pytest.raises(DriveStop, match=r"none of \d+ chunks was followed: \d+ too late") as caught,
    ):
        Drive(parts(motor, policy, worker), [notes]).run(0.6)
    assert caught.value.exit_code == 4 and notes.events[-1] == "fault"


class Picky(Turning):
    """Wants no frame but the first, and drives on."""

    def wants(self, observation: Observation, inference: Inference | None) -> bool:
        return not self._decision


def test_ages_and_waits_are_those_of_the_page_about_safety():
    """A frame, a model's answer, and the first good frames of all cameras."""
    waits = (drive_module.MAX_FRAME_AGE_S, drive_module.INFERENCE_LIMIT_NS, drive_module.FIRST_FRAME_S)
    assert waits == (0.25, 2_000_000_000, 5.0)


def test_a_policy_that_waits_for_a_frame_is_no_silent_model(monkeypatch: pytest.MonkeyPatch):
    """Between two looks of stop-look-move nobody asks the model."""
    monkeypatch.setattr(drive_module, "INFERENCE_LIMIT_NS", 300_000_000)
    motor, policy = FakeMotor(MotorStatus(0, MotorState.LATCHED, Velocity()), 10_000), Picky()
    with ThreadWorker(policy) as worker:
        assert Drive(parts(motor, policy, worker)).run(1.0).outcome is Outcome.TIMEOUT
