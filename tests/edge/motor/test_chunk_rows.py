"""A chunk's rows: which chunks have none, how far values are cut, and which row is due at a time."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.motor.chunk_rows import LimitedChunk, jumps, malformed
from edge.motor.limits import MotorLimits
from edge.records import BASE_ACTION, ActionChunk

START = 1_000_000_000
MS = 1_000_000


def chunk(values: object, dt_s: float = 0.1, valid_ms: int = 1000) -> ActionChunk:
    return ActionChunk(np.array(values, np.float32), dt_s, START, START + valid_ms * MS, 0.9, 0)


def limited(*rows: tuple[float, float, float], limits: MotorLimits | None = None) -> LimitedChunk:
    return LimitedChunk.from_chunk(chunk(rows), BASE_ACTION, limits or MotorLimits())


@pytest.mark.parametrize(
    ("bad", "fault"),
    [
        (chunk(0.0), "chunk has shape (), not (rows, 3)"),
        (chunk([0.0, 0.0, 0.0]), "chunk has shape (3,), not (rows, 3)"),
        (chunk([[0.0, 0.0]]), "chunk has shape (1, 2), not (rows, 3)"),
        (chunk(np.zeros((3, 1))), "chunk has shape (3, 1), not (rows, 3)"),
        (chunk([[[0.0, 0.0, 0.0]]]), "chunk has shape (1, 1, 3), not (rows, 3)"),
        (chunk(np.zeros((2, 3, 1))), "chunk has shape (2, 3, 1), not (rows, 3)"),
        (chunk(np.zeros((0, 3))), "chunk has shape (0, 3), not (rows, 3)"),
        (chunk([[0.0] * 3], dt_s=0.0), "chunk has a row time of 0.0 s"),
        (chunk([[0.0] * 3], dt_s=-0.1), "chunk has a row time of -0.1 s"),
        (chunk([[0.0] * 3], dt_s=math.inf), "chunk has a row time of inf s"),
        (chunk([[0.0] * 3], dt_s=math.nan), "chunk has a row time of nan s"),
        (chunk([[0.0, 0.0, math.nan]]), "chunk has a value that is not finite"),
        (chunk([[0.0, 0.0, 0.0], [0.0, -math.inf, 0.0]]), "chunk has a value that is not finite"),
    ],
)
def test_a_malformed_chunk_says_what_is_wrong_with_it(bad: ActionChunk, fault: str) -> None:
    assert malformed(bad, 3) == fault


@pytest.mark.parametrize("rows", [1, 2, 300])
@pytest.mark.parametrize("dt_s", [1e-9, 0.5, 100.0])
def test_a_chunk_of_finite_rows_is_well_formed(rows: int, dt_s: float) -> None:
    assert malformed(chunk(np.full((rows, 3), 9.0), dt_s), 3) == ""


@pytest.mark.parametrize(
    ("before", "after", "expected"),
    [
        ((0.5 + 0j, 0.0), (-0.1 + 0j, 0.0), False),  # 0.6 m/s itself is allowed
        ((0.5 + 0j, 0.0), (-0.11 + 0j, 0.0), True),
        ((-0.5 + 0j, 0.0), (0.5 + 0j, 0.0), True),
        ((-0.3 + 0j, 0.0), (-0.5 + 0j, 0.0), False),
        ((0.4 + 0j, 0.0), (-0.4j, 0.0), False),
        ((0.5 + 0j, 0.0), (-0.5j, 0.0), True),
        ((0j, 1.0), (0j, -0.5), False),  # 1.5 rad/s itself is allowed
        ((0j, 1.0), (0j, -0.51), True),
        ((0j, -1.0), (0j, 1.0), True),
        ((0j, 0.8), (0j, 0.8), False),
    ],
)
def test_a_jump_is_more_than_a_base_is_meant_to_do_at_once(before, after, expected: bool) -> None:  # type: ignore[no-untyped-def]
    assert jumps(before, after, MotorLimits()) is expected


finite = st.floats(-3.0, 3.0, width=32)


@given(st.lists(st.tuples(finite, finite, finite), min_size=1, max_size=5), st.booleans())
def test_rows_are_cut_to_the_limits_and_keep_their_direction(
    rows: list[tuple[float, float, float]], sideways: bool
) -> None:
    limits = MotorLimits(linear_m_s=0.4, angular_rad_s=0.8, sideways=sideways)
    cut = limited(*rows, limits=limits)
    assert len(cut.rows) == len(rows)
    for (linear, angular), (x, y, turn) in zip(cut.rows, rows, strict=True):
        assert abs(linear) <= 0.4 + 1e-9
        assert angular == max(-0.8, min(0.8, turn))
        if not sideways:
            assert linear.imag == 0
        elif max(abs(x), abs(y)) <= 0.5:
            wanted = complex(x, y)
            assert abs(linear) == pytest.approx(min(abs(wanted), 0.4))
            assert linear * abs(wanted) == pytest.approx(wanted * abs(linear))


def test_values_beyond_the_spec_are_cut_before_the_length_of_the_vector() -> None:
    ((linear, angular),) = limited((9.0, -9.0, -9.0)).rows
    assert linear == pytest.approx(0.5 * (1 - 1j) / math.sqrt(2))
    assert angular == -1.0


@pytest.mark.parametrize(
    ("row", "clamped"),
    [
        ((0.1, 0.2, 0.3), False),
        ((-0.3, -0.4, 1.0), False),  # as 32-bit numbers, a little longer than 0.5
        ((0.5001, 0.0, 0.0), True),
        ((0.0, -0.5001, 0.0), True),
        ((-0.4, 0.4, 0.0), True),
        ((0.0, 0.0, 1.001), True),
        ((0.0, 0.0, -1.001), True),
    ],
)
def test_a_chunk_tells_whether_one_of_its_values_was_cut(
    row: tuple[float, float, float], clamped: bool
) -> None:
    assert limited(row).clamped is clamped
    assert limited((0.0, 0.0, 0.0), row).clamped is clamped


def test_a_value_that_is_cut_below_the_spec_counts_too() -> None:
    limits = MotorLimits(linear_m_s=0.2, angular_rad_s=0.4)
    assert limited((0.0, 0.0, 0.5), limits=limits).clamped
    assert limited((0.2001, 0.0, 0.0), limits=limits).clamped
    assert not limited((0.1999, 0.0, 0.4), limits=limits).clamped


@pytest.mark.parametrize(
    ("after_ms", "index"),
    [(-50, 0), (0, 0), (99.999999, 0), (100, 1), (199, 1), (200, 2), (299.999999, 2), (300, 3), (9000, 3)],
)
def test_a_row_holds_until_the_next_one_begins(after_ms: float, index: int) -> None:
    three = limited((0.1, 0, 0), (0.2, 0, 0), (0.3, 0, 0))
    now_ns = START + round(after_ms * MS)
    assert three.index(now_ns) == index
    assert three.row(now_ns) == (three.rows[index] if index < 3 else None)


def test_a_tiny_row_time_elapses_at_once() -> None:
    tiny = LimitedChunk.from_chunk(chunk([[0.1, 0, 0]], dt_s=1e-300), BASE_ACTION, MotorLimits())
    assert tiny.index(START) == 0
    assert tiny.index(START + 1) == 1


def test_a_row_begins_in_time_although_its_time_is_rounded() -> None:
    tenths = LimitedChunk.from_chunk(chunk(np.zeros((10, 3)), dt_s=0.1), BASE_ACTION, MotorLimits())
    assert [tenths.index(START + i * 100 * MS) for i in range(11)] == list(range(11))


def test_no_row_is_due_from_the_end_of_its_validity_on() -> None:
    short = LimitedChunk.from_chunk(chunk([[0.1, 0, 0]] * 3, valid_ms=150), BASE_ACTION, MotorLimits())
    assert short.row(START + 150 * MS - 1) == short.rows[1]
    assert short.row(START + 150 * MS) is None
