"""run.log: one line an event, and nothing that happens to it reaches the run."""

import logging
import os
import time
from pathlib import Path

import numpy as np
import pytest

from edge.interfaces import PolicyStatus
from edge.records import (
    DriveEnd,
    Frame,
    Goal,
    MotorState,
    MotorStatus,
    Observation,
    Outcome,
    Refusals,
    StopCause,
    Velocity,
)
from edge.runs import log as module
from edge.runs.drive_log import DriveLog
from edge.runs.log import RunLog, fields

log = logging.getLogger("edge.somewhere")


def lines(path: Path) -> list[str]:
    return path.read_text().splitlines()


def test_an_event_is_one_line_of_fields(tmp_path: Path):
    with RunLog(tmp_path / "run.log"):
        log.info("base stopped", extra=fields(cause="stale_chunk", seconds=1.25, reason='says "no"'))
    (line,) = lines(tmp_path / "run.log")
    assert line.startswith("time=20") and " stamp_ns=" in line
    rest = line[line.index("level=") :]
    assert rest == (
        'level=info logger=edge.somewhere event="base stopped" cause=stale_chunk seconds=1.25 '
        'reason="says \\"no\\""'
    )


def test_no_text_can_begin_a_line_or_a_field_of_its_own(tmp_path: Path):
    with RunLog(tmp_path / "run.log"):
        log.info("text", extra=fields(text="cup\nlevel=error event=forged\x1b[2J 컵", empty=""))
        log.info("text", extra=fields(text="\x1b[2J"))
    line, bare = lines(tmp_path / "run.log")
    assert bare.endswith(r'text="\u001b[2J"')
    assert r'text="cup\nlevel=error event=forged\u001b[2J \ucef5" empty=""' in line


def test_an_exception_stands_in_its_line(tmp_path: Path):
    with RunLog(tmp_path / "run.log"):
        try:
            raise OSError("no space")
        except OSError:
            log.exception("observer failed")
    (line,) = lines(tmp_path / "run.log")
    assert "level=error" in line and "error=\"OSError('no space')\"" in line and "test_log.py" in line


@pytest.mark.parametrize(("level", "count"), [("debug", 4), ("info", 3), ("warning", 2), ("error", 1)])
def test_the_level_chooses_what_is_logged(level: str, count: int, tmp_path: Path):
    before = logging.root.level
    with RunLog(tmp_path / "run.log", level):
        for each in (log.debug, log.info, log.warning, log.error):
            each("event")
    log.error("after the run")
    assert len(lines(tmp_path / "run.log")) == count and logging.root.level == before


@pytest.mark.parametrize("place", ["/dev/full", "/nowhere/run.log"])
def test_a_full_disk_costs_lines_and_nothing_else(place: str, capfd: pytest.CaptureFixture[str]):
    with RunLog(Path(place)) as run_log:
        for _ in range(3):
            log.warning("event")
    assert run_log.lost == 3 and run_log.trouble in (os.strerror(28), os.strerror(2))
    assert capfd.readouterr() == ("", "")


class Unprintable:
    def __str__(self) -> str:
        raise ValueError("never")


def test_a_value_that_cannot_be_printed_costs_its_line(tmp_path: Path):
    with RunLog(tmp_path / "run.log") as run_log:
        log.info("event", extra=fields(value=Unprintable()))
        log.info("another")
    assert run_log.lost == 1 and len(lines(tmp_path / "run.log")) == 1


def test_a_disk_that_hangs_is_not_waited_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(module, "CLOSE_S", 0.1)
    monkeypatch.setattr(module, "QUEUED_LINES", 5)
    os.mkfifo(tmp_path / "run.log")  # opening it to write waits for a reader
    began_s = time.monotonic()
    with RunLog(tmp_path / "run.log") as run_log:
        for _ in range(20):
            log.info("event")
    assert time.monotonic() - began_s < 1.0 and run_log.lost == 20
    with (tmp_path / "run.log").open() as reader:  # lets the thread end
        assert reader.readline()


def report(stamp_ms: int, state: MotorState = MotorState.FOLLOWING, **values: object) -> MotorStatus:
    return MotorStatus(stamp_ms * 1_000_000, state, Velocity(), **values)  # type: ignore[arg-type]


def test_a_drive_logs_stops_with_their_cause(caplog: pytest.LogCaptureFixture):
    caplog.set_level("INFO")
    drive_log = DriveLog()
    drive_log.on_status(report(0, MotorState.DISARMED))
    for _ in range(3):
        drive_log.on_status(report(20, MotorState.HOLDING))
    cause = {"reason": "battery at 5%", "cause": StopCause.LOW_BATTERY}
    for stamp_ms in (60, 80):
        drive_log.on_status(report(stamp_ms, MotorState.LATCHED, **cause))
    drive_log.on_end(DriveEnd(Outcome.FAULT, "battery at 5%", 4, StopCause.LOW_BATTERY))
    assert [record.message for record in caplog.records] == ["armed", "base stopped", "drive ended"]
    stopped, ended = caplog.records[1:]
    assert stopped.levelname == "WARNING" and stopped.fields["cause"] == "low_battery"
    assert ended.levelname == "WARNING" and ended.fields["exit_code"] == 4
    caplog.clear()
    drive_log.on_status(report(80, MotorState.RAMPING, reason="arrived", cause=StopCause.REQUESTED))
    assert [record.levelname for record in caplog.records] == ["INFO"]


def test_a_drive_logs_its_base_and_each_of_its_warnings_once(caplog: pytest.LogCaptureFixture):
    """Rows 22 and 28."""
    caplog.set_level("INFO")
    drive_log = DriveLog()
    for warning in ("", "no motion", "no motion", "", "no motion"):
        drive_log.on_status(report(0, about="rover 1", warning=warning))
    logged = [(record.levelname, record.message, record.fields) for record in caplog.records]
    warned = ("WARNING", "base warns", {"warning": "no motion"})
    assert logged == [("INFO", "base", {"about": "rover 1"}), warned, warned]


def test_refused_chunks_are_logged_by_reason_once_a_second(caplog: pytest.LogCaptureFixture):
    caplog.set_level("INFO")
    drive_log = DriveLog()
    drive_log.on_status(report(0, refused=Refusals(early=2)))
    for i in range(1, 150):  # one more each 20 ms
        drive_log.on_status(report(20 * i, refused=Refusals(early=2, jumps=i, old=i // 100)))
    refused = [(r.levelname, r.fields) for r in caplog.records if r.message == "chunks refused"]
    assert refused == [
        ("INFO", {"early": 2}),
        ("WARNING", {"jumps": 50}),
        ("WARNING", {"jumps": 50, "old": 1}),
    ]


def test_a_drive_logs_each_change_of_its_tempo_and_no_change_of_speed(caplog: pytest.LogCaptureFixture):
    caplog.set_level("INFO")
    drive_log = DriveLog()
    frame = Frame(np.zeros((2, 2, 3), np.uint8), 0, 0)
    observation = Observation({"front": frame}, Goal("find_object", "cup"))
    for slowed_to_m_s in (None, 0.3, 0.2, 0.0, 0.0, None):
        drive_log.on_frame(observation, PolicyStatus("", slowed_to_m_s=slowed_to_m_s))
    tempos = [record.fields["tempo"] for record in caplog.records if record.message == "tempo"]
    assert tempos == ["slowed", "stop-look-move", "full speed"]
