"""What every camera must do, whatever it is. A new one is a `CameraCase` in `test_contract.py`."""

import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
import pytest

from edge.cameras.open import open_camera
from edge.clock import MonotonicClock, VirtualClock
from edge.errors import HardwareMissing, StaleFrame, UsageError
from edge.interfaces import Camera, Closing
from edge.records import Frame

MS = 1_000_000
PATIENT_S = 10.0


class FrameSource(Protocol):
    """What the camera under test looks at."""

    address: str

    def expose(self) -> None:
        """Have a new frame ready for the camera at the clock's present time, unlike the one before."""
        ...


@dataclass(frozen=True)
class CameraCase:
    """A camera as the contract sees it."""

    scheme: str
    source: Callable[[Path, VirtualClock], AbstractContextManager[FrameSource]]
    malformed: tuple[str, ...]
    missing: tuple[str, ...]  # well-formed addresses of what is not there
    period_ms: int  # time between two frames of its source


class CameraContract:
    """The tests. A subclass gives them `case` by a parameter."""

    @pytest.fixture
    def clock(self) -> VirtualClock:
        return VirtualClock(7_000 * MS)

    @pytest.fixture
    def source(self, case: CameraCase, clock: VirtualClock, tmp_path: Path):
        with case.source(tmp_path, clock) as source:
            yield source

    def test_a_malformed_address_is_bad_usage(self, case: CameraCase, clock: VirtualClock):
        for address in case.malformed:
            with pytest.raises(UsageError, match="camera address") as caught:
                open_camera(address, clock)
            assert caught.value.hint

    def test_what_is_not_there_is_missing_hardware(self, case: CameraCase, clock: VirtualClock):
        for address in case.missing:
            with pytest.raises(HardwareMissing, match="camera") as caught:
                open_camera(address, clock)
            assert caught.value.hint

    def test_its_frames_bear_the_name_that_it_was_given(self, source: FrameSource, clock: VirtualClock):
        with open_camera(source.address, clock, "wrist") as camera:
            source.expose()
            assert camera.name == camera.latest(PATIENT_S).camera == "wrist"

    def test_it_is_called_front_if_nobody_says_otherwise(self, source: FrameSource, clock: VirtualClock):
        with open_camera(source.address, clock) as camera:
            assert camera.name == "front"

    def test_a_frame_is_an_rgb_image_with_the_time_of_its_capture(
        self, source: FrameSource, clock: VirtualClock
    ):
        with open_camera(source.address, clock) as camera:
            source.expose()
            frame = camera.latest(PATIENT_S)
        assert frame.image.dtype == np.uint8 and frame.image.ndim == 3 and frame.image.shape[2] == 3
        assert frame.stamp_ns == clock.now_ns()

    def test_the_newest_frame_is_the_same_until_there_is_another(
        self, case: CameraCase, source: FrameSource, clock: VirtualClock
    ):
        with open_camera(source.address, clock) as camera:
            source.expose()
            first = camera.latest(PATIENT_S)
            clock.advance(case.period_ms * MS // 2)
            again = camera.latest(PATIENT_S)
        assert (again.seq, again.stamp_ns) == (first.seq, first.stamp_ns)

    def test_numbers_and_stamps_only_grow_and_frames_are_left_as_they_were(
        self, case: CameraCase, source: FrameSource, clock: VirtualClock
    ):
        with open_camera(source.address, clock) as camera:
            source.expose()
            frames = [camera.latest(PATIENT_S)]
            copies = [frames[0].image.copy()]
            for _ in range(5):
                clock.advance(case.period_ms * MS)
                source.expose()
                frames.append(camera.latest(PATIENT_S))
                copies.append(frames[-1].image.copy())
        assert all(np.diff([frame.seq for frame in frames]) > 0)
        assert all(np.diff([frame.stamp_ns for frame in frames]) > 0)
        assert frames[-1].stamp_ns <= clock.now_ns()
        assert all((frame.image == copy).all() for frame, copy in zip(frames, copies, strict=True))
        assert (copies[0] != copies[-1]).any()

    def test_an_old_frame_is_refused_with_its_age_and_the_limit(
        self, source: FrameSource, clock: VirtualClock
    ):
        with open_camera(source.address, clock) as camera:
            source.expose()
            camera.latest(PATIENT_S)
            clock.advance(10 * MS)
            assert camera.latest(0.010).stamp_ns == clock.now_ns() - 10 * MS
            clock.advance(5 * MS)
            with pytest.raises(StaleFrame, match=r"front.* 15 ms old \(limit 10 ms\)") as caught:
                camera.latest(0.010)
        assert caught.value.exit_code == 4 and caught.value.hint

    def test_it_can_be_closed_twice_and_used_as_a_context_manager(
        self, source: FrameSource, clock: VirtualClock
    ):
        with open_camera(source.address, clock) as camera:
            assert isinstance(camera, Closing)
            camera.close()
            camera.close()


class LiveSource(Protocol):
    """A source that no clock but its own moves on."""

    address: str


@dataclass(frozen=True)
class LiveCase:
    """A camera whose frames come in real time, whatever the test does."""

    scheme: str
    source: Callable[[Path], AbstractContextManager[LiveSource]]
    malformed: tuple[str, ...]
    missing: tuple[str, ...]


class LiveCameraContract:
    """The same for cameras that only real time moves on: where a clock was advanced, these wait."""

    @pytest.fixture
    def clock(self) -> MonotonicClock:
        return MonotonicClock()

    @pytest.fixture
    def source(self, case: LiveCase, tmp_path: Path):
        with case.source(tmp_path) as source:
            yield source

    def test_a_malformed_address_is_bad_usage(self, case: LiveCase, clock: MonotonicClock):
        for address in case.malformed:
            with pytest.raises(UsageError, match="camera address") as caught:
                open_camera(address, clock)
            assert caught.value.hint

    def test_what_is_not_there_is_missing_hardware(self, case: LiveCase, clock: MonotonicClock):
        for address in case.missing:
            with pytest.raises(HardwareMissing, match="camera") as caught:
                open_camera(address, clock)
            assert caught.value.hint

    def test_frames_are_rgb_images_that_bear_its_name_and_only_grow(
        self, source: LiveSource, clock: MonotonicClock
    ):
        opened_ns = clock.now_ns()
        with open_camera(source.address, clock, "wrist") as camera:
            frames = [live_frame(camera)]
            copies = [frames[0].image.copy()]
            for _ in range(5):
                frames.append(live_frame(camera, frames[-1].seq))
                copies.append(frames[-1].image.copy())
                assert frames[-1].stamp_ns <= clock.now_ns()
        image = frames[0].image
        assert image.dtype == np.uint8 and image.ndim == 3 and image.shape[2] == 3
        assert camera.name == "wrist" and {frame.camera for frame in frames} == {"wrist"}
        assert all(np.diff([frame.seq for frame in frames]) > 0)
        assert all(np.diff([frame.stamp_ns for frame in frames]) > 0)
        assert frames[0].stamp_ns >= opened_ns
        assert all((frame.image == copy).all() for frame, copy in zip(frames, copies, strict=True))
        assert (copies[0] != copies[-1]).any()

    def test_it_is_called_front_and_can_be_closed_twice(self, source: LiveSource, clock: MonotonicClock):
        with open_camera(source.address, clock) as camera:
            assert camera.name == "front" and isinstance(camera, Closing)
            camera.close()
            camera.close()

    def test_an_old_frame_is_refused_with_its_age_and_the_limit(
        self, source: LiveSource, clock: MonotonicClock
    ):
        with open_camera(source.address, clock) as camera:
            live_frame(camera)
            with pytest.raises(StaleFrame, match=r"front.* \d+ ms old \(limit 0 ms\)") as caught:
                camera.latest(0.0)
        assert caught.value.exit_code == 4 and caught.value.hint


def live_frame(camera: Camera, after_seq: int = -1) -> Frame:
    """Wait for a frame with a higher number, however slow this machine is."""
    deadline_ns = MonotonicClock().now_ns() + 30_000 * MS
    while True:
        try:
            if (frame := camera.latest(PATIENT_S)).seq > after_seq:
                return frame
        except StaleFrame:  # also while a camera is away
            pass
        assert MonotonicClock().now_ns() < deadline_ns, "no frame came"
        time.sleep(0.005)
