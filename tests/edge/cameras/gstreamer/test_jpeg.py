"""JPEG images are decoded small, and look as a view of the whole image does."""

from itertools import product

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.cameras.gstreamer.jpeg import decode_jpeg
from edge.cameras.gstreamer.pipelines import size_out
from edge.cameras.view import FLIPS, TURNS, ImageView

CROPS = [(0.0, 0.0, 1.0, 1.0), (0.0, 0.25, 0.5, 0.75)]


def jpeg(height: int, width: int) -> tuple[np.ndarray, np.ndarray]:
    """A JPEG that looks different in every orientation, and its image RGB."""
    y, x = np.mgrid[0:height, 0:width].astype(np.float32)
    levels = [x / width * 240, y / height * 240, (x + 2 * y) % 350 / 1.5]
    image = np.stack(levels, axis=2).astype(np.uint8)
    image[height // 10 : height // 3, width // 10 : width // 4] = (255, 40, 40)
    content = cv2.imencode(".jpg", cv2.cvtColor(image, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, 95])[1]
    return content, image


@pytest.mark.parametrize(("flip", "rotate", "crop"), list(product(FLIPS, TURNS, CROPS)))
def test_a_jpeg_is_cut_turned_and_flipped_as_a_view_does(flip: str, rotate: str, crop: tuple):
    content, image = jpeg(720, 1280)
    view = ImageView(crop, int(rotate), flip)
    out = size_out(view, 720, 1280)
    wanted = ImageView(crop, int(rotate), flip, out).apply(image)
    decoded = decode_jpeg(content, view)
    assert decoded is not None
    assert decoded[0].shape == wanted.shape == (*out, 3) and decoded[1] == (720, 1280)
    assert np.abs(decoded[0].astype(int) - wanted).mean() < 3.0


@pytest.mark.parametrize("size", [(90, 160), (180, 320), (179, 320), (360, 640), (720, 1280), (800, 1300)])
def test_a_jpeg_has_the_size_that_the_view_asks_for_and_never_less_detail(size: tuple[int, int]):
    content, image = jpeg(720, 1280)
    decoded = decode_jpeg(content, ImageView(size=size))
    assert decoded is not None and decoded[0].shape == (*size, 3)
    wanted = ImageView(size=size).apply(image)
    assert np.abs(decoded[0].astype(int) - wanted).mean() < 3.0


def test_motion_jpeg_without_its_tables_is_decoded_too():
    """Many USB cameras leave the Huffman tables out, since they are always the same."""
    content, image = jpeg(96, 160)
    packet = content.tobytes()
    at = 2
    parts = [packet[:2]]
    while packet[at + 1] != 0xDA:
        end = at + 2 + int.from_bytes(packet[at + 2 : at + 4], "big")
        if packet[at + 1] != 0xC4:
            parts.append(packet[at:end])
        at = end
    bare = b"".join([*parts, packet[at:]])
    assert len(bare) < len(packet) - 300
    decoded = decode_jpeg(np.frombuffer(bare, np.uint8), ImageView())
    assert decoded is not None and np.abs(decoded[0].astype(int) - image).mean() < 6.0


def test_a_damaged_size_is_not_decoded():
    packet = bytearray(jpeg(96, 160)[0].tobytes())
    at = packet.index(b"\xff\xc0")
    packet[at + 5 : at + 9] = b"\xff" * 4
    assert decode_jpeg(np.frombuffer(bytes(packet), np.uint8), ImageView()) is None


@given(st.binary(max_size=200), st.booleans())
def test_what_is_not_a_jpeg_is_none_or_an_image(content: bytes, head: bool):
    decoded = decode_jpeg(np.frombuffer(b"\xff\xd8" * head + content, np.uint8), ImageView())
    assert decoded is None or decoded[0].ndim == 3
