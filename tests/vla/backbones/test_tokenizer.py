import unicodedata

import pytest
from tokenizers import Tokenizer

from edge.bundle.bundle import load_bundle
from edge.goals.words import COLOURS, KINDS, KOREAN
from vla.backbones.tokenizer import LOC_COUNT, build_tokenizer, loc_token

TOKENIZER = build_tokenizer()
ANSWER = "<loc0500><loc0300><loc0700><loc0600> red cup"


def test_the_tokenizer_is_that_of_the_default_model():
    assert TOKENIZER.to_str().encode() == load_bundle("default").read("tokenizer")


def test_special_tokens_and_places_have_their_ids():
    specials = ["<pad>", "<eos>", "<bos>", "<unk>", "<image>", "\n"]
    assert [TOKENIZER.token_to_id(token) for token in specials] == list(range(6))
    first = TOKENIZER.token_to_id("<loc0000>")
    assert [TOKENIZER.token_to_id(loc_token(i)) for i in range(LOC_COUNT)] == list(
        range(first, first + LOC_COUNT)
    )
    assert TOKENIZER.get_vocab_size() == first + LOC_COUNT


@pytest.mark.parametrize("text", [ANSWER, "none", "detect 빨간 컵\n", "caption en\n", "cup ; red ball"])
def test_round_trip(text: str):
    ids = TOKENIZER.encode(text).ids
    assert TOKENIZER.decode(ids) == text
    assert 3 not in ids


def test_every_kind_and_colour_is_one_token_in_both_languages():
    for word in (*KINDS, *COLOURS, *KOREAN.values()):
        (token,) = TOKENIZER.encode(word).ids
        assert token > 5
    assert KOREAN.keys() == {*KINDS, *COLOURS}


def test_spelling_does_not_matter():
    ids = TOKENIZER.encode("detect red cup\n").ids
    assert TOKENIZER.encode("  Detect   RED cup \n").ids == ids
    korean = TOKENIZER.encode("detect 빨간 컵\n").ids
    assert TOKENIZER.encode("detect 빨간색 컵\n").ids == korean
    assert TOKENIZER.encode(unicodedata.normalize("NFD", "detect 빨간 컵\n")).ids == korean


def test_unknown_words_are_unknown():
    assert TOKENIZER.encode("detect mug").ids[1:] == [3]


def test_a_saved_tokenizer_is_the_same():
    again = Tokenizer.from_str(TOKENIZER.to_str())
    assert (
        again.encode("Detect 검은색 배낭\n" + ANSWER).ids
        == TOKENIZER.encode("detect 검은 배낭\n" + ANSWER).ids
    )
