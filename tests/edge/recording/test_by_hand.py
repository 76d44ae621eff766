"""Decisions during which a person drove."""

import json
from dataclasses import replace
from pathlib import Path

from edge.interfaces import Inference
from edge.runs.recording.decisions import DecisionList
from edge.runs.tap.events import TapEvent
from edge.runs.tap.plain import to_line
from tests.edge.recording.events import HEADER, PERIOD_NS, frame, status


def test_each_decision_says_for_how_long_a_person_drove(tmp_path: Path):
    """An answer at every fifth report; a person drives at those from 7 to 11, up to the 12th."""
    decisions = DecisionList(tmp_path / "decisions.jsonl")
    decisions.take(TapEvent("header", 1, 0, to_line(HEADER)))
    for seq in range(20):
        if seq % 5 == 0:
            inference = Inference(frame(seq), "<loc0256>cup", 0.9, {"vision": 3.0})
            told = {"number": seq, "inference": inference, "read": {}}
            decisions.take(TapEvent("inference", 2, 0, to_line(told)))
        report = replace(status(seq), by_hand=7 <= seq < 12)
        decisions.take(TapEvent("motor", 3, report.stamp_ns, to_line(report)))
    assert decisions.finish(True) == []
    lines = [json.loads(line) for line in (tmp_path / "decisions.jsonl").read_text().splitlines()]
    period_s = PERIOD_NS / 1e9
    assert [line["by_hand_s"] for line in lines] == [
        0,
        round(2 * period_s, 3),
        round(3 * period_s, 3),
        0,
    ]
