"""What a policy would have done on recorded frames: in words, over time, and never more than fits."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.interfaces import Inference, PolicyStatus
from edge.records import ActionChunk, Box, Detection, DriveEnd, Frame, Goal, Observation, Outcome, Velocity
from edge.runs.would_do import MAX_STRETCHES, Stretch, WouldDo, motion_words, would_do_lines

S = 1_000_000_000
END = DriveEnd(Outcome.STOPPED, "over", 0, seconds=3.0)


def chunk(stamp_ns: int, *velocity: float) -> ActionChunk:
    return ActionChunk(np.tile(np.float32(velocity), (5, 1)), 0.1, stamp_ns, stamp_ns + S // 2, 1.0, 0)


def seen(stamp_ns: int, source: str = "", kind: str = "find_object") -> Observation:
    frame = Frame(np.zeros((2, 2, 3), np.uint8), stamp_ns, 0, source=source)
    return Observation({"front": frame}, Goal(kind, "cup"))


@pytest.mark.parametrize(
    ("velocity", "words"),
    [
        ((0.3, 0.0, 0.0), "drive ahead at 0.30 m/s"),
        ((-0.2, 0.0, 0.05), "drive back at 0.20 m/s"),
        ((0.0, 0.1, 0.0), "drive left at 0.10 m/s"),
        ((0.2, -0.2, 0.0), "drive ahead and right at 0.28 m/s"),
        ((0.3, 0.0, 0.2), "drive ahead at 0.30 m/s, turning left at 11°/s"),
        ((0.0, 0.0, -0.5), "turn right at 29°/s"),
        ((0.01, 0.0, 0.01), "stand"),
    ],
)
def test_a_velocity_in_words(velocity: tuple[float, float, float], words: str):
    assert motion_words(Velocity(*velocity)) == words


@given(st.tuples(*[st.floats(-1, 1)] * 3))
def test_only_what_hardly_moves_stands(velocity: tuple[float, float, float]):
    x, y, turn = velocity
    slow = np.hypot(x, y) < 0.03 and abs(turn) < 0.05
    assert (motion_words(Velocity(*velocity)) == "stand") == slow


def test_what_goes_on_in_the_same_way_is_one_stretch():
    would_do = WouldDo(moves=True, by_picture=False)
    would_do.on_start(10 * S)
    for step in range(90):
        stamp_ns = 10 * S + step * S // 30
        turn = 0.5 if step < 45 else 0.0
        would_do.on_frame(seen(stamp_ns), PolicyStatus("search" if turn else "approach"))
        would_do.on_chunk(chunk(stamp_ns, 0.0 if turn else 0.3, 0.0, turn))
    would_do.on_end(END)
    first, second = would_do.stretches
    assert (first.does, second.does) == ("search: turn left at 29°/s", "approach: drive ahead at 0.30 m/s")
    assert first.from_s == 0 and first.to_s == second.from_s == pytest.approx(1.5, abs=0.1)
    assert second.to_s == 3.0


def test_a_chunk_that_is_used_up_moves_nothing():
    would_do = WouldDo(moves=True, by_picture=False)
    would_do.on_chunk(replace(chunk(0, 0.3, 0.0, 0.0), valid_until_ns=S // 4))
    would_do.on_frame(seen(S // 3), PolicyStatus("drive"))
    would_do.on_end(END)
    assert [each.does for each in would_do.stretches] == ["stand"]


def test_a_stretch_has_the_mean_of_its_velocities():
    would_do = WouldDo(moves=True, by_picture=False)
    for step in range(60):
        stamp_ns = step * S // 30
        would_do.on_frame(seen(stamp_ns), PolicyStatus("drive"))
        would_do.on_chunk(chunk(stamp_ns, 0.4 if step < 15 else 0.2, 0.0, 0.0))
    would_do.on_end(replace(END, seconds=2.0))
    (stretch,) = would_do.stretches
    assert (stretch.from_s, stretch.to_s) == (0.0, 2.0)
    assert stretch.velocity is not None and stretch.velocity.linear_x_m_s == pytest.approx(0.25)


def test_each_picture_is_a_stretch_with_what_was_seen_in_it():
    would_do = WouldDo(moves=True, by_picture=True)
    cup = Detection(Box(0, 0, 0.5, 0.5), "cup", 0.87)
    for name, detection in (("a.png", cup), ("b.png", None)):
        observation = seen(0, name)
        would_do.on_frame(observation, PolicyStatus("search", detection=detection))
        would_do.on_inference(Inference(observation.frame, "<loc0001>", 0.9, {}))
        would_do.on_chunk(chunk(0, 0.0, 0.0, 0.5))
    observation = seen(0, "c.png")
    would_do.on_frame(observation, PolicyStatus("drive"))
    would_do.on_inference(Inference(observation.frame, "", 0.9, {}, chunk(0, 0.2, 0.0, 0.0)))
    would_do.on_chunk(chunk(0, 0.2, 0.0, 0.0))
    would_do.on_end(END)
    assert [(each.source, each.does) for each in would_do.stretches] == [
        ("a.png", "sees cup (0.87), search: turn left at 29°/s"),
        ("b.png", "does not see cup, search: turn left at 29°/s"),
        ("c.png", "drive ahead at 0.20 m/s"),
    ]


def test_goals_without_motion_show_their_answers():
    would_do = WouldDo(moves=False, by_picture=False)
    for step, answer in enumerate(["", "a cup", "a cup", "a ball"]):
        would_do.on_frame(seen((step + 1) * S, kind="describe_scene"), PolicyStatus("said", answer=answer))
    would_do.on_end(replace(END, seconds=5.0))
    assert [each.does for each in would_do.stretches] == ["no answer yet", '"a cup"', '"a ball"']
    assert would_do.stretches[1].to_json() == {
        "from_s": 2.0, "to_s": 4.0, "does": '"a cup"',
        "linear_x_m_s": None, "linear_y_m_s": None, "angular_z_rad_s": None,
    }  # fmt: skip
    assert would_do_lines(would_do.stretches)[0] == "its answers:"


def test_many_stretches_are_thinned_and_their_middle_is_not_printed():
    would_do = WouldDo(moves=True, by_picture=True)
    for index in range(3 * MAX_STRETCHES):
        observation = seen(0, f"{index}.png")
        would_do.on_frame(observation, PolicyStatus("search"))
        would_do.on_inference(Inference(observation.frame, "none", 0.9, {}))
    assert 100 < len(would_do.stretches) <= MAX_STRETCHES + 1
    stretches = [Stretch(i, i + 1, "", "search", Velocity()) for i in range(20)]
    lines = would_do_lines(stretches)
    assert len(lines) == 1 + 9 + 1 + 3 and lines[10] == "  ... 8 more, in summary.json"
    assert not any("more" in line for line in would_do_lines(stretches[:13]))
    assert len(would_do_lines(stretches[:13])) == 14 and would_do_lines([]) == []
