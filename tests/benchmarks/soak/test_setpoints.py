"""The judge of setpoints, with logs in which something is wrong, and with such in which nothing is."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.soak.setpoints import (
    Setpoint,
    first_zero_ms,
    read_setpoints,
    stands_after_ms,
    unsafe_setpoints,
)
from edge.motor.limits import MotorLimits
from tests.benchmarks.soak.logs import START_NS, TICK_NS, changed, driven, read_late

LIMITS = MotorLimits()
TURNS = st.lists(st.floats(-1.0, 1.0), max_size=4)


@given(TURNS, st.dictionaries(st.integers(1, 60), st.integers(1, 12), max_size=3))
def test_what_a_guard_lets_through_is_safe_however_late_the_board_reads_it(
    turns: list[float], stalls: dict[int, int]
):
    assert unsafe_setpoints(read_late(driven(turns), stalls), LIMITS) == []


@pytest.mark.parametrize(
    ("at", "angular", "armed", "said"),
    [
        (10, 1.01, True, "above its limit: 0.000 m/s, 1.010 rad/s"),
        (0, 0.05, False, "motion while disarmed"),
        (11, -0.5, True, "changed by"),
        (3, 0.6, True, "sped up by"),
        (11, 0.0, True, "changed by"),  # it stands at once, although the board was told in time
        (10, float("nan"), True, "not a number"),
    ],
)
def test_a_setpoint_that_must_not_be_is_noticed(at: int, angular: float, armed: bool, said: str):
    lines = driven([0.9])
    assert unsafe_setpoints(lines, LIMITS) == []
    assert any(said in what for what in unsafe_setpoints(changed(lines, at, angular, armed), LIMITS))


def test_a_sudden_start_is_noticed_though_its_acceleration_is_allowed():
    limited = [Setpoint(START_NS + i * TICK_NS, 0j, min(0.9, 0.06 * max(0, i - 3)), True) for i in range(20)]
    (said,) = unsafe_setpoints(limited, LIMITS)
    assert said.startswith("sped up by 0.060 at once, 0.000 before")


def test_a_board_that_hears_nothing_may_stand_at_once():
    lines = driven([0.9])[:15]
    silent = Setpoint(lines[-1].stamp_ns + 301_000_000, 0j, 0.0, True)
    assert unsafe_setpoints([*lines, silent], LIMITS) == []
    sudden = Setpoint(lines[-1].stamp_ns + TICK_NS, 0j, 0.0, False)
    assert unsafe_setpoints([*lines, sudden], LIMITS) != []
    assert unsafe_setpoints([*lines, sudden], LIMITS, board_stops=True) == []


def test_a_straight_line_is_judged_as_turns_are():
    quick = [Setpoint(START_NS + i * TICK_NS, complex(0.1 * i), 0.0, True) for i in range(5)]
    assert any("m/s" in what and "sped up" in what for what in unsafe_setpoints(quick, LIMITS))


def test_standing_counts_from_the_last_motion():
    lines = driven([0.9, 0.0, 0.5])
    since_ns = START_NS + 5 * TICK_NS
    first, last = first_zero_ms(lines, since_ns), stands_after_ms(lines, since_ns)
    assert first is not None and last is not None and first < last
    assert stands_after_ms(lines, lines[-1].stamp_ns) == 0.0
    moving = [line for line in lines if line.moving]
    assert stands_after_ms(moving, since_ns) is None and first_zero_ms(moving, since_ns) is None
    assert stands_after_ms(moving, moving[-1].stamp_ns) is None


def test_a_base_that_hears_no_more_moves_until_its_board_stands():
    moving = [line for line in driven([0.9]) if line.moving][:10]
    silent = Setpoint(moving[-1].stamp_ns + 301_000_000, 0j, 0.0, True)
    assert stands_after_ms([*moving, silent], moving[-1].stamp_ns + 1_000_000) == 300.0
    assert stands_after_ms([], START_NS) == 0.0


def test_a_last_line_that_was_cut_off_is_left_out(tmp_path: Path):
    log = tmp_path / "firmware.jsonl"
    assert read_setpoints(log) == []
    whole = '{"stamp_ns": 5, "linear_x": 0.1, "linear_y": 0.2, "angular_z": -0.3, "armed": true}\n'
    log.write_text(whole + whole[:20])
    assert read_setpoints(log) == [Setpoint(5, 0.1 + 0.2j, -0.3, True)]
