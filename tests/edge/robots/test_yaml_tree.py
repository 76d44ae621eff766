"""YAML as robot files use it: nothing means more than it says."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.errors import UsageError
from edge.robots.yaml_tree import MAX_BYTES, read_tree


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("1", 1), ("-3", -3), ("0.5", 0.5), ("1e-2", 0.01), (".5", 0.5), ("5.", 5.0), ("true", True),
        ("null", None), ("", None), ("on", "on"), ("no", "no"), ("yes", "yes"), ("0x10", "0x10"),
        ("010", "010"), ("1_000", "1_000"), ("10:30", "10:30"), (".inf", ".inf"), (".nan", ".nan"),
        ("2020-01-01", "2020-01-01"), ("'1'", "1"), ('"컵"', "컵"), ("9" * 30, "9" * 30),
        ("[1, a]", [1, "a"]),
    ],
)  # fmt: skip
def test_values_mean_what_they_say(written: str, meant: object):
    assert read_tree(f"key: {written}\n", "f").values == {"key": meant}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "f is empty"),
        ("# only a comment", "f is empty"),
        ("a: 1\nb: 2\na: 3\n", "f, line 3: 'a' stands there twice, first in line 1"),
        ("a:\n\tb: 1\n", "f, line 2: a tab"),
        ("a: &x [1]\nb: *x\n", "f, line 1: anchors"),
        ("a: 1\nb: *x\n", "f, line 2: anchors"),
        ("a: !!python/object:os.system x", "f, line 1: tags"),
        ("a: 1\n---\nb: 1\n", "f, line 2: a second document"),
        ("[1, 2]", "not made of `key: value` lines"),
        ("? [a]\n: 1\n", "f, line 1: a key is not a word"),
        ("a: 'x", "f, line 1: found unexpected end"),
        ("a: b: c", "f, line 1: mapping values are not allowed"),
        ("a: \x00", "it is not YAML"),
        ("[" * 60_000, "nests deeper than 8"),
        ("- " * 30_000, "nests deeper than 8"),
        ("a: {" * 9_000, "nests deeper than 8"),
        ("x" * (MAX_BYTES + 1), "larger than 64 KiB"),
    ],
)
def test_traps_are_refused_with_their_line(text: str, said: str):
    with pytest.raises(UsageError) as caught:
        read_tree(text, "f")
    assert said in caught.value.message and caught.value.hint


def test_lines_are_those_of_the_keys():
    tree = read_tree("a: 1\nb:\n  c:\n    d: 2\n", "f")
    assert [tree.line(place) for place in (("a",), ("b", "c"), ("b", "c", "d"), ("b", "x", "y"))] == [
        1,
        3,
        4,
        2,
    ]


@given(st.text(st.sampled_from("ab:-[]{}'\"#&*!|>%@,?\n \t0.~\\\ufeff컵"), max_size=60))
def test_no_text_raises_anything_but_a_usage_error(text: str):
    try:
        values = read_tree(text, "f").values
    except UsageError as error:
        assert error.message.startswith("f") and error.hint
    else:
        assert isinstance(values, dict)
