"""Reads a LeRobotDataset's `meta`: features, tasks, splits, and the location of each episode."""

import math
import re
from collections.abc import Sequence
from difflib import get_close_matches
from pathlib import Path, PurePosixPath
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from edge.errors import UsageError, reason_of
from edge.files import foreign_json

VERSION = "v3.0"
STATE, ACTION, IMAGES = "observation.state", "action", "observation.images."
WHOLE = "copy the dataset again: it is not complete"
_CONVERTER = "lerobot.scripts.convert_dataset_v21_to_v30"
_EPISODE_COLUMNS = ("episode_index", "length", "data/chunk_index", "data/file_index")
_INDICES = ("timestamp", "frame_index", "episode_index", "index", "task_index")
_MOST_HZ = 10_000
_WIDEST = 100_000  # numbers of a feature, and pixels of an image's side
_MOST_ROWS = 10_000_000  # in a parquet file: a small one can tell of any number of them
_DEEPEST = 8  # lists in lists of names
_FIELD = re.compile(r"\{(chunk_index|file_index|video_key)(?::(0?[0-9])d?)?\}", re.ASCII)


def read_info(path: Path) -> dict[str, Any]:
    """Read `meta/info.json`. Raises UsageError if it is missing, damaged or of another layout."""
    file = path / "meta/info.json"
    try:
        info = foreign_json(file.read_bytes())
        version = str(info["codebase_version"])
        _check_rate(info["fps"])
        _ = info["data_path"].format, info["splits"].keys()
        for key, about in info["features"].items():
            _check_feature(key, about)
    except OSError as error:
        raise UsageError(
            f"{path} is not a LeRobotDataset: {file} can't be read: {error.strerror}",
            f"`vla-edge collect --episodes N --out {path}` makes one",
        ) from error
    except (ValueError, KeyError, TypeError, IndexError, AttributeError) as error:
        raise UsageError(f"{file} does not describe a LeRobotDataset: {reason_of(error)}") from error
    if version == "v2.1":
        command = f"python -m {_CONVERTER} --repo-id=ORG/NAME --root={path} --push-to-hub=false"
        raise UsageError(
            f"{file}: the layout is {version}, this reads {VERSION}",
            f"with the lerobot package: `{command}` (before its 0.4.2: lerobot.datasets.v30.…)",
        )
    if not version.startswith("v3."):
        raise UsageError(
            f"{file}: the layout is {version}, this reads {VERSION}",
            "the lerobot package converts v2.1: take a version of the dataset that is not older",
        )
    return info


def _check_rate(rate_hz: Any) -> None:
    if type(rate_hz) not in (int, float) or not 0 < rate_hz <= _MOST_HZ:
        raise ValueError(f"fps is {rate_hz!r:.40}, not above 0 and at most {_MOST_HZ}")


def _check_feature(key: str, about: Any) -> None:
    size = about["shape"][0]
    if type(about["dtype"]) is not str or type(size) is not int or not 0 <= size <= _WIDEST:
        raise ValueError(f"feature {key[:80]!r} has no dtype, or no shape from 0 to {_WIDEST}")


def file_in(path: Path, info: dict[str, Any], template: str, values: dict[str, int | str]) -> Path:
    """Return the file that a template of info.json, such as `data_path`, names for a chunk and a file.

    Raises UsageError for one with other fields than `chunk_index`, `file_index` and `video_key`, and for a
    file that is outside of the dataset.
    """
    named = info.get(template)
    text = named if isinstance(named, str) else ""
    try:
        name = _FIELD.sub(lambda field: format(values[field[1]], field[2] or ""), text)
    except (KeyError, ValueError):
        name = ""
    parts = name.split("/")
    if re.search(r"[{}]", _FIELD.sub("", text)) or "\0" in name or {"", ".", ".."} & set(parts):
        raise UsageError(
            f"{path / 'meta/info.json'}: {template} {named!r:.200} does not name a file of the dataset",
            WHOLE,
        )
    return path / PurePosixPath(*parts)


def split_range(path: Path, info: dict[str, Any], split: str) -> range:
    """Find the numbers of a split's episodes. Raises UsageError if there is no such split."""
    splits = info["splits"]
    if split not in splits:
        raise UsageError(
            f"{path / 'meta/info.json'}: no split '{split}'; it has {', '.join(splits) or 'none'}",
            "set `split` of this source in the YAML file to one of them",
        )
    first, _, end = str(splits[split]).partition(":")
    try:
        return range(int(first), int(end))
    except ValueError:
        raise UsageError(
            f"{path / 'meta/info.json'}: split '{split}' is {splits[split]!r}, not FIRST:END", WHOLE
        ) from None


