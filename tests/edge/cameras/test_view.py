"""Views: each change of an image, its inverse, and the options of an address that give it."""

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from edge.address import Address
from edge.cameras.view import FLIPS, TURNS, ImageView, take_view
from edge.errors import UsageError
from edge.records import Image

IMAGES = arrays.arrays(np.uint8, st.tuples(st.integers(1, 9), st.integers(1, 9), st.just(3)))


def view(options: str) -> ImageView:
    parts = Address(f"file://x?{options}", "camera", "such as file://x?flip=180")
    found = take_view(parts)
    parts.finish()
    return found


def test_options_are_read():
    assert view("flip=180&rotate=90&crop=0,0.1,1,0.9&out=640x360") == ImageView(
        (0.0, 0.1, 1.0, 0.9), 90, "180", (360, 640)
    )


def test_without_a_change_an_image_stays_itself():
    image = np.zeros((4, 6, 3), np.uint8)
    assert ImageView().apply(image) is image


@given(IMAGES, st.sampled_from(FLIPS))
def test_a_flip_undoes_itself(image: Image, flip: str):
    flipped = ImageView(flip=flip).apply(image)
    assert flipped.flags.c_contiguous and flipped.shape == image.shape
    assert (ImageView(flip=flip).apply(flipped) == image).all()


@given(IMAGES, st.sampled_from([int(turn) for turn in TURNS]))
def test_a_turn_is_clockwise_and_is_undone_by_the_rest_of_the_circle(image: Image, turn: int):
    turned = ImageView(rotate_deg=turn).apply(image)
    assert (ImageView(rotate_deg=(360 - turn) % 360).apply(turned) == image).all()
    if turn == 90:
        assert (turned == cv2.rotate(image, cv2.ROTATE_90_CLOCKWISE)).all()


@given(IMAGES)
def test_upside_down_is_half_a_turn(image: Image):
    assert (ImageView(flip="180").apply(image) == ImageView(rotate_deg=180).apply(image)).all()
    both = ImageView(flip="vertical").apply(ImageView(flip="horizontal").apply(image))
    assert (both == ImageView(flip="180").apply(image)).all()


def test_crop_comes_before_the_turn_and_the_size_last():
    image = np.zeros((10, 20, 3), np.uint8)
    image[:, 10:] = 200
    made = ImageView((0.0, 0.5, 1.0, 1.0), 90, "none", (30, 40)).apply(image)
    assert made.shape == (30, 40, 3) and made.min() == made.max() == 200


@given(IMAGES, st.tuples(*[st.floats(0, 1)] * 4))
def test_a_crop_of_any_shares_leaves_at_least_a_pixel(image: Image, shares: tuple[float, ...]):
    text = ",".join(f"{share:.4f}" for share in shares)
    try:
        made = view(f"crop={text}").apply(image)
    except UsageError:
        y0, x0, y1, x1 = (round(share, 4) for share in shares)
        assert not (y0 < y1 and x0 < x1)
        return
    assert 0 < made.shape[0] <= image.shape[0] and 0 < made.shape[1] <= image.shape[1]


@pytest.mark.parametrize(
    "options",
    [
        *("flip=90", "flip=", "rotate=45", "crop=1,2", "crop=", "crop=0,0,0,1", "crop=nan,0,1,1"),
        *("crop=0,0,1,1.5", "out=640", "out=", "out=0x5", "out=5x-1", "out=99999x2", "out=6 x 4", "zoom=2"),
    ],
)
def test_an_option_that_makes_no_sense_is_refused(options: str):
    with pytest.raises(UsageError, match="camera address"):
        view(options)
