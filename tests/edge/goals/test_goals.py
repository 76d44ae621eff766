"""The goals that an operator may set, and those that are refused before anything starts."""

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.errors import UsageError
from edge.goals.goals import GOALS, MAX_TARGET_CHARS, parse_goal


@pytest.mark.parametrize("kind", [kind for kind, goal in GOALS.items() if goal.needs_target])
def test_goal_with_target_keeps_it(kind: str) -> None:
    goal = parse_goal(kind, "  red cup ")
    assert (goal.kind, goal.target) == (kind, "red cup")


@pytest.mark.parametrize("kind", [kind for kind, goal in GOALS.items() if not goal.needs_target])
def test_goal_without_target_refuses_one(kind: str) -> None:
    assert parse_goal(kind).target == ""
    with pytest.raises(UsageError, match="takes no target"):
        parse_goal(kind, "cup")


@pytest.mark.parametrize(
    ("typed", "meant"),
    [("find_objet", "find_object"), ("follow-object", "follow_object"), ("Describe_Scene", "describe_scene")],
)
def test_unknown_goal_suggests_the_nearest(typed: str, meant: str) -> None:
    with pytest.raises(UsageError) as caught:
        parse_goal(typed, "cup")
    assert meant in caught.value.hint


def test_goal_like_nothing_known_lists_all() -> None:
    with pytest.raises(UsageError) as caught:
        parse_goal("x" * 100_000)
    assert all(kind in caught.value.hint for kind in GOALS)
    assert len(caught.value.message) < 200


def test_missing_target_says_how_to_give_one() -> None:
    with pytest.raises(UsageError, match="needs a target") as caught:
        parse_goal("find_object")
    assert "--target" in caught.value.hint


def test_long_target_is_refused_with_both_lengths() -> None:
    with pytest.raises(UsageError, match=r"10240 characters.*limit 64"):
        parse_goal("find_object", "x" * 10_240)


def test_longest_target_is_accepted() -> None:
    assert len(parse_goal("find_object", "x" * MAX_TARGET_CHARS).target) == MAX_TARGET_CHARS


@pytest.mark.parametrize("target", ["컵", "빨간 컵", "café", "3-ring binder", "cup (blue)", "stop sign"])
def test_plain_names_in_any_script_are_accepted(target: str) -> None:
    assert parse_goal("find_object", target).target == target


def test_target_is_composed() -> None:
    assert parse_goal("find_object", unicodedata.normalize("NFD", "컵")).target == "컵"


@pytest.mark.parametrize(
    "target",
    [
        *("", "   ", "\u3000"),
        *("cup\x00", "cup\n", "a\nb", "a\tb", "\x1b[31mcup", "cup\u200b", "\u202ecup", "\ud800", "a\x7fb"),
        *("<loc0001>", "cup<image>", "</s>", "<|im_end|>", "<object>", "<grounding>", "<seg001>", "[INST]"),
        *("<", "<eos", "cup|>"),
    ],
)
def test_empty_unprintable_and_special_targets_are_refused(target: str) -> None:
    if target.strip() != target and target.strip() == "cup":
        assert parse_goal("find_object", target).target == "cup"
        return
    with pytest.raises(UsageError) as caught:
        parse_goal("find_object", target)
    assert caught.value.hint
    assert caught.value.message.isprintable()


@given(st.text(), st.text())
def test_any_text_is_a_goal_or_a_usage_error(kind: str, target: str) -> None:
    for name in (kind, "instruct"):
        try:
            goal = parse_goal(name, target)
        except UsageError:
            continue
        assert 1 <= len(goal.target) <= MAX_TARGET_CHARS
        assert goal.target.isprintable()
        assert "<" not in goal.target
