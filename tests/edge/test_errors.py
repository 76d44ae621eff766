"""The error tree is the one that its module draws."""

import re

import edge.errors
from edge.cameras.file import EndOfFrames
from edge.errors import EdgeError


def test_the_drawn_tree_is_the_tree():
    own = [each for each in vars(edge.errors).values() if isinstance(each, type)]
    tree = {each.__name__: each.exit_code for each in (*own, EndOfFrames) if issubclass(each, EdgeError)}
    drawn = re.findall(r"^ +(?:│ +)?(?:[├└]── )?(\w+) +(?:exit code )?(\d)", edge.errors.__doc__ or "", re.M)
    assert {name: int(code) for name, code in drawn} == tree and len(tree) == 9


def test_what_the_tree_draws_under_a_safety_stop_is_one():
    below = re.findall(r"│ +[├└]── (\w+)", edge.errors.__doc__ or "")
    assert [issubclass(getattr(edge.errors, name), edge.errors.SafetyStop) for name in below] == [True] * 3
