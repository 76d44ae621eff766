"""How a child process ends, step by step, and what comes after it: field case 42.

The children here are real processes that ignore one step after the other.
"""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from edge.cameras.gst import job_of
from edge.cameras.gstreamer import camera as camera_module
from edge.cameras.gstreamer import process as process_module
from edge.cameras.gstreamer.camera import StreamCamera
from edge.cameras.gstreamer.job import StreamJob
from edge.cameras.gstreamer.process import StreamEnd, StreamProcess
from edge.cameras.shm import SHARED_MEMORY, FrameRing
from edge.cameras.view import ImageView
from edge.clock import MonotonicClock
from edge.errors import CameraAway, EdgeError, HardwareMissing
from tests.edge.cameras.gstreamer.peers import LIVE, frame_of, needs_gstreamer, python
from tests.waiting import alive, until

JOB = StreamJob("csi", "csi://0", "nothing", ImageView(), start_limit_s=20)
# Publishes one image, and notes each step that it is asked to take; `heeds` names those that it takes.
STUBBORN = """
import os, signal, socket, sys, time
import numpy as np
from edge.cameras.gstreamer.job import send_report
from edge.cameras.shm import FrameRing
heeds, notes = {heeds!r}, {notes!r}
def note(what):
    with open(notes, "a") as file:
        file.write(what + "\\n")
    if what in heeds:
        os._exit(0)
signal.signal(signal.SIGINT, lambda *_: note("interrupted"))
options = dict(zip(sys.argv[1::2], sys.argv[2::2]))
control = socket.socket(fileno=int(options["--control"]))
control.recv(65536)
ring = FrameRing.create(options["--ring"], 2, 2)
ring.write(np.zeros((2, 2, 3), np.uint8), time.monotonic_ns())
send_report(control, "started", source_size=(2, 2), source_hz=30.0)
if control.recv(16):
    note("asked")
while True:
    time.sleep(1)
"""


@pytest.fixture
def bell() -> Iterator[int]:
    made = os.eventfd(0)
    yield made
    os.close(made)


def stubborn(folder: Path, *heeds: str) -> list[str]:
    return python(STUBBORN.format(heeds=heeds, notes=str(folder / "notes")))


def notes(folder: Path) -> list[str]:
    path = folder / "notes"
    return path.read_text().split() if path.exists() else []


@pytest.fixture
def short_limits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(process_module, "ASK_LIMIT_S", 0.5)
    monkeypatch.setattr(process_module, "INTERRUPT_LIMIT_S", 0.5)
    monkeypatch.setattr(camera_module, "SILENT_LIMIT_S", 0.5)


@pytest.mark.parametrize(
    ("heeds", "end", "taken"),
    [
        (("asked",), StreamEnd.ASKED, ["asked"]),
        (("interrupted",), StreamEnd.INTERRUPTED, ["asked", "interrupted"]),
        ((), StreamEnd.KILLED, ["asked", "interrupted"]),
    ],
)
def test_a_child_is_asked_then_interrupted_then_killed(
    tmp_path: Path, short_limits: None, bell: int, heeds: tuple[str, ...], end: StreamEnd, taken: list[str]
):
    child = StreamProcess(JOB, bell, stubborn(tmp_path, *heeds))
    until(lambda: (child.report(0.1) or {}).get("kind") == "started")
    assert child.end() is end
    assert notes(tmp_path) == taken and not alive(child.pid)
    assert not (SHARED_MEMORY / child.ring_name).exists()


def test_a_child_that_died_of_a_signal_counts_as_killed(tmp_path: Path, bell: int):
    child = StreamProcess(JOB, bell, stubborn(tmp_path))
    until(lambda: (child.report(0.1) or {}).get("kind") == "started")
    os.kill(child.pid, signal.SIGSEGV)
    assert child.report(20) == {"kind": "gone", "text": "killed by SIGSEGV"}
    assert child.end() is StreamEnd.KILLED


