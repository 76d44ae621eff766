"""Faults of a camera in a drive: which error they become, what the base does, who is blamed."""

import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from edge.clock import MonotonicClock, VirtualClock
from edge.errors import CameraAway, HardwareMissing, SafetyStop, StaleFrame, UsageError
from edge.interfaces import Inference, PolicyStatus
from edge.motor.client import MotorProcess
from edge.records import ActionChunk, Frame, Goal, MotorState, MotorStatus, Observation, StopCause
from edge.runtime.cameras import CameraSet, chosen_camera
from edge.runtime.drive import Drive, DriveParts
from edge.runtime.ending import DriveStop
from edge.runtime.loop import ThreadWorker
from edge.runtime.operator import Operator
from edge.runtime.robot import PlainRobot
from edge.runtime.signals import Interrupts
from tests.edge.runtime.test_drive import Turning
from tests.edge.runtime.test_observers import Notes
from tests.sensor import sensed

GOAL = Goal("find_object", "red cup")
MS = 1_000_000
START_NS = 60_000 * MS


class Scripted:
    """A camera of a package: `make` gives its frame by number, in place of a healthy one."""

    name = "front"

    def __init__(self, clock: Any, make: Callable[[Frame], Any] = lambda frame: frame, period_ms: int = 33):
        self._clock, self._make, self._period_ns = clock, make, period_ms * MS

    def latest(self, max_age_s: float) -> Frame:
        now_ns = self._clock.now_ns()
        seq = now_ns // self._period_ns
        frame = self._make(Frame(sensed(seq), seq * self._period_ns, seq))
        if isinstance(frame, Frame) and now_ns - frame.stamp_ns > max_age_s * 1e9:
            raise StaleFrame(f"camera 'front': {(now_ns - frame.stamp_ns) / 1e6:.0f} ms old", "its own hint")
        return frame

    def close(self) -> None: ...


def run(camera: Scripted, clock: VirtualClock, seconds: float, name: str = "front") -> list[Frame]:
    """The frames of so many seconds, polled every 5 ms."""
    cameras, frames = CameraSet({name: camera}, name, 0.25, clock), []
    for _ in range(round(seconds * 200)):
        if (found := cameras.next()) is not None:
            frames.append(found[name])
        clock.advance(5 * MS)
    return frames


def test_a_fault_becomes_a_stop_with_its_cause_and_the_robots_name_for_the_camera():
    clock = VirtualClock(START_NS)
    frozen = Scripted(clock, lambda frame: replace(frame, image=sensed(1)))
    with pytest.raises(DriveStop, match="camera 'wrist' repeats its picture") as caught:
        run(frozen, clock, 2, "wrist")
    assert (caught.value.cause, caught.value.exit_code) == (StopCause.CAMERA_REPEATS, 4)


def test_a_recording_may_repeat_and_be_black():
    clock = VirtualClock(START_NS)
    black = Scripted(clock, lambda frame: replace(frame, image=np.zeros((24, 32, 3), np.uint8)))
    black.plays_recording = True
    assert len(run(black, clock, 2)) > 55


def test_what_arrives_too_slowly_is_told_by_its_rate_and_not_by_an_age():
    """Field case 15."""
    clock = VirtualClock(START_NS)
    cameras = CameraSet({"front": Scripted(clock, period_ms=400)}, "front", 0.25, clock)
    errors: list[SafetyStop] = []
    for _ in range(400):
        try:
            assert not cameras.check(), "it is never ready"
        except SafetyStop as error:
            errors.append(error)
        clock.advance(5 * MS)
    stop = next(error for error in errors if isinstance(error, DriveStop))
    assert stop.cause is StopCause.CAMERA_SLOW and "2.5 frames a second" in stop.message
    assert isinstance(errors[0], StaleFrame) and errors[0].hint == "its own hint"


class Slow(Scripted):
    """A camera that is away between two of its frames, as one of GStreamer is, and knows its modes."""

    def latest(self, max_age_s: float) -> Frame:
        try:
            return super().latest(min(max_age_s, 0.2))
        except StaleFrame as error:
            raise CameraAway("camera 'front' is away") from error

    def faster(self, rate_hz: float) -> str:
        return f"{rate_hz:.1f}: take own://0?mode=fast"


