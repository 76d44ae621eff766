"""Reads a split of CALVIN, its folder `training` or `validation`, by its language annotations.

https://github.com/mees/calvin/tree/main/dataset: a file `episode_0000000.npz` for each frame, and
`lang_annotations/auto_lang_ann.npy`, which says what was done from which frame to which.
"""

import io
import pickle
import pickletools
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from edge.errors import UsageError, reason_of
from training.datasets.npz import HOSTILE, read_arrays
from training.datasets.source import (
    Floats,
    Images,
    RecordedEpisode,
    check_not_empty,
    check_numbers,
    choose_cameras,
    where,
)

RATE_HZ = 30.0
CAMERAS = ("rgb_static", "rgb_gripper")
_POSE = ("x", "y", "z", "roll", "pitch", "yaw")
STATE_NAMES = (*(f"tcp_{axis}" for axis in _POSE), "gripper")  # metres, radians in the world; -1 shut, 1 open
ACTION_NAMES = (*_POSE, "gripper")  # relative, scaled by CALVIN to [-1, 1]
_STATE_COLUMNS = [0, 1, 2, 3, 4, 5, 14]  # columns in robot_obs
_MOST_BYTES = 2**30  # a split's annotations; their embeddings have 1.5 kB a sequence
_ANNOTATIONS = "lang_annotations/auto_lang_ann.npy"
# Unpickling numpy's arrays needs these; a pickle that asks for anything else is refused.
_HARMLESS = {
    f"{module}.{name}"
    for module in ("numpy", "numpy.core.multiarray", "numpy._core.multiarray", "numpy._core.numeric")
    for name in ("ndarray", "dtype", "_reconstruct", "scalar", "_frombuffer")
}


class CalvinSource:
    """A split's annotated sequences, each an episode. Frames are read on demand."""

    robot = "calvin"
    rate_hz = RATE_HZ
    state_names = STATE_NAMES
    action_names = ACTION_NAMES

    def __init__(self, path: Path, cameras: Sequence[str] | None = None) -> None:
        """Open the folder. `cameras`: those whose images are read; None: all.

        Raises UsageError with file and episode if annotations and frames do not match.
        """
        self.path, self.cameras = path, choose_cameras(path, CAMERAS, cameras)
        frames = {int(m[1]) for f in _files(path) if (m := re.fullmatch(r"episode_(\d{7})\.npz", f))}
        self._first: list[int] = []
        self.episodes: list[RecordedEpisode] = []
        for number, (task, first, last) in enumerate(_annotations(path / _ANNOTATIONS)):
            named = where(path / _ANNOTATIONS, number)
            if not 0 <= first <= last:
                raise UsageError(f"{named}: it goes from frame {first} to {last}")
            missing = next((n for n in range(first, last + 1) if n not in frames), None)
            if missing is not None:
                raise UsageError(f"{named}: {_frame_file(path, missing)} is missing")
            self._first.append(first)
            self.episodes.append(RecordedEpisode(number, task, last - first + 1, _frame_file(path, first)))
        check_not_empty(self.episodes, path, path.name)
        self.tasks = tuple(dict.fromkeys(episode.task for episode in self.episodes))
        self._numbers: dict[int, tuple[Floats, Floats]] = {}

    def states(self, i: int) -> Floats:
        return self._numbers_of(i)[0]

    def actions(self, i: int) -> Floats:
        return self._numbers_of(i)[1]

    def images(self, i: int, frames: Sequence[int]) -> dict[str, Images]:
        loaded = [self._load(i, frame, self.cameras) for frame in frames]
        found: dict[str, Images] = {}
        for c, camera in enumerate(self.cameras):
            for frame, each in zip(frames, loaded, strict=True):
                if each[c].dtype != np.uint8 or each[c].ndim != 3 or each[c].shape != loaded[0][c].shape:
                    raise UsageError(f"{self._where(i, frame)}: {camera} is {each[c].dtype} {each[c].shape}")
            found[camera] = np.stack([each[c] for each in loaded])
        return found

    def _numbers_of(self, i: int) -> tuple[Floats, Floats]:
        """States and actions of an episode; they stay in memory, about 4 kB each."""
        if i not in self._numbers:
            length = self.episodes[i].length
            rows = [self._load(i, frame, ("robot_obs", "rel_actions")) for frame in range(length)]
            for frame, (state, action) in enumerate(rows):
                if state.shape != (15,) or action.shape != (7,):
                    raise UsageError(
                        f"{self._where(i, frame)}: robot_obs {state.shape} and rel_actions {action.shape} "
                        "have another width than 15 and 7"
                    )
            states, actions = (np.stack([row[k] for row in rows]) for k in (0, 1))
            file, number = self.episodes[i].file, self.episodes[i].number
            self._numbers[i] = (
                check_numbers(
                    states[:, _STATE_COLUMNS], STATE_NAMES, "robot_obs", file, number, range(length)
                ),
                check_numbers(actions, ACTION_NAMES, "rel_actions", file, number, range(length)),
            )
        return self._numbers[i]

    def _load(self, i: int, frame: int, keys: tuple[str, ...]) -> list[np.ndarray]:
        file = _frame_file(self.path, self._first[i] + frame)
        try:
            return read_arrays(file, keys)
        except (OSError, ValueError, KeyError) as error:
            raise UsageError(f"{self._where(i, frame)}: {reason_of(error)}") from error

    def _where(self, i: int, frame: int) -> str:
        return where(_frame_file(self.path, self._first[i] + frame), self.episodes[i].number)


