"""A lens bends directions and back as OpenCV's models do, and frames come out as of a pinhole camera."""

import math

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.errors import UsageError
from edge.interfaces import AnnouncesFrames, AwaitsAnswers, PlaysRecording, ShowsStills, SuggestsFaster
from edge.perception.lens import BROWN, FISHEYE, WIDEST_RAD, Lens, StraightCamera, Straightener
from edge.records import Frame

BARREL = Lens(BROWN, (640, 480), (500.0, 501.0), (322.0, 238.0), (-0.2, 0.05, 0.001, -0.001, 0.0))
WIDE = Lens(FISHEYE, (640, 480), (240.0, 241.0), (318.0, 243.0), (0.02, -0.01, 0.002, 0.0))


def points_seen(lens: Lens, count: int = 200) -> np.ndarray:
    pixels = np.random.default_rng(0).uniform([60, 60], [580, 420], (count, 2))
    return np.column_stack([lens.rays(pixels), np.ones(count)])


@pytest.mark.parametrize("lens", [BARREL, WIDE])
def test_a_lens_bends_as_opencv_does(lens: Lens):
    points, none = points_seen(lens), np.zeros(3)
    (fx, fy), (cx, cy) = lens.focal_px, lens.centre_px
    matrix, terms = np.array([[fx, 0, cx], [0, fy, cy], [0, 0, 1]]), np.array(lens.distortion)
    if lens.model == FISHEYE:
        theirs = cv2.fisheye.projectPoints(points[:, None], none, none, matrix, terms)[0]
    else:
        theirs = cv2.projectPoints(points, none, none, matrix, terms)[0]
    assert np.abs(theirs.reshape(-1, 2) - lens.project(points)).max() < 1e-6


@given(
    st.sampled_from([BROWN, FISHEYE]),
    st.lists(st.floats(-0.08, 0.08), min_size=4, max_size=4),
    st.floats(300, 900),
    st.tuples(st.floats(0, 639), st.floats(0, 479)),
)
def test_rays_is_the_inverse_of_project(
    model: str, terms: list[float], focal_px: float, at: tuple[float, float]
):
    k1, k2, p1, p2 = terms
    distortion = (k1, k2, p1 / 50, p2 / 50, 0.0) if model == BROWN else (k1, k2, p1, p2)
    lens = Lens(model, (640, 480), (focal_px, focal_px), (319.5, 239.5), distortion)
    ray = lens.rays([at])
    if np.isfinite(ray).all():
        assert np.allclose(lens.project([[*ray[0], 1.0]]), [at], atol=1e-3)


@pytest.mark.parametrize("lens", [BARREL, WIDE])
def test_the_straightened_image_is_full_and_is_a_pinhole_camera(lens: Lens):
    """A white image stays white to its border; where a ray comes out is where geometry looks for it."""
    white = np.full((480, 640, 3), 255, np.uint8)
    straightener = Straightener(lens)
    assert straightener.apply(white).min() == 255
    dot = np.zeros((480, 640, 3), np.uint8)
    at = (400, 300)
    cv2.circle(dot, at, 4, (255, 255, 255), -1)
    ys, xs = np.nonzero(straightener.apply(dot)[..., 0] > 128)
    tan_v = math.tan(lens.vertical_fov_rad / 2)
    tan_u = tan_v * 640 / 480
    ray = lens.rays([at])[0]
    assert abs((xs.mean() + 0.5) / 640 - (0.5 + ray[0] / 2 / tan_u)) < 0.002
    assert abs((ys.mean() + 0.5) / 480 - (0.5 + ray[1] / 2 / tan_v)) < 0.002
    assert 2 * math.atan(tan_u) <= WIDEST_RAD + 1e-6


def test_numbers_that_are_not_of_a_lens_are_refused():
    off = Lens(BROWN, (640, 480), (500.0, 500.0), (9000.0, 238.0), (0.0, 0.0, 0.0, 0.0, 0.0))
    with pytest.raises(UsageError, match="shows nothing"):
        _ = off.straight_focal_px


class OneCamera:
    """Gives the frames it is told to, and has all that a camera may have."""

    name = "front"
    plays_recording = shows_stills = True

    def __init__(self, *shapes: tuple[int, int, int]) -> None:
        rng = np.random.default_rng(0)
        images = [np.asarray(rng.integers(0, 255, shape), np.uint8) for shape in shapes]
        self.frames = [Frame(image, n, n, "front") for n, image in enumerate(images)]

    def latest(self, max_age_s: float) -> Frame:
        return self.frames[0]

    def answered(self) -> None:
        self.frames.pop(0)

    def wait(self, timeout_s: float) -> None: ...

    def faster(self, rate_hz: float) -> str:
        return "no"

    def close(self) -> None: ...


def test_a_straight_camera_is_all_that_its_camera_is():
    inner = OneCamera((480, 640, 3), (480, 640, 3), (240, 320, 3))
    bent, camera = inner.latest(1.0).image, StraightCamera(inner, BARREL)
    for protocol in (PlaysRecording, ShowsStills, AwaitsAnswers, AnnouncesFrames, SuggestsFaster):
        assert isinstance(camera, protocol)
    first = camera.latest(1.0)
    assert camera.latest(1.0) is first and first.seq == 0
    assert (first.image == Straightener(BARREL).apply(bent)).all() and (first.image != bent).any()
    assert isinstance(camera, AwaitsAnswers)
    camera.answered()
    assert camera.latest(1.0).seq == 1
    camera.answered()
    assert camera.latest(1.0).image.shape == (240, 320, 3)  # CAMERA_RESIZED is the judge's to name


def test_a_camera_of_another_size_than_its_lens_is_refused():
    camera = StraightCamera(OneCamera((240, 320, 3)), BARREL)
    with pytest.raises(UsageError, match="640 x 480, and it gives 320 x 240") as caught:
        camera.latest(1.0)
    assert "calibrate camera" in caught.value.hint