def test_a_slow_camera_is_called_slow_at_every_look_also_while_it_is_away():
    """Field case 15."""
    clock = VirtualClock(START_NS)
    cameras = CameraSet({"front": Slow(clock, period_ms=400)}, "front", 0.25, clock)
    causes: list[StopCause] = []
    for _ in range(600):
        try:
            cameras.check()
        except DriveStop as stop:
            causes.append(stop.cause)
            assert stop.hint == "2.5: take own://0?mode=fast"
        except SafetyStop:
            causes.append(StopCause.STALE_FRAME)
        clock.advance(5 * MS)
    known = causes.index(StopCause.CAMERA_SLOW)
    assert known < 300 and set(causes[known:]) == {StopCause.CAMERA_SLOW}


@pytest.mark.parametrize("lead_ms", [100, 18_000, -18_000])
def test_stamps_of_another_clock_never_get_as_far_as_arming(lead_ms: int):
    """Field case 2."""
    clock = VirtualClock(START_NS)
    camera = Scripted(clock, lambda frame: replace(frame, stamp_ns=frame.stamp_ns + lead_ms * MS))
    cameras = CameraSet({"front": camera}, "front", 0.25, clock)
    causes: list[StopCause] = []
    for _ in range(100):
        try:
            assert not cameras.check()
        except SafetyStop as error:
            causes.append(error.cause if isinstance(error, DriveStop) else StopCause.STALE_FRAME)
        clock.advance(5 * MS)
    assert causes[-1] is StopCause.CAMERA_CLOCK, "at every look, until there is another frame"
    assert causes.count(StopCause.CAMERA_CLOCK) > 80


def test_frames_with_odd_stamps_are_left_out_and_counted_by_camera():
    """Field case 3."""
    clock = VirtualClock(START_NS)
    camera = Scripted(
        clock,
        lambda frame: replace(frame, stamp_ns=frame.stamp_ns - (210 * MS if frame.seq % 10 == 0 else 0)),
    )
    cameras, stamps_ns = CameraSet({"front": camera}, "front", 0.25, clock), []
    for _ in range(600):
        if (frames := cameras.next()) is not None:
            stamps_ns.append(frames["front"].stamp_ns)
        clock.advance(5 * MS)
    assert all(np.diff(stamps_ns) > 0) and 80 < len(stamps_ns) < 86
    assert cameras.dropped == {"front": 9}


def test_a_camera_that_only_gives_odd_stamps_from_now_on_is_told_by_them():
    clock = VirtualClock(START_NS)
    late_ns = START_NS + 2_000 * MS
    camera = Scripted(
        clock,
        lambda frame: frame if frame.stamp_ns < late_ns else replace(frame, stamp_ns=late_ns - 100 * MS),
        period_ms=120,
    )
    with pytest.raises(DriveStop, match="stamps go backwards") as caught:
        run(camera, clock, 4)
    assert caught.value.cause is StopCause.CAMERA_BACKWARDS


class Bgr(Scripted):
    channels = "BGR"


def test_channels_that_a_camera_declares_are_put_right_and_never_guessed():
    """Field case 18."""
    clock = VirtualClock(START_NS)
    frame = run(Bgr(clock), clock, 0.1)[0]
    assert (frame.image == sensed(frame.seq)[:, :, ::-1]).all() and frame.image.flags.c_contiguous
    assert (run(Scripted(clock), clock, 0.1)[0].image == sensed(START_NS // (33 * MS) + 3)).any()
    odd = Scripted(clock)
    odd.channels = "YUV"
    with pytest.raises(HardwareMissing, match="channels 'YUV' are none of RGB, BGR"):
        run(odd, clock, 0.1)


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda frame: None, "delivered NoneType, not an edge.records.Frame"),
        (lambda frame: frame.image, "delivered ndarray"),
        (lambda frame: replace(frame, image=None), "image is NoneType, not a numpy array"),
        (lambda frame: replace(frame, image=frame.image[:, :, 0]), r"uint8\(24, 32\), not uint8 \(height"),
        (lambda frame: replace(frame, image=frame.image / 255), "image is float64"),
        (lambda frame: replace(frame, image=np.zeros((4, 4, 4), np.uint8)), r"uint8\(4, 4, 4\)"),
        (lambda frame: replace(frame, image=frame.image[:0]), r"uint8\(0, 32, 3\)"),
        (lambda frame: replace(frame, stamp_ns=1.5), r"stamp_ns is 1.5 \(float\)"),
        (lambda frame: replace(frame, stamp_ns=-1), "stamp_ns is -1"),
        (lambda frame: replace(frame, seq=None), r"seq is None \(NoneType\)"),
        (lambda frame: replace(frame, seq=10**6 - frame.seq), "seq went back from"),
        (lambda frame: replace(frame, seq=0), "seq stays 0 while its stamps go on"),
    ],
)
def test_what_is_no_frame_is_the_cameras_own_error(make: Callable[[Frame], Any], said: str):
    clock = VirtualClock(START_NS)
    with pytest.raises(HardwareMissing, match=f"camera 'front' .Scripted.: .*{said}") as caught:
        run(Scripted(clock, make), clock, 0.5)
    assert caught.value.exit_code == 5 and "adding-a-camera" in caught.value.hint


