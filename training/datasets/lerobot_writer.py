"""Writes a LeRobotDataset v3 with its images inside its parquet files.

It grows in a hidden folder beside its place and moves there when it is finished: whole or not at all.
"""

import json
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from edge.errors import EdgeError, UsageError
from edge.files import whole_folder
from training.datasets.lerobot_meta import ACTION, IMAGES, STATE, VERSION
from training.datasets.source import Floats
from training.datasets.statistics import describe

FILE_BYTES = 100 * 2**20  # a data file that is larger is followed by another
FILES_PER_CHUNK = 1000
_PLACE = "chunk-{chunk_index:03d}/file-{file_index:03d}.parquet"
_INDICES = ("frame_index", "episode_index", "index", "task_index")


@dataclass(frozen=True, slots=True)
class Recording:
    """One episode, as it is written."""

    task: str
    images: Mapping[str, list[bytes]]  # by camera: JPEG or PNG, one a frame
    pixels: Mapping[str, NDArray[np.uint8]]  # (k, 3) RGB, a sample of them all for the statistics
    states: Floats  # (n, S)
    actions: Floats  # (n, A); row t answers image t
    marks: Mapping[str, NDArray[np.bool_]] = field(default_factory=dict[str, NDArray[np.bool_]])  # (n,)


class LeRobotWriter:
    """Use it as a context manager, `add` episodes, then `finish`; without that nothing stays."""

    def __init__(self, path: Path, robot: str, rate_hz: int, cameras: Mapping[str, tuple[int, int]],
                 state_names: tuple[str, ...], action_names: tuple[str, ...],
                 marks: tuple[str, ...] = ()) -> None:  # fmt: skip
        """Begin a dataset.

        cameras: height and width of each one's images. state_names: none, for a robot that measures nothing.
        marks: columns of yes and no. Raises UsageError when `path` is taken or can't be written.
        """
        if path.exists():
            raise UsageError(f"{path} is there already", "name another folder: nothing is written over")
        self.path, self._robot, self._rate_hz = path, robot, rate_hz
        self._image_keys = {name: IMAGES + name for name in cameras}
        vectors = {key: names for key, names in ((STATE, state_names), (ACTION, action_names)) if names}
        named = ["height", "width", "channels"]
        self._features: dict[str, Any] = {
            **{
                self._image_keys[name]: {"dtype": "image", "shape": [*size, 3], "names": named}
                for name, size in cameras.items()
            },
            **{k: {"dtype": "float32", "shape": [len(v)], "names": list(v)} for k, v in vectors.items()},
            **{key: {"dtype": "bool", "shape": [1], "names": None} for key in marks},
            "timestamp": {"dtype": "float32", "shape": [1], "names": None},
            **{key: {"dtype": "int64", "shape": [1], "names": None} for key in _INDICES},
        }
        self._tasks: list[str] = []
        self._rows: list[dict[str, Any]] = []  # rows of meta/episodes
        self._numbers: list[dict[str, np.ndarray]] = []  # all but the images, for the statistics
        self._pixels: list[Mapping[str, NDArray[np.uint8]]] = []
        self._file, self._parquet = -1, None
        self._stack = ExitStack()
        try:
            self._draft = self._stack.enter_context(whole_folder(path))
        except OSError as error:
            raise UsageError(f"can't write {path}: {error.strerror}", "name another folder") from error

    @property
    def episodes(self) -> int:
        return len(self._rows)

    @property
    def frames(self) -> int:
        return self._rows[-1]["dataset_to_index"] if self._rows else 0

    def add(self, recording: Recording) -> None:
        """Append an episode. Raises EdgeError when the disk is full."""
        n, first, number = len(recording.actions), self.frames, self.episodes
        if recording.task not in self._tasks:
            self._tasks.append(recording.task)
        numbers: dict[str, np.ndarray] = {
            **({STATE: recording.states} if STATE in self._features else {}),
            ACTION: recording.actions,
            **recording.marks,
            "timestamp": (np.arange(n) / self._rate_hz).astype(np.float32),
            "frame_index": np.arange(n),
            "episode_index": np.full(n, number),
            "index": np.arange(first, first + n),
            "task_index": np.full(n, self._tasks.index(recording.task)),
        }
        with self._writing():
            chunk, file = self._write(recording.images, numbers)
        row = {
            "episode_index": number,
            "tasks": [recording.task],
            "length": n,
            "data/chunk_index": chunk,
            "data/file_index": file,
            "dataset_from_index": first,
            "dataset_to_index": first + n,
            "meta/episodes/chunk_index": 0,
            "meta/episodes/file_index": 0,
        }
        stats = self._stats(numbers, recording.pixels)
        row |= {f"stats/{key}/{figure}": v for key, found in stats.items() for figure, v in found.items()}
        self._rows.append(row)
        self._numbers.append(numbers)
        self._pixels.append(recording.pixels)

    def finish(self, about: dict[str, Any], about_name: str = "collect") -> None:
        """Write the folder's `meta`, with `about` in meta/collect.json or so, and move it into its place.

        Raises EdgeError when that fails, and UsageError without an episode.
        """
        if not self._rows:
            raise UsageError(f"{self.path}: there is no episode to write")
        pixels = {name: np.concatenate([each[name] for each in self._pixels]) for name in self._image_keys}
        everything = {key: np.concatenate([n[key] for n in self._numbers]) for key in self._numbers[0]}
        with self._writing():
            self._close()
            meta = self._draft / "meta"
            episodes = meta / "episodes" / _PLACE.format(chunk_index=0, file_index=0)
            episodes.parent.mkdir(parents=True)
            pq.write_table(pa.Table.from_pylist(self._rows), episodes)
            pq.write_table(_task_table(self._tasks), meta / "tasks.parquet")
            _write_json(meta / "info.json", self._info())
            _write_json(meta / "stats.json", self._stats(everything, pixels))
            _write_json(meta / f"{about_name}.json", about)
            self._stack.close()  # moves the draft into its place

    def __enter__(self) -> "LeRobotWriter":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._draft.exists():
            if self._parquet is not None:
                # Its closing writes a footer, which a full disk refuses; the file goes anyway.
                self._parquet.is_open = False
            unfinished = error or EdgeError(f"{self.path} was not finished")
            self._stack.__exit__(type(unfinished), unfinished, trace)  # removes the draft

    def _write(self, images: Mapping[str, list[bytes]], numbers: dict[str, np.ndarray]) -> tuple[int, int]:
        """Write an episode as one row group. Returns the file's (chunk, number)."""
        columns: dict[str, pa.Array] = {
            key: pa.array(
                [{"bytes": each, "path": None} for each in images[name]],
                pa.struct([("bytes", pa.binary()), ("path", pa.string())]),
            )
            for name, key in self._image_keys.items()
        }
        kinds = {"float32": pa.float32(), "bool": pa.bool_()}
        for key, values in numbers.items():
            columns[key] = pa.array(values.reshape(-1), kinds.get(values.dtype.name, pa.int64()))
            if values.ndim == 2:
                columns[key] = pa.FixedSizeListArray.from_arrays(columns[key], values.shape[1])
        table = pa.table(columns)
        if self._parquet is None or self._size() > FILE_BYTES:
            self._close()
            self._file += 1
            file = self._data_file()
            file.parent.mkdir(parents=True, exist_ok=True)
            self._parquet = pq.ParquetWriter(file, table.schema)
        self._parquet.write_table(table, row_group_size=table.num_rows)
        return divmod(self._file, FILES_PER_CHUNK)

    def _size(self) -> int:
        return self._data_file().stat().st_size

    def _data_file(self) -> Path:
        chunk, file = divmod(self._file, FILES_PER_CHUNK)
        return self._draft / "data" / _PLACE.format(chunk_index=chunk, file_index=file)

    def _close(self) -> None:
        if self._parquet is not None:
            self._parquet.close()
            self._parquet = None

    def _stats(
        self, numbers: dict[str, np.ndarray], pixels: Mapping[str, NDArray[np.uint8]]
    ) -> dict[str, Any]:
        """Compute figures by feature; those of images are (3, 1, 1), for pixels in [0, 1]."""
        stats = {key: describe(v.reshape(len(v), -1)) for key, v in numbers.items()}
        for name, image_key in self._image_keys.items():
            stats[image_key] = {
                key: value if key == "count" else [[[each]] for each in value]
                for key, value in describe(pixels[name] / 255).items()
            }
        return stats

    def _info(self) -> dict[str, Any]:
        return {
            "codebase_version": VERSION,
            "robot_type": self._robot,
            "total_episodes": self.episodes,
            "total_frames": self.frames,
            "total_tasks": len(self._tasks),
            "chunks_size": FILES_PER_CHUNK,
            "data_files_size_in_mb": FILE_BYTES // 2**20,
            "video_files_size_in_mb": 200,
            "fps": self._rate_hz,
            "splits": {"train": f"0:{self.episodes}"},
            "data_path": f"data/{_PLACE}",
            "video_path": None,
            "features": self._features,
        }

    @contextmanager
    def _writing(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            why = error.strerror or str(error)
            raise EdgeError(
                f"can't write {self.path}: {why}; nothing of it was kept", "is the disk full?"
            ) from error


def _task_table(tasks: list[str]) -> pa.Table:
    """Make a table as pandas writes one with tasks as its index, which the lerobot package reads."""
    table = pa.table({"task_index": pa.array(range(len(tasks)), pa.int64()), "task": tasks})
    columns = [
        {"name": name, "field_name": name, "pandas_type": pandas, "numpy_type": numpy, "metadata": None}
        for name, pandas, numpy in (("task_index", "int64", "int64"), ("task", "unicode", "object"))
    ]
    about = {"index_columns": ["task"], "column_indexes": [], "columns": columns, "pandas_version": "2.2.0"}
    return table.replace_schema_metadata({"pandas": json.dumps(about)})


def _write_json(file: Path, value: dict[str, Any]) -> None:
    file.write_text(json.dumps(value, indent=1, ensure_ascii=False, allow_nan=False) + "\n")
