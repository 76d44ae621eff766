"""Cameras: the slot, files, and frames through shared memory."""

import contextlib
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import cv2
import numpy as np
import pytest

from edge.cameras.file import PictureCamera
from edge.cameras.open import EndOfFrames, FileCamera, FrameRing, LatestFrame, ShmCamera, open_camera
from edge.clock import MonotonicClock, VirtualClock
from edge.errors import HardwareMissing, StaleFrame, UsageError
from edge.interfaces import AnnouncesFrames, AwaitsAnswers
from edge.records import Frame

pytestmark = pytest.mark.realtime

HEIGHT, WIDTH = 48, 64
MS = 1_000_000


def plain(level: int) -> np.ndarray:
    return np.full((HEIGHT, WIDTH, 3), level, np.uint8)


def frame(seq: int) -> Frame:
    return Frame(plain(0), stamp_ns=seq * MS, seq=seq)


@pytest.fixture
def ring_name():
    name = f"vla-edge-test-{os.getpid()}"
    yield name
    FrameRing.unlink(name)


def test_slot_keeps_the_newest_frame_and_counts_the_others():
    slot = LatestFrame()
    assert slot.newest() is None
    for seq in (0, 1, 2):
        slot.put(frame(seq))
    assert slot.newest().seq == 2
    assert slot.dropped == 2


def test_slot_drops_a_frame_older_than_the_one_it_holds():
    slot = LatestFrame()
    slot.put(frame(5))
    slot.put(frame(4))
    assert slot.newest().seq == 5


def test_slot_hands_each_frame_to_a_waiting_taker_once():
    slot = LatestFrame()
    timer = threading.Timer(0.02, slot.put, [frame(1)])
    timer.start()
    assert slot.take(timeout_s=5).seq == 1
    assert slot.take(timeout_s=0.01) is None
    assert slot.dropped == 0
    timer.join()


def make_pictures(folder: Path, levels: list[int]) -> None:
    for index, level in enumerate(levels):
        cv2.imwrite(str(folder / f"{index:03}.png"), plain(level))


def play(camera: FileCamera, clock: VirtualClock, step_ns: int) -> list[Frame]:
    frames = []
    while True:
        try:
            frames.append(camera.latest(max_age_s=0.25))
        except EndOfFrames:
            return frames
        clock.advance(step_ns)


def test_folder_is_played_in_order_and_then_ends(tmp_path):
    make_pictures(tmp_path, [10, 20, 30])
    clock = VirtualClock(7)
    frames = play(open_camera(f"file://{tmp_path}?rate=2", clock), clock, step_ns=500 * MS)
    assert [int(each.image[0, 0, 0]) for each in frames] == [10, 20, 30]
    assert [each.stamp_ns for each in frames] == [7, 7 + 500 * MS, 7 + 1000 * MS]


def test_slow_pictures_are_seen_again_with_fresh_stamps(tmp_path):
    make_pictures(tmp_path, [10, 20])
    clock = VirtualClock()
    frames = play(FileCamera(tmp_path, clock, rate_hz=2), clock, step_ns=100 * MS)
    assert [int(each.image[0, 0, 0]) for each in frames] == [10] * 5 + [20] * 5
    assert [each.seq for each in frames] == list(range(10))


def test_pictures_come_as_rgb(tmp_path):
    cv2.imwrite(str(tmp_path / "red.png"), np.full((4, 4, 3), (0, 0, 255), np.uint8))
    camera = open_camera(f"file://{tmp_path}/red.png", VirtualClock())
    assert camera.latest(1).image[0, 0].tolist() == [255, 0, 0]


def test_video_is_played_at_its_own_rate_and_skips_what_is_late(tmp_path):
    path = tmp_path / "video.avi"
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*"MJPG"), 20.0, (WIDTH, HEIGHT))
    for index in range(10):
        writer.write(plain(index * 20))
    writer.release()
    clock = VirtualClock()
    camera = open_camera(f"file://{path}", clock)
    assert camera.rate_hz == pytest.approx(20.0)
    assert camera.latest(0.25).image.mean() == pytest.approx(0, abs=4)
    clock.advance(200 * MS)
    late = camera.latest(0.25)
    assert late.seq == 4 and late.image.mean() == pytest.approx(80, abs=4)
    clock.advance(400 * MS)
    with pytest.raises(EndOfFrames):
        camera.latest(0.25)
    camera.close()


