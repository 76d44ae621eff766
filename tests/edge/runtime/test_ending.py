"""How an error becomes the end of a drive."""

import numpy as np
import pytest

from edge.errors import BundleRefused, EngineFault, HardwareMissing, MotorFault, SafetyStop, StaleFrame
from edge.interfaces import Inference, PolicyStatus
from edge.records import ActionChunk, Box, Detection, DriveEnd, Frame, Goal, Outcome, StopCause
from edge.runtime.ending import DriveStop, Played, ending_of

FRAME = Frame(np.zeros((2, 2, 3), np.uint8), 0, 0)
CHUNK = ActionChunk(np.zeros((1, 3), np.float32), 0.1, 0, 1, 1.0, 0)
WORDS = Inference(FRAME, "none", 1.0, {})
ACTIONS = Inference(FRAME, "0.10 m/s ahead", 1.0, {}, CHUNK)
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
    ],
)
def test_a_recording_misses_its_goal_only_if_the_target_was_not_seen_or_nothing_was_answered(
    kind: str, policy: PolicyStatus, inference: Inference | None, exit_code: int, said: str
):
    end = played(kind, policy, inference)
    assert (end.outcome, end.exit_code, end.cause) == (Outcome.STOPPED, exit_code, StopCause.END_OF_FRAMES)
    assert end.reason.endswith(said) and end.answer == policy.answer
