import cv2
import numpy as np
import pytest

from edge.bundle.manifest import ImageSpec
from edge.model.images import image_to_tensor

SPEC = ImageSpec(height=144, width=192, resize="area", mean=(0.5, 0.5, 0.5), std=(0.5, 0.5, 0.5))


@pytest.mark.parametrize("shape", [(240, 320, 3), (144, 192, 3), (100, 100, 3)])
def test_equals_the_formula(shape: tuple[int, int, int]):
    image = np.random.default_rng(0).integers(0, 256, shape, np.uint8)
    tensor = image_to_tensor(image, SPEC)
    resized = cv2.resize(image, (192, 144), interpolation=cv2.INTER_AREA).astype(np.float64)
    expected = ((resized / 255 - 0.5) / 0.5).transpose(2, 0, 1)[None]
    assert tensor.dtype == np.float32
    assert tensor.flags.c_contiguous
    np.testing.assert_allclose(tensor, expected, atol=1e-6)


def test_each_channel_has_its_own_mean_and_std():
    spec = ImageSpec(height=2, width=2, resize="bilinear", mean=(0.1, 0.2, 0.3), std=(1.0, 2.0, 4.0))
    image = np.full((2, 2, 3), 255, np.uint8)
    np.testing.assert_allclose(image_to_tensor(image, spec)[0, :, 0, 0], [0.9, 0.4, 0.175], atol=1e-6)


def test_views_are_taken():
    image = np.random.default_rng(0).integers(0, 256, (144, 192, 3), np.uint8)
    np.testing.assert_array_equal(
        image_to_tensor(image[:, ::-1], SPEC), image_to_tensor(image[:, ::-1].copy(), SPEC)
    )


@pytest.mark.parametrize(
    "image", [np.zeros((4, 4), np.uint8), np.zeros((4, 4, 4), np.uint8), np.zeros((4, 4, 3), np.float32)]
)
def test_refuses_what_is_no_rgb_image(image: np.ndarray):
    with pytest.raises(ValueError, match="want an"):
        image_to_tensor(image, SPEC)
