"""How far the base drives on one answer."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.policies.answer_age import AnswerAge
from edge.records import Velocity

PERIOD_S = 0.033
FULL = Velocity(0.36, 0.27, 0.5)  # 0.45 m/s


def drive(way: AnswerAge, frames: int, start: int = 0) -> list[Velocity]:
    return [way.limit(FULL, round((start + i) * PERIOD_S * 1e9)) for i in range(frames)]


@given(st.lists(st.tuples(st.integers(1, 80), st.integers(0, 60)), max_size=12))
def test_never_more_than_that_is_driven_beyond_the_frame_that_was_answered(answers: list[tuple[int, int]]):
    """Answers come after so many frames, about a frame so many back."""
    way, frame, ways_m, answered = AnswerAge(), 0, [0.0], 0
    for wait, back in answers:
        for velocity in drive(way, wait, frame):
            speed_m_s = (velocity.linear_x_m_s**2 + velocity.linear_y_m_s**2) ** 0.5
            ways_m.append(ways_m[-1] + speed_m_s * PERIOD_S)
            assert ways_m[-1] - ways_m[answered] < 0.6 + 1e-6
        frame += wait
        answered = max(answered, frame - 1 - back, 0)
        way.on_answer(round(answered * PERIOD_S * 1e9))


def test_quick_answers_cost_nothing_and_slow_ones_speed_but_no_turn():
    quick, slow = AnswerAge(), AnswerAge()
    for frame in range(90):
        assert quick.limit(FULL, round(frame * PERIOD_S * 1e9)) == FULL
        quick.on_answer(round(max(0, frame - 3) * PERIOD_S * 1e9))
    last = drive(slow, 90)[-1]
    assert 0 < last.linear_x_m_s < 0.1
    assert last.linear_x_m_s / last.linear_y_m_s == pytest.approx(0.36 / 0.27)
    assert last.angular_z_rad_s == 0.5


def test_the_speed_is_what_is_left_of_0_6_m_in_a_second():
    way_m = 0.0
    for velocity in drive(AnswerAge(), 60):
        speed_m_s = (velocity.linear_x_m_s**2 + velocity.linear_y_m_s**2) ** 0.5
        assert speed_m_s == pytest.approx(min(0.45, 0.6 - way_m))
        way_m += speed_m_s * PERIOD_S
    assert way_m > 0.4


def test_a_camera_turns_by_half_of_what_it_sees_between_two_answers():
    way = AnswerAge()
    assert way.highest_turn_rad_s(1.2) > 100
    for second in (1, 3):
        way.on_answer(second * 1_000_000_000)
    assert way.highest_turn_rad_s(1.2) == pytest.approx(0.3)
