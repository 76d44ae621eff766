"""The live line: one line, not too often, never wider than the terminal."""

import io
import os
import unicodedata
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.interfaces import Inference, PolicyStatus
from edge.records import (
    Box,
    Detection,
    DriveEnd,
    Frame,
    Goal,
    MotorState,
    MotorStatus,
    Observation,
    Outcome,
    Velocity,
)
from edge.runs import terminal
from edge.runs.terminal import LiveLine, fitted

GOAL = Goal("find_object", "red cup")


CUP = Detection(Box(0.2, 0.2, 0.6, 0.6), "red cup", 0.87)


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.fixture
def screen(monkeypatch: pytest.MonkeyPatch) -> Terminal:
    screen = Terminal()
    stand_in = SimpleNamespace(stderr=screen)  # pytest sets sys.stderr anew between fixture and test
    monkeypatch.setattr(terminal, "sys", stand_in)
    monkeypatch.setattr(terminal.shutil, "get_terminal_size", lambda: os.terminal_size((80, 24)))
    return screen


def seen(stamp_ms: int) -> Observation:
    return Observation({"front": Frame(np.zeros((2, 2, 3), np.uint8), stamp_ms * 1_000_000, 0)}, GOAL)


def test_the_line_shows_the_drive_ten_times_a_second_and_goes(screen: Terminal):
    line = LiveLine(GOAL, enabled=True)
    line.on_start(1_000_000_000)
    line.on_inference(Inference(seen(0).frame, "none", 0.87, {"vision": 20.0, "decode": 11.0}))
    line.on_status(
        MotorStatus(0, MotorState.FOLLOWING, Velocity(0.3, 0.4, -0.2), frame_to_motor_ns=41_000_000)
    )
    for stamp_ms in range(1000, 2000, 33):
        line.on_frame(seen(stamp_ms), PolicyStatus("approach", detection=CUP))
    line.on_end(DriveEnd(Outcome.REACHED, "arrived", 0))
    shown = screen.getvalue().split("\r")[1:]
    assert 9 <= len(shown) <= 13 and shown[-2:] == [" " * 79, ""]
    assert shown[0] == "  0.0 s  approach red cup 0.87  0.50 m/s -0.20 rad/s  model 31 ms  motor 41 ms "


def test_the_confidence_that_nothing_is_there_is_not_shown_as_the_targets(screen: Terminal):
    line = LiveLine(GOAL, enabled=True)
    line.on_start(0)
    line.on_inference(Inference(seen(0).frame, "none", 1.0, {"vision": 20.0}))
    line.on_frame(seen(0), PolicyStatus("search"))
    assert screen.getvalue().startswith("\r  0.0 s  search   red cup  model 20 ms ")


@pytest.mark.parametrize("enabled", [True, False])
def test_a_warning_of_the_base_stays_above_the_line(screen: Terminal, enabled: bool):
    """Row 28."""
    line = LiveLine(GOAL, enabled)
    for warning in ("", "no\x1b motion", "no\x1b motion"):
        line.on_status(MotorStatus(0, MotorState.HOLDING, Velocity(), warning=warning))
    notes = [text for text in screen.getvalue().split("\r") if text.strip()]
    assert notes == ["note: no  motion\n"] * enabled


def test_a_robot_that_is_driven_by_words_shows_them_and_they_move_no_cursor(screen: Terminal):
    line = LiveLine(Goal("instruct", "go to the door"), enabled=True)
    line.on_start(0)
    line.on_frame(seen(0), PolicyStatus("turn", answer="Turn left.\x1b[2J\n"))
    assert screen.getvalue().startswith('\r  0.0 s  turn     "Turn left. [2J "')


def test_a_long_line_is_cut_before_it_wraps(screen: Terminal):
    LiveLine(GOAL, enabled=True).write("x" * 200)
    assert screen.getvalue() == "\r" + "x" * 79


@pytest.mark.parametrize(
    ("text", "columns", "shown"),
    [
        ("ab", 4, "ab  "),
        ("abcde", 4, "abcd"),
        ("빨간 컵", 7, "빨간 컵"),
        ("빨간 컵", 6, "빨간  "),
        ("컵", 0, ""),
    ],
)
def test_a_line_fills_its_columns_whatever_is_written(text: str, columns: int, shown: str):
    assert fitted(text, columns) == shown


@given(st.text(max_size=20), st.integers(0, 30))
def test_a_fitted_line_never_wraps(text: str, columns: int):
    wide = [2 if unicodedata.east_asian_width(each) in "WF" else 1 for each in fitted(text, columns)]
    assert sum(wide) == columns


def test_a_log_gets_a_line_every_ten_seconds(screen: Terminal, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(screen, "isatty", lambda: False)
    line, silent = LiveLine(GOAL, enabled=True), LiveLine(GOAL, enabled=False)
    for each in (line, silent):
        each.on_start(1_000_000_000)
        for stamp_ms in range(1000, 26_000, 500):
            each.on_frame(seen(stamp_ms), PolicyStatus("search"))
        each.on_end(DriveEnd(Outcome.REACHED, "arrived", 0))
    assert screen.getvalue().splitlines() == [" 10.0 s  search   red cup", " 20.0 s  search   red cup"]


def test_it_is_silent_where_nobody_reads_lines(screen: Terminal, monkeypatch: pytest.MonkeyPatch):
    LiveLine(GOAL, enabled=False).write("text")
    monkeypatch.setattr(screen, "isatty", lambda: False)
    LiveLine(GOAL, enabled=True).write("text")
    assert screen.getvalue() == ""


@pytest.mark.parametrize(
    ("slowed_to_m_s", "said"), [(None, "red cup"), (0.123, "slowed to 0.12 m/s"), (0.0, "stop-look-move")]
)
def test_the_line_says_that_late_answers_slow_the_base(
    screen: Terminal, slowed_to_m_s: float | None, said: str
):
    line = LiveLine(GOAL, enabled=True)
    line.on_start(0)
    line.on_frame(seen(0), PolicyStatus("drive", slowed_to_m_s=slowed_to_m_s))
    assert screen.getvalue().rstrip().endswith(said)
