"""What a run adds up to."""

import tracemalloc
from dataclasses import replace

import numpy as np
import pytest

from edge.interfaces import Inference, PolicyStatus
from edge.model.boxes import BoxReader
from edge.records import Frame, Goal, MotorState, MotorStatus, Observation, Odometry, Refusals, Velocity
from edge.runs.summary import Percentiles
from edge.runs.tally import MAX_FRAMES, MAX_TIMES, Tally, Thinned

GOAL = Goal("find_object", "red cup")
BOX = "<loc0100><loc0200><loc0300><loc0400> red cup"


def inference(seq: int, text: str, ms: float = 10.0, width: int = 64) -> Inference:
    picture = Frame(np.zeros((48, width, 3), np.uint8), seq * 100_000_000, seq)
    return Inference(picture, text, 0.8, {"vision": ms, "decode": 2 * ms})


def status(decision: int, frame_to_motor_ms: float, at_s: float = 0.0, x_m: float = 0.0) -> MotorStatus:
    odometry = Odometry(round(at_s * 1e9), x_m, 0.0, 0.0, Velocity())
    return MotorStatus(
        round(at_s * 1e9), MotorState.FOLLOWING, Velocity(), decision=decision,
        frame_to_motor_ns=round(frame_to_motor_ms * 1e6), ticks=100, missed_ticks=1, odometry=odometry,
    )  # fmt: skip


@pytest.mark.parametrize("count", [0, 1, 7, 8, 9, 100, 1000])
def test_thinned_keeps_the_first_and_the_last_and_little_between(count):
    thinned = Thinned(8)
    for i in range(count):
        thinned.add(i)
    kept = thinned.all()
    assert len(kept) <= 8 and kept == sorted(set(kept))
    assert kept[:1] == [0][:count] and kept[-1:] == [count - 1][:count]
    gaps = np.diff(kept[:-1])
    assert len(set(gaps)) <= 1


def test_inferences_are_counted_timed_and_drawn():
    tally = Tally(BoxReader("paligemma"), GOAL, "detect red cup")
    for seq in range(100):
        tally.on_inference(inference(seq, BOX if seq % 2 else "none", ms=1.0 + seq))
    figures = tally.figures()
    assert figures.decisions == 100 and figures.detections == 50
    assert figures.latency_ms["total"].p50 == pytest.approx(3 * 50.5)
    assert figures.latency_ms["vision"].p99 == pytest.approx(99.01)
    assert len(tally.answered) <= MAX_FRAMES
    last = tally.answered[-1]
    assert last.seconds == pytest.approx(9.9) and last.detections[0].label == "red cup"
    assert last.prompt == "detect red cup" and last.answer.startswith("0.80  <loc0100>")


def test_a_run_that_lasts_for_hours_keeps_no_more_than_a_short_one():
    tally = Tally(BoxReader("paligemma"), GOAL, "detect red cup")
    sizes: list[int] = []
    tracemalloc.start()
    for seq in range(4 * MAX_TIMES):
        tally.on_inference(inference(seq, "none", ms=1.0 + seq % 10))
        tally.on_status(status(seq, frame_to_motor_ms=20.0 + seq % 10))
        if (seq + 1) % (2 * MAX_TIMES) == 0:
            sizes.append(tracemalloc.get_traced_memory()[0])
    tracemalloc.stop()
    assert sizes[1] - sizes[0] < 50_000
    figures = tally.figures()
    assert figures.decisions == 4 * MAX_TIMES
    assert figures.frame_to_motor_ms.p50 == pytest.approx(24.5, abs=1.5)


def test_answers_that_were_cut_off_are_counted_and_shown():
    tally = Tally(BoxReader("paligemma"), GOAL, "detect red cup")
    for cut in (False, True, True):
        tally.on_inference(replace(inference(0, BOX[:20]), cut=cut))
    assert (tally.figures().cut_answers, tally.figures().detections) == (2, 0)
    assert [each.answer.endswith("(cut off)") for each in tally.answered] == [False, True, True]


def test_large_pictures_are_kept_small():
    tally = Tally(BoxReader("paligemma"), GOAL, "detect red cup")
    tally.on_inference(inference(0, BOX, width=1280))
    assert tally.answered[0].image.shape == (12, 320, 3)


def test_the_same_decision_counts_once_and_distance_is_summed():
    tally = Tally(BoxReader("paligemma"), GOAL, "detect red cup")
    tally.on_status(status(-1, -1e-6))
    assert tally.figures().frame_to_motor_ms.p50 is None
    for i in range(1, 11):
        for _ in range(3):
            tally.on_status(status(i, 10.0 * i, at_s=i / 10, x_m=0.05 * i))
    figures = tally.figures()
    assert figures.frame_to_motor_ms == Percentiles(55.0, pytest.approx(99.1))
    assert figures.distance_m == pytest.approx(0.5)
    assert (figures.ticks, figures.missed_ticks) == (100, 1)
    assert len(tally.path) == 11


def test_nothing_measured_is_null_and_not_nan():
    figures = Tally(BoxReader("paligemma"), GOAL, "detect red cup").figures()
    assert figures.refused_chunks == Refusals()
    assert figures.frame_to_motor_ms == Percentiles(None, None)
    assert figures.latency_ms == {} and figures.decisions == 0


def test_the_time_is_added_for_which_late_answers_slowed_the_base():
    tally = Tally(BoxReader("paligemma"), GOAL, "detect red cup")
    for index, slowed_to_m_s in enumerate([None, 0.3, 0.2, 0.25, 0.0, 0.0, None]):
        observation = Observation({"front": inference(index + 1, "none").frame}, GOAL)
        tally.on_frame(observation, PolicyStatus("drive", slowed_to_m_s=slowed_to_m_s))
    figures = tally.figures()
    assert (figures.slowed_s, figures.slowed_to_m_s, figures.stop_look_move_s) == (0.3, 0.2, 0.2)
    assert Tally(BoxReader("paligemma"), GOAL, "").figures().slowed_to_m_s is None
