"""Datasets that somebody made to do harm: each is refused, and nothing is read outside of them."""

import io
import json
import pickle
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from edge.errors import UsageError
from tests.training.datasets.test_calvin import calvin
from tests.training.datasets.test_lerobot import DATA, EPISODES, change_info, write
from training.config import load_config
from training.datasets.calvin import CalvinSource
from training.datasets.lerobot import LeRobotSource
from training.datasets.lerobot_meta import feature_names
from training.datasets.npz import MOST_BYTES, read_arrays
from training.datasets.words import WordsFolder

TASKS = "meta/tasks.parquet"


@pytest.fixture
def lerobot(tmp_path: Path) -> Path:
    return write(tmp_path / "set")


@pytest.mark.parametrize(
    "template",
    [
        "../other/chunk-{chunk_index:03d}/file-{file_index:03d}.parquet",
        "/etc/{chunk_index}/{file_index}",
        "data//file-{file_index}.parquet",
        "data/{chunk_index.__class__.__init__.__globals__}",
        "data/{chunk_index:>99999999999}",
        "data/{chunk_index:{file_index}}",
        "data/{0}",
        "data/{video_key}",
        "data/\0{file_index}",
        "",
        ["data"],
    ],
)
def test_a_place_of_data_outside_of_the_dataset_or_with_other_fields_is_refused(
    lerobot: Path, template: Any
) -> None:
    change_info(lerobot, data_path=template)
    with pytest.raises(UsageError, match=r"does not (name a file|describe)"):
        LeRobotSource(lerobot)


@pytest.mark.parametrize("fps", [0, -1, 1e308, "10", None, True])
def test_a_rate_that_no_camera_has_is_refused(lerobot: Path, fps: Any) -> None:
    change_info(lerobot, fps=fps)
    with pytest.raises(UsageError, match="fps"):
        LeRobotSource(lerobot)


def test_a_split_of_more_episodes_than_there_are_is_refused_at_once(lerobot: Path) -> None:
    change_info(lerobot, splits={"train": f"0:{10**18}"})
    with pytest.raises(UsageError, match="episode 3 is missing"):
        LeRobotSource(lerobot)


@pytest.mark.parametrize(("length", "said"), [(10**12, "only 3 of its"), ("9", "length is 9"), (-1, "is -1")])
def test_a_length_that_the_frames_deny_takes_no_memory(lerobot: Path, length: Any, said: str) -> None:
    rows = pq.read_table(lerobot / EPISODES).to_pylist()
    for row in rows:
        row["length"] = length
    pq.write_table(pa.Table.from_pylist(rows), lerobot / EPISODES)
    with pytest.raises(UsageError, match=said):
        LeRobotSource(lerobot)


@pytest.mark.parametrize(("place", "word"), [(EPISODES, b"episode_index"), (TASKS, b"task 1")])
def test_a_parquet_file_with_texts_that_are_not_utf8_is_refused(
    lerobot: Path, place: str, word: bytes
) -> None:
    pq.write_table(pq.read_table(lerobot / place), lerobot / place, compression="none")
    content = (lerobot / place).read_bytes()
    assert word in content
    (lerobot / place).write_bytes(content.replace(word, word[:-1] + b"\xff"))
    with pytest.raises(UsageError, match="can't be read"):
        LeRobotSource(lerobot)


def test_a_feature_of_endless_width_and_names_without_end_are_refused(lerobot: Path) -> None:
    features = json.loads((lerobot / "meta/info.json").read_text())["features"]
    features["action"]["shape"] = [10**12]
    change_info(lerobot, features=features)
    with pytest.raises(UsageError, match="'action' has no dtype, or no shape"):
        LeRobotSource(lerobot)
    nested: Any = "a"
    for _ in range(3000):
        nested = [nested]
    assert feature_names("action", 1, nested) == ("action_0",)


