"""What every dataset of demonstrations is to the trainer, whatever its layout on disk."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from edge.errors import UsageError

Floats = NDArray[np.float32]
Pictures = NDArray[np.uint8]  # (n, height, width, 3) RGB


@dataclass(frozen=True, slots=True)
class Episode:
    """One demonstration of one task."""

    number: int  # in its dataset, as its files count
    task: str  # in words
    length: int  # frames, > 0
    file: Path  # that holds it, or its first frame


class Source(Protocol):
    """A dataset. `i` counts in `episodes`. Picklable, so that a loader's workers can have copies."""

    @property
    def path(self) -> Path: ...

    @property
    def robot(self) -> str: ...

    @property
    def rate_hz(self) -> float: ...

    @property
    def cameras(self) -> tuple[str, ...]: ...

    @property
    def state_names(self) -> tuple[str, ...]: ...

    @property
    def action_names(self) -> tuple[str, ...]: ...

    @property
    def episodes(self) -> Sequence[Episode]: ...

    def states(self, i: int) -> Floats:
        """(length, len(state_names)), finite. Raises UsageError where the files are not what they claim."""
        ...

    def actions(self, i: int) -> Floats:
        """(length, len(action_names)), finite; row t answers the pictures of frame t. Raises UsageError."""
        ...

    def pictures(self, i: int, frames: Sequence[int]) -> dict[str, Pictures]:
        """By camera, those frames of the episode. Raises UsageError."""
        ...


def where(file: Path, episode: int) -> str:
    """How errors name a place."""
    return f"{file}, episode {episode}"


def check_numbers(values: NDArray[np.generic], names: Sequence[str], what: str, file: Path, episode: int,
                  length: int) -> Floats:  # fmt: skip
    """(length, len(names)) float32. Raises UsageError for another shape, for NaN and for infinity."""
    values = np.asarray(values, np.float32)
    values = values[:, None] if values.ndim == 1 else values
    if values.ndim != 2 or values.shape[1] != len(names):
        found = "x".join(map(str, values.shape[1:]))
        wanted = f"{len(names)} ({', '.join(names)})"
        raise UsageError(f"{where(file, episode)}: {what} has {found} values a frame, not {wanted}")
    if len(values) != length:
        raise UsageError(f"{where(file, episode)}: {what} has {len(values)} of {length} frames")
    bad = np.argwhere(~np.isfinite(values))
    if len(bad):
        frame, column = (int(v) for v in bad[0])
        value = values[frame, column]
        raise UsageError(f"{where(file, episode)}, frame {frame}: {what} {names[column]} is {value}")
    return values


def check_not_empty(episodes: Sequence[Episode], path: Path, split: str) -> None:
    """Raises UsageError when there is nothing to learn from."""
    if not episodes:
        raise UsageError(f"{path}: the split '{split}' has no episodes", "collect some: `vla-edge collect`")
