"""Videos whose frames tell their number, in the codecs that datasets come in."""

from pathlib import Path

import av
import numpy as np

RATE_HZ = 30
BITS = 8
CODECS = {  # by its name in info.json: the encoder, its options, frames from keyframe to keyframe
    "av1": ("libsvtav1", {"preset": "12", "crf": "30"}, 2),  # as LeRobot writes it
    "av1-far": ("libsvtav1", {"preset": "12", "crf": "30"}, 40),
    "h264": ("libx264", {"bf": "3"}, 12),
    "h264-far": ("libx264", {"bf": "3"}, 250),
    "vp9": ("libvpx-vp9", {"deadline": "realtime"}, 30),
}


EARTH = (190, 90, 30)


def paint(number: int) -> np.ndarray:
    """(48, 64, 3): noise, which keeps frames large; stripes, a bit each, the lowest on the left; EARTH."""
    bits = (number >> (np.arange(64) * BITS // 64)) & 1
    image = np.zeros((48, 64, 3), np.uint8)
    image[:16] = np.random.default_rng(number).integers(0, 256, (16, 64, 3))
    image[16:32] = (40 + 175 * bits)[None, :, None]
    image[32:] = EARTH
    return image


def number_of(image: np.ndarray) -> int:
    """What `paint` was given."""
    stripes = image[18:30].mean((0, 2)).reshape(BITS, -1)[:, 2:-2].mean(1)
    return int(sum(int(light > 127) << bit for bit, light in enumerate(stripes)))


def film(file: Path, numbers: list[int], codec: str = "av1", faststart: bool = False) -> None:
    """One frame for each number, 1 / RATE_HZ apart. faststart: the index before the pictures."""
    encoder, options, group = CODECS[codec]
    file.parent.mkdir(parents=True, exist_ok=True)
    with av.open(str(file), "w", options={"movflags": "faststart"} if faststart else {}) as container:
        stream = container.add_stream(encoder, rate=RATE_HZ, options=options)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        stream.codec_context.gop_size = group
        for number in numbers:
            frame = av.VideoFrame.from_ndarray(paint(number), format="rgb24")
            # Threads of the conversion would be missing in a fork that ends it.
            container.mux(stream.encode(frame.reformat(format="yuv420p", threads=1)))
        container.mux(stream.encode())
