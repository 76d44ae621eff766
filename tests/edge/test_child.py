"""What the processes have in common that this package starts."""

from pathlib import Path

import pytest

from edge.child import child_environment


@pytest.mark.parametrize(("given", "expected"), [(None, ""), ("/elsewhere", ":/elsewhere")])
def test_a_process_imports_this_package_first(
    given: str | None, expected: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("PYTHONPATH", raising=False)
    if given:
        monkeypatch.setenv("PYTHONPATH", given)
    root = Path(__file__).parents[2]
    assert child_environment()["PYTHONPATH"] == f"{root}{expected}"
