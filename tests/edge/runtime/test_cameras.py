"""Several cameras as frame sets: what a set holds, which camera paces it, what stops a drive."""

from pathlib import Path

import cv2
import numpy as np
import pytest

from edge.cameras.file import EndOfFrames, FileCamera, PictureCamera, find_pictures, one_by_one
from edge.cameras.slot import require_fresh
from edge.clock import VirtualClock
from edge.errors import StaleFrame, UsageError
from edge.interfaces import Inference, PolicyStatus
from edge.motor.guard import Guard
from edge.motor.limits import MotorLimits
from edge.records import ActionChunk, Frame, Goal, MotorState, Observation
from edge.runtime.cameras import CameraSet, pacing_camera
from edge.runtime.loop import Loop
from tests.sensor import sensed

GOAL = Goal("find_object", "red cup")
MS = 1_000_000


class Steady:
    """A camera with a period, that takes no more frames after `last_ns`."""

    def __init__(
        self, clock: VirtualClock, period_ms: int, name: str = "front", last_ms: int = 10**9
    ) -> None:
        self.name = name
        self._clock, self._period_ns, self._last_ns = clock, period_ms * MS, last_ms * MS

    def latest(self, max_age_s: float) -> Frame:
        seq = min(self._clock.now_ns(), self._last_ns) // self._period_ns
        frame = Frame(sensed(seq), seq * self._period_ns, seq, self.name)
        return require_fresh(frame, self._clock.now_ns(), max_age_s)

    def close(self) -> None: ...


class Sideways:
    """A policy that drives sideways for half a second at each frame of its camera."""

    status = PolicyStatus("look")

    def __init__(self, camera: str | None = None) -> None:
        if camera is not None:
            self.camera = camera
        self.acted: list[Observation] = []

    def reset(self, goal: Goal) -> None: ...

    def infer(self, observation: Observation) -> Inference:
        raise AssertionError("nobody infers here")

    def act(self, observation: Observation, inference: Inference | None) -> ActionChunk:
        self.acted.append(observation)
        now_ns = observation.frame.stamp_ns
        row = np.array([[0.0, 0.1, 0.0]], np.float32)
        return ActionChunk(row, 0.5, now_ns, now_ns + 500 * MS, 1.0, len(self.acted))


class NeverReady:
    busy = True

    def submit(self, observation: Observation) -> None: ...

    def poll(self) -> None: ...


