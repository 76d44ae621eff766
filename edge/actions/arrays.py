"""Arrays of actions: one action per row, its dimensions in the last axis."""

import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.float64]


def finite(values: ArrayLike, what: str = "actions") -> Floats:
    """Return the values as a new float64 array, any shape. Raises ValueError if one is NaN or infinite.

    Clipping would turn an infinity into a limit, and digitising a NaN into the highest bin.
    """
    array = np.array(values, np.float64)
    bad = ~np.isfinite(array)
    if bad.any():
        index = tuple(int(i) for i in np.argwhere(bad)[0])
        raise ValueError(f"{what} of shape {array.shape} hold {array[index]} at {index}")
    return array


def finite_columns(values: ArrayLike, columns: int | tuple[int, ...], what: str = "actions") -> Floats:
    """Return `finite` values (..., columns). Raises ValueError also if the last axis has another length."""
    array = finite(values, what)
    allowed = (columns,) if isinstance(columns, int) else columns
    if array.ndim == 0 or array.shape[-1] not in allowed:
        raise ValueError(f"{what} have shape {array.shape}, want {' or '.join(map(str, allowed))} columns")
    return array
