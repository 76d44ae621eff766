"""Reads a LeRobotDataset v3 (https://huggingface.co/docs/lerobot/lerobot-dataset-v3).

`meta/` describes features and tasks and locates each episode in `data/*/*.parquet` (see `lerobot_meta`).
Images are in those files as well, encoded, or in `videos/`.
"""

from collections import OrderedDict
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray
from torch.utils.data import get_worker_info

from edge.cameras.recordings.encoded import decode_picture
from edge.errors import UsageError, reason_of
from training.datasets.lerobot_meta import (
    ACTION,
    IMAGES,
    STATE,
    WHOLE,
    column_names,
    feature_names,
    file_in,
    read_episodes,
    read_info,
    read_table,
    read_tasks,
    split_range,
)
from training.datasets.source import (
    Floats,
    Images,
    RecordedEpisode,
    check_not_empty,
    check_numbers,
    choose_cameras,
    where,
)
from training.datasets.videos import Videos

CACHE_BYTES = 2**30  # limit on encoded images in memory, for all of a loader's workers together
_INDICES = ("timestamp", "frame_index", "episode_index", "task_index")
_SPARSE = 100  # at least one of so many frames is there
_SCATTERED = 4  # an episode that many times longer than its frames has not merely lost some


class LeRobotSource:
    """A dataset folder. Numbers are read and checked when it is opened, images on demand."""

    def __init__(
        self,
        path: Path,
        split: str = "train",
        cameras: Sequence[str] | None = None,
        state_keys: Sequence[str] | None = None,
        action_keys: Sequence[str] = (ACTION,),
    ) -> None:
        """Open the folder, and read all numbers of a split.

        cameras: those whose images are read; None: all. state_keys, action_keys: features that are joined, in
        this order; state_keys None: observation.state, or no state if it is missing.
        Raises UsageError with file and episode if the files do not hold what `meta/` says.
        """
        self.path = path
        self._info = read_info(path)
        self._features: dict[str, Any] = self._info["features"]
        self.robot = str(self._info.get("robot_type") or "unknown")
        self.rate_hz = float(self._info["fps"])
        there = [
            k.removeprefix(IMAGES) for k, f in self._features.items() if f["dtype"] in ("image", "video")
        ]
        self.cameras = choose_cameras(path, [key.removeprefix(IMAGES) for key in there], cameras)
        if state_keys is None:
            state_keys = (STATE,) if STATE in self._features else ()
        self._keys = {"state_keys": tuple(state_keys), "action_keys": tuple(action_keys)}
        self.state_names, self.action_names = (
            column_names(path, self._features, keys, setting) for setting, keys in self._keys.items()
        )
        self._tasks = read_tasks(path)
        self.tasks = tuple(dict.fromkeys(self._tasks.values()))
        videos = [key for key in map(self._key, self.cameras) if self._features[key]["dtype"] == "video"]
        self._located = read_episodes(path, split_range(path, self._info, split), videos)
        self._check_videos(videos)
        self._files: dict[Path, dict[str, np.ndarray]] = {}
        self._numbers: list[tuple[Floats, Floats]] = []  # states and actions of each episode
        self._rows: list[NDArray[np.int64]] = []  # row of each frame in its file, by episode; -1: missing
        self._times_s: list[NDArray[np.float64]] = []
        self.episodes = [self._episode(about) for about in self._located]
        del self._files
        check_not_empty(self.episodes, path, split)
        self._videos = Videos()
        self._starts: dict[Path, NDArray[np.int64]] = {}  # first row of each row group, by file
        self._groups: OrderedDict[tuple[Path, int, str], pa.ChunkedArray] = OrderedDict()

    def states(self, i: int) -> Floats:
        return self._numbers[i][0]

    def actions(self, i: int) -> Floats:
        return self._numbers[i][1]

    def images(self, i: int, frames: Sequence[int]) -> dict[str, Images]:
        return {camera: self._images(i, self._key(camera), frames) for camera in self.cameras}

    def _key(self, camera: str) -> str:
        return next(key for key in (IMAGES + camera, camera) if key in self._features)

    def _episode(self, about: dict[str, Any]) -> RecordedEpisode:
        """Read and check the episode's numbers, so that training doesn't fail on them later."""
        number, length = about["episode_index"], about["length"]
        file = self._file("data_path", about["data/chunk_index"], about["data/file_index"])
        columns = self._columns(file)
        rows = np.flatnonzero(columns["episode_index"] == number)
        named = where(file, number)
        if not len(rows):
            raise UsageError(f"{named}: none of its {length} frames are there", WHOLE)
        if length > _SPARSE * len(rows):
            raise UsageError(f"{named}: only {len(rows)} of its {length} frames are there", WHOLE)
        frames = columns["frame_index"][rows]
        if frames[0] < 0 or (np.diff(frames) <= 0).any() or frames[-1] >= _SCATTERED * max(length, len(rows)):
            raise UsageError(f"{named}: its frames are not numbered upwards from 0 to {length - 1}")
        length = max(length, int(frames[-1]) + 1)
        task, *others = (int(t) for t in np.unique(columns["task_index"][rows]))
        if task not in self._tasks or others:
            found = ", ".join(map(str, (task, *others)))
            raise UsageError(f"{named}: task {found} is not one task of {self.path / 'meta/tasks.parquet'}")
        times_s = columns["timestamp"][rows].astype(np.float64)
        in_time = np.abs(times_s - frames / self.rate_hz) <= 0.5 / self.rate_hz  # False for NaN
        self._numbers.append((
            self._joined(self._keys["state_keys"], columns, rows, file, number, length),
            self._joined(self._keys["action_keys"], columns, rows, file, number, length),
        ))  # fmt: skip
        self._rows.append(_spread(rows, frames, length, -1))
        self._times_s.append(_spread(times_s, frames, length, np.nan))
        late = tuple(frames[~in_time].tolist())
        missing = tuple(np.setdiff1d(np.arange(length), frames).tolist())
        return RecordedEpisode(number, self._tasks[task], length, file, late, missing)

    def _joined(self, keys: Sequence[str], columns: dict[str, np.ndarray], rows: NDArray[np.int64],
                file: Path, number: int, length: int) -> Floats:  # fmt: skip
        """Join features to (length, width), NaN for missing frames. Raises UsageError for bad numbers."""
        frames, parts = columns["frame_index"][rows], [np.empty((len(rows), 0), np.float32)]
        for key in keys:
            about = self._features[key]
            names = feature_names(key, about["shape"][0], about.get("names"))
            values = _matrix(columns[key][rows], where(file, number), key)
            parts.append(check_numbers(values, names, key, file, number, frames.tolist()))
        return _spread(np.concatenate(parts, axis=1), frames, length, np.nan)

    def _columns(self, file: Path) -> dict[str, np.ndarray]:
        """Read the columns of numbers in one data file."""
        if file not in self._files:
            table = read_table(file, [*_INDICES, *(key for keys in self._keys.values() for key in keys)])
            columns = {
                key: table[key].combine_chunks().to_numpy(zero_copy_only=False) for key in table.column_names
            }
            for key in _INDICES:
                if columns[key].dtype.kind not in ("iuf" if key == "timestamp" else "iu"):
                    raise UsageError(f"{file}: {key} is not a number in all rows", WHOLE)
            self._files[file] = columns
        return self._files[file]

    def _file(self, template: str, chunk: int, file: int, **more: str) -> Path:
        return file_in(self.path, self._info, template, {"chunk_index": chunk, "file_index": file, **more})

    def _check_videos(self, keys: Sequence[str]) -> None:
        """Check that all videos are there, before training needs them. Raises UsageError."""
        for file in dict.fromkeys(self._video(about, key) for key in keys for about in self._located):
            if not file.is_file():
                raise UsageError(f"{file} is missing", WHOLE)

    def _video(self, about: dict[str, Any], key: str) -> Path:
        chunk, file = (about[f"videos/{key}/{name}"] for name in ("chunk_index", "file_index"))
        return self._file("video_path", chunk, file, video_key=key)

    def _images(self, i: int, key: str, frames: Sequence[int]) -> Images:
        if self._features[key]["dtype"] == "image":
            return np.stack([self._decode(self._encoded(i, key, frame), i, frame) for frame in frames])
        file = self._video(self._located[i], key)
        first_s = self._located[i][f"videos/{key}/from_timestamp"]
        named = where(file, self.episodes[i].number)
        times_s = [first_s + float(self._times_s[i][frame]) for frame in frames]
        named_frames = [f"{named}, frame {frame}" for frame in frames]
        return self._videos.read(file, times_s, 1 / self.rate_hz, named_frames)

    def _decode(self, encoded: bytes | None, i: int, frame: int) -> Images:
        image = decode_picture(encoded or b"")
        if image is None:
            episode = self.episodes[i]
            raise UsageError(f"{where(episode.file, episode.number)}, frame {frame}: the image can't be read")
        return np.asarray(cv2.cvtColor(image, cv2.COLOR_BGR2RGB), np.uint8)

    def _encoded(self, i: int, key: str, frame: int) -> bytes | None:
        """Read the encoded file of one image. Row groups that were read last stay in memory."""
        file, row = self.episodes[i].file, int(self._rows[i][frame])
        if file not in self._starts:
            about = pq.ParquetFile(file).metadata
            sizes = [about.row_group(g).num_rows for g in range(about.num_row_groups)]
            self._starts[file] = np.cumsum([0, *sizes])
        group = int(np.searchsorted(self._starts[file], row, side="right")) - 1
        group_key = (file, group, key)
        images = self._groups.pop(group_key, None)
        if images is None:
            images = _image_bytes(file, group, key)
            self._make_room(images.nbytes)
        self._groups[group_key] = images
        return images[row - int(self._starts[file][group])].as_py()

    def _make_room(self, size_bytes: int) -> None:
        worker = get_worker_info()
        limit = CACHE_BYTES // (1 if worker is None else worker.num_workers)
        while self._groups and sum(p.nbytes for p in self._groups.values()) + size_bytes > limit:
            self._groups.popitem(last=False)


def _image_bytes(file: Path, group: int, key: str) -> pa.ChunkedArray:
    """Read the encoded images of a row group. Raises UsageError if the column does not hold any."""
    try:
        column = pq.ParquetFile(file).read_row_group(group, columns=[key])[key]
        return pa.chunked_array([chunk.field("bytes").cast(pa.binary()) for chunk in column.chunks])
    except (OSError, KeyError, AttributeError, ValueError, TypeError, pa.ArrowException) as error:
        raise UsageError(f"{file}: the images {key!r} can't be read: {reason_of(error)}", WHOLE) from error


def _spread(rows: np.ndarray, frames: np.ndarray, length: int, empty: float) -> Any:
    """Spread rows over `length` frames; those that are not among `frames` become `empty`."""
    spread = np.full((length, *rows.shape[1:]), empty, rows.dtype)
    spread[frames] = rows
    return spread


def _matrix(rows: np.ndarray, named: str, what: str) -> Floats:
    """Make (n, width) from an array of numbers or of arrays. Raises UsageError if widths differ."""
    try:
        return np.stack(list(rows)).astype(np.float32).reshape(len(rows), -1)
    except (ValueError, TypeError):
        raise UsageError(f"{named}: {what} is not equally wide in all frames") from None
