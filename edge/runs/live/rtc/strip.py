"""A number in a picture, by which the page tells which picture it shows.

It stands in a strip below: blocks, black or white, that outlive a lossy codec. Not every browser tells
anything else of a picture that came by WebRTC by which its sender could recognise it.
"""

import numpy as np

from edge.records import Image

STRIP_PX = 16  # the first four black, so that nothing of it runs into the picture
NUMBERS = 1 << 16
BLOCKS = 20  # 16 bits and four to check them, the highest first
_CHECK = 0b1010  # so that neither black nor white is a number
_BLACK, _WHITE = 16, 235


def numbered(image: Image, number: int) -> Image:
    """Return an image (H, W, 3), cut to even sizes, with a number below NUMBERS in a strip below it."""
    even = image[: image.shape[0] & ~1, : image.shape[1] & ~1]
    nibbles = [number >> shift & 15 for shift in (12, 8, 4, 0)]
    check = _CHECK ^ nibbles[0] ^ nibbles[1] ^ nibbles[2] ^ nibbles[3]
    word = number << 4 | check
    wide = even.shape[1] // BLOCKS
    strip = np.full((STRIP_PX, even.shape[1], 3), _BLACK, np.uint8)
    for block in range(BLOCKS):
        if word >> (BLOCKS - 1 - block) & 1:
            strip[4:, block * wide : (block + 1) * wide] = _WHITE
    return np.vstack([even, strip])
