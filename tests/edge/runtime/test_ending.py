"""How a drive ends: by an error, by its policy, by its time, and what the truth makes of it."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from edge.errors import BundleRefused, EngineFault, HardwareMissing, MotorFault, SafetyStop, StaleFrame
from edge.interfaces import Inference, PolicyEnding, PolicyStatus
from edge.records import (
    ZERO,
    ActionChunk,
    Box,
    Detection,
    DriveEnd,
    Frame,
    Goal,
    MotorState,
    MotorStatus,
    Outcome,
    Refusals,
    StopCause,
)
from edge.runtime.ending import (
    ChunkCount,
    DriveStop,
    Played,
    ending_at_limit,
    ending_by_policy,
    ending_of,
    judged,
)

FIND, FOLLOW = Goal("find_object", "book"), Goal("follow_object", "book")
ARRIVED = DriveEnd(Outcome.REACHED, "arrived: book", 0)
FOLLOWED = DriveEnd(Outcome.FOLLOWED, "book", 0, kept_fraction=0.9)
TRUTH: dict[str, Any] = {
    "arrived": False, "kept": False, "nearest": "red book", "distance_m": 1.138, "heading_error_deg": 4.0,
    "arrived_m": 0.7, "arrived_deg": 20, "faces": "an orange box",
}  # fmt: skip

FRAME = Frame(np.zeros((2, 2, 3), np.uint8), 0, 0)
CHUNK = ActionChunk(np.zeros((1, 3), np.float32), 0.1, 0, 1, 1.0, 0)
WORDS = Inference(FRAME, "none", 1.0, {})
ACTIONS = Inference(FRAME, "0.10 m/s ahead", 1.0, {}, CHUNK)
NOTHING = PolicyStatus("said", ending=PolicyEnding(Outcome.NOTHING, "nothing"))
SEEN = PolicyStatus("approach", detection=Detection(Box(0, 0, 1, 1), "cup", 0.9))


@pytest.mark.parametrize(
    ("error", "cause", "exit_code"),
    [
        (StaleFrame("old"), StopCause.STALE_FRAME, 4),
        (MotorFault("gone"), StopCause.MOTOR_FAULT, 4),
        (EngineFault("NaN"), StopCause.ENGINE_FAULT, 4),
        (HardwareMissing("no port"), StopCause.HARDWARE_MISSING, 5),
        (DriveStop(StopCause.LOW_BATTERY, "battery at 5%"), StopCause.LOW_BATTERY, 4),
        (SafetyStop("something"), StopCause.NONE, 4),
        (BundleRefused("cut short"), StopCause.NONE, 6),
    ],
)
def test_each_error_has_its_cause_and_exit_code(error: Exception, cause: StopCause, exit_code: int):
    end = ending_of(error)
    assert (end.outcome, end.cause, end.exit_code) == (Outcome.FAULT, cause, exit_code)
    assert end.reason == str(error)


def test_a_signal_stops_and_a_bug_is_a_fault():
    end = ending_of(KeyboardInterrupt("SIGTERM"))
    assert (end.outcome, end.cause, end.reason) == (Outcome.STOPPED, StopCause.INTERRUPTED, "SIGTERM")
    assert end.exit_code == 130
    bug = ending_of(ZeroDivisionError("division by zero"))
    assert (bug.outcome, bug.exit_code) == (Outcome.FAULT, 1)
    assert bug.reason == "unexpected ZeroDivisionError: division by zero"


def test_a_policy_ends_a_drive_by_arriving_or_by_its_own_ending():
    assert ending_by_policy(FIND, PolicyStatus("drive", answer="none")) is None
    reached = ending_by_policy(FIND, PolicyStatus("arrived", reached=True, answer="a box"))
    assert reached == DriveEnd(Outcome.REACHED, "arrived: book", 0, answer="a box")
    nothing = PolicyStatus("said", answer="nothing", ending=PolicyEnding(Outcome.NOTHING, "nothing in view"))
    end = ending_by_policy(Goal("describe_scene"), nothing)
    assert end == DriveEnd(Outcome.NOTHING, "nothing in view", 3, answer="nothing")


def test_at_its_limit_a_drive_is_not_reached_unless_its_policy_says_otherwise():
    end = ending_at_limit(PolicyStatus("search"), 20.0)
    assert end == DriveEnd(Outcome.TIMEOUT, "not reached within 20 s", 3)
    followed = PolicyEnding(Outcome.FOLLOWED, "book, at 1 m")
    end = ending_at_limit(PolicyStatus("approach", at_limit=followed, kept_fraction=0.8), 20.0)
    assert end == DriveEnd(Outcome.FOLLOWED, "book, at 1 m", 0, kept_fraction=0.8)


@pytest.mark.parametrize(
    ("known", "reason"),
    [
        ({}, "false arrival, 1.14 m away (limit 0.70 m) from the red book, in front of an orange box"),
        ({"faces": ""}, "false arrival, 1.14 m away (limit 0.70 m) from the red book"),
        (
            {"distance_m": 0.5, "heading_error_deg": 33.2, "faces": ""},
            "false arrival, 0.50 m away and turned 33 degrees aside (limit 20) from the red book",
        ),
    ],
)
def test_an_arrival_that_the_truth_denies_is_a_false_one(known: dict[str, Any], reason: str):
    end = judged(ARRIVED, FIND, TRUTH | known)
    assert (end.outcome, end.reason, end.exit_code) == (Outcome.FALSE_ARRIVAL, reason, 3)


def test_an_arrival_at_what_is_not_there_is_a_false_one():
    end = judged(ARRIVED, FIND, {"arrived": False, "kept": False, "faces": ""})
    assert (end.reason, end.exit_code) == ("false arrival, there is no book in the room", 3)


IN_ROOM = {"arrived": False, "in_room": ["red cup", "blue box", "red ball"]}


@pytest.mark.parametrize(
    ("answer", "invented"),
    [
        ("red cup; yellow book", "yellow book"),
        ("red box; green cup", "red box and no green cup"),
        ("plant", "plant"),
    ],
)
def test_a_name_that_nothing_in_the_room_has_is_a_false_answer(answer: str, invented: str):
    end = judged(DriveEnd(Outcome.REACHED, "said", 0, answer=answer), Goal("describe_scene"), IN_ROOM)
    assert (end.outcome, end.exit_code, end.answer) == (Outcome.FALSE_ANSWER, 3, answer)
    assert end.reason == f"false answer, there is no {invented} in the room: {answer}"


@pytest.mark.parametrize(
    "answer", ["red cup; blue box", "cup", "a plain chair", "A room with a red chair.", "unicorn", ""]
)
def test_true_names_and_sentences_are_no_false_answers(answer: str):
    end = DriveEnd(Outcome.REACHED, "said", 0, answer=answer)
    assert judged(end, Goal("describe_scene"), IN_ROOM) is end
    assert judged(replace(end, answer="yellow book"), Goal("describe_scene"), {}).exit_code == 0


def test_who_followed_something_else_has_not_followed():
    end = judged(FOLLOWED, FOLLOW, TRUTH)
    assert (end.outcome, end.exit_code) == (Outcome.TIMEOUT, 3)
    assert end.reason.startswith("it followed something else, 1.14 m away")


@pytest.mark.parametrize(
    ("end", "goal", "truth"),
    [
        (ARRIVED, FIND, TRUTH | {"arrived": True}),
        (ARRIVED, FIND, {}),  # a robot that knows nothing
        (ARRIVED, Goal("describe_scene"), TRUTH),
        (FOLLOWED, FOLLOW, TRUTH | {"kept": True}),
        (DriveEnd(Outcome.TIMEOUT, "not reached within 20 s", 3), FIND, TRUTH),
        (DriveEnd(Outcome.FAULT, "battery at 5%", 4), FIND, TRUTH),
    ],
)
def test_the_truth_changes_no_end_that_claims_nothing_false(end: DriveEnd, goal: Goal, truth: dict[str, Any]):
    assert judged(end, goal, truth) is end


def played(kind: str, policy: PolicyStatus, inference: Inference | None) -> DriveEnd:
    recording = Played(Goal(kind, "cup"))
    recording.update(policy, inference)
    recording.update(PolicyStatus("search", answer=policy.answer), None)
    return recording.end(Outcome.STOPPED, "it is over", StopCause.END_OF_FRAMES)


@pytest.mark.parametrize(
    ("kind", "policy", "inference", "exit_code", "said"),
    [
        ("find_object", SEEN, WORDS, 0, "it is over; the target was seen"),
        ("find_object", PolicyStatus("search"), WORDS, 3, "it is over; the target was not seen"),
        ("follow_object", PolicyStatus("search"), WORDS, 3, "it is over; the target was not seen"),
        ("find_object", PolicyStatus("drive"), ACTIONS, 0, "it is over"),
        ("find_object", PolicyStatus("arrived", True), ACTIONS, 0, "the policy claimed to have arrived"),
        ("find_object", PolicyStatus("drive"), None, 3, "the model had not answered yet"),
        ("instruct", PolicyStatus("drive"), WORDS, 0, "it is over"),
        ("describe_scene", PolicyStatus("said", True, "a cup"), WORDS, 0, "it is over"),
        ("describe_scene", PolicyStatus("look"), None, 3, "the model had not answered yet"),
        ("describe_scene", NOTHING, WORDS, 3, "it is over; the model had nothing to say"),
    ],
)
def test_a_recording_misses_its_goal_only_if_the_target_was_not_seen_or_nothing_was_answered(
    kind: str, policy: PolicyStatus, inference: Inference | None, exit_code: int, said: str
):
    end = played(kind, policy, inference)
    assert (end.outcome, end.exit_code, end.cause) == (Outcome.STOPPED, exit_code, StopCause.END_OF_FRAMES)
    assert end.reason.endswith(said) and end.answer == policy.answer


def status(state: MotorState = MotorState.HOLDING, **refused: int) -> MotorStatus:
    return MotorStatus(0, state, ZERO, refused=Refusals(**refused))


@pytest.mark.parametrize(
    ("refused", "why", "hint"),
    [
        ({"old": 31, "jumps": 1, "early": 90}, "31 too late", "bench latency"),
        ({"unsure": 9}, "9 too unsure", "one that the bundle knows"),
        ({"jumps": 2, "old": 1}, "2 too unlike the one before", "another bundle"),
        ({"malformed": 5}, "5 malformed", "export it again"),
        ({"future": 5}, "5 about a frame from the future", "CLOCK_MONOTONIC"),
        ({"repeated": 5}, "5 repeated or out of order", "go backwards"),
        ({"messages": 5}, "5 unreadable", "install vla-edge again"),
    ],
)
def test_a_drive_without_any_chunk_that_was_followed_says_what_kept_it(refused: dict, why: str, hint: str):  # type: ignore[type-arg]
    """Field case 34: it ended as a timeout, as if it had driven and not found anything."""
    count = ChunkCount()
    count.sent = 99
    count.update(status(**refused))
    with pytest.raises(DriveStop) as caught:
        count.check()
    assert caught.value.message.startswith(f"none of 99 chunks was followed: {why}")
    assert hint in caught.value.hint
    end = ending_of(caught.value)
    assert (end.outcome, end.exit_code, end.cause) == (Outcome.FAULT, 4, StopCause.NO_CHUNK_FOLLOWED)


def test_a_drive_that_followed_a_chunk_once_or_sent_none_ends_by_its_time():
    for statuses, sent in (
        ([status(MotorState.FOLLOWING, old=1), status(old=500)], 501),
        ([status(old=3)], 0),
        ([status(early=3)], 3),
        ([status()], 3),
    ):
        count = ChunkCount()
        count.sent = sent
        for each in statuses:
            count.update(each)
        count.check()