@needs_gstreamer
def test_what_a_short_stream_showed_can_still_be_opened_after_its_end(bell: int):
    child = StreamProcess(job_of(LIVE.replace("pattern=ball", "num-buffers=3")), bell)
    try:
        until(lambda: (child.report(0.1) or {}).get("kind") == "ended")
        assert child.report(1.0) is None  # it is not gone: it waits to be let go
        with FrameRing.attach(child.ring_name) as ring:
            assert ring.newest() is not None
    finally:
        assert child.end() is StreamEnd.ASKED
    assert not (SHARED_MEMORY / child.ring_name).exists()


def argus(folder: Path, exit_code: int) -> list[str]:
    """Return a command in place of the daemon's restart that notes that it ran."""
    return python(f"open({str(folder / 'notes')!r}, 'a').write('restarted\\n'); exit({exit_code})")


def test_after_a_kill_the_daemon_is_restarted_and_the_camera_comes_back(tmp_path: Path, short_limits: None):
    def start(job: StreamJob, bell: int) -> StreamProcess:
        return StreamProcess(job, bell, stubborn(tmp_path))

    with StreamCamera(JOB, MonotonicClock(), start=start, restart_argus=argus(tmp_path, 0)) as camera:
        first, pid = frame_of(camera), camera.pid  # its one image soon is too old, and all steps are taken
        frame_of(camera, first.seq)
        assert notes(tmp_path)[:3] == ["asked", "interrupted", "restarted"] and pid is not None
        assert not alive(pid)


def test_a_daemon_that_may_not_be_restarted_latches_with_the_command(tmp_path: Path, short_limits: None):
    def start(job: StreamJob, bell: int) -> StreamProcess:
        return StreamProcess(job, bell, stubborn(tmp_path))

    with StreamCamera(JOB, MonotonicClock(), start=start, restart_argus=argus(tmp_path, 1)) as camera:
        frame_of(camera)

        def latched() -> bool:
            try:
                camera.latest(10.0)
            except CameraAway:
                return False
            except HardwareMissing as missing:
                return (
                    missing.hint == "sudo systemctl restart nvargus-daemon" and "'front'" in missing.message
                )
            return False

        until(latched)
        assert notes(tmp_path) == ["asked", "interrupted", "restarted"]


@needs_gstreamer
def test_a_child_ends_by_itself_when_its_parent_is_killed():
    code = f"""
import sys, time
from edge.cameras.open import open_camera
from edge.clock import MonotonicClock
camera = open_camera({LIVE!r}, MonotonicClock())
print(camera.pid, flush=True)
time.sleep(600)
"""
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        pid = int(parent.stdout.readline())
        assert alive(pid)
        parent.kill()
    until(lambda: not alive(pid))


def test_what_a_job_says_survives_its_way_to_the_child():
    view = ImageView((0.0, 0.1, 0.9, 1.0), 90, "horizontal", (360, 640))
    for job in (
        StreamJob("v4l2", "v4l2:///x", "/x", view, 3.0, "opencv", source_size=(720, 1280), fourcc="MJPG"),
        StreamJob("gst", "gst://x", "x", ImageView()),
    ):
        assert StreamJob.from_json(job.to_json()) == job


def test_a_child_that_never_ends_is_a_fault_of_its_driver(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, bell: int
):
    child = StreamProcess(JOB, bell, stubborn(tmp_path, "asked"))
    until(lambda: (child.report(0.1) or {}).get("kind") == "started")
    camera = object.__new__(StreamCamera)
    camera.name, camera._job = "front", JOB
    monkeypatch.setattr(child, "end", lambda: StreamEnd.NEVER)
    with pytest.raises(EdgeError, match=r"'front'.*does not end") as caught:
        camera._end(child)
    assert caught.value.exit_code == 5 and "reboot" in caught.value.hint
    monkeypatch.undo()
    child.end()
    assert camera_module.RESTART_ARGUS[1] == "--no-ask-password"  # it must never wait for somebody
