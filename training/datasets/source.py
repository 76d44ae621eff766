"""The interface of datasets of demonstrations to the trainer, whatever their layout on disk."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from edge.errors import UsageError

Floats = NDArray[np.float32]
Images = NDArray[np.uint8]  # (n, height, width, 3) RGB


@dataclass(frozen=True, slots=True)
class RecordedEpisode:
    """One demonstration of one task."""

    number: int  # number in its dataset's files
    task: str  # in words
    length: int  # frames, > 0
    file: Path  # the file that holds it, or its first frame
    late: tuple[int, ...] = ()  # frames taken more than half a period off their time
    missing: tuple[int, ...] = ()  # frames that were never written; their numbers are NaN

    @property
    def usable(self) -> NDArray[np.bool_]:
        """(length,) bool: the frame is there, and in time."""
        usable = np.ones(self.length, np.bool_)
        usable[[*self.late, *self.missing]] = False
        return usable


class EpisodeSource(Protocol):
    """A dataset. `i` is an index in `episodes`. Picklable, so that a loader's workers can have copies."""

    @property
    def path(self) -> Path: ...

    @property
    def robot(self) -> str: ...

    @property
    def rate_hz(self) -> float: ...

    @property
    def cameras(self) -> tuple[str, ...]:
        """The cameras whose images are read."""
        ...

    @property
    def tasks(self) -> tuple[str, ...]:
        """All tasks in words, also those of other splits."""
        ...

    @property
    def state_names(self) -> tuple[str, ...]: ...

    @property
    def action_names(self) -> tuple[str, ...]: ...

    @property
    def episodes(self) -> Sequence[RecordedEpisode]: ...

    def states(self, i: int) -> Floats:
        """Read (length, len(state_names)), finite where usable.

        Raises UsageError if the files do not hold what the dataset says.
        """
        ...

    def actions(self, i: int) -> Floats:
        """Read (length, len(action_names)), finite where usable; row t answers the images of frame t.

        Raises UsageError.
        """
        ...

    def images(self, i: int, frames: Sequence[int]) -> dict[str, Images]:
        """Read usable frames of an episode by camera, (n, height, width, 3) each. Raises UsageError."""
        ...


LATE = "record it again, or write frame_index and timestamp (in seconds, from 0) as they were"


def count_unusable(source: EpisodeSource, episodes: Sequence[int] | None = None) -> str:
    """Say how many frames of episodes, by index in the source, can't be used; None: of all episodes."""
    chosen = [source.episodes[i] for i in range(len(source.episodes)) if episodes is None or i in episodes]
    late, missing = sum(len(e.late) for e in chosen), sum(len(e.missing) for e in chosen)
    return f"{late} frames are more than {0.5 / source.rate_hz:.3f} s off their time, {missing} are missing"


def where(file: Path, episode: int) -> str:
    """Name an episode of a file in an error."""
    return f"{file}, episode {episode}"


def choose_cameras(path: Path, there: Sequence[str], wanted: Sequence[str] | None) -> tuple[str, ...]:
    """Choose the wanted cameras, or all. Raises UsageError for one that the dataset lacks."""
    for camera in wanted or ():
        if camera not in there:
            raise UsageError(
                f"{path} has no camera {camera!r}; it has {', '.join(there) or 'none'}",
                f"in the YAML file, set inputs.camera to one of these, such as `camera: {there[0]}`, and "
                "inputs.hand_camera to another, or leave it out"
                if there
                else "a policy needs images: take a dataset that has them",
            )
    return tuple(there if wanted is None else wanted)


def check_numbers(values: NDArray[np.generic], names: Sequence[str], what: str, file: Path, episode: int,
                  frames: Sequence[int]) -> Floats:  # fmt: skip
    """Convert to (len(frames), len(names)) float32. Raises UsageError for other shapes, NaN, infinity."""
    values = np.asarray(values, np.float32)
    values = values[:, None] if values.ndim == 1 else values
    if values.ndim != 2 or values.shape[1] != len(names):
        found = "x".join(map(str, values.shape[1:]))
        wanted = f"{len(names)} ({', '.join(names)})"
        raise UsageError(f"{where(file, episode)}: {what} has {found} values a frame, not {wanted}")
    if len(values) != len(frames):
        raise UsageError(f"{where(file, episode)}: {what} has {len(values)} of {len(frames)} frames")
    bad = np.argwhere(~np.isfinite(values))
    if len(bad):
        row, column = (int(v) for v in bad[0])
        value = values[row, column]
        raise UsageError(f"{where(file, episode)}, frame {frames[row]}: {what} {names[column]} is {value}")
    return values


def check_not_empty(episodes: Sequence[RecordedEpisode], path: Path, split: str) -> None:
    """Check that a split has episodes. Raises UsageError if it has none."""
    if not episodes:
        raise UsageError(f"{path}: the split '{split}' has no episodes", "collect some: `vla-edge collect`")