def test_a_set_is_a_new_frame_of_the_pacing_camera_and_the_newest_of_the_others():
    clock = VirtualClock()
    cameras = CameraSet(
        {"front": Steady(clock, 40), "wrist": Steady(clock, 100, "wrist")}, "wrist", 0.25, clock
    )
    seen: list[tuple[int, int]] = []
    for _ in range(50):
        if (frames := cameras.next()) is not None:
            assert list(frames) == ["wrist", "front"]
            seen.append((frames["wrist"].stamp_ns // MS, frames["front"].stamp_ns // MS))
        clock.advance(10 * MS)
    assert seen == [(0, 0), (100, 80), (200, 200), (300, 280), (400, 400)]


def test_frames_bear_the_name_that_the_robot_gives_their_camera():
    clock = VirtualClock()
    frames = CameraSet({"left": Steady(clock, 40), "right": Steady(clock, 40)}, "left", 0.25, clock).next()
    assert frames is not None and [frame.camera for frame in frames.values()] == ["left", "right"]


@pytest.mark.parametrize("dead", ["front", "wrist"])
def test_a_stale_frame_stops_whichever_camera_it_is_from(dead: str):
    clock = VirtualClock()
    last = {"front": 10**9, "wrist": 10**9, dead: 400}
    steady = {name: Steady(clock, 40, name, last[name]) for name in ("front", "wrist")}
    cameras = CameraSet(steady, "front", 0.25, clock)
    with pytest.raises(StaleFrame, match=dead):
        for _ in range(100):
            cameras.next()
            clock.advance(10 * MS)
    assert 650 * MS < clock.now_ns() < 700 * MS
    with pytest.raises(StaleFrame, match=dead):
        cameras.check()


def test_the_policy_names_its_camera_or_takes_the_only_one_or_front():
    assert pacing_camera(Sideways("wrist"), ["front", "wrist"]) == "wrist"
    assert pacing_camera(Sideways(), ["wrist", "front"]) == "front"
    assert pacing_camera(Sideways(), ["left"]) == "left"


@pytest.mark.parametrize(
    ("policy", "names", "missing"),
    [(Sideways("wrist"), ["front"], "'wrist'"), (Sideways(), ["left", "right"], "'front'")],
)
def test_a_camera_that_the_robot_lacks_is_a_usage_error(policy: Sideways, names: list[str], missing: str):
    with pytest.raises(UsageError, match=f"{missing}, the robot has {', '.join(names)}") as caught:
        pacing_camera(policy, names)
    assert f"--camera {missing[1:-1]}=URI" in caught.value.hint


def test_one_camera_needs_no_name():
    frame = Frame(np.zeros((2, 2, 3), np.uint8), 0, 0, "roof")
    assert Observation({"roof": frame}, GOAL).frame is frame
    both = {"roof": frame, "front": Frame(frame.image, 0, 1)}
    assert Observation(both, GOAL, camera="front").frame.seq == 1
    with pytest.raises(ValueError, match="too many"):
        _ = Observation(both, GOAL).frame


def test_a_paced_policy_is_paced_by_its_own_camera():
    class Idle(NeverReady):
        busy = False

        def __init__(self) -> None:
            self.submitted: list[int] = []

        def submit(self, observation: Observation) -> None:
            self.submitted.append(observation.frame.stamp_ns // MS)

    policy, worker = Sideways(), Idle()
    policy.period_ns = 100 * MS
    loop = Loop(policy, worker, GOAL, "wrist")
    image = np.zeros((2, 2, 3), np.uint8)
    for stamp_ms in range(0, 500, 20):
        loop.on_frame({"front": Frame(image, 0, 0), "wrist": Frame(image, stamp_ms * MS, 0, "wrist")}, None)
    assert worker.submitted == [0, 100, 200, 300, 400]


def pictures(folder: Path, count: int, grey: int) -> Path:
    folder.mkdir()
    for i in range(count):
        cv2.imwrite(str(folder / f"{i:02}.png"), np.full((4, 4, 3), grey + i, np.uint8))
    return folder


def test_two_recordings_drive_a_guard_in_lockstep(tmp_path: Path):
    """Only the frames of the policy's camera count for the age of a plan."""
    clock = VirtualClock()
    front = FileCamera(pictures(tmp_path / "front", 9, 100), clock, rate_hz=30.0)
    wrist = FileCamera(pictures(tmp_path / "wrist", 6, 200), clock, rate_hz=10.0, name="wrist")
    policy = Sideways("wrist")
    cameras = CameraSet(
        {"front": front, "wrist": wrist}, pacing_camera(policy, ("front", "wrist")), 0.25, clock
    )
    loop = Loop(policy, NeverReady(), GOAL, cameras.pacing)
    guard = Guard(MotorLimits())
    guard.arm(0)
    with pytest.raises(EndOfFrames, match="front"):
        while True:
            if (frames := cameras.next()) is not None:
                step = loop.on_frame(frames, None)
                assert step.chunk is not None and guard.follow(step.chunk, clock.now_ns()), guard.reason
            guard.step(clock.now_ns())
            clock.advance(20 * MS)
    assert guard.state is MotorState.FOLLOWING
    assert [each.frame.stamp_ns // MS for each in policy.acted] == [0, 100, 200]
    shown = [(each.frame.image[0, 0, 0], each.frames["front"].image[0, 0, 0]) for each in policy.acted]
    assert shown == [(200, 100), (201, 103), (202, 106)]


def test_cameras_that_wait_for_answers_go_on_together(tmp_path: Path):
    clock = VirtualClock()
    front, wrist = (
        PictureCamera(one_by_one(find_pictures(pictures(tmp_path / name, 2, level))), clock, name)
        for name, level in (("front", 100), ("wrist", 200))
    )
    cameras = CameraSet({"front": front, "wrist": wrist}, "front", 0.25, clock)
    assert cameras.await_answers
    first = cameras.next()
    assert first is not None and [frame.source for frame in first.values()] == ["00.png", "00.png"]
    assert cameras.next() is None
    cameras.answered()
    second = cameras.next()
    assert second is not None and [frame.source for frame in second.values()] == ["01.png", "01.png"]
    cameras.answered()
    with pytest.raises(EndOfFrames):
        cameras.next()
    assert not CameraSet({"front": Steady(clock, 40), "wrist": wrist}, "front", 0.25).await_answers
