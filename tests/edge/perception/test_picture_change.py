"""Whether a picture moves as a whole, stays, or jumps: light, noise and people must not count."""

from itertools import pairwise

import numpy as np
import pytest

from edge.perception.panorama import Panoramas
from edge.perception.picture_change import Changes, Jumps, PictureMotion
from edge.records import Image
from tests.edge.perception.surroundings import MOUNT, Surroundings, painted

PANORAMAS = Panoramas.of(MOUNT, 160, 120)
PERIOD_NS = 33_333_333
AROUND = Surroundings(painted(), MOUNT, 160, 120)


def motions(images: list[Image], period_ns: int = PERIOD_NS) -> list[PictureMotion]:
    assert PANORAMAS is not None
    changes = Changes()
    return [changes.take(PANORAMAS.make(image), i * period_ns) for i, image in enumerate(images)]


def still(count: int, noise: float = 4.0) -> list[Image]:
    return [AROUND.seen(0.3, i, noise) for i in range(count)]


@pytest.mark.parametrize("noise", [0.0, 1.0, 4.0, 10.0])
def test_a_picture_that_stays_is_still_whatever_its_noise(noise: float):
    found = motions(still(30, noise))
    assert set(found[:9]) == {PictureMotion.UNKNOWN} and set(found[10:]) == {PictureMotion.STILL}


@pytest.mark.parametrize("turn_rad_s", [0.2, -0.6, 1.0])
@pytest.mark.parametrize("rate_hz", [10, 30])
def test_a_turn_moves_all_of_it(turn_rad_s: float, rate_hz: int):
    images = still(10) + [AROUND.seen(0.3 + turn_rad_s * i / rate_hz, i) for i in range(30)]
    found = motions(images, round(1e9 / rate_hz))
    assert set(found[25:]) == {PictureMotion.MOVES}


def test_a_person_who_walks_by_does_not_move_the_picture():
    images = []
    for i in range(60):
        image = AROUND.seen(0.3, i)
        left = 3 * i // 2
        image[10:, left : left + 60] = 90
        image[30:75:10, left : left + 60 : 2] = 200
        images.append(image)
    found = motions(images)
    assert PictureMotion.MOVES not in found


def test_a_lamp_and_a_plain_wall_say_nothing_of_motion():
    dimmed = [(image * (1.0 if i < 20 else 0.9)).astype(np.uint8) for i, image in enumerate(still(40))]
    assert PictureMotion.MOVES not in motions(dimmed)
    wall = Surroundings(np.full((128, 768, 3), 150, np.uint8), MOUNT, 160, 120)
    found = motions([wall.seen(0.02 * i, i) for i in range(40)])
    assert set(found) == {PictureMotion.UNKNOWN}


def jumps(headings_rad: list[float], expected_rad: float = 0.0, of_now: bool = False) -> list[int]:
    """The frames at which the picture jumped, ten a second. With `of_now` each turned out to be of now."""
    assert PANORAMAS is not None
    notice = Jumps(PANORAMAS)
    made = [PANORAMAS.make(AROUND.seen(heading_rad, i)) for i, heading_rad in enumerate(headings_rad)]
    found = []
    for i, (one, other) in enumerate(pairwise(made)):
        turn_rad = PANORAMAS.turn(one, other)
        likely = turn_rad is not None and abs(turn_rad - expected_rad) < 0.1
        if notice.take(one, other, (expected_rad, turn_rad if likely else expected_rad), i / 10):
            found.append(i + 1)
            if of_now:
                notice.was_of_now(i / 10)
    return found


def test_a_jump_is_noticed_at_its_frame_and_a_turn_is_none():
    assert jumps([0.0] * 20 + [0.9] * 5) == [20]
    turning = [0.03 * i for i in range(40)]
    assert jumps(turning, 0.03) == []
    assert jumps([*turning, *(turn - 0.9 for turn in turning)], 0.03) == [40]


def test_after_a_jump_that_was_of_now_only_a_much_larger_one_counts_for_a_while():
    """A thing that is near changes the picture as much as another picture would, again and again."""
    again = [0.0] * 20 + [0.9] * 30 + [0.0] * 30 + [0.9] * 110 + [0.0] * 5
    assert jumps(again) == [20, 50, 80, 190]
    assert jumps(again, of_now=True) == [20, 190], "15 s are over"


def test_a_base_that_begins_to_turn_is_no_jump():
    headings = np.cumsum(np.r_[np.zeros(15), np.linspace(0, 0.03, 10), np.full(15, 0.03)])
    assert jumps([float(heading) for heading in headings], 0.0) == [], "though nobody has said so yet"


def test_the_first_frames_are_no_jump():
    assert jumps([0.0, 0.9, -0.9, 0.3, 2.0]) == []
