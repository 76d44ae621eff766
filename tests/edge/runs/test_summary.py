"""The summary of a run, for programs and for people."""

from dataclasses import fields, replace

import pytest

from edge.records import DriveEnd, Goal, Outcome, Refusals, StopCause, Velocity
from edge.runs.summary import Figures, Percentiles, Summary
from edge.runs.would_do import Stretch

FIGURES = Figures(
    seconds=19.56, distance_m=3.76, decisions=528, detections=200, cut_answers=0,
    latency_ms={"total": Percentiles(12.0, 60.0)}, frame_to_motor_ms=Percentiles(20.0, 46.0),
    missed_ticks=2, ticks=989, chunks=603, refused_chunks=Refusals(early=3, jumps=1),
)  # fmt: skip
REACHED = Summary(
    end=DriveEnd(Outcome.REACHED, "arrived: red cup", 0),
    goal=Goal("find_object", "red cup"), moves=True, figures=FIGURES,
    bundle={"name": "default", "sha256": "ab" * 32}, engine="onnxruntime",
    robot="a rover", truth={}, folder="runs/x",
)  # fmt: skip


def test_the_document_keeps_its_keys():
    document = REACHED.to_json()
    assert list(document) == [
        "outcome", "reason", "cause", "exit_code", "goal", "target", "seconds", "distance_m", "decisions",
        "detections", "cut_answers", "latency_ms", "frame_to_motor_ms", "missed_ticks", "ticks",
        "chunks", "refused_chunks", "contacts", "slowed_s", "slowed_to_m_s", "stop_look_move_s",
        "interventions", "bundle", "engine", "robot", "truth", "restarts", "folder",
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
        "19.6 s, 3.76 m; 528 answers of the model, 200 with the target",
        "from frame to motors in 46 ms (99 %), 2 of 989 motor ticks missed",
        "the motor process set 1 of 600 chunks aside: 1 too unlike the one before",
        "  that is normal: the base drove on by the chunk before",
    ]
    fault = replace(REACHED, end=replace(REACHED.end, outcome=Outcome.FAULT), robot="")
    assert fault.lines()[0].startswith("19.6 s"), "what went wrong is printed as an error"
    false = replace(REACHED.end, outcome=Outcome.FALSE_ARRIVAL, reason="false arrival, 1.14 m away")
    assert replace(REACHED, end=false).lines()[0] == "false arrival, 1.14 m away"
    false = replace(false, outcome=Outcome.FALSE_ANSWER, reason="false answer, no cup", answer="cup")
    assert replace(REACHED, end=false, moves=False).lines()[0] == "false answer, no cup"
    idle = replace(fault, figures=replace(FIGURES, seconds=0.0, decisions=0), robot="a rover")
    assert idle.lines() == ["a rover"], "a drive that never began has no figures"
    answered = replace(REACHED, end=replace(REACHED.end, answer="a red cup"), moves=False)
    assert answered.lines()[0] == "said: a red cup"
    nothing = replace(answered, end=replace(answered.end, outcome=Outcome.NOTHING, answer="no thing"))
    assert nothing.lines()[0] == "nothing: no thing"


@pytest.mark.parametrize(("reason", "headline"), [("SIGINT", "by Ctrl-C"), ("SIGTERM", "by SIGTERM")])
def test_people_learn_what_ended_it_and_programs_the_signal(reason: str, headline: str):
    end = DriveEnd(Outcome.STOPPED, reason, 130, StopCause.INTERRUPTED, answer="a cup")
    for summary in (replace(REACHED, end=end), replace(REACHED, end=end, moves=False)):
        assert summary.headline == f"stopped {headline}" and summary.to_json()["reason"] == reason


def test_a_drawing_has_the_goal_and_how_it_ended_as_its_title():
    false = DriveEnd(Outcome.FALSE_ARRIVAL, "false arrival, 1.14 m away (limit 1 m)", 3)
    said = DriveEnd(Outcome.REACHED, "said", 0, answer="blue plant")
    scene = replace(REACHED, end=said, goal=Goal("describe_scene"), moves=False)
    assert REACHED.title == "find_object red cup: reached"
    assert replace(REACHED, end=false).title == "find_object red cup: false arrival, 1.14 m away"
    assert scene.title == "describe_scene, said: blue plant"
    nothing = replace(scene, end=DriveEnd(Outcome.NOTHING, "nothing to say", 3))
    assert nothing.title == "describe_scene, nothing: nothing to say"


