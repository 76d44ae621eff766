import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.policies import in_simulation
from benchmarks.success import Trial, summarize, targets
from edge.field.proportions import wilson95
from edge.records import Box
from sim.lockstep import EpisodeResult
from training.running import find_success


def trial(seed: int, claimed: bool, success: bool, bumps: int = 0, path_m: float = 2.0) -> Trial:
    return Trial(
        seed, "red cup", EpisodeResult(claimed, success, bumps, 10.0, path_m, "arrived", 7.0, 100), 1.9
    )


def test_wilson_interval_matches_the_published_example() -> None:
    # 15 of 50: Newcombe 1998 and every table of the method.
    assert wilson95(15, 50) == pytest.approx((0.1910, 0.4375), abs=1e-3)


@given(st.integers(1, 500), st.data())
def test_the_interval_holds_the_share(n: int, data: st.DataObject) -> None:
    k = data.draw(st.integers(0, n))
    low, high = wilson95(k, n)
    assert 0 <= low <= k / n + 1e-9 and k / n - 1e-9 <= high <= 1


def test_summary_counts_what_is_true_not_what_is_claimed() -> None:
    figures = summarize(
        [trial(1, True, True), trial(2, True, False, bumps=3), trial(3, False, False)], absent=False
    )
    assert figures["success"] == pytest.approx(1 / 3)
    assert figures["false_arrivals"] == pytest.approx(1 / 3)
    assert figures["collisions"] == pytest.approx(1 / 3)
    assert figures["failed_seeds"] == [2, 3] and figures["collided_seeds"] == [2]
    assert figures["per_target"]["cup"]["episodes"] == 3
    assert 0 < figures["spl"] <= 1 / 3


def test_for_an_absent_thing_success_is_not_to_claim() -> None:
    figures = summarize([trial(1, False, False), trial(2, True, False)], absent=True)
    assert figures["success"] == 0.5 and figures["median_seconds"] is None


def test_all_kinds_get_their_turn_and_the_seed_fixes_them() -> None:
    names = targets(80, 1000, None)
    assert names == targets(80, 1000, None) != targets(80, 1001, None)
    assert len({name.split()[-1] for name in names}) == 8
    assert 20 < sum(" " in name for name in names) < 60
    assert targets(2, 0, "cup") == ["cup", "cup"]


def test_iou() -> None:
    assert Box(0, 0, 1, 0.5).iou(Box(0, 0.25, 1, 0.75)) == pytest.approx(1 / 3)
    assert Box(0, 0, 0.1, 0.1).iou(Box(0.5, 0.5, 0.6, 0.6)) == 0


def test_a_training_config_can_name_success_in_simulation() -> None:
    assert find_success("benchmarks.policies:in_simulation") is in_simulation
