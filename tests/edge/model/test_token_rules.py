"""Rules for the next token, compared with transformers' own logits processors."""

from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from transformers import LogitsProcessorList
from transformers.generation import (
    ForcedBOSTokenLogitsProcessor,
    MinLengthLogitsProcessor,
    MinNewTokensLengthLogitsProcessor,
    NoBadWordsLogitsProcessor,
    NoRepeatNGramLogitsProcessor,
    RepetitionPenaltyLogitsProcessor,
    SuppressTokensAtBeginLogitsProcessor,
    SuppressTokensLogitsProcessor,
)

from edge.bundle.manifest import AnswerSpec, TokenRules
from edge.model.token_rules import ruled

WORDS = 9
ENDS = (1, 2)
IDS = st.integers(0, WORDS - 1)
SOME = st.lists(IDS, min_size=1, max_size=3, unique=True).map(tuple)
RULES: dict[str, st.SearchStrategy[Any]] = {
    "repetition_penalty": st.floats(0.3, 3).filter(lambda penalty: penalty != 1),
    "no_repeat_ngram_size": st.integers(1, 4),
    # transformers has an error where none is left that is more than an end.
    "bad_words_ids": st.lists(st.lists(IDS, min_size=1, max_size=3).map(tuple), min_size=1)
    .map(tuple)
    .filter(lambda words: not {*words} <= {(end,) for end in ENDS}),
    "min_length": st.integers(1, 12),
    "min_new_tokens": st.integers(1, 6),
    "forced_bos_token_id": IDS,
    "suppress_tokens": SOME,
    "begin_suppress_tokens": SOME,
}  # in the order of `generate`
LOGITS = st.lists(st.floats(-9, 9, width=32), min_size=WORDS, max_size=WORDS)
ASKED = st.lists(IDS, min_size=1, max_size=4)
SAID = st.lists(IDS, max_size=8)


def _processors(rules: dict[str, Any], asked: int) -> LogitsProcessorList:
    """Return the processors that `generate` makes, in its order."""
    begin = asked + (asked == 1 and "forced_bos_token_id" in rules)
    makers: dict[str, Any] = {
        "repetition_penalty": RepetitionPenaltyLogitsProcessor,
        "no_repeat_ngram_size": NoRepeatNGramLogitsProcessor,
        "bad_words_ids": lambda words: NoBadWordsLogitsProcessor([list(w) for w in words], list(ENDS)),
        "min_length": lambda least: MinLengthLogitsProcessor(least, list(ENDS)),
        "min_new_tokens": lambda least: MinNewTokensLengthLogitsProcessor(asked, least, list(ENDS)),
        "forced_bos_token_id": ForcedBOSTokenLogitsProcessor,
        "suppress_tokens": SuppressTokensLogitsProcessor,
        "begin_suppress_tokens": lambda ids: SuppressTokensAtBeginLogitsProcessor(ids, begin),
    }
    return LogitsProcessorList([makers[name](rules[name]) for name in RULES if name in rules])


def assert_same(rules: dict[str, Any], logits: list[float], asked: list[int], said: list[int]) -> None:
    values = np.array(logits, np.float32)
    seen = [*asked, *said]
    ids: Any = torch.tensor([seen])
    scores: Any = torch.from_numpy(values)[None]
    wanted = _processors(rules, len(asked))(ids, scores)[0].numpy()
    spec = AnswerSpec(max_tokens=9, end_ids=ENDS, rules=TokenRules(**rules))
    np.testing.assert_array_equal(ruled(values, seen, len(asked), spec), wanted)
    np.testing.assert_array_equal(values, np.array(logits, np.float32))  # the engine's own stay as they are


@pytest.mark.parametrize("name", RULES)
@given(data=st.data(), logits=LOGITS, asked=ASKED, said=SAID)
def test_each_rule_is_that_of_transformers(
    name: str, data: st.DataObject, logits: list[float], asked: list[int], said: list[int]
) -> None:
    assert_same({name: data.draw(RULES[name])}, logits, asked, said)


@given(rules=st.fixed_dictionaries({}, optional=RULES), logits=LOGITS, asked=ASKED, said=SAID)
def test_rules_together_are_those_of_transformers(
    rules: dict[str, Any], logits: list[float], asked: list[int], said: list[int]
) -> None:
    assert_same(rules, logits, asked, said)


def test_ids_that_the_net_can_not_say_are_no_error() -> None:
    """Image tokens may stand behind the last word, and lists of other checkpoints may name more."""
    rules = {"repetition_penalty": 2.0, "no_repeat_ngram_size": 1, "suppress_tokens": (WORDS, 3)}
    spec = AnswerSpec(max_tokens=9, end_ids=ENDS, rules=TokenRules(**rules))
    left = ruled(np.ones(WORDS, np.float32), [WORDS, WORDS + 5, 4], 3, spec)
    assert np.isneginf(left).nonzero()[0].tolist() == [3, 4]


def test_without_rules_anything_may_be_said() -> None:
    logits = np.ones(WORDS, np.float32)
    assert ruled(logits, [1, 1, 1], 1, AnswerSpec(max_tokens=9, end_ids=ENDS)) is logits
