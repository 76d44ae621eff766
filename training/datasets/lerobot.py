"""Reads a LeRobotDataset v3: https://huggingface.co/docs/lerobot/lerobot-dataset-v3

`meta/info.json` says what there is, `meta/tasks.parquet` and `meta/episodes/` where each episode lies in
`data/*/*.parquet`. Pictures lie in those files as well, encoded, or in `videos/`.
"""

import json
from collections import OrderedDict
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from edge.errors import UsageError
from training.datasets.source import Episode, Floats, Pictures, check_not_empty, check_numbers, where

VERSION = "v3.0"
STATE, ACTION, IMAGES = "observation.state", "action", "observation.images."
CACHED_EPISODES = 200  # whose encoded pictures stay in memory; 5 MB each at 320 x 240
_EPISODE_COLUMNS = ("episode_index", "length", "data/chunk_index", "data/file_index")
_INDICES = ("timestamp", "frame_index", "episode_index", "task_index")


class LeRobotSource:
    """A dataset folder. The numbers are read and checked at once, pictures when they are asked for."""

    def __init__(self, path: Path, split: str = "train") -> None:
        """Raises UsageError, naming file and episode, where the folder is not what it claims to be."""
        self.path = path
        self._info = _info(path)
        self._features: dict[str, Any] = self._info["features"]
        self.robot = str(self._info.get("robot_type") or "unknown")
        self.rate_hz = float(self._info["fps"])
        self.cameras = tuple(
            key.removeprefix(IMAGES) for key, f in self._features.items() if f["dtype"] in ("image", "video")
        )
        self.state_names, self.action_names = self._names(STATE), self._names(ACTION)
        self._tasks = _tasks(path)
        self._rows = _episode_rows(path, _split_range(path, self._info, split))
        self._numbers: dict[Path, dict[str, np.ndarray]] = {}
        self._first_row: list[int] = []  # of each episode in its file
        self.episodes = [self._episode(row) for row in self._rows]
        check_not_empty(self.episodes, path, split)
        self._encoded: OrderedDict[tuple[int, str], list[bytes]] = OrderedDict()

    def states(self, i: int) -> Floats:
        return self._slice(i, STATE)

    def actions(self, i: int) -> Floats:
        return self._slice(i, ACTION)

    def pictures(self, i: int, frames: Sequence[int]) -> dict[str, Pictures]:
        return {camera: self._pictures(i, camera, frames) for camera in self.cameras}

    def _names(self, feature: str) -> tuple[str, ...]:
        about = self._features.get(feature)
        if about is None:
            raise UsageError(f"{self.path / 'meta/info.json'}: no feature {feature!r}")
        names = about.get("names")
        if isinstance(names, dict):  # {"motors": [...]} in older datasets
            names = next(iter(names.values()))
        width = about["shape"][0]
        return (
            tuple(names) if names and len(names) == width else tuple(f"{feature}_{n}" for n in range(width))
        )

    def _episode(self, row: dict[str, Any]) -> Episode:
        """Checks the episode's numbers, so that training never stumbles over them."""
        number, length, file = row["episode_index"], row["length"], self._data_file(row)
        numbers = self._numbers_of(file)
        mine = np.flatnonzero(numbers["episode_index"] == number)
        place = where(file, number)
        if len(mine) != length or length == 0:
            raise UsageError(f"{place}: {len(mine)} of {length} frames are there")
        if (np.diff(mine) != 1).any() or (numbers["frame_index"][mine] != np.arange(length)).any():
            raise UsageError(f"{place}: its frames are not numbered 0 to {length - 1}")
        late_s = np.abs(numbers["timestamp"][mine] - np.arange(length) / self.rate_hz).max()
        if late_s > 0.5 / self.rate_hz:
            raise UsageError(
                f"{place}: a frame is {late_s:.3f} s off its time (limit {0.5 / self.rate_hz:.3f} s)"
            )
        task, *others = (int(t) for t in np.unique(numbers["task_index"][mine]))
        if task not in self._tasks or others:
            found = ", ".join(map(str, (task, *others)))
            raise UsageError(f"{place}: task {found} is not one task of {self.path / 'meta/tasks.parquet'}")
        self._first_row.append(int(mine[0]))
        for key, names in ((STATE, self.state_names), (ACTION, self.action_names)):
            check_numbers(_matrix(numbers[key][mine], place, key), names, key, file, number, length)
        return Episode(number, self._tasks[task], length, file)

    def _data_file(self, row: dict[str, Any]) -> Path:
        places = {"chunk_index": row["data/chunk_index"], "file_index": row["data/file_index"]}
        return self.path / self._info["data_path"].format(**places)

    def _numbers_of(self, file: Path) -> dict[str, np.ndarray]:
        """The columns of one data file that are no pictures."""
        if file not in self._numbers:
            table = _table(file, [*_INDICES, STATE, ACTION])
            self._numbers[file] = {
                key: table[key].combine_chunks().to_numpy(zero_copy_only=False) for key in table.column_names
            }
        return self._numbers[file]

    def _slice(self, i: int, key: str) -> Floats:
        episode, first = self.episodes[i], self._first_row[i]
        rows = self._numbers[episode.file][key][first : first + episode.length]
        return _matrix(rows, where(episode.file, episode.number), key)

    def _pictures(self, i: int, camera: str, frames: Sequence[int]) -> Pictures:
        key = next(k for k in (IMAGES + camera, camera) if k in self._features)
        if self._features[key]["dtype"] == "video":
            return self._from_video(i, key, frames)
        encoded = self._encoded_pictures(i, key)
        return np.stack([self._decode(encoded[frame], i, frame) for frame in frames])

    def _decode(self, picture: bytes, i: int, frame: int) -> Pictures:
        image = cv2.imdecode(np.frombuffer(picture or b"\0", np.uint8), cv2.IMREAD_COLOR)
        if image is None:
            episode = self.episodes[i]
            raise UsageError(f"{where(episode.file, episode.number)}, frame {frame}: no readable picture")
        return np.asarray(cv2.cvtColor(image, cv2.COLOR_BGR2RGB), np.uint8)

    def _encoded_pictures(self, i: int, key: str) -> list[bytes]:
        """The files of one episode's pictures, from memory if they were asked for not long ago."""
        if (i, key) in self._encoded:
            self._encoded.move_to_end((i, key))
            return self._encoded[i, key]
        episode, first = self.episodes[i], self._first_row[i]
        parquet = pq.ParquetFile(episode.file)
        sizes = [parquet.metadata.row_group(g).num_rows for g in range(parquet.num_row_groups)]
        starts = np.cumsum([0, *sizes])
        groups = [
            g for g in range(len(sizes)) if starts[g] < first + episode.length and starts[g + 1] > first
        ]
        column = parquet.read_row_groups(groups, columns=[key])[key]
        column = column.slice(first - int(starts[groups[0]]), episode.length)
        self._encoded[i, key] = [each["bytes"] for each in column.to_pylist()]
        if len(self._encoded) > CACHED_EPISODES:
            self._encoded.popitem(last=False)
        return self._encoded[i, key]

    def _from_video(self, i: int, key: str, frames: Sequence[int]) -> Pictures:
        row = self._rows[i]
        places = {name: row[f"videos/{key}/{name}"] for name in ("chunk_index", "file_index")}
        file = self.path / self._info["video_path"].format(video_key=key, **places)
        first = round(row[f"videos/{key}/from_timestamp"] * self.rate_hz)
        video, images = cv2.VideoCapture(str(file)), []
        for frame in frames:
            if video.get(cv2.CAP_PROP_POS_FRAMES) != first + frame:
                video.set(cv2.CAP_PROP_POS_FRAMES, first + frame)
            good, image = video.read()
            if not good:
                raise UsageError(
                    f"{where(file, self.episodes[i].number)}, frame {frame}: no readable picture"
                )
            images.append(cv2.cvtColor(image, cv2.COLOR_BGR2RGB))
        video.release()
        return np.stack(images).astype(np.uint8)


