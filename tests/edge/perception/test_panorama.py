"""Turns that two pictures show: exact for any mount, and none where a picture can't tell."""

import math
import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge.perception.geometry import View
from edge.perception.panorama import COLUMNS, REACH, Panoramas, image_positions
from edge.records import CameraMount
from tests.edge.perception.surroundings import MOUNT, Surroundings, painted

FINE = (24, 192)  # enough forms at every angle


def panoramas(mount: CameraMount = MOUNT, width: int = 320, height: int = 240) -> Panoramas:
    made = Panoramas.of(mount, width, height)
    assert made is not None
    return made


@settings(max_examples=40, deadline=None)
@given(
    st.floats(-0.3, 0.3), st.floats(-3, 3), st.floats(-0.2, 0.5), st.floats(0.6, 1.3), st.integers(0, 99),
    st.sampled_from([(320, 240), (640, 360), (200, 200)]),
)  # fmt: skip
def test_a_turn_is_recovered_whatever_the_mount(
    turn_rad: float, yaw_rad: float, pitch_rad: float, fov_rad: float, seed: int, size: tuple[int, int]
):
    mount = CameraMount(fov_rad, 0.35, pitch_rad, 0.12)
    made, around = panoramas(mount, *size), Surroundings(painted(seed, FINE), mount, *size)
    turn_rad = math.copysign(min(abs(turn_rad), 0.9 * REACH * made.column_rad), turn_rad)
    one, other = around.seen(yaw_rad, 1), around.seen(yaw_rad + turn_rad, 2)
    found_rad = made.turn(made.make(one), made.make(other))
    assert found_rad is not None and abs(found_rad - turn_rad) < made.column_rad


def test_golden_figures_of_the_simulated_camera():
    made, around = panoramas(), Surroundings(painted())
    assert (made.rows, made.column_rad) == (9, pytest.approx(0.0091012, abs=1e-6))
    before = made.make(around.seen(0.0, noise=0.0))
    assert before.shape == (9, COLUMNS) and float(before.mean()) == pytest.approx(125.2, abs=0.5)
    found = [made.turn(before, made.make(around.seen(turn, noise=0.0))) for turn in (0.0, 0.033, -0.1, 0.2)]
    assert found == [pytest.approx(turn, abs=0.002) for turn in (0.0, 0.033, -0.1, 0.2)]


@given(st.floats(-0.5, 0.5), st.floats(-0.4, 0.4), st.floats(-0.3, 0.6))
def test_directions_and_image_positions_are_inverse(left_rad: float, up_rad: float, pitch_rad: float):
    view = View(CameraMount(1.0, 0.35, pitch_rad, 0.1), 4 / 3)
    u, v = image_positions(view, np.array([left_rad]), np.array([up_rad]))
    ahead, left, up = view.ray(float(u[0]), float(v[0]))
    assert math.atan2(left, ahead) == pytest.approx(left_rad, abs=1e-9)
    assert math.atan2(up, math.hypot(ahead, left)) == pytest.approx(up_rad, abs=1e-9)


def test_what_can_not_be_told_is_not_said():
    made, around = panoramas(), Surroundings(painted())
    here = made.make(around.seen(0.0))
    assert made.turn(here, made.make(Surroundings(painted(7)).seen(0.0))) is None, "another scene"
    assert made.turn(here, made.make(around.seen(0.6))) is None, "beyond its reach"
    plain = Surroundings(np.full((128, 768, 3), 150, np.uint8))
    assert made.turn(made.make(plain.seen(0.0, 1)), made.make(plain.seen(0.1, 2))) is None, "no forms"
    stripes = painted()
    stripes[:] = np.where(np.arange(768) // 8 % 2, 200, 40)[None, :, None]
    striped = Surroundings(stripes)
    assert made.turn(made.make(striped.seen(0.0)), made.make(striped.seen(0.05))) is None, "stripes"


@pytest.mark.parametrize("pitch_rad", [-1.4, 1.4])
def test_a_camera_that_looks_at_the_floor_or_the_ceiling_shows_no_turns(pitch_rad: float):
    assert Panoramas.of(CameraMount(1.0, 0.35, pitch_rad, 0.1), 320, 240) is None


def test_a_panorama_differs_from_itself_only_by_a_turn_that_was_not_made():
    made, around = panoramas(), Surroundings(painted())
    before, after = made.make(around.seen(0.0, 1)), made.make(around.seen(0.05, 2))
    assert made.difference(before, after, [0.0, 0.05]) < 3 < 10 < made.difference(before, after, [0.0])


@pytest.mark.realtime
def test_a_frame_costs_a_fifth_of_a_millisecond():
    made = panoramas(width=640, height=360)
    images = [np.random.default_rng(i).integers(0, 255, (360, 640, 3), np.uint8) for i in range(8)]
    before, start_s = made.make(images[0]), time.thread_time()
    for i in range(200):
        after = made.make(images[i % 8])
        made.turn(before, after)
        before = after
    assert (time.thread_time() - start_s) / 200 < 0.0004
