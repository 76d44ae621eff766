"""Faults 1 to 11: cameras."""

import contextlib
import os
import signal
import subprocess
import time
from collections.abc import Iterator
from itertools import count
from pathlib import Path

import pytest

from edge.records import Image
from tests.edge.cameras.gstreamer.peers import needs_gstreamer
from tests.faults.conftest import FaultRecord
from tests.faults.rig import AGE_MS, RAMP_MS, SLACK_MS, AtRover, Rig, moving
from tests.waiting import alive, until

pytestmark = [pytest.mark.realtime, pytest.mark.timeout(400)]
MS = 1_000_000
AWAY_MS = 200  # without a frame, until the base is told to hold
SIZE = "video/x-raw,format=RGB,width=64,height=48,framerate=30/1"
SNOW = f"gst://videotestsrc is-live=true pattern=snow ! {SIZE}"
STREAM = f"gst://shmsrc socket-path={{}} is-live=true do-timestamp=true ! {SIZE}"
CHILD = "edge.cameras.gstreamer.child"


@contextlib.contextmanager
def stream(place: Path) -> Iterator["tuple[str, subprocess.Popen[bytes]]"]:
    """Yield the address of a camera that a process of its own serves, and that process."""
    socket = place / "camera"
    command = ["gst-launch-1.0", "-q", "videotestsrc", "is-live=true", "pattern=snow", "!", SIZE, "!"]
    command += ["shmsink", f"socket-path={socket}", "wait-for-connection=false", "shm-size=1000000"]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as server:
        until(socket.exists)
        try:
            yield STREAM.format(socket), server
        finally:
            server.send_signal(signal.SIGCONT)
            server.kill()


@pytest.mark.slow
@needs_gstreamer
@pytest.mark.fault(1, "camera unplugged: reads block")
def test_a_camera_whose_reads_block_stops_the_base(rig: Rig, fault: FaultRecord):
    with (
        stream(rig.new_folder()) as (address, server),
        rig.rover("--max-seconds", "5", camera=address) as run,
    ):
        run.drive.until_it_turns()
        blocked_ns = time.monotonic_ns()
        server.send_signal(signal.SIGSTOP)
        end = run.drive.end()
    fault.zero(run.drive.zero_after_ms(blocked_ns), AWAY_MS + RAMP_MS + SLACK_MS)
    fault.said(end)
    assert end.code == 4 and "camera 'front'" in end.told, end.err


@pytest.mark.slow
@pytest.mark.fault(2, "camera says success and delivers no data")
def test_a_camera_that_delivers_nothing_stops_the_base(rig: Rig, fault: FaultRecord):
    with rig.rover(camera="broken://empty/{}") as run:
        end = run.drive.end()
    end.check("hardware_missing", 5, "camera 'front'")
    fault.said(end)
    check_moved_and_stands(run)


@pytest.mark.fault(3, "camera repeats its last frame")
def test_a_camera_that_repeats_its_picture_stops_the_base(rig: Rig, fault: FaultRecord):
    with rig.rover() as run:
        run.drive.until_it_turns()
        kept: list[Image] = []

        def repeat(image: Image, stamp_ns: int) -> tuple[Image, int]:
            kept.append(image)
            return kept[0], stamp_ns

        froze_ns = time.monotonic_ns()
        run.feed.spoil = repeat
        end = run.drive.end()
    end.check("camera_repeats", 4, "camera 'front' repeats its picture", "(limit 0.3 s)")
    fault.said(end)
    fault.zero(run.drive.zero_after_ms(froze_ns), 300 + RAMP_MS + SLACK_MS)


@pytest.mark.slow
@needs_gstreamer
@pytest.mark.fault(4, "camera stack hangs")
def test_a_camera_process_that_hangs_holds_the_base_and_is_replaced(rig: Rig, fault: FaultRecord):
    with rig.rover("--max-seconds", "12", camera=SNOW) as run:
        run.drive.until_it_turns()
        (pid,) = run.drive.children(CHILD)
        hung_ns = time.monotonic_ns()
        os.kill(pid, signal.SIGSTOP)
        fault.zero(run.drive.first_zero_ms(hung_ns), AWAY_MS + RAMP_MS + SLACK_MS)
        end = run.drive.end()
        assert not alive(pid)
    end.check_went_on()
    fault.said("holds; a new process serves the camera, and it goes on")
    back = run.drive.setpoints(hung_ns + 1_000 * MS)
    assert any(map(moving, back)) and not moving(run.drive.setpoints()[-1])


