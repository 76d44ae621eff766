"""Pictures: which ones a path holds, whether each can be read, and reading them."""

import difflib
import os
import re
from collections.abc import Generator, Sequence
from pathlib import Path

import cv2
import numpy as np

from edge.cameras.recordings.encoded import decode_picture
from edge.errors import HardwareMissing
from edge.records import Image

PICTURE_SUFFIXES = (".bmp", ".jpeg", ".jpg", ".png", ".tif", ".tiff", ".webp")
HINT = "--camera file://PATH takes a video, a picture or a folder of pictures"

Shown = Generator[tuple[str, Image], None, None]  # what people may call an image, and the image


def one_by_one(pictures: Sequence[Path]) -> Shown:
    """Yield the pictures, each with the name of its file. Raises HardwareMissing if one can't be read."""
    for path in pictures:
        yield path.name, read_picture(path)


def find_pictures(path: Path) -> list[Path]:
    """Return the pictures of a folder in the order of their names and numbers, or a picture itself.

    Empty if the path is another file. What is hidden, and folders within, are left out. Raises
    HardwareMissing if nothing is there, if it may not be read, and for a folder without pictures.
    """
    try:
        if not path.exists():
            raise _missing(path)
        paths = list(path.iterdir()) if path.is_dir() else [path]
        pictures = [each for each in paths if _is_picture(each)]
    except OSError as error:
        hint = f"`ls -ld {path}` shows who may read it"
        raise HardwareMissing(f"camera: {path} can't be read: {error.strerror}", hint) from error
    if path.is_dir() and not pictures:
        raise HardwareMissing(
            f"camera: no pictures in {path}",
            f"their names end in {' '.join(PICTURE_SUFFIXES)}; a video is named itself: file://{path}/NAME",
        )
    for each in pictures or paths:
        if each.exists() and not os.access(each, os.R_OK):
            raise HardwareMissing(f"camera: no permission to read {each}", f"`chmod a+r {each}` gives it")
    return sorted(pictures, key=_in_order)


def check_pictures(pictures: Sequence[Path]) -> None:
    """Read every picture once. Raises HardwareMissing that names the first broken one and counts them."""
    broken: list[HardwareMissing] = []
    for path in pictures:
        try:
            read_picture(path)
        except HardwareMissing as error:
            broken.append(error)
    if len(broken) > 1:
        first = broken[0]
        message = f"{first.message}; {len(broken)} of {len(pictures)} pictures are broken"
        raise HardwareMissing(message, first.hint)
    if broken:
        raise broken[0]


def read_picture(path: Path) -> Image:
    """Return a picture (H, W, 3) RGB, turned as its EXIF says.

    Raises HardwareMissing if it can't be read, or has more than 8 bits a channel: what they mean is unknown.
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        why = "it is a link to nothing" if path.is_symlink() and not path.exists() else error.strerror
        raise HardwareMissing(f"camera: {path} can't be read: {why}", _REPLACE) from error
    if not content:
        raise HardwareMissing(f"camera: {path} is empty", _REPLACE)
    # imread fails on some paths that the system can open.
    flags = cv2.IMREAD_COLOR | cv2.IMREAD_ANYDEPTH
    image = decode_picture(content, flags)
    if image is None:
        raise HardwareMissing(f"camera: {path} can't be read as a picture", _REPLACE)
    if image.dtype != np.uint8:
        values = f"{image.dtype.itemsize * 8} bits a channel, with values from {image.min()} to {image.max()}"
        raise HardwareMissing(f"camera: {path} has {values}; 8 bits are read", _SCALE)
    return np.asarray(cv2.cvtColor(image, cv2.COLOR_BGR2RGB), np.uint8)


_REPLACE = "remove or replace it; nothing has been started"
_SCALE = "scale its values to 0 to 255 and write it with 8 bits; a picture of depths is not what a model sees"


def _is_picture(path: Path) -> bool:
    return path.suffix.lower() in PICTURE_SUFFIXES and not path.name.startswith(".") and not path.is_dir()


def _in_order(path: Path) -> list[str | int]:
    """Return a key that sorts 2.png before 10.png."""
    parts = re.split(r"([0-9]+)", path.name)
    return [int(part) if index % 2 else part for index, part in enumerate(parts)]


def _missing(path: Path) -> HardwareMissing:
    if path.is_symlink():
        return HardwareMissing(f"camera: {path} is a link to nothing", _REPLACE)
    here = "" if path.is_absolute() else f" in {Path.cwd()}"
    return HardwareMissing(f"camera: there is no {path}{here}", _near(path) or HINT)


def _near(path: Path) -> str:
    """Return a hint with the name that is nearest to a missing path's; empty if none is near."""
    if not path.parent.is_dir():
        return ""
    names = [each.name for each in path.parent.iterdir()]
    near = difflib.get_close_matches(path.name, names, n=1, cutoff=0.6)
    return f"did you mean file://{path.parent / near[0]}?" if near else ""
