"""Reads arrays of numbers out of the .npz files of others, within bounds."""

import io
import lzma
import math
import tokenize
import zipfile
import zlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np

MOST_BYTES = 64 * 2**20  # in one array; an image of 4000 x 3000 pixels has 36 MB
# What readers of zip files, numpy's headers and pickles raise for damaged or hostile ones, beside ValueError.
HOSTILE = (
    zipfile.BadZipFile,
    zlib.error,
    lzma.LZMAError,
    tokenize.TokenError,
    SyntaxError,
    EOFError,
    NotImplementedError,
    RecursionError,
    RuntimeError,
    OverflowError,
    MemoryError,
)


def read_arrays(file: Path, names: Sequence[str]) -> list[np.ndarray]:
    """Return arrays of a .npz file by their names.

    Raises OSError, KeyError for one that is not there, ValueError for one that is larger than MOST_BYTES, is
    not made of numbers, or can't be read.
    """
    try:
        with zipfile.ZipFile(file) as archive:
            return [_read_array(archive, name) for name in names]
    except HOSTILE as error:
        raise ValueError(f"it is not a whole .npz file: {type(error).__name__}: {error}") from error


def _read_array(archive: zipfile.ZipFile, name: str) -> np.ndarray:
    with archive.open(f"{name}.npy") as entry:
        # What the archive says about its size may be less than what it unpacks to.
        content = io.BytesIO(entry.read(MOST_BYTES + 1))
    if content.getbuffer().nbytes > MOST_BYTES:
        raise ValueError(f"{name} is larger than {MOST_BYTES >> 20} MiB")
    major, _ = np.lib.format.read_magic(content)
    read = np.lib.format.read_array_header_1_0 if major == 1 else np.lib.format.read_array_header_2_0
    shape, by_columns, dtype = read(content)
    if dtype.kind not in "biuf":
        raise ValueError(f"{name} is {dtype}, not numbers")
    data = content.read()
    if min(shape, default=0) < 0 or math.prod(shape) * dtype.itemsize != len(data):
        raise ValueError(f"{name} has {len(data)} bytes, which are not {shape} of {dtype}")
    return np.frombuffer(data, dtype).reshape(shape, order="F" if by_columns else "C").copy()