@pytest.mark.slow
@needs_gstreamer
@pytest.mark.fault(5, "camera needs a restart again and again")
def test_a_camera_that_never_comes_back_is_given_up(rig: Rig, fault: FaultRecord):
    with stream(rig.new_folder()) as (address, server), rig.rover(camera=address) as run:
        run.drive.until_it_turns()
        died_ns = time.monotonic_ns()
        server.kill()
        end = run.drive.end(90)
    fault.zero(run.drive.zero_after_ms(died_ns), AWAY_MS + RAMP_MS + SLACK_MS)
    fault.said(end)
    assert (end.code, end.cause) == (5, "hardware_missing") and "camera 'front'" in end.told, end.err


@pytest.mark.slow
@pytest.mark.fault(6, "camera delivers frames that are too old")
def test_frames_that_are_too_old_stop_the_base(rig: Rig, fault: FaultRecord):
    with rig.rover() as run:
        run.drive.until_it_turns()
        old_ns = time.monotonic_ns()
        run.feed.spoil = lambda image, stamp_ns: (image, old_ns + (stamp_ns - old_ns) // 10)
        end = run.drive.end()
    fault.zero(run.drive.zero_after_ms(old_ns), AGE_MS + SLACK_MS)
    fault.said(end)
    end.check(
        "camera_clock",
        4,
        "camera 'front' gives ",
        "a second, and their stamps are",
        "(limit 125 ms)",
        "CLOCK_MONOTONIC",
    )


@pytest.mark.slow
@pytest.mark.fault(7, "camera drops frames")
def test_a_camera_that_drops_half_of_its_frames_is_driven_by_the_rest(rig: Rig, fault: FaultRecord):
    """Every second one, and now and then five in a row."""
    with rig.rover("--max-seconds", "4") as run:
        run.drive.until_it_turns()
        dropping_ns = time.monotonic_ns()
        frames = count()

        def every_second(image: Image, stamp_ns: int) -> tuple[Image, int] | None:
            number = next(frames)
            return (image, stamp_ns) if number % 2 and number % 20 > 3 else None

        run.feed.spoil = every_second
        end = run.drive.end()
    end.check_went_on()
    fault.said("goes on with the frames that come")
    assert all(map(moving, run.drive.setpoints(dropping_ns)[:60]))


@pytest.mark.slow
@pytest.mark.fault(8, "camera slower than driving needs")
def test_a_camera_that_becomes_slow_stops_the_base(rig: Rig, fault: FaultRecord):
    with rig.rover() as run:
        run.drive.until_it_turns()
        slow_ns = time.monotonic_ns()
        calls: list[int] = []

        def one_in_ten(image: Image, stamp_ns: int) -> tuple[Image, int] | None:
            calls.append(stamp_ns)
            return (image, stamp_ns) if len(calls) % 10 == 0 else None

        run.feed.spoil = one_in_ten
        end = run.drive.end()
    fault.zero(run.drive.zero_after_ms(slow_ns), AGE_MS + SLACK_MS)
    fault.said(end)
    end.check(
        "camera_slow",
        4,
        "camera 'front' gives ",
        "frames a second (at least 5 are needed)",
        "hint: take MJPG",
    )


@pytest.mark.slow
@pytest.mark.fault(9, "camera delivers another shape")
def test_a_picture_of_another_size_stops_the_base(rig: Rig, fault: FaultRecord):
    with rig.rover(camera="broken://resized/{}") as run:
        end = run.drive.end()
    end.check("camera_resized", 4, "camera 'front'", "hint: fix the size")
    fault.said(end)
    check_moved_and_stands(run)


@pytest.mark.slow
@pytest.mark.fault(10, "camera black or covered")
def test_a_black_picture_stops_the_base(rig: Rig, fault: FaultRecord):
    with rig.rover() as run:
        run.drive.until_it_turns()
        dark_ns = time.monotonic_ns()
        run.feed.spoil = lambda image, stamp_ns: (image // 64, stamp_ns)
        end = run.drive.end()
    end.check("camera_black", 4, "camera 'front' is black", "(limit 0.5 s)", "hint: uncover the lens")
    fault.said(end)
    fault.zero(run.drive.zero_after_ms(dark_ns), 500 + RAMP_MS + SLACK_MS)


@pytest.mark.slow
@pytest.mark.fault(11, "camera stamps in the future")
def test_stamps_of_another_clock_stop_the_base(rig: Rig, fault: FaultRecord):
    with rig.rover() as run:
        run.drive.until_it_turns()
        ahead_ns = time.monotonic_ns()
        run.feed.spoil = lambda image, stamp_ns: (image, stamp_ns + 18_000 * MS)
        end = run.drive.end()
    end.check("camera_clock", 4, "camera 'front'", "18.0 s ahead of CLOCK_MONOTONIC")
    fault.said(end)
    fault.zero(run.drive.zero_after_ms(ahead_ns), 4 * 34 + RAMP_MS + SLACK_MS)


def check_moved_and_stands(run: AtRover) -> None:
    lines = run.drive.setpoints()
    assert any(map(moving, lines)) and not moving(lines[-1]) and not lines[-1]["armed"]