def _files(path: Path) -> list[str]:
    try:
        return [file.name for file in path.iterdir()]
    except OSError as error:
        raise UsageError(
            f"{path} is not a split of CALVIN: {error.strerror}", "name its training or validation folder"
        ) from error


def _frame_file(path: Path, number: int) -> Path:
    return path / f"episode_{number:07d}.npz"


class _Unpickler(pickle.Unpickler):
    """Builds numpy's arrays and Python's containers, and calls nothing else."""

    def find_class(self, module: str, name: str) -> Any:
        if f"{module}.{name}" not in _HARMLESS:
            raise pickle.UnpicklingError(f"it wants {module}.{name}, which no annotation needs")
        return super().find_class(module, name)


def _check_memo(content: bytes) -> None:
    """Raise ValueError for a pickle with a place in its memo that would take all memory."""
    for opcode, argument, _ in pickletools.genops(content):
        if opcode.name in ("PUT", "BINPUT", "LONG_BINPUT") and int(argument or 0) > len(content):
            raise ValueError(f"it numbers something {argument} in {len(content)} bytes")


def _annotations(file: Path) -> list[tuple[str, int, int]]:
    """Read (task in words, first frame, last frame) of each sequence. Raises UsageError."""
    try:
        with file.open("rb") as stream:
            version = np.lib.format.read_magic(stream)
            read = (
                np.lib.format.read_array_header_1_0
                if version[0] == 1
                else np.lib.format.read_array_header_2_0
            )
            read(stream)
            content = stream.read(_MOST_BYTES)
        _check_memo(content)
        found = _Unpickler(io.BytesIO(content)).load().item()
        words, spans = found["language"]["ann"], found["info"]["indx"]
        rows = [(str(text), int(first), int(last)) for text, (first, last) in zip(words, spans, strict=False)]
    except OSError as error:
        raise UsageError(f"{file} can't be read: {error.strerror}") from error
    except (
        pickle.UnpicklingError,
        EOFError,
        ValueError,
        KeyError,
        TypeError,
        AttributeError,
        IndexError,
        ImportError,
        *HOSTILE,
    ) as error:
        raise UsageError(f"{file} holds no annotations of CALVIN: {reason_of(error)}") from error
    if len(words) != len(spans):
        raise UsageError(
            f"{where(file, len(rows))}: {len(words)} texts for {len(spans)} sequences", "they must be as many"
        )
    return rows
