"""Hostile inputs: a few of each target."""

from pathlib import Path
from random import Random

import pytest
from hypothesis import given, settings

from benchmarks.fuzz.by_hypothesis import TEXTS
from benchmarks.fuzz.target import outcome
from benchmarks.fuzz.targets import TARGETS
from benchmarks.fuzz.texts import check, is_garbage
from edge.files import foreign_json
from edge.parsing import parse_action

QUICK = sorted(set(TARGETS) - {"manifest", "tokenizer", "archive"})


@pytest.mark.parametrize("name", QUICK)
def test_a_target_accepts_or_refuses(name: str, tmp_path: Path):
    checked = TARGETS[name].open(tmp_path)
    for index in range(20):
        assert outcome(checked, TARGETS[name].make(Random(index)))


@settings(max_examples=4, deadline=None)
@given(TEXTS)
def test_texts_move_nothing_without_words(texts: list[bytes]):
    for text in texts:
        check(text)


def test_garbage_has_no_words():
    assert is_garbage("<loc0012>#1 ㅋ")
    assert not is_garbage("go")


def test_a_text_with_broken_characters_moves_nothing():
    assert parse_action("turn left").angular_z_rad_s > 0
    assert parse_action(b"turn left \xff").angular_z_rad_s == 0
    assert parse_action("turn left\x00").angular_z_rad_s == 0


@pytest.mark.parametrize("text", ['{"a": 1, "a": 2}', "NaN", "-Infinity", "1e999", "[" * 100_000, "", "{"])
def test_json_of_others_is_bounded(text: str):
    with pytest.raises(ValueError):
        foreign_json(text)
