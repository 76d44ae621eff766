"""What made a drive late: each rule alone, and which comes before which."""

from dataclasses import replace

import pytest

from edge.records import StopCause
from edge.runtime.causes.judge import Evidence, of_machine, of_others
from edge.runtime.causes.look import CameraLook

MS = 1_000_000
FOUND = Evidence(
    "newest frame is 280 ms old (limit 250 ms)", StopCause.STALE_CHUNK, "the hint", 250 * MS, 280 * MS
)


def test_nothing_is_named_where_nothing_was_late():
    quick = replace(
        FOUND, halted_ns=125 * MS, motor_halted_ns=125 * MS, waited_ns=125 * MS, model_ns=125 * MS,
        policy_ns=125 * MS,
    )  # fmt: skip
    assert of_machine(quick) is None and of_others(quick) is None


@pytest.mark.parametrize(
    ("measured", "cause", "said"),
    [
        (
            {"halted_ns": 260 * MS, "motor_halted_ns": 240 * MS, "halts": 4},
            StopCause.MACHINE_SLOW,
            "this machine halted for 260 ms (limit 125 ms), 4 times in the last 10 s: newest frame is",
        ),
        (
            {"halted_ns": 260 * MS, "motor_halted_ns": 240 * MS, "halts": 1},
            StopCause.MACHINE_SLOW,
            "for 260 ms (limit 125 ms), once in",
        ),
        (
            {"waited_ns": 150 * MS},
            StopCause.MACHINE_SLOW,
            "is overloaded: the run waited 150 ms for a processor (limit 125 ms)",
        ),
        (
            {"halted_ns": 260 * MS, "motor_halted_ns": 40 * MS},
            StopCause.STALE_CHUNK,
            "this process halted for 260 ms (limit 125 ms), and the motor process did not",
        ),
    ],
)
def test_the_machine_is_named_for_what_it_took(measured: dict[str, int], cause: StopCause, said: str):
    stop = of_machine(replace(FOUND, **measured))
    assert stop is not None and stop.cause is cause and stop.exit_code == 4
    assert said in stop.message and "`" in stop.hint


def test_waits_are_not_the_machines_doing_where_they_are_less_than_half_of_the_time():
    """A model that takes 5 s waits for a processor now and then."""
    assert of_machine(replace(FOUND, age_ns=5_000 * MS, waited_ns=1_000 * MS)) is None


@pytest.mark.parametrize(
    ("look", "cause", "said"),
    [
        (
            CameraLook(29.6, 300 * MS),
            StopCause.CAMERA_CLOCK,
            "camera 'wrist' gives 30 frames a second, and their stamps are 300 ms old as they come "
            "(limit 125 ms)",
        ),
        (
            CameraLook(3.04, 20 * MS),
            StopCause.CAMERA_SLOW,
            "camera 'wrist' gives 3.0 frames a second (at least 5 are needed)",
        ),
        (
            CameraLook(30.0, 20 * MS),
            StopCause.STALE_FRAME,
            "gave no frame for 280 ms (limit 250 ms), now it gives 30 a second",
        ),
        (CameraLook(), StopCause.STALE_FRAME, "gave no frame for 280 ms (limit 250 ms), none has come since"),
    ],
)
def test_a_camera_is_named_by_how_its_frames_come(look: CameraLook, cause: StopCause, said: str):
    stop = of_others(replace(FOUND, camera="wrist", look=look))
    assert stop is not None and stop.cause is cause and said in stop.message and stop.hint


def test_what_a_slow_camera_itself_knows_comes_first():
    stop = of_others(replace(FOUND, camera="wrist", look=CameraLook(3.0, 0, "take own://0?mode=fast")))
    assert stop is not None and stop.hint == "take own://0?mode=fast"


def test_a_policy_that_hung_over_a_frame_is_named_and_not_the_camera_that_nobody_looked_at():
    stop = of_others(replace(FOUND, camera="front", look=CameraLook(30.0, 20 * MS), policy_ns=240 * MS))
    assert stop is not None and stop.cause is StopCause.MODEL_SILENT
    assert "the policy took 240 ms over one frame (limit 125 ms)" in stop.message


def test_the_model_is_named_with_its_usual_time():
    stop = of_others(replace(FOUND, model_ns=240 * MS, usual_model_ns=31 * MS))
    assert stop is not None and stop.cause is StopCause.MODEL_SILENT and stop.hint == "the hint"
    assert "the model's answer takes 240 ms (limit 125 ms, usually 31 ms): newest frame" in stop.message
