import json

import pytest

from benchmarks.latency import main


def test_bundles_take_turns_and_the_first_is_the_measure(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["default", "--rounds", "3", "--json"]) == 0
    (row,) = json.loads(capsys.readouterr().out)["bundles"].values()
    assert row["ratio"] == 1
    assert set(row["stages_ms"]) == {"preprocess", "vision", "prefill", "decode"}
    assert sum(stage["p50"] for stage in row["stages_ms"].values()) == pytest.approx(row["p50"], rel=0.5)
    assert row["p50"] <= row["p99"]
