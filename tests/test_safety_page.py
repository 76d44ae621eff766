"""Every test that docs/safety.md names is there."""

import ast
import re
from pathlib import Path

REPO = Path(__file__).parents[1]
PAGE = (REPO / "docs/safety.md").read_text()


def test_the_tests_that_the_page_of_safety_names_are_there():
    named = set(re.findall(r"\btests/[\w/]+\.py(?:::test_\w+)?", PAGE))
    assert len(named) >= 6
    for each in named:
        path, _, name = each.partition("::")
        assert (REPO / path).is_file(), each
        names = {
            at.name
            for at in ast.walk(ast.parse((REPO / path).read_text()))
            if isinstance(at, ast.FunctionDef)
        }
        assert not name or name in names, each
