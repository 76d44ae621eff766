"""What all commands share of their output: progress with and without a terminal, JSON, numbers for people."""

import io
import json
import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.commands import output
from edge.commands.output import ProgressLine, duration, figure, plain_digits, print_json, share


class Stream(io.StringIO):
    def __init__(self, is_terminal: bool) -> None:
        super().__init__()
        self._is_terminal = is_terminal

    def isatty(self) -> bool:
        return self._is_terminal


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Seconds of the clock; the test sets them."""
    now = [1000.0]
    monkeypatch.setattr(output.time, "monotonic", lambda: now[0])
    return now


def shown(monkeypatch: pytest.MonkeyPatch, is_terminal: bool) -> Stream:
    stream = Stream(is_terminal)
    monkeypatch.setattr("sys.stderr", stream)
    return stream


def test_a_pipe_gets_a_line_at_once_and_then_every_ten_seconds(
    monkeypatch: pytest.MonkeyPatch, clock: list[float]
) -> None:
    stream = shown(monkeypatch, is_terminal=False)
    with ProgressLine() as progress:
        for done in range(26):
            progress.show("rooms", done, 100, "nothing found")
            clock[0] += 1.0
    assert stream.getvalue().splitlines() == [
        "rooms 0/100, nothing found",
        "rooms 10/100, nothing found, about 2 min left",
        "rooms 20/100, nothing found, about 80 s left",
    ]


def test_another_thing_is_named_when_it_begins_but_not_more_than_once_a_second(
    monkeypatch: pytest.MonkeyPatch, clock: list[float]
) -> None:
    stream = shown(monkeypatch, is_terminal=False)
    progress = ProgressLine()
    for what, after_s in (("reading", 0.2), ("comparing", 0.9), ("writing", 0.0)):
        progress.show(what)
        clock[0] += after_s
    assert stream.getvalue().splitlines() == ["reading", "writing"]


def test_what_is_left_counts_from_where_the_work_began(
    monkeypatch: pytest.MonkeyPatch, clock: list[float]
) -> None:
    stream = shown(monkeypatch, is_terminal=False)
    progress = ProgressLine()
    progress.show("steps", 900, 1000)  # a run that goes on
    clock[0] += 10.0
    progress.show("steps", 950, 1000)
    assert stream.getvalue().splitlines()[-1] == "steps 950/1000, about 10 s left"


def test_a_terminal_has_one_line_that_fits_and_is_gone_at_the_end(
    monkeypatch: pytest.MonkeyPatch, clock: list[float]
) -> None:
    monkeypatch.setattr(output.shutil, "get_terminal_size", lambda: os.terminal_size((30, 24)))
    stream = shown(monkeypatch, is_terminal=True)
    with ProgressLine() as progress:
        for done in range(3):
            progress.show("episodes", done, 3, "a text that is longer than the terminal")
            clock[0] += 0.5
    written = stream.getvalue()
    assert "\n" not in written and written.endswith("\r" + " " * 29 + "\r")
    lines = written.split("\r")[1:-1]
    assert [len(line) for line in lines] == [29] * 4 and lines[0].startswith("episodes 0/3, a text")


def test_nothing_that_was_shown_leaves_nothing_to_clear(monkeypatch: pytest.MonkeyPatch) -> None:
    stream = shown(monkeypatch, is_terminal=True)
    with ProgressLine():
        pass
    assert stream.getvalue() == ""


@given(
    st.recursive(
        st.none() | st.booleans() | st.floats() | st.text(),
        lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
        max_leaves=8,
    )
)
def test_json_is_one_line_that_reads_back_or_an_error(document: object) -> None:
    with pytest.MonkeyPatch.context() as patch:
        stream = io.StringIO()
        patch.setattr("sys.stdout", stream)
        try:
            print_json(document)
        except ValueError:
            assert any(word in repr(document) for word in ("nan", "inf"))
            return
    text = stream.getvalue()
    assert text.count("\n") == 1 and json.loads(text, parse_constant=pytest.fail) == document


def test_the_share_of_nothing_is_not_a_number_and_shown_as_a_dash() -> None:
    assert share([]) is None and share([True, False, False, True]) == 0.5
    assert (figure(share([])), figure(0.5), figure(1 / 3, 1)) == ("-", "0.500", "0.3")


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.0, "1 s"), (40.4, "40 s"), (89.0, "89 s"), (90.0, "2 min"), (5000.0, "83 min"), (9000.0, "2.5 h")],
)
def test_times_are_for_people(seconds: float, text: str) -> None:
    assert duration(seconds) == text


def test_figures_of_json_have_four_digits_and_whole_numbers_stay_whole():
    document = {
        "ms": 0.41739859803921564,
        "bytes": 7012168.0,
        "n": 1_234_567,
        "rows": [1.23456, True, None, "x"],
    }
    plain = plain_digits(document)
    assert plain == {"ms": 0.4174, "bytes": 7012168, "n": 1_234_567, "rows": [1.235, True, None, "x"]}
    assert isinstance(plain["bytes"], int) and plain["rows"][1] is True


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_plain_digits_are_within_one_part_in_two_thousand(value: float):
    assert plain_digits(value) == pytest.approx(value, rel=5.001e-4, abs=1e-300)
