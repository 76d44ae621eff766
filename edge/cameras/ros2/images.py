"""Images of ROS 2 messages to RGB, without cv_bridge. Of a message only its fields are used."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import cv2
import numpy as np

from edge.cameras.recordings.encoded import decode_picture
from edge.records import Image

MOST_PIXELS = 16384  # a side is at most this long
# OpenCV fills up a JPEG that was cut short with grey and says nothing; some cameras append zeros.
_JPEG_END = b"\xff\xd9"
MOST_PADDING_BYTES = 4096


class UnknownImage(ValueError):
    """An image in a form that is not understood: every one of its topic will be in it."""


class DamagedImage(ValueError):
    """One image that can't be read, such as one that was cut short on its way."""


@dataclass(frozen=True, slots=True)
class _Encoding:
    channels: int
    to_rgb: Callable[[Any], Any]  # (H, W, channels) uint8 to (H, W, 3)


def _colour(code: int) -> Callable[[Any], Any]:
    return partial(cv2.cvtColor, code=code)


# As sensor_msgs/image_encodings names them; where a name has two spellings, both are here.
_YUYV = _Encoding(2, _colour(cv2.COLOR_YUV2RGB_YUY2))
_UYVY = _Encoding(2, _colour(cv2.COLOR_YUV2RGB_UYVY))
_ENCODINGS = {
    "rgb8": _Encoding(3, np.asarray),
    "bgr8": _Encoding(3, _colour(cv2.COLOR_BGR2RGB)),
    "rgba8": _Encoding(4, _colour(cv2.COLOR_RGBA2RGB)),
    "bgra8": _Encoding(4, _colour(cv2.COLOR_BGRA2RGB)),
    "mono8": _Encoding(1, _colour(cv2.COLOR_GRAY2RGB)),
    "yuv422": _UYVY,
    "uyvy": _UYVY,
    "yuv422_yuy2": _YUYV,
    "yuyv": _YUYV,
    # OpenCV names a pattern by its second row, ROS by its first.
    "bayer_rggb8": _Encoding(1, _colour(cv2.COLOR_BayerBG2RGB)),
    "bayer_bggr8": _Encoding(1, _colour(cv2.COLOR_BayerRG2RGB)),
    "bayer_gbrg8": _Encoding(1, _colour(cv2.COLOR_BayerGR2RGB)),
    "bayer_grbg8": _Encoding(1, _colour(cv2.COLOR_BayerGB2RGB)),
}
ENCODINGS = tuple(_ENCODINGS)


def raw_image(message: Any) -> Image:
    """Return a sensor_msgs/msg/Image as RGB (H, W, 3). It may share the message's memory.

    Raises UnknownImage for an encoding that is not understood, big endian and a size out of range,
    DamagedImage if there are fewer bytes than height, width and row step say.
    """
    name = str(message.encoding)
    encoding = _ENCODINGS.get(name.lower())
    if encoding is None:
        raise UnknownImage(f"the encoding {name[:40]!r} is none of {', '.join(ENCODINGS)}")
    if message.is_bigendian:
        raise UnknownImage("its bytes are big endian")
    height, width, step = int(message.height), int(message.width), int(message.step)
    if not (0 < height <= MOST_PIXELS and 0 < width <= MOST_PIXELS):
        raise UnknownImage(f"its size is {width} x {height} pixels (limit {MOST_PIXELS})")
    if name.lower() in ("yuv422", "uyvy", "yuv422_yuy2", "yuyv") and width % 2:
        raise UnknownImage(f"an image in {name} can't be {width} pixels wide: two share their colour")
    row_bytes = width * encoding.channels
    data = np.frombuffer(message.data, np.uint8)
    if step < row_bytes or len(data) < step * (height - 1) + row_bytes:
        raise DamagedImage(
            f"{len(data)} bytes in rows of {step} are too few for {width} x {height} pixels in {name}"
        )
    # The last row may lack the bytes that fill it up, so rows are taken by their stride.
    rows = np.lib.stride_tricks.as_strided(data, (height, row_bytes), (step, 1), writeable=False)
    pixels: Any = np.ascontiguousarray(rows)
    pixels = pixels.reshape(height, width, encoding.channels)
    return np.asarray(encoding.to_rgb(pixels), np.uint8)


def compressed_image(message: Any) -> Image:
    """Return a sensor_msgs/msg/CompressedImage (JPEG or PNG) as RGB (H, W, 3).

    Raises UnknownImage for depth images and for another compression, DamagedImage if it can't be decoded.
    """
    name = str(message.format).lower()
    if "compresseddepth" in name or not any(kind in name for kind in ("jpeg", "jpg", "png")):
        raise UnknownImage(f"the format {str(message.format)[:40]!r} is neither JPEG nor PNG")
    data = np.frombuffer(message.data, np.uint8)
    whole = len(data) > 0 and ("png" in name or _JPEG_END in bytes(data[-MOST_PADDING_BYTES:]))
    image = decode_picture(data, cv2.IMREAD_COLOR | cv2.IMREAD_IGNORE_ORIENTATION) if whole else None
    if image is None:
        raise DamagedImage(f"its {len(data)} bytes are not a whole {name[:20]}")
    return np.asarray(cv2.cvtColor(image, cv2.COLOR_BGR2RGB), np.uint8)
