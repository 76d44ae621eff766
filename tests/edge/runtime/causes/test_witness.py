"""What a witness makes of the events of a drive: which evidence speaks, and when nothing is named."""

from typing import Any

import numpy as np
import pytest

from edge.clock import VirtualClock
from edge.errors import CameraAway, MotorFault, StaleFrame
from edge.interfaces import Inference, PolicyStatus
from edge.records import ActionChunk, Frame, Goal, MotorState, MotorStatus, Observation, StopCause, Velocity
from edge.runtime.causes import look as look_module
from edge.runtime.causes.witness import Witness
from edge.runtime.ending import DriveStop

MS = 1_000_000
IMAGE = np.zeros((4, 4, 3), np.uint8)
STALE = DriveStop(StopCause.STALE_CHUNK, "newest frame is 280 ms old (limit 250 ms)", "the hint")


class Halts:
    """Halts and waits that a test states."""

    def __init__(self, *halts: tuple[int, int], waited_ns: int = 0):
        self._halts, self._waited_ns = halts, waited_ns

    def halts(self, since_ns: int) -> list[tuple[int, int]]:
        return [halt for halt in self._halts if halt[1] > since_ns]

    def waited_ns(self, since_ns: int) -> int:
        return self._waited_ns


class Told:
    """A witness of a drive that a test tells, in milliseconds."""

    def __init__(self, halts: Halts | None = None):
        self.clock = VirtualClock(10_000 * MS)
        self.witness = Witness(self.clock, halts or Halts())  # type: ignore[arg-type]
        self._missed = 0

    def frame(self, age_ms: int = 30, policy_ms: int = 5) -> Frame:
        frame = Frame(IMAGE, self.clock.now_ns() - age_ms * MS, 0)
        self.clock.advance(policy_ms * MS)
        observation = Observation({"front": frame}, Goal("find_object", "cup"))
        self.witness.on_frame(observation, PolicyStatus("search", False))
        return frame

    def status(self, missed: int = 0) -> None:
        self._missed += missed
        self.witness.on_status(
            MotorStatus(
                self.clock.now_ns(), MotorState.FOLLOWING, Velocity(), ticks=1, missed_ticks=self._missed
            )
        )

    def chunk(self, frame: Frame, by_way: bool = False) -> None:
        rows = np.zeros((1, 3), np.float32)
        self.witness.on_chunk(ActionChunk(rows, 0.1, frame.stamp_ns, frame.stamp_ns, 1.0, 1, by_way))

    def named(self, error: BaseException, asked_ms_ago: int = 0, **cameras: Any) -> DriveStop | None:
        asked_ns = self.clock.now_ns() - asked_ms_ago * MS if asked_ms_ago else 0
        self.witness.stopped(asked_ns)
        return self.witness.name(error, cameras)


def test_a_machine_is_named_only_if_the_motor_process_halted_too():
    for missed, cause in ((12, StopCause.MACHINE_SLOW), (0, StopCause.STALE_CHUNK)):
        told = Told(Halts((10_040 * MS, 10_290 * MS)))
        told.status()
        told.chunk(told.frame())
        told.clock.advance(260 * MS)
        told.status(missed)
        stop = told.named(STALE)
        assert stop is not None and stop.cause is cause and "halted for 250 ms" in stop.message


def test_a_model_is_named_if_the_chunk_and_not_the_frames_were_old():
    told = Told()
    told.witness.on_inference(Inference(Frame(IMAGE, 0, 0), "", 1.0, {"decode": 40.0}))
    told.status()
    told.chunk(told.frame())
    told.clock.advance(250 * MS)
    told.status()
    told.frame()
    stop = told.named(STALE, asked_ms_ago=240)
    assert stop is not None and stop.cause is StopCause.MODEL_SILENT
    assert "takes 240 ms (limit 125 ms, usually 40 ms)" in stop.message


def test_a_chunk_that_is_not_replaced_though_nothing_was_late_keeps_its_own_words():
    told = Told()
    told.status()
    told.chunk(told.frame())
    told.clock.advance(250 * MS)
    told.status()
    told.frame()
    assert told.named(STALE, asked_ms_ago=20) is None


def test_a_policy_that_takes_long_over_a_frame_is_named(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(look_module.time, "sleep", lambda seconds: None)
    told = Told()
    told.status()
    told.chunk(told.frame(policy_ms=260))
    stop = told.named(STALE, front=Paced(told.clock, 33))
    assert stop is not None and "the policy took 260 ms over one frame (limit 125 ms)" in stop.message


def test_a_silent_model_is_the_machines_doing_only_by_half_of_its_time():
    silent = DriveStop(StopCause.MODEL_SILENT, "the model has not answered for 2.0 s (limit 2 s)")
    assert Told(Halts(waited_ns=900 * MS)).named(silent, asked_ms_ago=2_001) is None
    stop = Told(Halts(waited_ns=1_100 * MS)).named(silent, asked_ms_ago=2_001)
    assert stop is not None and stop.cause is StopCause.MACHINE_SLOW and "1100 ms" in stop.message


@pytest.mark.parametrize("error", [CameraAway("away"), MotorFault("gone"), KeyboardInterrupt(), ValueError()])
def test_what_is_not_about_lateness_is_left_alone(error: BaseException):
    told = Told(Halts((9_000 * MS, 10_000 * MS), waited_ns=1_000 * MS))
    told.status(50)
    assert told.named(error) is None


class Paced:
    """A camera with a frame every so often, whose stamps are so old."""

    name = "front"

    def __init__(self, clock: VirtualClock, period_ms: int, late_ms: int = 10):
        self._clock, self._period_ns, self._late_ns = clock, period_ms * MS, late_ms * MS

    def latest(self, max_age_s: float) -> Frame:
        self._clock.advance(2 * MS)
        if not self._period_ns:
            raise StaleFrame("camera 'front': no frame yet")
        seq = self._clock.now_ns() // self._period_ns
        return Frame(IMAGE, seq * self._period_ns - self._late_ns, seq)


@pytest.mark.parametrize(
    ("period_ms", "late_ms", "cause", "said"),
    [
        (333, 10, StopCause.CAMERA_SLOW, "gives 3.0 frames a second"),
        (33, 200, StopCause.CAMERA_CLOCK, " ms old as they come (limit 125 ms)"),
        (33, 10, StopCause.STALE_FRAME, "now it gives 30 a second"),
        (60_000, 10, StopCause.STALE_FRAME, "none has come since"),
        (0, 0, StopCause.STALE_FRAME, "none has come since"),
    ],
)
def test_a_camera_is_looked_at_before_it_is_named(
    period_ms: int, late_ms: int, cause: StopCause, said: str, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(look_module.time, "sleep", lambda seconds: None)
    told = Told()
    told.status()
    told.chunk(told.frame())
    told.clock.advance(300 * MS)
    error = StaleFrame("camera 'front': newest frame is 335 ms old (limit 250 ms)")
    stop = told.named(error, front=Paced(told.clock, period_ms, late_ms))
    assert stop is not None and stop.cause is cause and said in stop.message, stop.message
