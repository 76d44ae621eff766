"""Each rule that a run of the soak can break, broken."""

from dataclasses import replace

import pytest

from benchmarks.soak.faults.fault import KILLED, WENT_ON, Fault, end_of
from benchmarks.soak.judge import Left, judge
from tests.benchmarks.soak.logs import START_NS, TICK_NS, driven

LINES = driven([0.9])
STANDS_NS = next(line.stamp_ns for line in reversed(LINES) if line.moving) + TICK_NS
INJECTED_NS = STANDS_NS - 200_000_000
FAULT = Fault(3, "a camera", ("camera_repeats",), zero_ms=250.0)
RIGHT = Left("camera_repeats", 4, "error: it repeats", LINES, INJECTED_NS, LINES[-1].stamp_ns)
SLOW = "error: newest frame is 300 ms old\nhint: close what else uses this machine"


def found(fault: Fault = FAULT, **wrong: object) -> str:
    return "; ".join(judge(fault, replace(RIGHT, **wrong)).violations)


def test_a_run_that_ends_as_its_fault_does_is_right():
    verdict = judge(FAULT, RIGHT)
    assert (verdict.violations, verdict.zero_ms, verdict.by_machine) == ((), 200.0, False)


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"end": "camera_black"}, "ended as camera_black, expected camera_repeats"),
        ({"end": WENT_ON, "code": 3}, "ended as went on, expected camera_repeats"),
        ({"code": 0}, "ended as camera_repeats with exit code 0"),
        ({"injected_ns": None}, "ended as camera_repeats, expected went on"),
        ({"said": "Traceback (most recent call last):"}, "told a person a traceback"),
        ({"injected_ns": INJECTED_NS - 51_000_000}, "stood 251 ms after its fault (limit 250 ms"),
        ({"lines": [line for line in LINES if line.moving]}, "its last setpoint moves the base"),
        ({"lines": [line for line in LINES if line.moving]}, "never stood after its fault"),
        ({"ended_ns": INJECTED_NS}, "moved after it had ended"),
        ({"warm_ns": LINES[5].stamp_ns}, "armed before the model was warm"),
        ({"wrong": "HTTP {200}, not 401"}, "HTTP {200}, not 401"),
        ({"lines": [replace(LINES[0], armed=False, angular=0.2), *LINES]}, "motion while disarmed"),
    ],
)
def test_a_rule_that_is_broken_is_named(wrong: dict[str, object], said: str):
    assert said in found(**wrong)


def test_a_stop_by_the_machine_is_explained_only_if_the_run_says_so():
    assert found(end="stale_chunk", said=SLOW) == ""
    assert judge(FAULT, replace(RIGHT, end="stale_chunk", said=SLOW)).by_machine
    assert "ended as stale_chunk" in found(end="stale_chunk", said="error: it is old")
    assert "ended as camera_black" in found(end="camera_black", said=SLOW)


def test_time_that_the_machine_stood_still_is_granted():
    late = {"injected_ns": INJECTED_NS - 100_000_000}
    assert "stood 300 ms" in found(**late)
    assert found(**late, stalled_ms=60.0) == ""


def test_a_run_that_was_killed_may_move_until_its_bound():
    killed = replace(FAULT, ends=(KILLED,))
    assert found(killed, end=KILLED, code=-9, ended_ns=INJECTED_NS) == ""


def test_a_fault_that_the_run_survives_only_holds_the_base_for_a_moment():
    lines = driven([0.9, 0.0, 0.9])
    holds = replace(FAULT, ends=(WENT_ON,), zero_ms=None, hold_ms=250.0)
    at = {"end": WENT_ON, "code": 3, "lines": lines, "ended_ns": lines[-1].stamp_ns}
    assert found(holds, **at, injected_ns=START_NS + 12 * TICK_NS) == ""
    assert "limit 250 ms" in found(holds, **at, injected_ns=START_NS + 5 * TICK_NS)


@pytest.mark.parametrize(
    ("code", "summary", "end"),
    [
        (-9, None, KILLED),
        (6, None, "refused"),
        (1, None, "exit code 1 without a summary"),
        (4, {"cause": "hot", "outcome": "fault"}, "hot"),
        (1, {"cause": None, "outcome": "fault"}, "bug"),
        (4, {"cause": None, "outcome": "fault"}, "fault without a cause, exit code 4"),
        (3, {"cause": None, "outcome": "timeout"}, WENT_ON),
    ],
)
def test_how_a_run_ended_is_one_word(code: int, summary: dict[str, str | None] | None, end: str):
    assert end_of(code, summary) == end
