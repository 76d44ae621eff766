"""Images of ROS 2 messages to RGB; the messages are their fields alone."""

from types import SimpleNamespace

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.cameras.ros2.images import ENCODINGS, DamagedImage, UnknownImage, compressed_image, raw_image

RED_BLUE = np.zeros((4, 6, 3), np.uint8)
RED_BLUE[:, :2], RED_BLUE[:, 2:] = (255, 0, 0), (0, 0, 255)


def message(image: np.ndarray, named: str, padding: int = 0, **changed: object) -> SimpleNamespace:
    rows = image.reshape(image.shape[0], -1)
    padded = np.pad(rows, ((0, 0), (0, padding)), constant_values=77)
    fields = {
        "encoding": named,
        "height": image.shape[0],
        "width": image.shape[1],
        "step": padded.shape[1],
        "is_bigendian": 0,
        "data": padded.tobytes(),
    }
    return SimpleNamespace(**{**fields, **changed})


def coded(encoding: str) -> np.ndarray:
    match encoding:
        case "rgb8":
            return RED_BLUE
        case "bgr8":
            return RED_BLUE[:, :, ::-1]
        case "rgba8":
            return np.dstack([RED_BLUE, np.full((4, 6), 9, np.uint8)])
        case "bgra8":
            return np.dstack([RED_BLUE[:, :, ::-1], np.full((4, 6), 9, np.uint8)])
        case "yuv422" | "uyvy":
            return cv2.cvtColor(RED_BLUE, cv2.COLOR_RGB2YUV_UYVY)
        case _:
            return cv2.cvtColor(RED_BLUE, cv2.COLOR_RGB2YUV_YUY2)


@pytest.mark.parametrize("padding", [0, 5])
@pytest.mark.parametrize(
    "encoding", ["rgb8", "bgr8", "rgba8", "bgra8", "yuv422", "uyvy", "yuv422_yuy2", "yuyv"]
)
def test_every_encoding_keeps_red_red_and_blue_blue(encoding: str, padding: int):
    image = raw_image(message(coded(encoding), encoding, padding)).astype(int)
    assert image.shape == (4, 6, 3) and np.abs(image - RED_BLUE).max() <= 3


@pytest.mark.parametrize(
    ("encoding", "red_at", "blue_at"),
    [
        ("bayer_rggb8", (0, 0), (1, 1)),
        ("bayer_bggr8", (1, 1), (0, 0)),
        ("bayer_gbrg8", (1, 0), (0, 1)),
        ("bayer_grbg8", (0, 1), (1, 0)),
    ],
)
def test_a_pattern_of_colours_is_read_from_its_first_row(encoding: str, red_at, blue_at):
    for at, colour in ((red_at, 0), (blue_at, 2)):
        mosaic = np.zeros((8, 8), np.uint8)
        mosaic[at[0] :: 2, at[1] :: 2] = 200
        middle = raw_image(message(mosaic, encoding))[3:5, 3:5].reshape(-1, 3).max(0)
        assert middle[colour] == 200 and middle[1] == middle[2 - colour] == 0


def test_grey_is_grey():
    image = raw_image(message(np.full((3, 5), 40, np.uint8), "mono8"))
    assert image.shape == (3, 5, 3) and (image == 40).all()


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"encoding": "16UC1"}, "16UC1.*none of rgb8"),
        ({"encoding": "8UC3"}, "8UC3"),
        ({"is_bigendian": 1}, "big endian"),
        ({"width": 0}, "0 x 4 pixels"),
        ({"height": 20000}, "limit 16384"),
        ({"encoding": "yuyv", "width": 5}, "5 pixels wide"),
    ],
)
def test_what_is_not_understood_is_named(changed: dict[str, object], said: str):
    with pytest.raises(UnknownImage, match=said):
        raw_image(message(RED_BLUE, "rgb8", **changed))


@pytest.mark.parametrize("changed", [{"step": 17}, {"data": bytes(71)}, {"data": b""}])
def test_too_few_bytes_are_damage(changed: dict[str, object]):
    with pytest.raises(DamagedImage, match="too few"):
        raw_image(message(RED_BLUE, "rgb8", **changed))


def test_the_last_row_needs_no_padding():
    whole = message(RED_BLUE, "rgb8", 5)
    assert (raw_image(message(RED_BLUE, "rgb8", 5, data=whole.data[:-5])) == RED_BLUE).all()


@given(
    st.sampled_from(ENCODINGS),
    st.integers(0, 9),
    st.integers(0, 9),
    st.integers(0, 40),
    st.binary(max_size=99),
)
def test_no_raw_message_breaks_it(encoding: str, height: int, width: int, step: int, data: bytes):
    fields = SimpleNamespace(
        encoding=encoding, height=height, width=width, step=step, is_bigendian=0, data=data
    )
    try:
        image = raw_image(fields)
    except (UnknownImage, DamagedImage):
        return
    assert image.shape == (height, width, 3) and image.dtype == np.uint8


def encoded(kind: str) -> bytes:
    image = np.repeat(np.repeat(RED_BLUE, 16, 0), 16, 1)
    done, data = cv2.imencode(f".{kind}", cv2.cvtColor(image, cv2.COLOR_RGB2BGR))
    assert done
    return data.tobytes()


@pytest.mark.parametrize(
    ("kind", "name"), [("jpg", "jpeg"), ("jpg", "bgr8; jpeg compressed bgr8"), ("png", "png")]
)
def test_compressed_images_keep_their_colours(kind: str, name: str):
    image = compressed_image(SimpleNamespace(format=name, data=encoded(kind) + bytes(100)))
    assert image.shape == (64, 96, 3)
    assert image[32, 8, 0] > 230 > 30 > image[32, 8, 2] and image[32, 88, 2] > 230 > 30 > image[32, 88, 0]


@pytest.mark.parametrize("data", [b"", b"\xff\xd8", encoded("jpg")[:-200], encoded("png")[:60]])
def test_an_image_that_was_cut_short_is_damage(data: bytes):
    with pytest.raises(DamagedImage):
        compressed_image(SimpleNamespace(format="png" if data[:1] == b"\x89" else "jpeg", data=data))


@pytest.mark.parametrize("name", ["", "16UC1; compressedDepth png", "h264"])
def test_other_compressions_are_named(name: str):
    with pytest.raises(UnknownImage, match="neither JPEG nor PNG"):
        compressed_image(SimpleNamespace(format=name, data=encoded("png")))
