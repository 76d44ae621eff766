"""Every case from the field has a test that carries its number, or a reason why it has none."""

import ast
import re
from functools import cache
from pathlib import Path

import pytest

from tests.field.rows import MISSING, ROWS

TESTS = Path(__file__).parents[1]
CASES = 45
_NUMBERS = re.compile(r"(?:rows?|field cases?) (\d+(?:(?:, | and |, and )\d+)*)", re.IGNORECASE)


@cache
def carried(path: str) -> dict[str, set[int]]:
    """Return the rows that each test of a file carries, in its name, its docstring or the file's own."""
    tree = ast.parse((TESTS / path).read_text())
    tests = [each for each in ast.walk(tree) if isinstance(each, ast.FunctionDef)]
    whole = ast.get_docstring(tree) or ""
    return {
        each.name: _rows(f"{whole}\n{ast.get_docstring(each) or ''}\n{each.name.replace('_', ' ')}")
        for each in tests
    }


def _rows(text: str) -> set[int]:
    return {int(number) for found in _NUMBERS.finditer(text) for number in re.findall(r"\d+", found[1])}


def test_numbers_are_read_in_every_form():
    text = "Field cases 1, 2, 3 and 17.\nRow 20: the operator\nrow 4 a test\nRows 5, and 6\n7"
    assert _rows(text) == {1, 2, 3, 4, 5, 6, 17, 20}


def test_every_row_has_a_test_or_a_reason():
    assert sorted([*ROWS, *MISSING]) == list(range(1, CASES + 1))
    assert all(len(reason) > 20 for reason in MISSING.values()) and len(MISSING) <= 3


@pytest.mark.parametrize("row", ROWS)
def test_the_tests_of_a_row_are_there_and_carry_its_number(row: int):
    assert ROWS[row]
    for test in ROWS[row]:
        path, _, name = test.partition("::")
        assert (TESTS / path).is_file(), test
        assert name.startswith("test_") and row in carried(path).get(name, set()), test
