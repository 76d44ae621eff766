"""The error tree is the one that its module draws."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

import edge.errors
from edge.cameras.file import EndOfFrames
from edge.errors import MAX_REASON_CHARS, EdgeError, install_hint, reason_of


def test_the_drawn_tree_is_the_tree():
    own = [each for each in vars(edge.errors).values() if isinstance(each, type)]
    tree = {each.__name__: each.exit_code for each in (*own, EndOfFrames) if issubclass(each, EdgeError)}
    drawn = re.findall(r"^ +(?:│ +)*(?:[├└]── )?(\w+) +(?:exit code )?(\d)", edge.errors.__doc__ or "", re.M)
    assert {name: int(code) for name, code in drawn} == tree and len(tree) == 11


def test_what_the_tree_draws_under_an_error_is_one():
    above: list[type[EdgeError]] = [EdgeError]
    kinds = {**vars(edge.errors), "EndOfFrames": EndOfFrames}
    for line in re.findall(r"^    (\W*[├└]── \w+)", edge.errors.__doc__ or "", re.M):
        depth, kind = line.index("──") // 4 + 1, kinds[line.split()[-1]]
        assert kind.__bases__ == (above[depth - 1],), line
        above[depth:] = [kind]
    assert [each.__name__ for each in above] == ["EdgeError", "BundleRefused"]


def test_who_has_a_gpu_is_told_to_leave_the_index_out():
    hint = install_hint("train")
    assert "the index saves 5 GB of CUDA; with an NVIDIA GPU leave it out" in hint
    assert hint.endswith("--extra-index-url https://download.pytorch.org/whl/cpu")


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (ValueError("it is\n  cut  short.\n"), "it is cut short"),
        (OSError(2, "No such file or directory", "x"), "No such file or directory"),
        (OSError("a socket is gone"), "a socket is gone"),
        (KeyError("size"), "'size' is missing"),
        (EOFError(), "EOFError"),
        (ValueError("One sentence. " + "and " * 100), "One sentence"),
        (ValueError("word " * 100), ("word " * 48).strip() + " …"),
        (ValueError("x" * 500), "x" * MAX_REASON_CHARS + " …"),
    ],
)
def test_what_a_library_says_becomes_one_line_that_ends_where_it_may(error: Exception, reason: str):
    assert reason_of(error).strip() == reason


@given(st.text(max_size=600))
def test_a_reason_is_one_short_line(text: str):
    reason = reason_of(ValueError(text))
    assert len(reason) <= MAX_REASON_CHARS + 2 and len(reason.splitlines()) <= 1
