"""A camera whose delay was measured: its frames are older, its motion is bounded by way, its limits too."""

import contextlib
import math

import numpy as np
import pytest

from edge.clock import VirtualClock
from edge.errors import StaleFrame
from edge.motor.guard import Guard
from edge.motor.limits import MotorLimits
from edge.perception.picture_lag import BaseMotion
from edge.records import ZERO, ActionChunk, Frame, MotorState, Odometry
from edge.runtime.cameras import CameraSet
from edge.runtime.ending import DriveStop
from edge.runtime.watched.delay import caution, exposed, for_delay, is_late, longest_age_s

MS = 1_000_000


class Delayed:
    """A camera whose frames come every 40 ms until `last_ms`, stamped as they come and `ahead_ms` more."""

    name = "front"

    def __init__(self, clock: VirtualClock, last_ms: int = 10**9, ahead_ms: int = 0) -> None:
        self._clock, self._last_ms, self._ahead_ns = clock, last_ms, ahead_ms * MS

    def latest(self, max_age_s: float) -> Frame:
        seq = min(self._clock.now_ns() // MS, self._last_ms) // 40
        stamp_ns = 40 * MS * seq + self._ahead_ns
        if self._clock.now_ns() - stamp_ns > max_age_s * 1e9:
            raise StaleFrame(f"camera 'front': silent for more than {max_age_s} s")
        image = np.random.default_rng(seq).integers(40, 200, (24, 32, 3)).astype(np.uint8)
        return Frame(image, stamp_ns, seq)

    def close(self) -> None: ...


@pytest.mark.parametrize("delay_s", [0.03, 0.2])
def test_the_age_of_a_frame_counts_the_delay(delay_s: float):
    clock = VirtualClock(10**9)
    cameras = CameraSet({"front": Delayed(clock)}, "front", 0.25, clock, None, {"front": delay_s})
    frames = cameras.next()
    assert frames is not None
    frame = frames["front"]
    assert clock.now_ns() - frame.stamp_ns == round(delay_s * 1e9)
    assert frame.given_ns == clock.now_ns() and frame.delay_ns == round(delay_s * 1e9)


@pytest.mark.parametrize(("delay_s", "silent_ms"), [(0.0, 250), (0.04, 210), (0.05, 200), (0.2, 200)])
def test_a_camera_that_falls_silent_is_stopped_by_and_the_delay_is_named(delay_s: float, silent_ms: int):
    clock = VirtualClock(10**9)
    camera = Delayed(clock, last_ms=1000)
    cameras = CameraSet({"front": camera}, "front", 0.25, clock, None, {"front": delay_s})
    with pytest.raises(StaleFrame) as stopped:
        for _ in range(100):
            cameras.next()
            clock.advance(10 * MS)
    assert clock.now_ns() == (1000 + silent_ms + 10) * MS
    named = f"{1e3 * delay_s:.0f} ms of it the camera's own delay" in stopped.value.message
    assert named == (delay_s > 0)


def test_another_camera_than_the_one_that_drives_may_be_no_older_for_its_delay():
    clock = VirtualClock(10**9)
    both = {"front": Delayed(clock), "wrist": Delayed(clock)}
    cameras = CameraSet(both, "front", 0.25, clock, None, {"wrist": 0.24})
    assert cameras.next() is not None
    clock.advance(20 * MS)
    with pytest.raises(StaleFrame, match=r"'wrist'.*240 ms of it the camera's own delay"):
        cameras.check()


def test_a_stamp_ahead_of_the_clock_is_not_hidden_by_the_delay():
    clock = VirtualClock(10**9)
    ahead = Delayed(clock, ahead_ms=100)
    cameras = CameraSet({"front": ahead}, "front", 0.25, clock, None, {"front": 0.2})
    with pytest.raises(DriveStop, match="100 ms ahead of CLOCK_MONOTONIC"):
        for _ in range(10):
            with contextlib.suppress(StaleFrame):
                cameras.next()
            clock.advance(40 * MS)


def chunk(frame: Frame, speed: float = 0.5, rows: int = 3) -> ActionChunk:
    values = np.zeros((rows + 2, 3), np.float32)
    values[:rows, 0] = speed
    return ActionChunk(values, 0.1, frame.stamp_ns, frame.stamp_ns + 500 * MS, 1.0, frame.seq)


def late_frame(delay_s: float, now_ns: int, seq: int) -> Frame:
    return exposed(Frame(np.zeros((2, 2, 3), np.uint8), now_ns, seq), delay_s)


def test_what_answers_a_late_camera_begins_as_the_frame_comes_and_is_bounded_by_way():
    frame = late_frame(0.2, 10**9, 0)
    bounded = for_delay(chunk(frame, 0.4), frame)
    assert bounded.by_way and bounded.t0_ns == frame.stamp_ns
    assert bounded.values[:, 0].tolist() == pytest.approx([0.4] * 5 + [0.0] * 2)
    assert bounded.valid_until_ns == frame.given_ns + 500 * MS
    soon = late_frame(0.05, 10**9, 0)
    as_it_was = chunk(soon)
    assert for_delay(as_it_was, soon) is as_it_was
    already = for_delay(bounded, frame)
    assert already is bounded


@pytest.mark.parametrize("delay_ms", [60, 200, 500])
def test_a_base_never_goes_farther_from_where_a_late_frame_was_taken(delay_ms: int):
    """Frames come every 40 ms and end after 2 s: the way since the newest exposure stays within the bound."""
    limits = MotorLimits()
    guard, x_m, way = Guard(limits), 0.0, {0: 0.0}
    guard.arm(0)
    newest_ns, fastest = 0, 0.0
    for tick in range(200):
        now_ns = 10**9 + tick * 20 * MS
        way[now_ns] = x_m
        if tick % 2 == 0 and tick < 100:
            frame = late_frame(delay_ms / 1e3, now_ns, tick)
            assert guard.follow(for_delay(chunk(frame), frame), now_ns) or tick == 0, guard.reason
            newest_ns = frame.stamp_ns
        speed = guard.step(now_ns).linear_x_m_s
        fastest, x_m = max(fastest, speed), x_m + 0.02 * speed
        taken_m = max((at for ns, at in way.items() if ns <= newest_ns), default=0.0)
        assert x_m - taken_m <= limits.blind_m + 0.011, (tick, x_m - taken_m)
    assert guard.state is MotorState.HOLDING and guard.step(10**10).linear_x_m_s == 0
    share = limits.share_by_way(delay_ms / 1e3 + 0.083)
    assert fastest == pytest.approx(share * 0.5, rel=0.05)


def test_only_a_late_camera_has_a_caution_and_longer_ages():
    assert not is_late(0.05) and is_late(0.051)
    assert longest_age_s(0.25, 0.05) == 0.25 and longest_age_s(0.25, 0.2) == pytest.approx(0.4)
    assert caution("front", 0.02, MotorLimits()) == caution("front", 0.1, MotorLimits()) == ""
    assert "'front' is 300 ms late" in caution("front", 0.3, MotorLimits())
    assert "the base goes 0.39 m/s at most" in caution("front", 0.3, MotorLimits())


def test_the_base_forgets_no_motion_before_its_length():
    base = BaseMotion(2000)
    for at in range(1500):
        base.measure(Odometry((at + 1) * 20 * MS, 0.0, 0.0, math.remainder(0.001 * at, 2 * math.pi), ZERO))
    assert base.yaw_at(np.array([0.02, 15.0])).tolist() == pytest.approx([0.0, 0.749])