def _info(path: Path) -> dict[str, Any]:
    file = path / "meta/info.json"
    try:
        info = json.loads(file.read_text())
        version = str(info["codebase_version"])
        _ = info["fps"], info["data_path"], info["splits"]
        _ = [(about["dtype"], about["shape"][0]) for about in info["features"].values()]
    except OSError as error:
        raise UsageError(
            f"{path} is no LeRobotDataset: {file} can't be read: {error.strerror}",
            f"`vla-edge collect --episodes N --out {path}` makes one",
        ) from error
    except (ValueError, KeyError, TypeError, IndexError, AttributeError) as error:
        raise UsageError(f"{file} does not describe a LeRobotDataset: {error!r}") from error
    if not version.startswith("v3."):
        raise UsageError(
            f"{file}: the layout is {version}, this reads {VERSION}", "convert it with the lerobot package"
        )
    return info


def _split_range(path: Path, info: dict[str, Any], split: str) -> range:
    splits = info["splits"]
    if split not in splits:
        raise UsageError(f"{path / 'meta/info.json'}: no split '{split}'", f"it has: {', '.join(splits)}")
    first, _, end = str(splits[split]).partition(":")
    try:
        return range(int(first), int(end))
    except ValueError:
        raise UsageError(f"{path / 'meta/info.json'}: split '{split}' is {splits[split]!r}") from None


def _table(file: Path, columns: list[str] | None = None) -> pa.Table:
    try:
        return pq.read_table(file, columns=columns)
    except FileNotFoundError as error:
        raise UsageError(f"{file} is missing", "copy the dataset again: it is not whole") from error
    except (OSError, pa.ArrowException) as error:
        raise UsageError(f"{file} can't be read: {' '.join(str(error).split())[:160]}") from error


def _tasks(path: Path) -> dict[int, str]:
    table = _table(path / "meta/tasks.parquet").to_pydict()
    words = next((key for key in table if key != "task_index"), None)  # pandas' index, named or not
    if words is None or "task_index" not in table:
        raise UsageError(f"{path / 'meta/tasks.parquet'}: it has no tasks")
    return dict(zip(table["task_index"], table[words], strict=True))


def _episode_rows(path: Path, numbers: range) -> list[dict[str, Any]]:
    rows: dict[int, dict[str, Any]] = {}
    for file in sorted((path / "meta/episodes").glob("*/*.parquet")):
        table = _table(file)
        if lacking := [name for name in _EPISODE_COLUMNS if name not in table.column_names]:
            raise UsageError(f"{file}: it has no column {lacking[0]!r}")
        table = table.select([name for name in table.column_names if not name.startswith("stats/")])
        rows |= {row["episode_index"]: row for row in table.to_pylist()}
    missing = [number for number in numbers if number not in rows]
    if missing:
        raise UsageError(f"{path / 'meta/episodes'}: episode {missing[0]} is missing")
    return [rows[number] for number in numbers]


def _matrix(rows: np.ndarray, place: str, what: str) -> np.ndarray:
    """(n, width) float32 from an array of arrays."""
    try:
        return np.stack(list(rows)).astype(np.float32) if rows.dtype == object else rows.astype(np.float32)
    except (ValueError, TypeError):
        raise UsageError(f"{place}: {what} is not equally wide in all frames") from None
