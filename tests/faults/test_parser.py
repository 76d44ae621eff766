"""Faults 28 to 33: what a model writes; each is the answer of a real bundle in a whole run."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from edge.bundle.bundle import write_bundle
from tests.edge.model.open_bundles import open_bundle
from tests.faults.conftest import FaultRecord
from tests.faults.rig import RAMP_MS, REPO, SLACK_MS, AtRover, Ended, Rig, moving

pytestmark = [pytest.mark.realtime, pytest.mark.timeout(400)]
INSTRUCTION = "go to the door"


def talker(folder: Path, said: str) -> list[str]:
    """Arguments of a run by words, whose model always says the same."""
    own = {"prompts": {"instruct": "{target}"}, "goals": ("instruct",)}
    write_bundle(folder / "talker", open_bundle("smolvlm", said, INSTRUCTION, **own)[0])
    bundle = str(folder / "talker")
    return ["--bundle", bundle, "--goal", "instruct", "--target", INSTRUCTION, "--max-seconds", "3"]


def check_stays(rig: Rig, fault: FaultRecord, said: str) -> None:
    """Check that a model that says this moves nothing, and that the run says that and goes on."""
    with rig.rover(*talker(rig.new_folder(), said), mode="talks") as run:
        end = run.drive.end()
    if end.summary["outcome"] != "nothing":  # three times a word of stopping ends a run
        end.check_went_on()
    assert end.summary["decisions"] > 10 and "Traceback" not in end.err
    lines = run.drive.setpoints()
    assert any(line["armed"] for line in lines) and not any(map(moving, lines))
    fault.said(end)


@pytest.mark.slow
@pytest.mark.fault(28, "answer without an action")
def test_an_answer_without_an_action_moves_nothing(rig: Rig, fault: FaultRecord):
    check_stays(rig, fault, "the weather is nice")


@pytest.mark.slow
@pytest.mark.fault(29, "answer without an end")
def test_an_answer_that_never_ends_moves_nothing(rig: Rig, fault: FaultRecord):
    check_stays(rig, fault, "go forward " * 40)


@pytest.mark.slow
@pytest.mark.fault(30, "odd numbers")
def test_a_number_that_is_none_moves_nothing(rig: Rig, fault: FaultRecord):
    check_stays(rig, fault, "go forward -1e999 m")


@pytest.mark.slow
@pytest.mark.fault(31, "deep nesting")
def test_deep_nesting_is_no_detection_and_breaks_nothing(rig: Rig, fault: FaultRecord):
    """In a drive that looks for boxes in JSON, and through `vla-edge parse` as deep as one can type."""
    folder = rig.new_folder()
    write_bundle(folder / "nested", open_bundle("qwen2.5-vl", "[" * 50, "detect red cup")[0])
    arguments = ["--bundle", str(folder / "nested"), "--max-seconds", "3"]
    with rig.rover(*arguments, mode="talks") as run:
        end = run.drive.end()
    end.check_went_on()
    fault.said(end)
    deep = [json.dumps(piece * 6000) for piece in ("[", '{"a":', '{"action":["')]
    command = [sys.executable, "-m", "edge.cli", "parse", "--stdin-json"]
    lines = "\n".join(deep) + "\n"
    done = subprocess.run(command, cwd=REPO, input=lines, capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stderr) == (0, ""), done.stderr
    assert [json.loads(line)["type"] for line in done.stdout.splitlines()] == ["unknown"] * 3


@pytest.mark.slow
@pytest.mark.fault(32, "answer that contradicts itself")
def test_an_answer_that_contradicts_itself_moves_nothing(rig: Rig, fault: FaultRecord):
    check_stays(rig, fault, "turn left and turn right")


@pytest.mark.slow
@pytest.mark.fault(33, "parser raises")
def test_any_exception_in_the_parser_stops_the_base(rig: Rig, fault: FaultRecord):
    with rig.rover(*talker(rig.new_folder(), "turn left"), mode="parser_raises") as run:
        broke_ns = run.drive.broke_ns()
        end = run.drive.end()
    check_bug(run, end)
    fault.said(end)
    fault.zero(run.drive.zero_after_ms(broke_ns), 100 + RAMP_MS + SLACK_MS)


def check_bug(run: AtRover, end: Ended) -> None:
    assert end.code == 1 and "unexpected RecursionError" in end.told and "Traceback" not in end.err, end.err
    assert any(map(moving, run.drive.setpoints()))
