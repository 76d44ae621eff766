"""Held against scipy and statsmodels, which compute the same by other ways."""

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import binom, chi2, norm
from statsmodels.stats.contingency_tables import mcnemar as statsmodels_mcnemar
from statsmodels.stats.proportion import confint_proportions_2indep, proportion_confint

from edge.field.proportions import gap95, mcnemar, paired95, pairs_needed, time_between95, wilson95

COUNTS = st.integers(1, 200).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n)))
PAIRS = st.integers(1, 120).flatmap(
    lambda n: st.integers(0, n).flatmap(lambda b: st.tuples(st.just(n), st.just(b), st.integers(0, n - b)))
)


@given(COUNTS)
def test_intervals_of_a_share_are_those_of_statsmodels(counts: tuple[int, int]):
    assert wilson95(*counts) == pytest.approx(proportion_confint(*counts, method="wilson"), abs=1e-12)


def test_without_trials_a_share_may_be_anything():
    assert wilson95(0, 0) == (0.0, 1.0)


@given(COUNTS, COUNTS)
def test_the_gap_of_two_shares_is_that_of_statsmodels(one: tuple[int, int], other: tuple[int, int]):
    theirs = confint_proportions_2indep(*one, *other, compare="diff", method="newcomb")
    assert gap95(*one, *other) == pytest.approx(theirs, abs=1e-9)


@given(st.integers(0, 80), st.integers(0, 80))
def test_the_paired_test_is_that_of_statsmodels(b: int, c: int):
    exact, mid_p = mcnemar(b, c)
    assert exact == pytest.approx(statsmodels_mcnemar([[3, b], [c, 3]], exact=True).pvalue, abs=1e-9)
    fewer = min(b, c)
    assert mid_p == pytest.approx(
        min(1.0, 2 * binom.cdf(fewer, b + c, 0.5) - binom.pmf(fewer, b + c, 0.5)), abs=1e-9
    )
    assert mcnemar(c, b) == (exact, mid_p)


@given(st.floats(1, 1e6), st.integers(0, 60))
@settings(max_examples=30)
def test_the_time_between_events_has_the_exact_interval_of_the_chi_squared_distribution(s: float, n: int):
    low, high = time_between95(s, n)
    assert low == pytest.approx(2 * s / chi2.ppf(0.975, 2 * n + 2), rel=1e-6)
    assert high == (math.inf if n == 0 else pytest.approx(2 * s / chi2.ppf(0.025, 2 * n), rel=1e-6))


@given(PAIRS)
@settings(max_examples=50)
def test_the_difference_of_pairs_lies_in_its_interval(counts: tuple[int, int, int]):
    n, b, c = counts
    low, high = paired95(n, b, c)
    assert -1 <= low <= high <= 1
    assert paired95(n, c, b) == pytest.approx((-high, -low))
    assert low <= (b - c) / (n + 2) <= high


@pytest.mark.parametrize(("p", "q"), [(0.3, 0.1), (0.2, 0.2), (0.4, 0.05)])
def test_the_interval_of_pairs_holds_the_truth_as_often_as_it_says(p: float, q: float):
    n, held = 40, 0.0
    for b in range(n + 1):
        for c in range(n - b + 1):
            low, high = paired95(n, b, c)
            if low <= p - q <= high:
                held += binom.pmf(b, n, p) * binom.pmf(c, n - b, q / (1 - p))
    assert held == pytest.approx(0.95, abs=0.025)


@pytest.mark.parametrize(("n", "b", "c"), [(20, 6, 1), (20, 4, 0), (30, 3, 12)])
def test_so_many_pairs_find_the_difference_four_times_in_five(n: int, b: int, c: int):
    """The exact power of the test that is used, by scipy's binomial distribution."""
    needed = pairs_needed(n, b, c)
    d, by = (b + c) / n, abs(b - c) / n
    by_hand = (norm.ppf(0.975) * d**0.5 + norm.ppf(0.8) * (d - by * by) ** 0.5) ** 2 / by**2
    assert needed == math.ceil(by_hand)
    power = sum(
        binom.pmf(m, needed, d)
        * sum(binom.pmf(k, m, b / (b + c)) for k in range(m + 1) if mcnemar(k, m - k)[1] < 0.05)
        for m in range(needed + 1)
    )
    assert 0.76 < power < 0.9  # the formula errs towards more pairs where few differ


def test_no_number_of_pairs_tells_equal_bundles_apart():
    assert pairs_needed(20, 3, 3) is None
    assert mcnemar(0, 0) == (1.0, 1.0)
