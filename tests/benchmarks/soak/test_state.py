"""The state of a soak: hours add up, and a run that was cut off does not count."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.soak.report import report
from benchmarks.soak.state import LONG, Counts, RunRecord, State, bag

HELD = Counts(8, 2, 70_000, 0, 0)


def run(seed: int, number: int = 35, violations: tuple[str, ...] = ()) -> RunRecord:
    return RunRecord(
        seed, number, "runtime SIGKILLed", "2026-11-27T10:00:00+00:00", 12.0, "killed", -9, 3.0,
        zero_ms=150.0, bound_ms=300.0, violations=list(violations), before=HELD, after=HELD,
    )  # fmt: skip


def test_a_soak_goes_on_after_the_last_whole_line(tmp_path: Path):
    state = State(tmp_path / "new" / "state")
    assert (state.next_seed(7), state.turns()) == (7, 0)
    state.add(run(7))
    state.add(run(8, LONG))
    with state.file.open("a") as file:
        file.write('{"seed": 9, "num')  # SIGKILL
    again = State(state.folder)
    assert (again.next_seed(7), again.turns()) == (9, 1)
    again.add(run(9))
    assert [each["seed"] for each in again.records()] == [7, 8, 9]


def test_the_report_names_each_violation_and_fails(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    state = State(tmp_path)
    assert report(state) == 0
    state.add(run(1))
    assert report(state) == 0
    state.add(run(2, violations=("left shared memory: x",)))
    assert report(state) == 4
    said = capsys.readouterr().out
    assert "VIOLATION seed 2 fault 35" in said and "left shared memory: x" in said
    assert "zero 150 to 150 of 300 ms" in said and "1 of 2 runs broke a rule" in said


@given(st.sets(st.integers(0, 68), min_size=1), st.integers(0, 100), st.integers(0, 3))
def test_each_cycle_draws_every_fault_once(numbers: set[int], seed: int, cycle: int):
    ordered = sorted(numbers)
    turns = range(cycle * len(ordered), (cycle + 1) * len(ordered))
    assert sorted(bag(ordered, seed, turn) for turn in turns) == ordered
