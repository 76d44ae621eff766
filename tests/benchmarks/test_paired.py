"""Several bundles in the same rooms."""

from pathlib import Path

import pytest

from benchmarks import paired


def test_bundles_drive_in_the_same_rooms(tiny_bundle: Path, monkeypatch: pytest.MonkeyPatch):
    """Random weights reach nothing, twice."""
    monkeypatch.setattr(paired, "MAX_S", 0.2)
    heard: list[int] = []
    found = paired.reached([tiny_bundle, tiny_bundle], 2, 5, heard.append)
    assert found == [[False, False], [False, False]]
    assert heard == [1, 2, 3, 4]
