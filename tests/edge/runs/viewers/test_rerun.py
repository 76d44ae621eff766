"""Rerun at a drive: its own reader finds in a file what was driven; a real viewer that hangs or is killed."""

import contextlib
import logging
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from importlib.util import find_spec
from itertools import count, islice
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from edge.records import DriveEnd, Outcome
from edge.runs.recording.torn import McapReader
from edge.runs.tap.events import TapEvent
from edge.runs.tap.plain import to_line
from edge.runs.tap.tap import Tap
from edge.runs.viewers.rerun_log import RerunLog
from tests.edge.recording.events import END, HEADER, chunk, drive, frame, kept, start, tell
from tests.edge.runs.live.test_run import refused
from tests.edge.runs.viewers.apps import connected, free_port
from tests.small_disk import small_disk
from tests.waiting import until

pytestmark = pytest.mark.skipif(
    find_spec("rerun") is None, reason="this Python has no rerun-sdk; docs/viewers.md says how to run this"
)
REACHED = DriveEnd(Outcome.REACHED, "", 0)


def rows(file: Path, entity: str, component: str) -> list[tuple[int, Any]]:
    """What Rerun's reader finds of a component: time in ns and value."""
    from rerun.chunk import RrdReader

    found: list[tuple[int, Any]] = []
    for each in RrdReader(file).stream().to_chunks():
        batch = each.to_record_batch()
        if each.entity_path == entity and component in batch.schema.names:
            stamps = batch.column("monotonic").cast("int64").to_pylist()
            found += zip(stamps, batch.column(component).to_pylist(), strict=True)
    return sorted((row for row in found if row[1] is not None), key=lambda row: row[0])


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A drive as Rerun's file, written in a process of its own as in a run."""
    folder = tmp_path_factory.mktemp("run")
    with start(folder, rerun=str(folder / "drive.rrd")) as tap:
        tap.on_header(HEADER)
        until((folder / "drive.rrd").exists, 60)  # the package is slow to load
        drive(tap, 30, END)
        assert tap.finish(REACHED).notes == ()
    return folder / "drive.rrd"


def test_a_file_has_pictures_and_boxes_in_words(file: Path):
    pictures = rows(file, "/camera/front", "EncodedImage:blob")
    assert 5 <= len(pictures) <= 10  # ten a second, of 30
    jpeg = np.array(pictures[0][1][0], np.uint8)
    assert cv2.imdecode(jpeg, cv2.IMREAD_COLOR).shape == (48, 64, 3)
    words = rows(file, "/camera/front/boxes", "Boxes2D:labels")
    assert len(words) >= 29 and words[0][1] == ["cup 0.96"]
    stamp_ns, centers = rows(file, "/camera/front/boxes", "Boxes2D:centers")[0]
    assert centers == [[24.0, 18.0]] and stamp_ns >= 10**12


def test_a_file_has_curves_path_and_states(file: Path):
    wanted = [value[0] for _, value in rows(file, "/speed_m_s/wanted", "Scalars:scalars")]
    assert wanted == pytest.approx([float(np.hypot(*chunk(seq).values[0][:2])) for seq in range(30)])
    assert rows(file, "/speed_m_s/sent", "Scalars:scalars")[0][1] == [0.1]
    assert rows(file, "/latency_ms/vision", "Scalars:scalars")[0][1] == [3.0]
    assert rows(file, "/age_ms/frame", "Scalars:scalars")
    assert rows(file, "/world/path", "LineStrips3D:strips") and rows(file, "/world/base", "Arrows3D:origins")
    said = [text[0] for _, text in rows(file, "/state", "TextLog:text")]
    assert said == ["motor: following", "policy: approach", "drive: timeout: not reached within 1 s"]


def test_the_reason_of_a_stop_is_said(tmp_path: Path):
    to = RerunLog(str(tmp_path / "a.rrd"), tmp_path)
    events = kept(2)
    stopped = {**events[-1].data, "state": "ramping", "reason": "newest frame is 331 ms old"}
    for event in (*events, TapEvent("motor", 99, events[-1].stamp_ns + 1, to_line(stopped))):
        to.take(event)
    assert to.finish(True) == []
    said = [text[0] for _, text in rows(tmp_path / "a.rrd", "/state", "TextLog:text")]
    assert said[-1] == "motor: ramping: newest frame is 331 ms old"


