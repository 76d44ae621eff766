"""Every promise of docs/safety.md has tests in docs/safety-tests.md, and each that they name is there."""

import ast
import re
from functools import cache
from pathlib import Path

REPO = Path(__file__).parents[1]
PAGE = (REPO / "docs/safety.md").read_text()
HOLD = (REPO / "docs/safety-tests.md").read_text()


# How the header of a table of promises begins, in docs/safety.md; each of its rows has a code at its end.
PROMISES = "state|age of|rule|answers come|named|what \\| read|level|quantity|failure|`cause`|doubt"


@cache
def names_in(path: str) -> set[str]:
    """Return the names of the functions in a file."""
    return {
        at.name for at in ast.walk(ast.parse((REPO / path).read_text())) if isinstance(at, ast.FunctionDef)
    }


def test_the_tests_that_the_page_of_safety_names_are_there():
    named = set(re.findall(r"\btests/[\w/]+\.py(?:::test_\w+)?", PAGE))
    assert len(named) >= 6
    for each in named:
        path, _, name = each.partition("::")
        assert (REPO / path).is_file(), each
        assert not name or name in names_in(path), each


def test_every_promise_is_held_by_tests_that_are_there():
    rows = dict(re.findall(r"^\| ([A-Z]\d+) \| (.+) \|$", HOLD, re.MULTILINE))
    codes = re.findall(r"\[([A-Z]\d+)\](?!\()", PAGE.replace("such as [G3],", ""))
    assert sorted(codes) == sorted(rows) and len(codes) == len(set(codes)) > 100
    marks = "".join(path.read_text() for path in (REPO / "tests/faults").glob("test_*.py"))
    faults = set(re.findall(r"\.fault\((\d+),", marks))
    for code, tests in rows.items():
        path = ""
        for each in tests.split(", "):
            if each.startswith("fault "):
                assert each.removeprefix("fault ") in faults, (code, each)
            elif each != "`python -m benchmarks.stops`":
                path, name = (each.strip("`").split("::")[0] or path), each.strip("`").split("::")[1]
                assert name in names_in(f"tests/{path}"), (code, path, name)


def test_each_row_of_a_table_of_promises_has_a_code():
    tables = re.findall(rf"^\| (?:{PROMISES}).*\n\| ---.*\n((?:\|.*\n)+)", PAGE, re.MULTILINE)
    rows = "".join(tables).splitlines()
    assert len(tables) >= 13 and len(rows) > 80
    assert [row for row in rows if not re.search(r"\[[A-Z]\d+\] \|$", row)] == []
