"""What is believed of a target after each answer, by known numbers."""

import math

import pytest

from edge.perception.geometry import Pose, View
from edge.policies.target import TargetEstimate
from edge.records import Box, CameraMount, Detection

VIEW = View(CameraMount(math.radians(55), 0.35, math.radians(12), 0.12), 320 / 240)
AHEAD, BESIDE, FAR = Box(0.4, 0.4, 0.7, 0.6), Box(0.4, 0.42, 0.7, 0.62), Box(0.2, 0.4, 0.33, 0.6)
SECOND_NS = 1_000_000_000


def saw(target: TargetEstimate, box: Box, at_s: float, pose: Pose | None = None) -> None:
    target.saw(Detection(box, "red cup", 0.9), VIEW, pose or Pose(), round(at_s * SECOND_NS))


def test_the_first_answer_places_it_and_the_next_ones_half_of_the_way() -> None:
    target = TargetEstimate()
    saw(target, AHEAD, 1.0)
    first, second = VIEW.place(AHEAD), VIEW.place(BESIDE)
    assert (target.x_m, target.y_m) == pytest.approx(first) and target.known
    assert target.radius_m == pytest.approx(0.2 * VIEW.tan_u * math.hypot(*first))
    saw(target, BESIDE, 1.1)
    assert target.y_m == pytest.approx((first[1] + second[1]) / 2)
    target.forget()
    saw(target, BESIDE, 1.2)
    assert (target.x_m, target.y_m) == pytest.approx(second)


def test_an_answer_that_leaps_is_taken_whole() -> None:
    target = TargetEstimate()
    saw(target, FAR, 1.0)
    assert target.x_m > 3
    saw(target, AHEAD, 1.1)
    assert (target.x_m, target.y_m) == pytest.approx(VIEW.place(AHEAD))


def test_it_is_placed_in_the_world_and_never_wider_than_40_cm_to_a_side() -> None:
    target = TargetEstimate()
    saw(target, Box(0.2, 0.0, 0.5, 1.0), 1.0, Pose(1.0, 2.0, math.pi / 2))
    x, y = VIEW.place(Box(0.2, 0.0, 0.5, 1.0))
    assert (target.x_m, target.y_m) == pytest.approx((1.0 - y, 2.0 + x))
    assert target.radius_m == 0.4


def test_a_miss_counts_where_it_should_be_in_view_or_after_6_s() -> None:
    target = TargetEstimate()
    saw(target, AHEAD, 1.0)
    believed = target.belief
    away = Pose(0.0, 0.0, math.pi / 2)
    target.missed(VIEW, away, 2 * SECOND_NS)
    assert target.belief == believed and target.hits == 0
    target.missed(VIEW, away, 7 * SECOND_NS)
    assert target.belief == believed
    target.missed(VIEW, Pose(), round(7.1 * SECOND_NS))
    assert target.belief == pytest.approx(believed * math.exp(-0.1 / 0.4))
    target.missed(VIEW, away, round(7.3 * SECOND_NS))
    assert target.belief == pytest.approx(believed * math.exp(-0.3 / 0.4))
