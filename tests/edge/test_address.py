"""Addresses, taken apart: any text gives an answer or a UsageError that shows it."""

import math
from collections.abc import Callable
from urllib.parse import urlencode

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.address import Address
from edge.cameras.view import take_view
from edge.errors import UsageError

EXAMPLE = "such as thing://0?n=1"


def address(text: str) -> Address:
    return Address(text, "camera", EXAMPLE)


def test_an_address_is_a_scheme_a_place_and_options():
    parts = address("csi://0?size=640x360&rate=29.5&n=3&mode=fast&note=a+b%26c")
    assert (parts.scheme, parts.place) == ("csi", "0")
    assert parts.has("rate") and not parts.has("flip")
    assert parts.number("rate", 30.0, 1.0, 60.0) == 29.5
    assert parts.whole("n", 0, 1, 9) == 3
    assert parts.choice("mode", "slow", ("slow", "fast")) == "fast"
    assert parts.take("note") == "a b&c" and parts.take("size") == "640x360"
    parts.finish()


def test_what_is_not_given_is_its_default():
    parts = address("csi://0")
    assert parts.number("rate", 30.0, 1.0, 60.0) == 30.0 and parts.whole("n", 7, 1, 9) == 7
    assert parts.choice("mode", "slow", ("slow", "fast")) == "slow" and parts.take("note") == ""
    parts.finish()


def test_a_path_may_hold_a_question_mark():
    assert address("file://what?.png").place == "what?.png"
    parts = address("file://what?/a.mp4?rate=2")
    assert parts.place == "what?/a.mp4" and parts.number("rate", 1, 0, 9) == 2


@pytest.mark.parametrize(
    ("text", "take", "said"),
    [
        ("a://b?x=1", lambda parts: parts.take("y"), "there is no option 'x'; it takes y"),
        ("a://b?x=1&x=2", None, "an option twice"),
        ("a://b?x=1&y", None, "not key=value&key=value"),
        ("a://b\0c", None, "has a NUL"),
        ("a://" + "b" * 5000, None, "too long"),
        ("a://b?x=", lambda parts: parts.number("x", 1, 0, 9), "x '' is not a number from 0 to 9"),
        ("a://b?x=nan", lambda parts: parts.number("x", 1, 0, 9), "x 'nan' is not a number from 0 to 9"),
        ("a://b?x=1_0", lambda parts: parts.number("x", 1, 0, 99), "x '1_0' is not a number"),
        ("a://b?x=٣", lambda parts: parts.number("x", 1, 0, 9), "x '٣' is not a number"),
        ("a://b?x=", lambda parts: parts.whole("x", 1, 0, 9), "x '' is not a whole number from 0 to 9"),
        ("a://b?x=1.0", lambda parts: parts.whole("x", 1, 0, 9), "x '1.0' is not a whole number"),
        ("a://b?x=10", lambda parts: parts.whole("x", 1, 0, 9), "x '10' is not a whole number"),
        ("a://b?x=" + "9" * 900, lambda parts: parts.whole("x", 1, 0, 9), "is not a whole number"),
        ("a://b?x=up", lambda parts: parts.choice("x", "a", ("a", "b")), "x 'up' is none of a, b"),
        ("a://b?x=", lambda parts: parts.choice("x", "a", ("a", "b")), "x '' is none of a, b"),
    ],
)
def test_what_is_wrong_is_said_with_the_value_and_what_goes(
    text: str, take: Callable[[Address], object] | None, said: str
):
    with pytest.raises(UsageError, match="camera address ") as caught:
        parts = address(text)
        if take is not None:
            take(parts)
            parts.finish()
    assert said in caught.value.message and caught.value.hint == EXAMPLE
    assert len(caught.value.message) < 400


@given(st.text() | st.from_regex(r"\w+://[^\0]*\?\w+=[^?]*", fullmatch=True))
def test_any_text_is_taken_apart_or_is_a_usage_error(text: str):
    try:
        parts = address(text)
        assert text.startswith(parts.scheme)
        number, whole = parts.number("rate", 1.0, 0.5, 9.0), parts.whole("n", 2, 1, 9)
        assert 0.5 <= number <= 9.0 and 1 <= whole <= 9 and math.isfinite(number)
        take_view(parts)
        parts.finish()
    except UsageError as error:
        assert error.message.startswith("camera address ")


NAMES = st.from_regex(r"[a-z]\w{0,8}", fullmatch=True).filter(str.isascii)
VALUES = st.text(st.characters(blacklist_categories=("Cs",), blacklist_characters="\0"), max_size=20)


@given(st.dictionaries(NAMES, VALUES, max_size=5), st.text("abc/.-_ ?", max_size=20))
def test_what_was_written_is_read(options: dict[str, str], place: str):
    query = urlencode(options)
    parts = address(f"file://{place}{'?' * bool(query)}{query}")
    assert parts.place == place
    assert {name: parts.take(name) for name in options} == options
    parts.finish()