def test_what_a_model_said_moves_no_cursor():
    rude = replace(REACHED, end=replace(REACHED.end, answer="a\x1b[2J room\nstop"), moves=False)
    assert rude.lines()[0] == "said: a [2J room stop"


def test_how_well_it_followed_is_a_number_of_follow_object_alone():
    followed = DriveEnd(Outcome.FOLLOWED, "red cup, at 1 m", 0, kept_fraction=0.87)
    assert replace(REACHED, end=followed).to_json()["kept_fraction"] == 0.87
    assert "kept_fraction" not in REACHED.to_json()


@pytest.mark.parametrize(
    ("refused", "cause", "said"),
    [
        (Refusals(jumps=60), StopCause.NONE, "that is normal"),
        (Refusals(jumps=61), StopCause.NONE, "that is much"),
        (Refusals(jumps=59, messages=1), StopCause.NONE, "that should not happen"),
        (Refusals(jumps=1), StopCause.STALE_CHUNK, "aside: 1 too unlike the one before"),
        (Refusals(old=1, unsure=2), StopCause.NONE, "that is normal"),
    ],
)
def test_chunks_that_were_set_aside_come_with_what_that_means(refused: Refusals, cause: StopCause, said: str):
    figures = replace(FIGURES, chunks=600, refused_chunks=refused)
    end = replace(REACHED.end, cause=cause)
    assert said in replace(REACHED, figures=figures, end=end).lines()[-1]


@pytest.mark.parametrize("reason", [field.name for field in fields(Refusals) if field.name != "early"])
def test_every_reason_to_set_a_chunk_aside_has_words(reason: str):
    lines = replace(REACHED, figures=replace(FIGURES, refused_chunks=Refusals(**{reason: 7}))).lines()
    assert any(line.startswith("the motor process set 7 of 603 chunks aside: 7 ") for line in lines)


def test_a_recording_goes_no_distance_and_says_what_it_would_have_done():
    stretch = Stretch(0.0, 1.5, "", "search", Velocity(0.0, 0.0, 0.5))
    recorded = replace(REACHED, would_do=[stretch])
    lines = recorded.lines()
    assert lines[2:4] == [
        "nothing moved; it would have done this:", "  0.0 to 1.5 s  search: turn left at 29°/s",
    ]  # fmt: skip
    assert lines[4].startswith("19.6 s; 528 answers") and len(recorded.to_json()["would_do"]) == 1
    assert "would_do" not in REACHED.to_json()
    end = replace(REACHED.end, answer="a cup")
    assert replace(recorded, end=end, moves=False).headline == "reached: arrived: red cup"
    assert replace(REACHED, end=end, moves=False).headline == "said: a cup"


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"slowed_s": 12.34, "slowed_to_m_s": 0.187}, "answers came late: slowed to 0.19 m/s for 12.3 s"),
        ({"stop_look_move_s": 9.0}, "answers came late: stop-look-move for 9.0 s"),
        (
            {"slowed_s": 2.0, "slowed_to_m_s": 0.2, "stop_look_move_s": 3.0},
            "answers came late: slowed to 0.20 m/s for 2.0 s, stop-look-move for 3.0 s",
        ),
    ],
)
def test_people_learn_that_late_answers_slowed_the_run(changes: dict[str, float], said: str):
    assert said in replace(REACHED, figures=replace(FIGURES, **changes)).lines()
    assert not any(line.startswith("answers came") for line in REACHED.lines())


def test_each_restart_of_the_engine_is_told():
    again = {"cause": "engine_fault", "reason": "it broke", "after_s": 3.14, "stood_s": 2.04}
    summary = replace(REACHED, restarts=(again, {**again, "stood_s": None}))
    assert summary.to_json()["restarts"] == [again, {**again, "stood_s": None}]
    told = [line for line in summary.lines() if line.startswith("the engine was started again")]
    assert told == [
        "the engine was started again after 3.1 s (it broke): stood for 2.0 s, then drove on",
        "the engine was started again after 3.1 s (it broke): it never drove on",
    ]