@contextlib.contextmanager
def viewer_at(port: int, folder: Path, *does: str) -> Iterator[subprocess.Popen[bytes]]:
    """Start Rerun's own viewer, without its window."""
    import rerun_cli

    home = {**os.environ, "HOME": str(folder), "XDG_CONFIG_HOME": str(folder)}
    program = str(Path(rerun_cli.__file__).with_name("rerun"))
    subprocess.run([program, "analytics", "disable"], env=home, check=True, capture_output=True)
    command = [program, *does, "--bind", "127.0.0.1", "--port", str(port)]
    child = subprocess.Popen(command, env=home, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    until(lambda: connected(port, "0A"), 30)
    yield child
    child.kill()
    child.wait()


@pytest.fixture
def viewer(tmp_path: Path) -> Iterator[tuple[subprocess.Popen[bytes], int]]:
    """Rerun's own viewer, and its port."""
    port = free_port()
    with viewer_at(port, tmp_path, "--serve-grpc") as child:
        yield child, port


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:RRD file has no footer")  # that the viewer has saved
def test_a_viewer_that_was_closed_and_opened_anew_is_told_from_then_on(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
):
    caplog.set_level(logging.INFO)
    port, saved, seqs = free_port(), tmp_path / "saved.rrd", count(60)
    with start(tmp_path, rerun=f"rerun+http://127.0.0.1:{port}/proxy") as tap:
        with viewer_at(port, tmp_path, "--serve-grpc") as first:
            tap.on_header(HEADER)
            until(lambda: connected(port), 60)  # the package is slow to load
            drive(tap, 60)
            keeps_driving(tap, seqs, 60)
            first.kill()
        until(lambda: keeps_driving(tap, seqs) and said(caplog, "viewer gone"), 30)
        with viewer_at(port, tmp_path, "--save", str(saved)) as second:
            until(lambda: keeps_driving(tap, seqs) and said(caplog, "viewer is back"), 30)
            keeps_driving(tap, seqs, 30)
            report = tap.finish(REACHED)
            second.send_signal(signal.SIGINT)
            second.wait(30)
    (note,) = report.notes
    assert "the viewer had gone" in note
    assert said(caplog, "viewer gone") == said(caplog, "viewer is back") == 1
    (gone,) = (each for each in caplog.records if each.message == "viewer gone")
    assert f"`rerun --port {port}`" in gone.fields["hint"]  # type: ignore[attr-defined]
    assert rows(saved, "/camera/front", "EncodedImage:blob")
    states = [text[0] for _, text in rows(saved, "/state", "TextLog:text")]
    assert states[:2] == [
        "motor: following",
        "policy: approach",
    ]  # they are told again, though nothing changed


def keeps_driving(tap: Tap, seqs: Iterator[int], frames: int = 5) -> bool:
    """Tell of some more frames of a drive."""
    for seq in islice(seqs, frames):
        tell(tap, seq, frame(seq))
        time.sleep(0.02)
    return True


def said(caplog: pytest.LogCaptureFixture, event: str) -> int:
    return sum(each.message == event for each in caplog.records)


@pytest.mark.slow
@pytest.mark.parametrize("by", [None, signal.SIGSTOP, signal.SIGKILL], ids=["well", "frozen", "killed"])
def test_what_a_viewer_does_costs_the_recording_nothing(
    tmp_path: Path, viewer: tuple[subprocess.Popen[bytes], int], by: signal.Signals | None
):
    child, port = viewer
    with start(tmp_path, rerun=f"rerun+http://127.0.0.1:{port}/proxy") as tap:
        tap.on_header(HEADER)
        until(lambda: connected(port), 60)  # the package is slow to load
        drive(tap, 60, size=(120, 160))
        if by is not None:
            child.send_signal(by)
        drive(tap, 240, size=(120, 160))
        report = tap.finish(REACHED)
    recorded = [each.topic for each in McapReader(tmp_path / "run.mcap").messages()]
    assert recorded.count("/camera/front") == recorded.count("/vla_edge/tick") == 300
    assert recorded[-1] == "/vla_edge/outcome"
    if by is None:
        assert report.notes == ()
    if by is signal.SIGKILL:
        (note,) = report.notes
        lacks = int(re.search(r"lacks (\d+) events: the viewer had gone", note)[1])  # type: ignore[index]
        assert 240 * 3 <= lacks <= 300 * 4, note  # all since, and what was not confirmed when it was killed


@pytest.mark.slow
def test_a_full_disk_is_said(tmp_path: Path):
    with small_disk(tmp_path / "disk", 1) as disk, start(tmp_path, rerun=str(disk / "a.rrd")) as tap:
        tap.on_header(HEADER)
        until((disk / "a.rrd").exists, 60)
        drive(tap, 150, size=(240, 320))
        (note,) = tap.finish(REACHED).notes
    assert "is the disk full?" in note


def test_a_viewer_that_is_not_there_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    runs = ["--runs-dir", str(tmp_path / "runs")]
    error = refused(capsys, *runs, "--rerun", f"127.0.0.1:{free_port()}")
    assert "no Rerun viewer answers at 127.0.0.1" in error and "rerun --port" in error
    (tmp_path / "a.rrd").touch()
    assert "is there already" in refused(capsys, *runs, "--rerun", str(tmp_path / "a.rrd"))
    assert "can't write" in refused(capsys, *runs, "--rerun", str(tmp_path / "none" / "a.rrd"))
    assert not (tmp_path / "runs").exists()


@pytest.mark.slow
def test_nothing_is_said_to_anybody_else(tmp_path: Path):
    """The package tells nobody of its use: it connects to nothing that was not asked for."""
    script = f"""
from pathlib import Path
from edge.runs.viewers.rerun_log import RerunLog
from tests.edge.recording.events import kept
to = RerunLog({str(tmp_path / "a.rrd")!r}, Path("."))
for event in kept(5):
    to.take(event)
to.finish(True)
"""
    trace = tmp_path / "calls"
    command = ["strace", "-f", "-qq", "-e", "trace=connect,sendto", "-o", str(trace), sys.executable, "-c"]
    try:
        subprocess.run([*command, script], check=True, timeout=100)
    except FileNotFoundError:
        pytest.skip("strace is not installed")
    assert "AF_INET" not in trace.read_text()
