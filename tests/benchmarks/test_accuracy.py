"""Bundles beside fp32: what differs, which none beats, and the page that shows it."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from benchmarks.accuracy import command
from benchmarks.accuracy.command import front, main
from benchmarks.accuracy.decisions import (
    LOOKS,
    BundleTurns,
    answer_figures,
    decide_in_turns,
    decision_figures,
    pictures_of,
    told,
)
from benchmarks.accuracy.page import page
from edge.bundle.bundle import load_bundle
from edge.errors import EdgeError
from tests.benchmarks.test_latency_page import Nesting


def turns(commands: list[tuple[float, float]], ms: float) -> BundleTurns:
    return BundleTurns(commands, [ms] * len(commands), [ms] * len(commands))


def test_a_decision_differs_if_the_base_drives_or_turns_otherwise():
    assert told([(0.3, 0.0), (0.0, 0.5), (0.01, -0.5), (0.2, 0.05)]) == [
        (True, 0),
        (False, 1),
        (False, -1),
        (True, 0),
    ]
    reference = turns([(0.3, 0.0), (0.3, 0.5)], 10.0)
    row = decision_figures(turns([(0.2, 0.02), (0.3, -0.5)], 5.0), reference)
    assert row["differ"] == 0.5 and row["pictures"] == 2
    assert row["error_m_s"]["mean"] == 0.05 and row["error_rad_s"]["mean"] == 0.51
    assert row["cpu_times_reference"] == {"median": 0.5, "low": 0.5, "high": 0.5}


def row(ms: float, success: float | None) -> dict[str, Any]:
    spread = {"p10": ms, "p50": ms, "p90": ms}
    return {
        "cpu_ms": spread,
        "success": success,
        "wilson95": [0.2, 0.9],
        "differ": 0.1,
        "error_m_s": {"mean": 0.01},
        "error_rad_s": {"mean": 0.02},
        "answers": None,
        "on_front": False,
    }


def test_on_the_front_are_those_than_which_none_is_quicker_and_better():
    rows = {"slow": row(20, 1.0), "quick": row(5, 0.5), "poor": row(9, 0.4), "same": row(5, 0.5)}
    assert front(rows) == ["quick", "same", "slow"]
    assert front({"a": row(5, None), "b": row(6, None)}) == ["a"]


def test_the_page_shows_every_bundle_and_is_whole():
    rows = {"default": row(10, 1.0), "<int8>": row(5, 0.5)}
    machine = {"board": "b", "cpu": "c", "load_before": 1, "load_after": 2, "commit": "x"}
    document = {"reference": "default", "bundles": rows, "rooms": 2, "seed": 1, "machine": machine}
    reader = Nesting()
    reader.feed(page(document))
    assert not reader.open and "<int8>" in reader.words and "0.50 (0.20 to 0.90)" in reader.words
    unjudged = {"default": row(10, None)}
    assert "<svg" not in page(document | {"bundles": unjudged})


def test_real_bundles_decide_about_the_same_pictures():
    bundles = {name: load_bundle(name) for name in ("default", "head")}
    pictures = pictures_of(2)
    found = decide_in_turns(bundles, pictures, lambda done: None)
    assert all(len(each.commands) == 2 and len(each.ms) == 2 * LOOKS for each in found.values())
    assert any(np.any(command) for command in found["default"].commands), "nothing moved"
    rows = {name: decision_figures(each, found["default"]) for name, each in found.items()}
    assert rows["default"]["differ"] == 0 == rows["default"]["error_rad_s"]["p90"]
    assert rows["head"]["error_m_s"]["p90"] > 0, "another policy tells other velocities"
    assert answer_figures(bundles["head"], bundles["default"], pictures) is None
    same = answer_figures(bundles["default"], bundles["default"], pictures)
    assert same is not None and same["texts_differ"] == 0 == same["boxes_lost"]


@pytest.mark.parametrize(
    ("argv", "says"),
    [
        (["default"], "compared with itself"),
        (["head", "--against", "default-int8"], "is not fp32"),
        (["no-such-bundle"], "no-such-bundle"),
    ],
)
def test_bundles_that_can_not_be_compared_are_refused_first(
    argv: list[str], says: str, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(command, "pictures_of", lambda count: pytest.fail("pictures were made"))
    with pytest.raises(EdgeError, match=says):
        main(argv)


@pytest.mark.slow
def test_the_command_drives_and_writes_its_page(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    file = tmp_path / "page.html"
    assert main(["default-int8", "--pictures", "4", "--rooms", "1", "--html", str(file)]) == 0
    assert "answers of default-int8 beside default's" in capsys.readouterr().out
    assert "<svg" in file.read_text()
