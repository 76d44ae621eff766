"""A camera of GStreamer that goes away: it comes back under its name, or is given up (field case 16)."""

import logging
import os
import signal
import time

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.cameras.gstreamer import camera as camera_module
from edge.cameras.gstreamer import process as process_module
from edge.cameras.gstreamer.outages import MOST_RECONNECTS, WITHIN_NS, Outages
from edge.cameras.open import open_camera
from edge.clock import MonotonicClock
from edge.errors import CameraAway, EdgeError, HardwareMissing, StaleFrame, UsageError
from tests.edge.cameras.gstreamer.peers import LIVE, frame_of, needs_gstreamer
from tests.waiting import alive, until

CLOCK = MonotonicClock()


def given_up(camera) -> bool:
    try:
        camera.latest(10.0)
    except CameraAway:
        return False
    except HardwareMissing:
        return True
    return False


@needs_gstreamer
def test_a_camera_whose_process_is_killed_comes_back_and_its_frames_go_on(caplog: pytest.LogCaptureFixture):
    with caplog.at_level(logging.WARNING), open_camera(LIVE, CLOCK, "wrist") as camera:
        before, pid = frame_of(camera), camera.pid
        os.kill(pid, signal.SIGKILL)
        until(lambda: camera.pid not in (pid, None))
        after = frame_of(camera, before.seq)
    assert after.stamp_ns > before.stamp_ns and after.camera == "wrist"
    assert "wrist" in caplog.text and "killed by SIGKILL" in caplog.text and "is back" in caplog.text


@needs_gstreamer
def test_who_waits_for_a_frame_is_woken_by_it_also_by_those_of_a_new_process():
    with open_camera(LIVE, CLOCK) as camera:
        frame, started_s = frame_of(camera), time.monotonic()
        for _ in range(3):
            camera.wait(60.0)
        later, pid = frame_of(camera, frame.seq), camera.pid
        os.kill(pid, signal.SIGKILL)
        until(lambda: camera.pid not in (pid, None))
        camera.wait(0.0)
        camera.wait(60.0)
        assert frame_of(camera, later.seq) and time.monotonic() - started_s < 60


@needs_gstreamer
def test_while_it_is_away_that_is_said_at_once_and_never_as_a_frame():
    with open_camera(LIVE, CLOCK) as camera:
        frame_of(camera)
        os.kill(camera.pid, signal.SIGKILL)
        with pytest.raises(CameraAway, match=r"'front'.*killed by SIGKILL") as caught:
            while True:
                camera.latest(10.0)
                time.sleep(0.002)
        assert isinstance(caught.value, StaleFrame) and caught.value.exit_code == 4


@needs_gstreamer
def test_a_process_that_hangs_is_killed_and_replaced(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(process_module, "ASK_LIMIT_S", 0.3)
    monkeypatch.setattr(process_module, "INTERRUPT_LIMIT_S", 0.3)
    monkeypatch.setattr(camera_module, "SILENT_LIMIT_S", 1.0)
    with open_camera(LIVE, CLOCK) as camera:
        before, pid = frame_of(camera), camera.pid
        os.kill(pid, signal.SIGSTOP)
        until(lambda: camera.pid not in (pid, None))
        assert not alive(pid) and frame_of(camera, before.seq).seq > before.seq


@needs_gstreamer
def test_a_stream_that_ends_again_and_again_is_given_up_with_the_camera_s_name():
    """The stream lasts for a tenth of a second, each time."""
    address = LIVE.replace("pattern=ball", "num-buffers=3")
    with open_camera(address, CLOCK, "wrist") as camera:
        until(lambda: given_up(camera), patience_s=60)
        with pytest.raises(HardwareMissing, match=r"'wrist'.*the stream has ended.*too often") as caught:
            camera.latest(10.0)
        assert caught.value.exit_code == 5 and caught.value.hint
        until(lambda: camera.pid is None)


@needs_gstreamer
def test_the_child_ends_with_its_camera_and_leaves_no_shared_memory():
    camera = open_camera(LIVE, CLOCK)
    pid = camera.pid
    camera.close()
    assert not alive(pid)


@needs_gstreamer
def test_frames_are_what_the_source_shows_with_the_time_of_capture():
    """Red on the left and blue on the right, as the pipeline draws them."""
    source = "videotestsrc is-live=true pattern=smpte75 ! video/x-raw,width=70,height=30,framerate=30/1"
    with open_camera(f"gst://{source}?flip=horizontal&out=35x15", CLOCK) as camera:
        frame = frame_of(camera)
        age_ns = time.monotonic_ns() - frame.stamp_ns
    assert frame.image.shape == (15, 35, 3) and frame.image.dtype == np.uint8
    blue, grey = frame.image[2, 2].astype(int), frame.image[2, -3].astype(int)
    assert blue[2] > 150 and blue[0] < 60 and grey.min() > 150  # the grey bar is the leftmost, unflipped
    assert 0 <= age_ns < 20e9


@needs_gstreamer
@pytest.mark.parametrize(
    ("pipeline", "kind", "words", "hint"),
    [
        ("nosuch", UsageError, 'no element "nosuch"', "gst-launch-1.0"),
        ("videotestsrc nosuch=1", UsageError, 'no property "nosuch"', "gst-launch-1.0"),
        ("videotestsrc ! image/png", UsageError, "could not link", "raw video"),
        ("filesrc location=/nosuch ! decodebin", HardwareMissing, 'No such file "/nosuch"', "check its name"),
        ("fakesrc is-live=true num-buffers=0", HardwareMissing, "the stream has ended", "still up"),
        ("videotestsrc ! video/x-raw,framerate=1000/1", UsageError, "faster than real time", "sync=true"),
        ("nvarguscamerasrc", HardwareMissing, "lacks the element nvarguscamerasrc", "nvidia-l4t-gstreamer"),
        ("appsrc is-live=true?timeout=1", HardwareMissing, "no image for 1 s", "source run"),
    ],
)
def test_what_goes_wrong_is_told_with_what_to_do(pipeline: str, kind: type[EdgeError], words: str, hint: str):
    with pytest.raises(kind, match=words) as caught, open_camera(f"gst://{pipeline}", CLOCK) as camera:
        while True:
            frame_of(camera)
    assert hint in caught.value.hint and "camera" in caught.value.message


@given(st.lists(st.integers(0, 10_000_000_000), max_size=40))
def test_a_camera_is_reconnected_at_most_five_times_in_thirty_seconds(gaps: list[int]):
    outages, now_ns, allowed = Outages(), 1_000_000_000, []
    for gap_ns in gaps:
        now_ns += gap_ns
        outages.over()
        outages.begin(now_ns)
        if outages.reconnect(now_ns):
            allowed.append(now_ns)
    for at_ns in allowed:
        assert sum(at_ns <= other < at_ns + WITHIN_NS for other in allowed) <= MOST_RECONNECTS
    assert len(allowed) >= min(len(gaps), MOST_RECONNECTS)


def test_an_outage_lasts_at_most_thirty_seconds_and_each_try_waits_longer():
    outages, waits = Outages(), []
    outages.begin(0)
    outages.begin(20_000_000_000)  # still the same outage
    for _ in range(4):
        waits.append(outages.backoff_s)
        assert outages.reconnect(1)
    assert waits == [0.0, 0.5, 1.0, 2.0] and outages.tries == 4
    assert outages.left_s(29_000_000_000) == 1.0 and outages.left_s(WITHIN_NS) == 0
    assert not outages.reconnect(WITHIN_NS)
    outages.over()
    assert outages.tries == 0 and outages.backoff_s == 0 and outages.left_s(WITHIN_NS) == 30
