import cv2
import numpy as np
import pytest

from edge.perception.tracking import BoxTracker
from edge.records import Box, Detection, Frame


def frame(seq: int, x: int, size: int = 40) -> Frame:
    """Return a checkered square at column x before a dim textured wall."""
    image = np.random.default_rng(0).integers(60, 80, (240, 320, 3), dtype=np.uint8)
    image = np.asarray(cv2.GaussianBlur(image, (0, 0), 2), np.uint8)
    tile = (np.indices((size, size)).sum(0) // 8 % 2 * 180 + 40).astype(np.uint8)
    image[100 : 100 + size, x : x + size] = tile[..., None]
    return Frame(image, seq * 33_000_000, seq)


def box_at(x: int) -> Box:
    return Box(100 / 240, x / 320, 140 / 240, (x + 40) / 320)


def test_the_box_moves_with_the_thing() -> None:
    tracker = BoxTracker()
    tracker.advance(frame(0, 100))
    tracker.start(Detection(box_at(100), "cup", 0.9), frame(0, 100))
    for seq in range(1, 11):
        found = tracker.advance(frame(seq, 100 + 4 * seq))
    assert found is not None
    assert found.box.center_x * 320 == pytest.approx(160, abs=4)
    assert found.label == "cup"


def test_an_answer_about_a_past_frame_is_carried_to_the_newest_one() -> None:
    tracker = BoxTracker()
    for seq in range(5):
        tracker.advance(frame(seq, 100 + 5 * seq))
    found = tracker.start(Detection(box_at(105), "cup", 0.9), frame(1, 105))
    assert found is not None
    assert found.box.center_x * 320 == pytest.approx(140, abs=4)


def test_a_thing_that_leaves_the_picture_is_lost() -> None:
    tracker = BoxTracker()
    tracker.advance(frame(0, 270))
    tracker.start(Detection(Box(0.4, 0.97, 0.6, 1.0), "cup", 0.9), frame(0, 270))
    moved = Box(0.4, 0.99, 0.6, 1.0)
    assert tracker.start(Detection(moved, "cup", 0.9), frame(0, 270)) is not None
    tracker.stop()
    assert tracker.advance(frame(1, 270)) is None


def test_a_picture_without_texture_leaves_the_box_where_it_was() -> None:
    grey = np.full((240, 320, 3), 90, np.uint8)
    tracker = BoxTracker()
    tracker.advance(Frame(grey, 0, 0))
    tracker.start(Detection(box_at(100), "cup", 0.9), Frame(grey, 0, 0))
    found = tracker.advance(Frame(grey, 1, 1))
    assert found is not None and found.box == box_at(100)
