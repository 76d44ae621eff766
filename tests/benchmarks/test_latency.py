import json

import pytest

from benchmarks.latency import main


def test_bundles_take_turns_and_the_first_is_the_measure(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["default", "default-int8", "--rounds", "3", "--json"]) == 0
    rows = json.loads(capsys.readouterr().out)["bundles"]
    assert list(rows) == ["default", "default-int8"] and rows["default"]["ratio"] == 1
    for row in rows.values():
        assert set(row["stages_ms"]) == {"preprocess", "vision", "prefill", "decode"}
        assert all(0 < stage["p50"] <= row["p50"] for stage in row["stages_ms"].values())
        assert row["p50"] <= row["p99"]
