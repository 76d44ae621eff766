"""What frames tell about their camera: each fault of a device, and what must never look like one."""

import math
import time
from collections.abc import Callable, Iterator

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.cameras.health import CameraHealth
from edge.records import ZERO, Frame, Image, Odometry, StopCause

MS = 1_000_000
PERIOD_NS = 33 * MS
START_NS = 5_000 * MS


def noisy(image: Image, seq: int, sigma: float = 4.0) -> Image:
    noise = np.random.default_rng(seq).standard_normal(image.shape, dtype=np.float32)
    return np.clip(image + sigma * noise, 0, 255).astype(np.uint8)


def room(level: float = 1.0, yaw_rad: float = 0.0) -> Image:
    """A strip of things all around the camera, of which 60 degrees are seen; `level` dims it."""
    things = np.random.default_rng(1).integers(0, 255, (6, 48, 3), np.uint8)
    round_about = cv2.resize(things, (1200, 96), interpolation=cv2.INTER_NEAREST)
    turned = np.roll(round_about, round(yaw_rad / (2 * math.pi) * 1200), axis=1)[:, :200]
    return (turned * level).astype(np.uint8)


def plain(level: int) -> Image:
    return np.full((96, 200, 3), level, np.uint8)


class Watched:
    """A camera under watch: `show` gives its health the next frames."""

    def __init__(self, shows_stills: bool = False) -> None:
        self.health = CameraHealth("front", shows_stills)
        self.seq, self.now_ns = 0, START_NS

    def show(
        self, images: Iterator[Image] | list[Image], period_ns: int = PERIOD_NS, lead_ns: int = -10 * MS,
        turn_rad_s: float = 0.0,
    ) -> StopCause:  # fmt: skip
        """Return the first fault's cause, NONE without one."""
        for image in images:
            self.now_ns += period_ns
            yaw_rad = math.remainder(turn_rad_s * (self.now_ns - START_NS) / 1e9, 2 * math.pi)
            frame = Frame(image, self.now_ns + lead_ns, self.seq)
            self.health.take(frame, self.now_ns, Odometry(self.now_ns, 0.0, 0.0, yaw_rad, ZERO))
            self.seq += 1
            if self.health.fault is not None:
                return self.health.fault.cause
        return StopCause.NONE

    def seconds(self, start_ns: int) -> float:
        return (self.now_ns - start_ns) / 1e9


@pytest.fixture
def watched() -> Watched:
    camera = Watched()
    assert camera.show(noisy(room(), i) for i in range(10)) is StopCause.NONE
    assert camera.health.ready and not camera.health.doubt
    return camera


def test_a_camera_is_ready_at_its_fifth_good_frame():
    camera = Watched()
    ready: list[bool] = []
    for seq in range(6):
        camera.show([noisy(room(), seq)])
        ready.append(camera.health.ready)
    assert ready == [False] * 4 + [True] * 2
    camera.show([plain(0)])
    assert not camera.health.ready


def test_a_repeated_picture_is_a_fault_after_0_3_s_and_a_doubt_before(watched: Watched):
    """Field case 1."""
    frozen = noisy(room(), 99)
    watched.show([frozen])
    start_ns, doubts = watched.now_ns, []
    for _ in range(20):
        cause = watched.show([frozen.copy()])
        doubts.append(watched.health.doubt)
        if cause is not StopCause.NONE:
            break
    assert cause is StopCause.CAMERA_REPEATS and 0.3 <= watched.seconds(start_ns) < 0.34
    assert doubts[:4] == [""] * 4 and doubts[5] == "repeats its picture"
    fault = watched.health.fault
    assert fault is not None and "'front'" in fault.message and "0.3 s" in fault.message and fault.hint


