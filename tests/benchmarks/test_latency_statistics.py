"""Differences of planted times: what is there is found, what is not is not called."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import norm
from scipy.stats import t as student

from benchmarks.latency.statistics import (
    Blocks,
    _small_sample,
    interval,
    jitter,
    paired_differences,
    percentiles,
    sketch,
    unpaired_differences,
)

BLOCKS, ANSWERS = 8, 80
STAGES_MS = {"vision": 8.0, "prefill": 3.0, "plan": 2.0, "guard": 0.05}


def planted(rng: np.random.Generator, slowed: str = "", factor: float = 1.2) -> dict[str, Blocks]:
    """Times of a noisy machine: whole blocks are disturbed, and answers within them."""
    mood = rng.choice([1.0, 1.0, 1.5, 2.5], BLOCKS)
    stages: dict[str, Blocks] = {}
    for name, base_ms in STAGES_MS.items():
        slow = factor if name == slowed else 1.0
        noise = rng.lognormal(0.0, 0.04, (BLOCKS, ANSWERS))
        stalls = 1 + rng.exponential(1.0, (BLOCKS, ANSWERS)) * (
            rng.random((BLOCKS, ANSWERS)) < mood[:, None] - 0.8
        )
        stages[name] = [sketch(base_ms * slow * row) for row in noise * stalls]
    return stages


def test_a_stage_that_is_20_percent_slower_is_named_in_9_of_10() -> None:
    rng = np.random.default_rng(5)
    found = [
        [each.stage for each in compare(planted(rng), planted(rng, "prefill")) if each.slower]
        for compare in (paired_differences, unpaired_differences)
        for _ in range(10)
    ]
    assert sum(names == ["prefill"] for names in found) >= 18


def test_the_same_thing_twice_shows_no_difference_in_9_of_10() -> None:
    rng = np.random.default_rng(6)
    called = [
        any(each.real for each in compare(planted(rng), planted(rng)))
        for compare in (paired_differences, unpaired_differences)
        for _ in range(15)
    ]
    assert sum(called) <= 3


def test_drives_that_differ_from_each_other_are_no_difference_of_bundles() -> None:
    """A drive keeps what its process happened to get: caches, layout, a neighbour."""
    rng = np.random.default_rng(5)

    def drives() -> dict[str, Blocks]:
        spread = np.exp(rng.normal(0, 0.08, (12, BLOCKS, 1))) * rng.lognormal(0, 0.04, (12, BLOCKS, ANSWERS))
        return {f"{number}": [sketch(row) for row in stage] for number, stage in enumerate(spread)}

    called = [any(each.real for each in paired_differences(drives(), drives())) for _ in range(12)]
    assert sum(called) <= 1


@pytest.mark.parametrize("count", [4, 8, 30])
@pytest.mark.parametrize("tail", [0.0019, 0.025])
def test_an_interval_of_few_blocks_is_wider_as_students_is(count: int, tail: float) -> None:
    wider = student.ppf(1 - tail, count - 1) / norm.ppf(1 - tail) * (count / (count - 1)) ** 0.5
    assert _small_sample(count, tail) == pytest.approx(wider, rel=1e-3)


def test_a_side_that_differs_from_itself_by_more_shows_nothing() -> None:
    wild = {"vision": [[base, base * 1.01] for base in (8.0, 16.0, 8.0, 16.0, 8.0, 16.0, 8.0, 16.0)]}
    slower = {"vision": [[base * 1.2, base * 1.21] for base in (8.0, 16.0, 8.0, 16.0, 8.0, 16.0, 8.0, 16.0)]}
    assert not unpaired_differences(wild, slower)[0].real


def test_too_few_blocks_call_nothing() -> None:
    assert not paired_differences({"vision": [[8.0], [8.0]]}, {"vision": [[80.0], [80.0]]})[0].real


def test_stages_of_one_side_alone_and_stages_without_time_are_left_out() -> None:
    blocks = [[1.0]] * 4
    rows = paired_differences(
        {"head": blocks, "decode": blocks, "x": [[0.0]] * 4}, {"decode": blocks, "x": blocks}
    )
    assert [each.stage for each in rows] == ["decode"]


@given(st.lists(st.floats(0.001, 1e4), min_size=1, max_size=60))
def test_percentiles_rise_and_stay_within_the_values(values: list[float]) -> None:
    found = list(percentiles(values).values())
    assert found == sorted(found)
    assert found[0] >= min(values) - 1e-3 and found[-1] == pytest.approx(max(values), abs=1e-3)
    marks = sketch(values)
    assert marks == sorted(marks) and marks[-1] == pytest.approx(max(values), abs=1e-3)


def test_an_interval_holds_the_median_and_narrows_with_more_answers() -> None:
    rng = np.random.default_rng(7)
    few, many = (interval(rng.normal(50, 5, count).tolist()) for count in (100, 3000))
    assert few[0] <= 50.5 and few[1] >= 49.5 and many[0] <= 50.3 and many[1] >= 49.7
    assert many[1] - many[0] < few[1] - few[0]
    assert interval([1.0, 2.0, 3.0, 4.0])[0] < 2.5 < interval([1.0, 2.0, 3.0, 4.0])[1]


def test_jitter_is_the_change_from_answer_to_answer() -> None:
    assert jitter([10.0, 12.0, 9.0]) == 2.5 and jitter([10.0]) == 0.0
