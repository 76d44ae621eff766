"""`bench latency`: stages of planted stamps, and one short drive."""

import json
from typing import Any

import pytest

from benchmarks.drives.stamps import STAGES, AnswerStamps, FrameRead, RuntimeStamps, Slowed, drive_rows
from benchmarks.latency.command import main
from edge.errors import UsageError

MS = 1_000_000


def stamps_of_one_answer() -> tuple[RuntimeStamps, dict[str, Any]]:
    """Every stage takes another time: 1, 2, 3, ... ms in the order of STAGES."""
    answer = AnswerStamps(exposed=0, infer_begins=5 * MS)
    answer.model_begins = 6 * MS  # camera 1, capture 2, submit 3
    answer.model_ends = 28 * MS  # preprocess 4, vision 5, prefill 6, decode 7
    answer.stages_ms = {"preprocess": 4.0, "vision": 5.0, "prefill": 6.0, "decode": 7.0}
    answer.infer_ends = 30 * MS  # parse 2 here and 6 in the act: 8
    answer.act_begins, answer.parse_ns, answer.act_ends = 39 * MS, 6 * MS, 55 * MS  # wait 9, plan 10
    answer.chunk, answer.cpu_ms = (33, 7), {"vision": 4.5}
    stamps = RuntimeStamps(reads={0: FrameRead(1 * MS, 3 * MS, 2 * MS)}, answers={0: answer})
    written = (33, 7, 66 * MS, 78 * MS, 91 * MS, 105 * MS)  # send 11, tick 12, guard 13, write 14
    return stamps, {"chunks": [written]}


def test_stages_follow_from_stamps_and_sum_to_the_end_to_end_time() -> None:
    rows = drive_rows(*stamps_of_one_answer())
    values = {name: value[0] for name, value in rows["stages"].items()}
    names = [name for name in STAGES if name != "head"]
    assert values == {name: float(number) for number, name in enumerate(names, 1)}
    assert rows["cpu"] == {"capture": [2.0], "vision": [4.5]}
    assert rows["end_to_end"] == [105.0] == [sum(values.values())] and rows["unwritten"] == 0


def test_an_answer_that_never_reached_the_motors_is_counted_apart() -> None:
    stamps, motor = stamps_of_one_answer()
    rows = drive_rows(stamps, {"chunks": [(33, 8, *motor["chunks"][0][2:])]})
    assert rows["unwritten"] == 1 and rows["end_to_end"] == []


@pytest.mark.parametrize(
    "text", ["vision", "vision=fast", "vision=0.5", "tick=1.2", "sight=1.2", "vision=nan"]
)
def test_only_a_stage_that_computes_can_be_slowed(text: str) -> None:
    with pytest.raises(UsageError, match="slows no stage"):
        Slowed.parse(text)


@pytest.mark.slow
@pytest.mark.parametrize("bundle", ["default", "head", "token"])
def test_stages_sum_to_end_to_end_within_5_percent(bundle: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([bundle, "--blocks", "2", "--seconds", "4", "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    summed_ms = sum(row["mean"] for row in document["stages"].values())
    assert summed_ms == pytest.approx(document["end_to_end"]["mean"], rel=0.05)
    assert {"p50", "p90", "p99", "p999", "max"} <= document["stages"]["vision"].keys()
    assert document["power_from"] and document["machine"]["governor"]


@pytest.mark.slow
@pytest.mark.realtime
@pytest.mark.timeout(900)
def test_a_slowed_stage_is_named_and_a_bundle_does_not_differ_from_itself(
    capsys: pytest.CaptureFixture[str],
) -> None:
    sides = ["default", "default", "default"]
    assert main([*sides, "--slow", "vision=1.2", "--blocks", "8", "--seconds", "3", "--json"]) == 0
    differences = json.loads(capsys.readouterr().out)["differences"]
    assert [row["stage"] for row in differences["default (2)"] if row["real"]] == []
    assert "vision" in [
        row["stage"] for row in differences["default (3)"] if row["real"] and row["ratio"] > 1
    ]