def test_frames_that_come_twice_are_no_fault(watched: Watched):
    """A rate that was doubled on the way: each picture comes twice, and nothing is in doubt."""
    for i in range(40):
        assert watched.show([noisy(room(), i // 2)]) is StopCause.NONE and not watched.health.doubt


def test_one_pixel_that_changes_tells_a_live_camera(watched: Watched):
    still = noisy(room(), 99)
    for i in range(40):
        still = still.copy()
        still[77, 3] = i
        assert watched.show([still]) is StopCause.NONE and not watched.health.doubt


def test_a_compressed_stream_may_repeat_while_it_stands_but_not_while_it_turns():
    watched = Watched(shows_stills=True)
    assert watched.show([room()] * 60) is StopCause.NONE
    assert watched.show([room()] * 60, turn_rad_s=0.6) is StopCause.CAMERA_STILL


@pytest.mark.parametrize("turn_rad_s", [0.6, -0.6, 1.0])
def test_a_picture_that_stays_while_the_base_turns_is_a_fault(watched: Watched, turn_rad_s: float):
    """Field case 1: frozen, and coded anew with other noise each time."""
    start_ns = watched.now_ns
    cause = watched.show((noisy(room(), i) for i in range(60)), turn_rad_s=turn_rad_s)
    assert cause is StopCause.CAMERA_STILL and watched.seconds(start_ns) < 1.0
    assert watched.health.fault is not None and "while the base turns" in watched.health.fault.message


@pytest.mark.parametrize("turn_rad_s", [0.1, 0.6, -1.0])
def test_what_turns_with_the_base_is_healthy(turn_rad_s: float):
    watched = Watched()
    step_rad = turn_rad_s * PERIOD_NS / 1e9
    images = (noisy(room(yaw_rad=step_rad * i), i) for i in range(200))
    assert watched.show(images, turn_rad_s=turn_rad_s) is StopCause.NONE


def test_what_looks_the_same_all_around_says_nothing_about_a_turn(watched: Watched):
    """A floor line before a wall: the same after a turn, though not after half a circle."""
    image = plain(180)
    image[60:] = 90
    assert watched.show((noisy(image, i) for i in range(90)), turn_rad_s=0.8) is StopCause.NONE
    assert watched.show((noisy(image, i) for i in range(90)), turn_rad_s=0.8) is StopCause.CAMERA_STILL


@pytest.mark.parametrize(
    ("level", "cause", "word"),
    [
        (0, StopCause.CAMERA_BLACK, "is black"),
        (255, StopCause.CAMERA_WHITE, "is white"),
        (40, StopCause.CAMERA_COVERED, "is covered"),
    ],
)
@pytest.mark.parametrize("sigma", [0.0, 4.0])
def test_a_camera_without_sight_holds_the_base_and_is_a_fault_after_0_5_s(
    watched: Watched, level: int, cause: StopCause, word: str, sigma: float
):
    """Field case 17."""
    start_ns = watched.now_ns
    doubted_s = None
    while (found := watched.show([noisy(plain(level), watched.seq, sigma)])) is StopCause.NONE:
        assert watched.seconds(start_ns) < 1
        if doubted_s is None and watched.health.doubt:
            doubted_s = watched.seconds(start_ns)
    fault = watched.health.fault
    assert found is cause and fault is not None and word in fault.message
    assert doubted_s is not None and doubted_s < 0.25
    assert 0.5 <= watched.seconds(start_ns) < 0.6


def test_a_blink_is_no_fault(watched: Watched):
    for _ in range(5):
        assert watched.show(noisy(plain(0), i) for i in range(8)) is StopCause.NONE
        assert watched.show(noisy(room(), i) for i in range(2)) is StopCause.NONE
        assert not watched.health.doubt


@pytest.mark.parametrize(
    ("sigma", "level"),
    [
        (0.5, 0.12),
        (4.0, 0.2),
        (12.0, 1.0),
        *(
            pytest.param(sigma, level, marks=pytest.mark.slow)
            for sigma, level in ((0.5, 1.0), (0.5, 0.2), (4.0, 1.0), (4.0, 0.12), (12.0, 0.2), (12.0, 0.12))
        ),
    ],
)
def test_a_dark_room_with_noise_is_healthy(level: float, sigma: float):
    watched = Watched()
    assert watched.show(noisy(room(level), i, sigma) for i in range(150)) is StopCause.NONE
    assert not watched.health.doubt


def test_a_plain_wall_that_the_base_turns_to_is_not_a_cover(watched: Watched):
    """It comes into the picture from the side, at 1 rad/s, and stays for a while."""
    for i in range(90):
        image = room(yaw_rad=i * 0.033)
        wall = min(200, round(200 * i * 0.033))
        image[:, :wall] = 150
        assert watched.show([noisy(image, i)]) is StopCause.NONE
        assert not watched.health.doubt, i


def test_what_stays_without_form_through_a_turn_is_covered():
    watched = Watched()
    images = (noisy(plain(60), i) for i in range(200))
    assert watched.show(images, turn_rad_s=0.8) is StopCause.CAMERA_COVERED
    assert watched.seconds(START_NS) > 2.9


def test_a_camera_that_was_away_may_come_back_with_the_picture_that_it_went_with(watched: Watched):
    """A buffer that outlived its pipeline: once is not a frozen camera, for 0.3 s is."""
    image = noisy(room(), 99)
    assert watched.show([image]) is StopCause.NONE
    assert watched.show([image], period_ns=3000 * MS) is StopCause.NONE and not watched.health.doubt
    assert watched.show([image] * 3) is StopCause.NONE
    assert watched.show([image] * 7) is StopCause.CAMERA_REPEATS


def test_a_base_that_stands_before_a_wall_may_turn_past_all_of_it():
    """The wall fills a lens of 60 degrees through a turn of 2.1 rad."""
    watched = Watched()
    images = (noisy(plain(60), i) for i in range(78))
    assert watched.show(images, turn_rad_s=0.8) is StopCause.NONE
    assert not watched.health.doubt


@pytest.mark.parametrize("rate_hz", [1.0, 3.0, 4.5])
def test_a_slow_camera_is_a_fault_with_the_rate_and_the_rate_needed(rate_hz: float):
    """Field case 15."""
    watched = Watched()
    period_ns = round(1e9 / rate_hz)
    assert watched.show((noisy(room(), i) for i in range(12)), period_ns) is StopCause.CAMERA_SLOW
    fault = watched.health.fault
    assert fault is not None and f"{rate_hz:.1f} frames a second (at least 5" in fault.message
    assert "MJPG" in fault.hint and not watched.health.ready


def test_five_frames_a_second_are_enough_and_frames_that_nobody_took_count():
    watched = Watched()
    assert watched.show((noisy(room(), i) for i in range(30)), 200 * MS) is StopCause.NONE
    assert watched.health.ready
    for i in range(20):  # a reader that takes one frame in ten of a camera of 30 Hz
        watched.seq += 9
        assert watched.show([noisy(room(), i)], 10 * PERIOD_NS) is StopCause.NONE


@pytest.mark.parametrize("away_s", [1.2, pytest.param(1.9, marks=pytest.mark.slow), 5.0])
def test_a_camera_that_was_away_and_came_back_is_not_called_slow(away_s: float):
    """Field case 16."""
    watched = Watched()
    assert watched.show((noisy(room(), i) for i in range(60)), PERIOD_NS) is StopCause.NONE
    assert watched.show([noisy(room(), 60)], round(away_s * 1e9)) is StopCause.NONE
    assert watched.show((noisy(room(), i) for i in range(61, 120)), PERIOD_NS) is StopCause.NONE


@pytest.mark.parametrize(
    ("lead_ns", "text"),
    [
        (100 * MS, "100 ms ahead of CLOCK_MONOTONIC"),
        (18_000 * MS, "18.0 s ahead of CLOCK_MONOTONIC"),
        (-18_000 * MS, "18.0 s behind CLOCK_MONOTONIC"),
    ],
)
def test_stamps_of_another_clock_are_told_by_the_third_frame(lead_ns: int, text: str):
    """Field case 2."""
    watched = Watched()
    watched.now_ns += 60_000 * MS
    images = [noisy(room(), i) for i in range(3)]
    assert watched.show(images[:2], lead_ns=lead_ns) is StopCause.NONE and not watched.health.ready
    assert watched.show(images[2:], lead_ns=lead_ns) is StopCause.CAMERA_CLOCK
    assert watched.health.fault is not None and text in watched.health.fault.message


def test_stamps_that_go_back_now_and_then_are_dropped_and_counted(watched: Watched):
    """Field case 3."""
    for i in range(60):
        lead_ns = -210 * MS if i % 10 == 5 else -10 * MS
        assert watched.show([noisy(room(), i)], lead_ns=lead_ns) is StopCause.NONE
    assert watched.health.dropped == 6


def test_stamps_that_go_back_often_are_a_fault(watched: Watched):
    """Field case 3."""
    causes = [
        watched.show([noisy(room(), i)], lead_ns=-210 * MS if i % 3 == 0 else -10 * MS) for i in range(60)
    ]
    assert causes.index(StopCause.CAMERA_BACKWARDS) == 18  # the seventh of them
    assert watched.health.fault is not None and "10 of its last 30 frames" in watched.health.fault.message


def test_a_picture_of_another_size_is_a_fault(watched: Watched):
    """Field case 14."""
    assert watched.show([noisy(room(), 1)[:48]]) is StopCause.CAMERA_RESIZED
    fault = watched.health.fault
    assert fault is not None and "from 200x96 to 200x48" in fault.message
    assert watched.show([noisy(room(), 2)[:48]]) is StopCause.NONE


@pytest.mark.parametrize("shape", [(1, 1, 3), (2, 5, 3), (7, 3, 3), (2000, 11, 3)])
def test_any_size_can_be_judged(shape: tuple[int, ...]):
    watched = Watched()
    rng = np.random.default_rng(0)
    images = (rng.integers(0, 255, shape, np.uint8) for _ in range(20))
    assert watched.show(images) in (StopCause.NONE, StopCause.CAMERA_COVERED)


@given(st.lists(st.tuples(st.integers(-(10**12), 10**12), st.integers(0, 10**9)), max_size=60))
def test_a_frame_that_may_be_used_is_newer_than_all_before_and_not_ahead(steps: list[tuple[int, int]]):
    health, newest_ns, now_ns = CameraHealth("front"), -1, 10**13
    image = room()
    for seq, (lead_ns, gap_ns) in enumerate(steps):
        now_ns += gap_ns
        stamp_ns = now_ns + lead_ns
        if health.take(Frame(image, stamp_ns, seq), now_ns, None):
            assert newest_ns < stamp_ns <= now_ns + 5 * MS
            newest_ns = stamp_ns
    assert health.dropped <= len(steps)


@pytest.mark.realtime
def test_a_frame_of_640x360_is_judged_in_a_fifth_of_a_millisecond():
    rng = np.random.default_rng(0)
    images = [rng.integers(0, 255, (360, 640, 3), np.uint8) for _ in range(20)]
    take: Callable[..., bool] = CameraHealth("front").take
    start_s = time.thread_time()
    for i in range(400):
        now_ns = START_NS + i * PERIOD_NS
        take(Frame(images[i % 20], now_ns, i), now_ns, Odometry(now_ns, 0.0, 0.0, 0.0, ZERO))
    assert (time.thread_time() - start_s) / 400 < 0.0002
