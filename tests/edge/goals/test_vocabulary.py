"""Targets as people write them, in Korean in one word too, come to the words that a bundle's model knows."""

from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.bundle.bundle import Bundle
from edge.bundle.manifest import Manifest, Vocabulary
from edge.errors import UsageError
from edge.goals.vocabulary import check_target
from edge.goals.words import COLOURS, KINDS, KOREAN, KOREAN_COLOURS
from edge.records import Goal

VOCABULARY = Vocabulary(
    kinds=(*KINDS, *(KOREAN[kind] for kind in KINDS)),
    colours=(*COLOURS, *(KOREAN[colour] for colour in COLOURS)),
)
BUNDLE = Bundle(
    Manifest.model_construct(name="words", policy="token", goals=("find_object",), vocabulary=VOCABULARY),
    {},
    "",
)
PARTICLES = ("", "을", "를", "이", "가", "은", "는", "으로", "로", "까지", "쪽으로", "에게", "에")
NAMED = [KOREAN[colour] for colour in COLOURS] + list(KOREAN_COLOURS)


def known(target: str) -> str:
    return check_target(BUNDLE, Goal("find_object", target)).target


@pytest.mark.parametrize("space", ["", " "])
def test_a_colour_and_its_thing_are_known_with_and_without_a_space_and_with_any_particle(space: str) -> None:
    for colour, tint, kind, particle in product(NAMED, ("", "색"), KINDS, PARTICLES):
        thing = KOREAN[kind]
        expected = f"{KOREAN_COLOURS.get(colour, colour)} {thing}"
        assert known(f"{colour}{tint}{space}{thing}{particle}") == expected


@pytest.mark.parametrize("target", ["컵빨간", "빨간파란컵", "을", "컵컵", "책상", "빨간책상", "redcup"])
def test_other_compounds_are_unknown_and_say_what_is_known(target: str) -> None:
    with pytest.raises(UsageError) as refusal:
        known(target)
    assert "컵" in refusal.value.hint


@given(st.text(alphabet="빨간색컵을파란상자로 redcup을", min_size=1, max_size=64))
def test_a_target_is_known_or_bad_usage(target: str) -> None:
    try:
        words = known(target).split()
    except UsageError as error:
        assert error.exit_code == 2
    else:
        assert not words or words[-1] in VOCABULARY.kinds
        assert set(words[:-1]) <= set(VOCABULARY.colours)