def test_a_file_of_more_rows_than_any_dataset_has_is_refused(
    lerobot: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("training.datasets.lerobot_meta._MOST_ROWS", 5)
    with pytest.raises(UsageError, match=r"has 15 rows \(limit 5\)"):
        LeRobotSource(lerobot)


def test_a_column_of_texts_in_the_place_of_numbers_or_images_is_refused(lerobot: Path) -> None:
    table = pq.read_table(lerobot / DATA)
    texts = pa.array(["x"] * len(table))
    images = table.set_column(
        table.column_names.index("observation.images.front"), "observation.images.front", texts
    )
    pq.write_table(images, lerobot / DATA)
    with pytest.raises(UsageError, match="can't be read"):
        LeRobotSource(lerobot).images(0, [0])
    pq.write_table(
        table.set_column(table.column_names.index("frame_index"), "frame_index", texts), lerobot / DATA
    )
    with pytest.raises(UsageError, match="frame_index is not a number in all rows"):
        LeRobotSource(lerobot)


def npy(header: str, data: bytes = b"") -> bytes:
    """Return a .npy file with this header, whatever it says."""
    text = header.encode().ljust(118) + b"\n"
    return b"\x93NUMPY\x01\x00" + len(text).to_bytes(2, "little") + text + data


def npz(path: Path, content: bytes, method: int = zipfile.ZIP_DEFLATED) -> Path:
    with zipfile.ZipFile(path, "w", method) as archive:
        archive.writestr("a.npy", content)
    return path


@pytest.mark.parametrize(
    "header",
    [
        "{'descr': '<f8', 'fortran_order': False, 'shape': (1000000000000,)}",
        "{'descr': '<f8', 'fortran_order': False, 'shape': (-1,)}",
        "{'descr': '|O', 'fortran_order': False, 'shape': ()}",
        "{'descr': '<U8', 'fortran_order': False, 'shape': (0,)}",
        "(" * 100,
        "{'descr': [('a', '<f8')], 'fortran_order': False, 'shape': ()}",
    ],
)
def test_an_array_is_not_what_its_header_says(tmp_path: Path, header: str) -> None:
    with pytest.raises(ValueError):
        read_arrays(npz(tmp_path / "a.npz", npy(header)), ["a"])


def test_an_array_that_unpacks_to_too_much_is_refused(tmp_path: Path) -> None:
    file = npz(tmp_path / "a.npz", bytes(MOST_BYTES + 1))
    assert file.stat().st_size < MOST_BYTES / 100
    with pytest.raises(ValueError, match="larger than 64 MiB"):
        read_arrays(file, ["a"])


def test_arrays_of_numpy_are_read_as_they_are(tmp_path: Path) -> None:
    arrays = {
        "a": np.arange(6.0).reshape(2, 3),
        "b": np.asfortranarray(np.arange(6).reshape(2, 3)),
        "c": True,
    }
    np.savez_compressed(tmp_path / "a.npz", **arrays)
    for name, found in zip(arrays, read_arrays(tmp_path / "a.npz", list(arrays)), strict=True):
        np.testing.assert_array_equal(found, arrays[name])


@pytest.mark.parametrize("harm", ["packed", "locked", "unknown"])
def test_a_damaged_frame_of_calvin_is_named(tmp_path: Path, harm: str) -> None:
    path = calvin(tmp_path / "training", [(2, 5)])
    file = path / "episode_0000004.npz"
    with np.load(file) as old:
        np.savez_compressed(file, **{key: old[key] for key in old.files})
    content = bytearray(file.read_bytes())
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        first = archive.infolist()[-1]
    if harm == "packed":
        at = (
            first.header_offset
            + 30
            + len(first.filename)
            + int.from_bytes(content[first.header_offset + 28 : first.header_offset + 30], "little")
        )
        content[at : at + 20] = b"\xff" * 20
    else:  # the flags and the method, in the archive's directory
        at = content.rindex(b"PK\x01\x02")
        content[at + 8 : at + 12] = b"\x01\x00\x08\x00" if harm == "locked" else b"\x00\x00\x63\x00"
    file.write_bytes(content)
    with pytest.raises(UsageError, match=r"episode_0000004\.npz, episode 0: "):
        CalvinSource(path).states(0)


def test_annotations_of_an_endless_array_are_refused(tmp_path: Path) -> None:
    path = calvin(tmp_path / "training", [(2, 5)])
    file = path / "lang_annotations/auto_lang_ann.npy"
    begin = file.read_bytes()
    head = begin[: begin.index(b"\n") + 1]
    for content in (
        b"\x80\x04" + b"(" * 50_000 + b".",
        pickle.dumps(3) + b"x",
        b"\x80\x04Nr" + b"\xff\xff\xff\xff" + b".",  # the place 2**32 - 1 of its memo
        b"\x80\x04\x8e" + (2**62).to_bytes(8, "little") + b".",
    ):
        file.write_bytes(head + content)
        with pytest.raises(UsageError, match="no annotations of CALVIN"):
            CalvinSource(path)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("a: &a [x, x]\nb: [*a, *a]\n", "anchors and aliases"),
        ("a: " + "[" * 5000 + "]" * 5000, "nests deeper than 16"),
        ("a: 2020-13-45\n", "month must be in"),
        ("a: 0x" + "f" * 5000, "4300"),
        ("a: " + "x" * 1_000_001, "limit 1000000"),
        ("a: !!python/object:os.system {}\n", "tags"),
    ],
)
def test_a_training_config_that_grows_or_nests_without_bounds_is_refused(
    tmp_path: Path, text: str, said: str
) -> None:
    file = tmp_path / "run.yaml"
    file.write_text(text)
    with pytest.raises(UsageError, match=said):
        load_config(file)


def test_a_question_about_a_picture_with_a_huge_header_is_refused(tmp_path: Path) -> None:
    from tests.edge.cameras.test_encoded import HUGE_PNG

    (tmp_path / "a.png").write_bytes(HUGE_PNG)
    row = {"file_name": "a.png", "prompt": "what?", "answer": "cup"}
    (tmp_path / "metadata.jsonl").write_text(json.dumps(row))
    with pytest.raises(UsageError, match="not a readable image"):
        WordsFolder(tmp_path).image(0)
