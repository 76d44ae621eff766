"""How far a thing is by how large it looks, where that was measured; by its foot elsewhere."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.perception.apparent_size import ApparentSize
from edge.perception.geometry import View
from edge.records import Box, CameraMount

MOUNT = CameraMount(math.radians(55), 0.35, math.radians(12), 0.12)
SIZE = ApparentSize("height", 0.2, 0.05, 0.4, 2.0)


@given(st.floats(0.5, 2.0), st.floats(0.3, 0.7), st.floats(0.2, 0.8))
def test_depth_and_place_are_inverse(ahead_m: float, v: float, u: float):
    view = View(MOUNT, 4 / 3, SIZE)
    middle = Box(v - 0.01, u - 0.01, v + 0.01, u + 0.01)
    depth_m = view.depth_m(middle, ahead_m)
    half = SIZE.fills_at_m / depth_m / 2
    box = Box(v - half, u - 0.01, v + half, u + 0.01)
    if SIZE.nearest_m < depth_m < SIZE.farthest_m and box.y0 > 0.01 and box.y1 < 0.99:
        assert view.place(box)[0] == pytest.approx(ahead_m)


def test_a_box_that_is_cut_off_or_was_never_so_large_is_placed_by_its_foot():
    with_size, without = View(MOUNT, 4 / 3, SIZE), View(MOUNT, 4 / 3)
    whole = Box(0.5, 0.4, 0.7, 0.6)
    assert SIZE.distance_m(whole) == pytest.approx(1.0)
    assert with_size.place(whole) != without.place(whole)
    for box in (
        Box(0.8, 0.4, 1.0, 0.6),
        Box(0.0, 0.4, 0.2, 0.6),
        Box(0.2, 0.4, 0.95, 0.6),
        Box(0.6, 0, 0.62, 1),
    ):
        assert SIZE.distance_m(box) is None
        assert with_size.place(box) == without.place(box)