def test_pictures_are_shown_until_they_are_answered_each_in_the_order_of_its_number(tmp_path):
    for number, level in ((10, 30), (9, 20), (1, 10)):
        cv2.imwrite(str(tmp_path / f"{number}.png"), plain(level))
    (tmp_path / "._1.png").write_text("what some systems leave behind")
    clock = VirtualClock()
    camera = open_camera(f"file://{tmp_path}", clock)
    assert isinstance(camera, PictureCamera) and isinstance(camera, AwaitsAnswers)
    shown = []
    for _ in range(3):
        first = camera.latest(0.25)
        clock.advance(3600 * 1000 * MS)
        again = camera.latest(0.25)
        assert again.image is first.image and again.seq == first.seq + 1
        assert again.stamp_ns == clock.now_ns() and camera.latest(0.25) is again
        shown.append((first.source, int(first.image[0, 0, 0])))
        camera.answered()
    assert shown == [("1.png", 10), ("9.png", 20), ("10.png", 30)]
    with pytest.raises(EndOfFrames, match="every picture has been shown"):
        camera.latest(0.25)


def test_a_rate_plays_videos_and_pictures_and_anything_else_is_refused(tmp_path):
    make_pictures(tmp_path, [10])
    assert open_camera(f"file://{tmp_path}?rate=0.5", VirtualClock()).rate_hz == 0.5
    for options in ("rate=0", "rate=nan", "rate=1e9", "rate=", "rate=2&x=1", "rat=2", "every=0", "every=1.5"):
        with pytest.raises(UsageError, match="camera address") as caught:
            open_camera(f"file://{tmp_path}?{options}", VirtualClock())
        assert "?rate=2" in caught.value.hint
    with pytest.raises(UsageError, match="no rate of their own"):
        FileCamera(tmp_path, VirtualClock())
    odd = tmp_path / "what?.png"
    cv2.imwrite(str(odd), plain(5))
    assert open_camera(f"file://{odd}", VirtualClock()).latest(1).source == "what?.png"


def test_one_in_so_many_images_is_shown_one_by_one_of_a_video_too(tmp_path):
    make_pictures(tmp_path, [10, 20, 30, 40, 50])
    path = tmp_path / "video.avi"
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*"MJPG"), 20.0, (WIDTH, HEIGHT))
    for index in range(10):
        writer.write(plain(index * 20))
    writer.release()

    def shown(address: str) -> list[tuple[str, int]]:
        found = []
        with open_camera(address, VirtualClock()) as camera, contextlib.suppress(EndOfFrames):
            while True:
                frame = camera.latest(0.25)
                found.append((frame.source, round(frame.image.mean() / 10)))
                camera.answered()
        return found

    assert shown(f"file://{path}?every=4") == [("0.0 s", 0), ("0.2 s", 8), ("0.4 s", 16)]
    assert shown(f"file://{tmp_path}?every=2") == [("000.png", 1), ("002.png", 3), ("004.png", 5)]


def test_a_path_that_is_nearly_right_is_named(tmp_path, monkeypatch):
    make_pictures(tmp_path, [10])
    monkeypatch.chdir(tmp_path)
    with pytest.raises(HardwareMissing, match=f"no 00.png in {tmp_path}") as caught:
        open_camera("file://00.png", VirtualClock())
    assert caught.value.hint == "did you mean file://000.png?"


def test_a_picture_that_may_not_be_read_is_found_before_the_first_is_shown(tmp_path, monkeypatch):
    make_pictures(tmp_path, [10, 20, 30])
    # The user who runs the tests may be allowed everything.
    monkeypatch.setattr(os, "access", lambda path, mode: Path(path).name != "001.png")
    with pytest.raises(HardwareMissing, match=r"no permission to read .*001\.png") as caught:
        open_camera(f"file://{tmp_path}", VirtualClock())
    assert "chmod" in caught.value.hint


def test_unusable_files_are_refused_by_name(tmp_path):
    (tmp_path / "text.mp4").write_text("no video")
    (tmp_path / "bad.png").write_text("no picture")
    (tmp_path / "cut.png").touch()
    (tmp_path / "empty").mkdir()
    for place in ("missing", "text.mp4", "bad.png", "cut.png", "empty", "x" * 300):
        with pytest.raises(HardwareMissing, match=place) as caught:
            open_camera(f"file://{tmp_path / place}", VirtualClock())
        assert caught.value.exit_code == 5 and caught.value.hint


def test_ring_hands_over_the_newest_image(ring_name):
    with FrameRing.create(ring_name, HEIGHT, WIDTH) as writer:
        reader = FrameRing.attach(ring_name)
        assert reader.newest() is None
        for level in range(7):
            writer.write(plain(level), stamp_ns=level * MS)
        image, stamp_ns, seq = reader.newest()
        assert (stamp_ns, seq) == (6 * MS, 6)
        assert (image == 6).all()
        writer.write(plain(9), stamp_ns=0)
        assert (image == 6).all(), "the image is a copy"


