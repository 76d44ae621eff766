from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge.field.order import planned_trials
from tests.edge.field.field_sheet import sheet_of


@given(st.integers(0, 10**6), st.sampled_from(["interleaved", "random"]))
@settings(max_examples=30)
def test_what_drifts_during_a_day_meets_all_bundles_alike(seed: int, order: str):
    trials = planned_trials(sheet_of(f"order: {order}\nseed: {seed}\n"))
    blocks = [trials[i : i + 2] for i in range(0, len(trials), 2)]
    assert all(a.key[1:] == b.key[1:] and {a.bundle, b.bundle} == {"default", "head"} for a, b in blocks)
    begins = [block[0].bundle for block in blocks]
    assert abs(begins.count("default") - begins.count("head")) <= 1
    hours = {name: [i for i, t in enumerate(trials) if t.bundle == name] for name in ("default", "head")}
    means = [sum(each) / len(each) for each in hours.values()]
    assert means[0] == pytest.approx(means[1], abs=0.1)


def test_both_bundles_drive_in_the_same_room():
    rooms: dict[tuple[str, str, int], set[int]] = {}
    for trial in planned_trials(sheet_of()):
        rooms.setdefault(trial.key[1:], set()).add(trial.room)
    assert len(rooms) == 15 and all(len(each) == 1 for each in rooms.values())
    assert len(set.union(*rooms.values())) == 15


def test_settings_take_turns():
    trials = planned_trials(sheet_of())
    assert {trial.scene for trial in trials[:6]} == {1}
    assert all(a.scene <= b.scene for a, b in pairwise(trials))


def test_the_seed_fixes_a_shuffled_order():
    def keys(seed: int) -> list[object]:
        return [each.key for each in planned_trials(sheet_of(f"order: random\nseed: {seed}\n"))]

    assert keys(1) == keys(1) != keys(2)
    assert sorted(map(str, keys(1))) == sorted(map(str, keys(2)))


def test_a_sheet_that_gets_more_trials_keeps_the_rooms_of_those_it_had():
    few = {each.key: each.room for each in planned_trials(sheet_of())}
    more = sheet_of().model_copy(update={"trials": 9})
    assert few.items() <= {each.key: each.room for each in planned_trials(more)}.items()
