"""The summary of a run, for programs and for people."""

from dataclasses import replace

from edge.records import DriveEnd, Goal, Outcome, Refusals, StopCause
from edge.runs.summary import Figures, Percentiles, Summary

FIGURES = Figures(
    seconds=19.56, distance_m=3.76, decisions=528, detections=200, cut_answers=0,
    latency_ms={"total": Percentiles(12.0, 60.0)}, frame_to_motor_ms=Percentiles(20.0, 46.0),
    missed_ticks=2, ticks=989, refused_chunks=Refusals(early=3, jumps=1),
)  # fmt: skip
REACHED = Summary(
    end=DriveEnd(Outcome.REACHED, "arrived: red cup", 0),
    goal=Goal("find_object", "red cup"), moves=True, figures=FIGURES, bundle="default",
    bundle_sha256="ab" * 32, engine="onnxruntime", robot="a rover", truth={}, folder="runs/x",
)  # fmt: skip


def test_the_document_keeps_its_keys():
    document = REACHED.to_json()
    assert list(document) == [
        "outcome", "reason", "cause", "exit_code", "goal", "target", "seconds", "distance_m", "decisions",
        "detections", "cut_answers", "latency_ms", "frame_to_motor_ms", "missed_ticks", "ticks",
        "refused_chunks", "bundle", "engine", "robot", "truth", "folder",
    ]  # fmt: skip
    assert (document["outcome"], document["cause"], document["truth"]) == ("reached", None, None)
    assert document["latency_ms"] == {"total": {"p50": 12.0, "p99": 60.0}}
    assert document["bundle"] == {"name": "default", "sha256": "ab" * 32}
    assert document["refused_chunks"]["jumps"] == 1


def test_a_stop_has_its_cause_and_hint_and_an_answer_is_for_goals_without_motion():
    end = DriveEnd(Outcome.FAULT, "battery at 5%", 4, StopCause.LOW_BATTERY, "charge it", answer="a room")
    document = replace(REACHED, end=end).to_json()
    assert (document["cause"], document["hint"]) == ("low_battery", "charge it") and "answer" not in document
    assert replace(REACHED, end=end, moves=False).to_json()["answer"] == "a room"


def test_people_read_what_matters():
    assert REACHED.lines() == [
        "reached: arrived: red cup",
        "a rover",
        "19.6 s, 3.76 m, 528 decisions, 200 of them saw the target",
        "frame to motor 46 ms (99 %), 2 of 989 motor ticks missed",
        "chunks that the motor process refused: 1 jumps",
    ]
    fault = replace(REACHED, end=replace(REACHED.end, outcome=Outcome.FAULT), robot="")
    assert fault.lines()[0].startswith("19.6 s"), "what went wrong is printed as an error"
    false = replace(REACHED.end, outcome=Outcome.FALSE_ARRIVAL, reason="false arrival, 1.14 m away")
    assert replace(REACHED, end=false).lines()[0] == "false arrival, 1.14 m away"
    answered = replace(REACHED, end=replace(REACHED.end, answer="a red cup"), moves=False)
    assert answered.lines()[0] == "reached: a red cup"
    nothing = replace(REACHED.end, outcome=Outcome.NOTHING, reason="nothing that I know is in view")
    assert replace(answered, end=nothing).lines()[0] == "nothing: nothing that I know is in view"


def test_how_well_it_followed_is_a_number_of_follow_object_alone():
    followed = DriveEnd(Outcome.FOLLOWED, "red cup, at 1 m", 0, kept_fraction=0.87)
    assert replace(REACHED, end=followed).to_json()["kept_fraction"] == 0.87
    assert "kept_fraction" not in REACHED.to_json()
