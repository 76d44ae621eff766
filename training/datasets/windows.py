"""Windows of demonstrations: frames up to a point, and the chunk of actions that answers them."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

from edge.errors import UsageError
from training.datasets.source import LATE, EpisodeSource, Floats, Images, RecordedEpisode, count_unusable

Mode = Literal["segment", "interleave"]
Rows = NDArray[np.int64]
Mask = NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Window:
    """One window of W frames with chunks of T actions of A numbers.

    `segment`: the chunk that answers the newest frame; `interleave`: one for every frame of the window.
    A mask is False where a row only fills up: history before the episode's first frame repeats that frame,
    actions after its last one repeat the last action.
    """

    task: str
    images: dict[str, Images]  # by camera, (W, height, width, 3)
    states: Floats  # (W, S)
    history_mask: Mask  # (W,), for images and states; the newest, the last, is always True
    actions: Floats  # segment (T, A), interleave (W, T, A)
    action_mask: Mask  # segment (T,), interleave (W, T)


def history_rows(frame: int, window: int) -> tuple[Rows, Mask]:
    """List the frames of the window that ends at `frame`, oldest first, and a mask of those that exist."""
    rows = np.arange(frame - window + 1, frame + 1)
    return np.maximum(rows, 0), rows >= 0


def chunk_rows(frames: Rows, length: int, horizon: int) -> tuple[Rows, Mask]:
    """List the actions (..., horizon) that answer `frames` (...), and a mask of those that exist."""
    rows = np.asarray(frames)[..., None] + np.arange(horizon)
    return np.minimum(rows, length - 1), rows < length


def whole_windows(episode: RecordedEpisode, window: int, horizon: int) -> Mask:
    """(length,) bool: all frames of the window that ends here, and of its chunks, are usable."""
    broken = np.concatenate([[0], np.cumsum(~episode.usable)])
    frames = np.arange(episode.length)
    first, end = np.maximum(frames - window + 1, 0), np.minimum(frames + horizon, episode.length)
    return broken[first] == broken[end]


class Windows:
    """All windows of a source, one for each frame, but for those with a frame that is not usable.

    A map-style dataset, as torch's DataLoader takes it.
    """

    def __init__(self, source: EpisodeSource, window: int, horizon: int, mode: Mode = "segment",
                 episodes: Sequence[int] | None = None) -> None:  # fmt: skip
        """Find the windows. `episodes`: indices in `source.episodes`; None: all. Raises UsageError."""
        if window < 1 or horizon < 1:
            raise UsageError(f"window {window} and horizon {horizon} must be 1 or more")
        if mode not in get_args(Mode):
            raise UsageError(f"unknown window mode '{mode}'", f"choose one of {', '.join(get_args(Mode))}")
        self.source, self.window, self.horizon, self.mode = source, window, horizon, mode
        chosen = list(range(len(source.episodes)) if episodes is None else episodes)
        if not chosen:
            raise UsageError(f"{source.path}: no episodes were chosen")
        whole = [whole_windows(source.episodes[i], window, horizon) for i in chosen]
        self._episodes = np.repeat(chosen, [mask.sum() for mask in whole])
        self._frames = np.concatenate([np.flatnonzero(mask) for mask in whole])
        self.dropped = sum(map(len, whole)) - len(self)
        if not len(self):
            raise UsageError(
                f"{source.path}: all {self.dropped} samples have a frame that can't be used: "
                f"{count_unusable(source, chosen)}",
                LATE,
            )

    def __len__(self) -> int:
        return len(self._frames)

    def locate(self, index: int) -> tuple[int, int]:
        """Find (index in `source.episodes`, frame) of a window. Raises IndexError beyond the last one."""
        if not 0 <= index < len(self):
            raise IndexError(f"window {index} of {len(self)}")
        return int(self._episodes[index]), int(self._frames[index])

    def __getitem__(self, index: int) -> Window:
        i, frame = self.locate(index)
        episode = self.source.episodes[i]
        history, history_mask = history_rows(frame, self.window)
        answered = history if self.mode == "interleave" else np.array(frame)
        chunk, action_mask = chunk_rows(answered, episode.length, self.horizon)
        if self.mode == "interleave":
            action_mask &= history_mask[:, None]
        fresh = history[history_mask]
        missing = self.window - len(fresh)
        images = {
            camera: np.concatenate([seen[:1].repeat(missing, 0), seen]) if missing else seen
            for camera, seen in self.source.images(i, fresh.tolist()).items()
        }
        return Window(
            episode.task,
            images,
            self.source.states(i)[history],
            history_mask,
            self.source.actions(i)[chunk],
            action_mask,
        )
