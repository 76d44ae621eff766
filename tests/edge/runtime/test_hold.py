"""A drive whose camera goes away: the base holds, and goes on when frames are back (field case 16)."""

import os
import signal
import time

import pytest

from edge.cameras.open import open_camera
from edge.clock import MonotonicClock
from edge.errors import CameraAway, HardwareMissing
from edge.motor.client import MotorProcess
from edge.records import Frame, MotorState, MotorStatus, Outcome, StopCause
from edge.runtime.cameras import CameraSet
from edge.runtime.drive import Drive, DriveParts
from edge.runtime.ending import DriveStop
from edge.runtime.loop import ThreadWorker
from edge.runtime.operator import Operator
from edge.runtime.signals import Interrupts
from tests.edge.cameras.gstreamer.peers import LIVE, needs_gstreamer
from tests.edge.runtime.test_drive import GOAL, Camera, Robot, Turning
from tests.edge.runtime.test_observers import Notes


class Coming(Camera):
    """30 frames a second, but none for `away_s` once the base turns; then again, or `error`."""

    def __init__(self, away_s: float, error: Exception | None = None) -> None:
        self._away_s, self._error = away_s, error
        self.gone_s: float | None = None
        self.statuses: list[MotorStatus] = []

    def latest(self, max_age_s: float) -> Frame:
        now_s = time.monotonic()
        if self.gone_s is None and self.statuses and abs(self.statuses[-1].sent.angular_z_rad_s) > 0.2:
            self.gone_s = now_s
        if self.gone_s is not None and now_s < self.gone_s + self._away_s:
            raise CameraAway("camera 'front': its process is gone")
        if self.gone_s is not None and self._error is not None:
            raise self._error
        return super().latest(max_age_s)


class Statuses(Notes):
    def __init__(self, into: list[MotorStatus]) -> None:
        super().__init__()
        self._into = into

    def on_status(self, status: MotorStatus) -> None:
        self._into.append(status)


def run(camera, seconds: float, statuses: list[MotorStatus]):
    policy = Turning()
    with MotorProcess.start("null://") as motor, ThreadWorker(policy) as worker:
        robot = Robot({"front": "fake://"}, "null://")
        cameras = CameraSet({"front": camera}, "front", 0.25)
        parts = DriveParts(
            GOAL, policy, worker, cameras, motor, robot, MonotonicClock(), Interrupts(), Operator(motor.stop)
        )
        return Drive(parts, [Statuses(statuses)]).run(seconds)


def in_order(statuses: list[MotorStatus]) -> list[MotorState]:
    """Return the states without repetitions."""
    states = [status.state for status in statuses]
    return [state for index, state in enumerate(states) if index == 0 or state is not states[index - 1]]


@pytest.mark.realtime
def test_the_base_holds_while_a_camera_is_away_and_goes_on_when_frames_are_back():
    """Away for longer than any age limit, and longer than the model may be silent."""
    camera = Coming(2.5)
    end = run(camera, 4.0, camera.statuses)
    assert (end.outcome, end.exit_code) == (Outcome.TIMEOUT, 3)
    states = in_order(camera.statuses)
    following, holding = MotorState.FOLLOWING, MotorState.HOLDING
    first = states.index(following)
    assert states[first : first + 3] == [following, holding, following]
    assert camera.gone_s is not None
    away = [
        status
        for status in camera.statuses
        if camera.gone_s + 0.6 < status.stamp_ns / 1e9 < camera.gone_s + 2.4
    ]
    assert len(away) > 20 and all(status.sent.angular_z_rad_s == 0 for status in away)
    assert all("its process is gone" in status.reason for status in away)


@pytest.mark.realtime
def test_a_camera_that_is_given_up_ends_the_drive_with_its_own_error():
    camera = Coming(0.5, HardwareMissing("camera 'front': given up after 5 tries", "check its cable"))
    with pytest.raises(HardwareMissing, match=r"'front'.*given up"):
        run(camera, 20.0, camera.statuses)
    assert MotorState.HOLDING in in_order(camera.statuses) and camera.statuses[-1].state is MotorState.LATCHED


@pytest.mark.realtime
@pytest.mark.slow
def test_a_drive_whose_time_is_over_while_its_camera_is_away_names_the_camera():
    camera = Coming(60.0)
    with pytest.raises(CameraAway, match="'front'") as caught:
        run(camera, 1.5, camera.statuses)
    assert caught.value.exit_code == 4 and camera.statuses[-1].state is MotorState.LATCHED


@pytest.mark.slow
@pytest.mark.realtime
@needs_gstreamer
def test_a_camera_that_is_too_slow_ends_a_drive_as_slow_with_what_would_help():
    """Field case 15: it is seen to be slow before anything is armed."""
    statuses: list[MotorStatus] = []
    slow = "gst://videotestsrc is-live=true pattern=snow ! video/x-raw,width=64,height=48,framerate=2/1"
    with open_camera(slow, MonotonicClock()) as camera, pytest.raises(DriveStop) as caught:
        run(camera, 20.0, statuses)
    assert caught.value.cause is StopCause.CAMERA_SLOW and caught.value.exit_code == 4
    assert "gives 2.0 frames a second (at least 5 are needed)" in caught.value.message
    assert caught.value.hint.startswith("its pipeline is 64x48 at 2 frames a second: raise the framerate")
    assert all(status.state in (MotorState.DISARMED, MotorState.LATCHED) for status in statuses)


@pytest.mark.realtime
@needs_gstreamer
def test_a_run_goes_on_after_its_camera_s_process_was_killed():
    statuses: list[MotorStatus] = []

    class Killer(Statuses):
        """Kills the camera's process once the base turns."""

        killed = False

        def on_status(self, status: MotorStatus) -> None:
            super().on_status(status)
            if not Killer.killed and abs(status.sent.angular_z_rad_s) > 0.2 and camera.pid:
                os.kill(camera.pid, signal.SIGKILL)
                Killer.killed = True

    policy = Turning()
    with (
        open_camera(LIVE, MonotonicClock()) as camera,
        MotorProcess.start("null://") as motor,
        ThreadWorker(policy) as worker,
    ):
        robot = Robot({"front": LIVE}, "null://")
        cameras = CameraSet({"front": camera}, "front", 0.25)
        parts = DriveParts(
            GOAL, policy, worker, cameras, motor, robot, MonotonicClock(), Interrupts(), Operator(motor.stop)
        )
        end = Drive(parts, [Killer(statuses)]).run(6.0)
    assert Killer.killed and end.outcome is Outcome.TIMEOUT
    states = in_order(statuses)
    first = states.index(MotorState.FOLLOWING)
    assert states[first : first + 3] == [MotorState.FOLLOWING, MotorState.HOLDING, MotorState.FOLLOWING]