def test_ring_leaves_no_name_behind(ring_name):
    FrameRing.create(ring_name, HEIGHT, WIDTH)
    FrameRing.attach(ring_name)
    with pytest.raises(HardwareMissing):
        FrameRing.attach(ring_name)
    FrameRing.create(ring_name, HEIGHT, WIDTH).close()
    assert not list(Path("/dev/shm").glob(f"{ring_name}*"))


def test_ring_refuses_a_foreign_file_and_a_wrong_image(ring_name):
    (Path("/dev/shm") / ring_name).write_bytes(b"something else")
    with pytest.raises(HardwareMissing, match="holds no frames"):
        FrameRing.attach(ring_name)
    with FrameRing.create(ring_name, HEIGHT, WIDTH) as ring, pytest.raises(ValueError, match="does not fit"):
        ring.write(np.zeros((2, 2, 3), np.uint8), stamp_ns=0)


def test_shared_camera_refuses_old_frames(ring_name):
    clock = VirtualClock()
    ring = FrameRing.create(ring_name, HEIGHT, WIDTH)
    camera = open_camera(f"shm://{ring_name}", clock)
    assert isinstance(camera, ShmCamera)
    with pytest.raises(StaleFrame, match="no frame yet"):
        camera.latest(0.25)
    ring.write(plain(3), stamp_ns=0)
    clock.advance(250 * MS)
    assert camera.latest(0.25).seq == 0
    clock.advance(150 * MS)
    with pytest.raises(StaleFrame, match=r"400 ms old \(limit 250 ms\)") as caught:
        camera.latest(0.25)
    assert "machine was too slow" in caught.value.hint and "cable" not in caught.value.hint
    camera.close()


def test_who_waits_for_a_shared_camera_is_woken_by_its_next_frame(ring_name):
    ring = FrameRing.create(ring_name, HEIGHT, WIDTH)
    with open_camera(f"shm://{ring_name}", MonotonicClock()) as camera:
        assert isinstance(camera, ShmCamera) and isinstance(camera, AnnouncesFrames)
        for seq in range(3):  # also the first one, before which nothing was read
            writer = threading.Timer(0.05, ring.write, (plain(seq), time.monotonic_ns()))
            writer.start()
            began_s = time.monotonic()
            camera.wait(60.0)
            assert ring.written == seq + 1, "it was woken before there was a frame"
            camera.wait(60.0)  # nobody has read it yet, so there is nothing to wait for
            assert time.monotonic() - began_s < 30, "it was not woken"
            assert camera.latest(10.0).seq == seq
            writer.join()
        camera.wait(0.01)  # none comes


WRITER = """
import sys, time
import numpy as np
from edge.cameras.open import FrameRing
ring = FrameRing.create(sys.argv[1], 240, 320, slots=2)
images = [np.full((240, 320, 3), level, np.uint8) for level in range(256)]
print("ready", flush=True)
end = time.monotonic() + 20
while time.monotonic() < end:
    ring.write(images[ring.written % 256], stamp_ns=ring.written * 1000)
"""


def test_no_image_is_ever_torn_and_the_last_one_outlives_its_writer(ring_name):
    writer = subprocess.Popen([sys.executable, "-c", WRITER, ring_name], stdout=subprocess.PIPE)
    assert writer.stdout is not None and writer.stdout.readline() == b"ready\n"
    ring = FrameRing.attach(ring_name)
    seen = set()
    deadline = time.monotonic() + 1.0
    while time.monotonic() < deadline or len(seen) < 50:
        newest = ring.newest()
        if newest is None:
            continue
        image, stamp_ns, seq = newest
        assert stamp_ns == seq * 1000
        assert image.min() == image.max() == seq % 256
        seen.add(seq)
    os.kill(writer.pid, signal.SIGKILL)
    writer.communicate()
    image, _, seq = ring.newest()
    assert image.min() == image.max() == seq % 256
    assert ring.newest()[2] >= max(seen)


def test_shared_camera_ages_by_the_real_clock(ring_name):
    ring = FrameRing.create(ring_name, HEIGHT, WIDTH)
    camera = ShmCamera(ring_name, MonotonicClock())
    ring.write(plain(1), time.monotonic_ns())
    assert camera.latest(5).image[0, 0, 0] == 1
    ring.write(plain(2), time.monotonic_ns() - 300 * MS)
    with pytest.raises(StaleFrame):
        camera.latest(0.25)