def test_images_that_lie_askew_in_memory_are_copied():
    clock = VirtualClock(START_NS)
    frames = run(Scripted(clock, lambda frame: replace(frame, image=frame.image[::-1])), clock, 0.2)
    assert all(frame.image.flags.c_contiguous for frame in frames)
    assert (frames[0].image == sensed(frames[0].seq)[::-1]).all()


def failing(frame: Frame) -> Frame:
    if frame.seq * 33 * MS > START_NS + 200 * MS:
        raise ValueError("select() timed out")
    return frame


def test_what_a_packages_camera_raises_names_the_camera_and_not_vla_edge():
    clock = VirtualClock(START_NS)
    with pytest.raises(HardwareMissing) as caught:
        run(Scripted(clock, failing), clock, 1)
    assert "camera 'front' (tests.edge.runtime.test_camera_faults.Scripted) fails" in caught.value.message
    assert "ValueError: select() timed out" in caught.value.message and "'tests'" in caught.value.hint


def test_a_camera_is_chosen_before_any_model_is_loaded():
    assert chosen_camera(["left"]) == "left" and chosen_camera(["wrist", "front"]) == "front"
    assert chosen_camera(["wrist", "front"], "wrist") == "wrist"
    with pytest.raises(UsageError, match="'wrist', the robot has front"):
        chosen_camera(["front"], "wrist")


class Claiming(Turning):
    """Turns, and claims its goal once it has seen something black."""

    def infer(self, observation: Observation) -> Inference:
        return Inference(observation.frame, "none", 0.9, {})

    def act(self, observation: Observation, inference: Inference | None) -> ActionChunk:
        black = observation.frame.image.max() < 9
        self.status = PolicyStatus("arrived" if black else "search", reached=bool(black))
        return super().act(observation, inference)


class Heard(Notes):
    """Keeps chunks and reports."""

    def __init__(self) -> None:
        super().__init__()
        self.turns: list[float] = []
        self.reports: list[MotorStatus] = []

    def on_chunk(self, chunk: ActionChunk) -> None:
        self.turns.append(float(chunk.values[0, 2]))

    def on_status(self, status: MotorStatus) -> None:
        self.reports.append(status)


class Robot(PlainRobot):
    recorded = False


@pytest.mark.realtime
def test_a_camera_that_goes_black_holds_the_base_then_stops_the_drive_and_no_claim_counts():
    """Field case 17."""
    clock, policy, heard = MonotonicClock(), Claiming(), Heard()
    dark_ns = time.monotonic_ns() + 1_500 * MS
    camera = Scripted(
        clock, lambda frame: frame if frame.stamp_ns < dark_ns else replace(frame, image=frame.image // 64)
    )
    cameras = CameraSet({"front": camera}, "front", 0.25)
    with MotorProcess.start("null://") as motor, ThreadWorker(policy) as worker:
        robot = Robot({"front": "scripted://"}, "null://")
        parts = DriveParts(
            GOAL, policy, worker, cameras, motor, robot, clock, Interrupts(), Operator(motor.stop)
        )
        drive = Drive(parts, [heard])
        policy.status = PolicyStatus("search")
        with pytest.raises(DriveStop) as caught:
            drive.run(10.0)
    assert caught.value.cause is StopCause.CAMERA_BLACK and "camera 'front' is black" in caught.value.message
    assert heard.turns[0] == 0.5 and heard.turns[-3:] == [0.0] * 3
    held = [report for report in heard.reports if report.state is MotorState.FOLLOWING][-1]
    assert held.sent.angular_z_rad_s == 0.0, "it stands before it is stopped"