def column_names(path: Path, features: dict[str, Any], keys: Sequence[str], setting: str) -> tuple[str, ...]:
    """Name the columns of some features, joined in this order.

    setting: the config's key that chooses them. Raises UsageError for a feature that is not there, with the
    list of those that are.
    """
    numeric = {
        key: about
        for key, about in features.items()
        if about["dtype"].startswith(("float", "int", "uint", "bool"))
        and len(about["shape"]) == 1
        and key not in _INDICES
    }
    for key in keys:
        if key not in numeric:
            found = ", ".join(f"{name!r} ({about['shape'][0]})" for name, about in numeric.items())
            # The feature that is like "observation.state" is "state".
            by_end = {name.rpartition(".")[2]: name for name in numeric}
            near = next(iter(get_close_matches(key.rpartition(".")[2], by_end, 1, 0)), "NAME")
            raise UsageError(
                f"{path / 'meta/info.json'}: no feature {key!r} of numbers; it has {found or 'none'}",
                f"in the YAML file, set {setting} of this source to one or more of these, such as "
                f"`{setting}: [{by_end.get(near, near)}]`",
            )
    each = [feature_names(key, numeric[key]["shape"][0], numeric[key].get("names")) for key in keys]
    names = [name for names in each for name in names]
    if len(set(names)) < len(names):  # left and right hands name their joints alike
        names = [f"{key}.{name}" for key, names in zip(keys, each, strict=True) for name in names]
    return tuple(names)


def feature_names(key: str, width: int, given: Any) -> tuple[str, ...]:
    """Name each of a feature's numbers: as info.json does, else by the key and an index.

    `given` is a list, lists in a list or in a map ({"motors": [...]}), a map from names to indices, or null.
    """
    names = _flat(given)
    if len(names) == width == len(set(names)) and all(names):
        return tuple(names)
    return tuple(f"{key}_{n}" for n in range(width))


def _flat(given: Any, depth: int = 0) -> list[str]:
    if depth > _DEEPEST:
        return []
    if isinstance(given, str):
        return [given]
    if isinstance(given, dict):
        values = list(given.values())
        if all(type(value) is int for value in values):
            return sorted(given, key=given.__getitem__) if sorted(values) == list(range(len(values))) else []
        given = values
    return [name for part in given for name in _flat(part, depth + 1)] if isinstance(given, list) else []


def read_table(file: Path, columns: list[str] | None = None) -> pa.Table:
    """Read a parquet file. Raises UsageError if it is missing, damaged or lacks a column."""
    try:
        parquet = pq.ParquetFile(file)
        if parquet.metadata.num_rows > _MOST_ROWS:
            raise UsageError(f"{file} has {parquet.metadata.num_rows} rows (limit {_MOST_ROWS})", WHOLE)
        table = parquet.read(columns)
    except FileNotFoundError as error:
        raise UsageError(f"{file} is missing", WHOLE) from error
    except (OSError, ValueError, pa.ArrowException) as error:  # ValueError: a name that is not UTF-8
        raise UsageError(f"{file} can't be read: {reason_of(error)}") from error
    check_columns(table, columns or (), file)
    return table


def _plain_rows(table: pa.Table, file: Path) -> list[dict[str, Any]]:
    """Return a table's rows. Raises UsageError for texts that are not UTF-8, or names that come twice."""
    try:
        return table.to_pylist()
    except (ValueError, pa.ArrowException) as error:
        raise UsageError(f"{file} can't be read: {reason_of(error)}", WHOLE) from error


def check_columns(table: pa.Table, wanted: Sequence[str], file: Path) -> None:
    """Check that a file has all columns. Raises UsageError for one that it lacks."""
    if lacking := [name for name in wanted if name not in table.column_names]:
        raise UsageError(f"{file}: it has no column {lacking[0]!r}", WHOLE)


def read_tasks(path: Path) -> dict[int, str]:
    """Read the words of tasks by their number. Raises UsageError."""
    file = path / "meta/tasks.parquet"
    rows = _plain_rows(read_table(file), file)
    table = {key: [row[key] for row in rows] for key in (rows[0] if rows else ())}
    words = next((key for key in table if key != "task_index"), None)  # pandas' index, named or not
    if words is None or "task_index" not in table:
        raise UsageError(f"{file}: it has no tasks", WHOLE)
    for number, task in zip(table["task_index"], table[words], strict=True):
        if type(number) is not int or type(task) is not str:
            raise UsageError(f"{file}: task {str(number)[:40]} is not a number and its words", WHOLE)
    return dict(zip(table["task_index"], table[words], strict=True))


def read_episodes(path: Path, numbers: range, videos: Sequence[str]) -> list[dict[str, Any]]:
    """Locate episodes in the data files, and in the videos of those features. Raises UsageError."""
    in_videos = [f"videos/{key}/{name}" for key in videos for name in ("chunk_index", "file_index")]
    columns = [*_EPISODE_COLUMNS, *in_videos, *(f"videos/{key}/from_timestamp" for key in videos)]
    rows: dict[int, dict[str, Any]] = {}
    for file in sorted((path / "meta/episodes").glob("*/*.parquet")):
        table = read_table(file)
        check_columns(table, columns, file)
        for row in _plain_rows(table.select(columns), file):
            named = f"{file}, episode {str(row['episode_index'])[:40]}"
            if empty := [name for name in columns if row[name] is None]:
                raise UsageError(f"{named}: {empty[0]} is empty", WHOLE)
            if wrong := [name for name in columns if not _is_number(name, row[name])]:
                raise UsageError(f"{named}: {wrong[0]} is {str(row[wrong[0]])[:40]}", WHOLE)
            rows[row["episode_index"]] = row
    missing = next((number for number in numbers if number not in rows), None)
    if missing is not None:
        raise UsageError(f"{path / 'meta/episodes'}: episode {missing} is missing", WHOLE)
    return [rows[number] for number in numbers]


def _is_number(column: str, value: Any) -> bool:
    if column.endswith("from_timestamp"):
        return type(value) in (int, float) and math.isfinite(value)
    return type(value) is int and value >= 0
