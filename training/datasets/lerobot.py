"""Reads a LeRobotDataset v3: https://huggingface.co/docs/lerobot/lerobot-dataset-v3

`meta/` says what there is and where each episode lies in `data/*/*.parquet` (see `lerobot_meta`). Pictures
lie in those files as well, encoded, or in `videos/`.
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

from edge.errors import UsageError
from training.datasets.lerobot_meta import (
    ACTION,
    IMAGES,
    STATE,
    WHOLE,
    column_names,
    feature_names,
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

CACHE_BYTES = 2**30  # of encoded pictures that stay in memory, in all of a loader's workers together
_INDICES = ("timestamp", "frame_index", "episode_index", "task_index")
_SCATTERED = 4  # times as long as its frames are many: no episode that merely lost some


class LeRobotSource:
    """A dataset folder. The numbers are read and checked at once, pictures when they are asked for."""

    def __init__(
        self,
        path: Path,
        split: str = "train",
        cameras: Sequence[str] | None = None,
        state_keys: Sequence[str] | None = None,
        action_keys: Sequence[str] = (ACTION,),
    ) -> None:
        """cameras: whose pictures are read; None: all. Several features are joined in the order of their
        keys. state_keys None: observation.state, or no state where there is none.

        Raises UsageError, naming file and episode, where the folder is not what it claims to be.
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
        self._places = read_episodes(path, split_range(path, self._info, split), videos)
        self._check_videos(videos)
        self._files: dict[Path, dict[str, np.ndarray]] = {}
        self._numbers: list[tuple[Floats, Floats]] = []  # states and actions of each episode
        self._rows: list[NDArray[np.int64]] = []  # of each episode's frames in its file; -1: missing
        self._times_s: list[NDArray[np.float64]] = []
        self.episodes = [self._episode(place) for place in self._places]
        del self._files
        check_not_empty(self.episodes, path, split)
        self._videos = Videos()
        self._starts: dict[Path, NDArray[np.int64]] = {}  # of row groups in a file
        self._groups: OrderedDict[tuple[Path, int, str], pa.ChunkedArray] = OrderedDict()

    def states(self, i: int) -> Floats:
        return self._numbers[i][0]

    def actions(self, i: int) -> Floats:
        return self._numbers[i][1]

    def images(self, i: int, frames: Sequence[int]) -> dict[str, Images]:
        return {camera: self._images(i, self._key(camera), frames) for camera in self.cameras}

    def _key(self, camera: str) -> str:
        return next(key for key in (IMAGES + camera, camera) if key in self._features)

    def _episode(self, place: dict[str, Any]) -> RecordedEpisode:
        """Checks the episode's numbers, so that training never stumbles over them."""
        number, length = place["episode_index"], place["length"]
        file = self._file("data_path", place["data/chunk_index"], place["data/file_index"])
        columns = self._columns(file)
        rows = np.flatnonzero(columns["episode_index"] == number)
        named = where(file, number)
        if not len(rows):
            raise UsageError(f"{named}: none of its {length} frames are there", WHOLE)
        frames = columns["frame_index"][rows]
        if frames[0] < 0 or (np.diff(frames) <= 0).any() or frames[-1] >= _SCATTERED * max(length, len(rows)):
            raise UsageError(f"{named}: its frames are not numbered upwards from 0 to {length - 1}")
        length = max(length, int(frames[-1]) + 1)
        task, *others = (int(t) for t in np.unique(columns["task_index"][rows]))
        if task not in self._tasks or others:
            found = ", ".join(map(str, (task, *others)))
            raise UsageError(f"{named}: task {found} is not one task of {self.path / 'meta/tasks.parquet'}")
        times_s = columns["timestamp"][rows].astype(np.float64)
        in_time = np.abs(times_s - frames / self.rate_hz) <= 0.5 / self.rate_hz  # what is no number is not
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
        """(length, width) of some features; NaN where a frame is missing. Raises UsageError."""
        frames, parts = columns["frame_index"][rows], [np.empty((len(rows), 0), np.float32)]
        for key in keys:
            about = self._features[key]
            names = feature_names(key, about["shape"][0], about.get("names"))
            values = _matrix(columns[key][rows], where(file, number), key)
            parts.append(check_numbers(values, names, key, file, number, frames.tolist()))
        return _spread(np.concatenate(parts, axis=1), frames, length, np.nan)

    def _columns(self, file: Path) -> dict[str, np.ndarray]:
        """Those of one data file that are no pictures."""
        if file not in self._files:
            table = read_table(file, [*_INDICES, *(key for keys in self._keys.values() for key in keys)])
            self._files[file] = {
                key: table[key].combine_chunks().to_numpy(zero_copy_only=False) for key in table.column_names
            }
        return self._files[file]

    def _file(self, template: str, chunk: int, file: int, **more: str) -> Path:
        try:
            return self.path / self._info[template].format(chunk_index=chunk, file_index=file, **more)
        except (KeyError, IndexError, ValueError, AttributeError) as error:
            said = self._info.get(template)
            raise UsageError(f"{self.path / 'meta/info.json'}: {template} {said!r} names no file") from error

    def _check_videos(self, keys: Sequence[str]) -> None:
        """Raises UsageError for the first file that is missing, before training needs it."""
        for file in dict.fromkeys(self._video(place, key) for key in keys for place in self._places):
            if not file.is_file():
                raise UsageError(f"{file} is missing", WHOLE)

    def _video(self, place: dict[str, Any], key: str) -> Path:
        chunk, file = (place[f"videos/{key}/{name}"] for name in ("chunk_index", "file_index"))
        return self._file("video_path", chunk, file, video_key=key)

    def _images(self, i: int, key: str, frames: Sequence[int]) -> Images:
        if self._features[key]["dtype"] == "image":
            return np.stack([self._decode(self._encoded(i, key, frame), i, frame) for frame in frames])
        file = self._video(self._places[i], key)
        first_s = self._places[i][f"videos/{key}/from_timestamp"]
        named = where(file, self.episodes[i].number)
        times_s = [first_s + float(self._times_s[i][frame]) for frame in frames]
        places = [f"{named}, frame {frame}" for frame in frames]
        return self._videos.read(file, times_s, 1 / self.rate_hz, places)

    def _decode(self, encoded: bytes | None, i: int, frame: int) -> Images:
        image = cv2.imdecode(np.frombuffer(encoded or b"\0", np.uint8), cv2.IMREAD_COLOR)
        if image is None:
            episode = self.episodes[i]
            raise UsageError(f"{where(episode.file, episode.number)}, frame {frame}: no readable picture")
        return np.asarray(cv2.cvtColor(image, cv2.COLOR_BGR2RGB), np.uint8)

    def _encoded(self, i: int, key: str, frame: int) -> bytes | None:
        """The file of one picture. Of the row groups that hold them, those asked for last stay in memory."""
        file, row = self.episodes[i].file, int(self._rows[i][frame])
        if file not in self._starts:
            about = pq.ParquetFile(file).metadata
            sizes = [about.row_group(g).num_rows for g in range(about.num_row_groups)]
            self._starts[file] = np.cumsum([0, *sizes])
        group = int(np.searchsorted(self._starts[file], row, side="right")) - 1
        place = (file, group, key)
        images = self._groups.pop(place, None)
        if images is None:
            column = pq.ParquetFile(file).read_row_group(group, columns=[key])[key]
            images = pa.chunked_array([chunk.field("bytes") for chunk in column.chunks])
            self._make_room(images.nbytes)
        self._groups[place] = images
        return images[row - int(self._starts[file][group])].as_py()

    def _make_room(self, size_bytes: int) -> None:
        worker = get_worker_info()
        limit = CACHE_BYTES // (1 if worker is None else worker.num_workers)
        while self._groups and sum(p.nbytes for p in self._groups.values()) + size_bytes > limit:
            self._groups.popitem(last=False)


def _spread(rows: np.ndarray, frames: np.ndarray, length: int, empty: float) -> Any:
    """One row for each of `length` frames, those that are not among `frames` being `empty`."""
    spread = np.full((length, *rows.shape[1:]), empty, rows.dtype)
    spread[frames] = rows
    return spread


def _matrix(rows: np.ndarray, place: str, what: str) -> Floats:
    """(n, width) from an array of numbers or of arrays."""
    try:
        return np.stack(list(rows)).astype(np.float32).reshape(len(rows), -1)
    except (ValueError, TypeError):
        raise UsageError(f"{place}: {what} is not equally wide in all frames") from None
