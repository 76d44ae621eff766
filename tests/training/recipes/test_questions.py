import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge.goals.words import COLOURS, KINDS
from training.recipes.questions import find, phrase, sample_question
from vla.backbones.tokenizer import build_tokenizer

RED, BLUE = COLOURS.index("red"), COLOURS.index("blue")
CUP, BOX = KINDS.index("cup"), KINDS.index("box")


def objects(*rows: tuple[float, ...]) -> np.ndarray:
    """Kind, colour, y0, x0, y1, x1, distance, clear."""
    table = np.full((10, 8), -1, np.float32)
    if rows:
        table[: len(rows)] = rows
    return table


NEAR = (CUP, RED, 0.4, 0.1, 0.6, 0.2, 1.0, 1)
FAR = (CUP, RED, 0.4, 0.5, 0.5, 0.55, 2.0, 1)


def test_of_several_the_nearest_is_meant() -> None:
    q = find(objects(NEAR, FAR), CUP, RED)
    assert q is not None and q.box == pytest.approx(NEAR[2:6])


def test_two_at_the_same_distance_make_no_question() -> None:
    assert find(objects(NEAR, (*NEAR[:6], 1.05, 1)), CUP, RED) is None


def test_a_hidden_one_makes_no_question() -> None:
    assert find(objects((*NEAR[:7], 0)), CUP, RED) is None


def test_the_wrong_colour_is_answered_with_none() -> None:
    q = find(objects(NEAR), CUP, BLUE)
    assert q is not None and q.box is None and q.words == "none"


def test_korean_asks_for_the_same_thing() -> None:
    q = find(objects(NEAR), CUP, RED, korean=True)
    assert q is not None and q.prompt == "detect 빨간 컵" and q.box == pytest.approx(NEAR[2:6])
    assert phrase(BOX, None, True) == "상자"


@settings(max_examples=60)
@given(st.integers(0, 10**6), st.booleans())
def test_every_question_is_in_the_vocabulary(seed: int, empty: bool) -> None:
    tokenizer = build_tokenizer()
    table = objects() if empty else objects(NEAR, (BOX, BLUE, 0.2, 0.3, 0.5, 0.6, 1.5, 1))
    q = sample_question(table, np.random.default_rng(seed))
    unknown = tokenizer.token_to_id("<unk>")
    assert unknown not in tokenizer.encode(q.prompt).ids + tokenizer.encode(q.words).ids


def test_two_fifths_of_the_questions_are_about_what_is_not_there() -> None:
    rng = np.random.default_rng(0)
    asked = [sample_question(objects(NEAR), rng) for _ in range(2000)]
    absent = np.mean([q.words == "none" for q in asked])
    assert 0.37 < absent < 0.49
