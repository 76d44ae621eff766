"""Frames that frozen nets encoded before training, read in place of the images."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from edge.errors import UsageError, reason_of
from training.datasets.source import EpisodeSource, Floats, Images, RecordedEpisode

Rows = NDArray[np.float16]


@dataclass(frozen=True)
class EncodedFrames:
    """A row for each frame of some episodes. A loader's workers open the file anew: it is never copied."""

    values: Path | Rows  # a .npy of (frames, ...) float16; or one row (1, ...) for all frames
    rows: dict[int, NDArray[np.int64]]  # row of each frame, by the episode's index in the source

    def read(self, windows: Sequence[tuple[int, NDArray[np.int64]]]) -> Rows:
        """Read B windows of (episode, frames (W,)): (B, W, ...). Raises UsageError for a damaged file."""
        rows = np.stack([self.rows[episode][frames] for episode, frames in windows])
        if isinstance(self.values, Path):
            return np.asarray(open_rows(self.values)[rows])
        return self.values[np.zeros_like(rows)]


@lru_cache(maxsize=32)
def open_rows(file: Path) -> Rows:
    """Map the file into memory without reading it. Raises UsageError if it is missing or damaged."""
    try:
        return np.load(file, mmap_mode="r")
    except (OSError, ValueError, EOFError) as error:
        raise UsageError(
            f"cannot read the encoded frames in {file}: {reason_of(error)}", "remove that file"
        ) from error


class NumbersOnly:
    """A source without its images; its numbers are read once each."""

    def __init__(self, source: EpisodeSource) -> None:
        self.path, self.robot, self.rate_hz = source.path, source.robot, source.rate_hz
        self.cameras: tuple[str, ...] = ()
        self.tasks = source.tasks
        self.state_names, self.action_names = source.state_names, source.action_names
        self.episodes: Sequence[RecordedEpisode] = source.episodes
        self._source = source
        self._numbers: dict[int, tuple[Floats, Floats]] = {}

    def states(self, i: int) -> Floats:
        return self._numbers_of(i)[0]

    def actions(self, i: int) -> Floats:
        return self._numbers_of(i)[1]

    def images(self, i: int, frames: Sequence[int]) -> dict[str, Images]:
        return {}

    def _numbers_of(self, i: int) -> tuple[Floats, Floats]:
        if i not in self._numbers:
            self._numbers[i] = self._source.states(i), self._source.actions(i)
        return self._numbers[i]
