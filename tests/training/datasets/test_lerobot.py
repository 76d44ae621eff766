"""LeRobot folders read back, and what is said about those that are not whole."""

import json
import pickle
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from edge.errors import UsageError
from tests.training.datasets.filmed import RATE_HZ, film, number_of
from training.datasets import lerobot
from training.datasets.lerobot import LeRobotSource
from training.datasets.lerobot_writer import LeRobotWriter, Recording
from training.demonstrations.demonstrator import to_jpeg

DATA, EPISODES = "data/chunk-000/file-000.parquet", "meta/episodes/chunk-000/file-000.parquet"
LENGTHS = (3, 7, 5)


def grey(value: int) -> np.ndarray:
    return np.full((16, 24, 3), value, np.uint8)


def write(path: Path, robot: str = "rover", names: tuple[str, ...] = ("v", "w")) -> Path:
    """Frame t of episode e is grey 40 e + 10 t, with actions 100 e + t."""
    with LeRobotWriter(path, robot, 10, {"front": (16, 24)}, ("x", "y", "z"), names) as writer:
        for e, length in enumerate(LENGTHS):
            images = [to_jpeg(grey(40 * e + 10 * t)) for t in range(length)]
            rows = np.arange(length, dtype=np.float32)[:, None] + 100 * e
            pixels = grey(40 * e).reshape(-1, 3)
            numbers = rows + np.zeros((1, 3), np.float32), rows + np.zeros((1, len(names)), np.float32)
            writer.add(Recording(f"task {e}", {"front": images}, {"front": pixels}, *numbers))
        writer.finish({})
    return path


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write(tmp_path_factory.mktemp("lerobot") / "set")


@pytest.fixture
def copy(written: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(written, tmp_path / "set"))


@pytest.fixture(scope="module")
def source(written: Path) -> LeRobotSource:
    return LeRobotSource(written)


def test_what_was_written_is_read_back(source: LeRobotSource) -> None:
    assert (source.robot, source.rate_hz, source.cameras) == ("rover", 10.0, ("front",))
    assert (source.state_names, source.action_names) == (("x", "y", "z"), ("v", "w"))
    assert [(e.number, e.task, e.length) for e in source.episodes] == [
        (e, f"task {e}", n) for e, n in enumerate(LENGTHS)
    ]
    for e, length in enumerate(LENGTHS):
        np.testing.assert_array_equal(source.actions(e)[:, 0], 100 * e + np.arange(length))
        assert source.states(e).shape == (length, 3) and source.states(e).dtype == np.float32
        seen = source.images(e, [length - 1, 0])["front"]
        assert seen.shape == (2, 16, 24, 3) and seen.dtype == np.uint8
        np.testing.assert_allclose(seen.mean((1, 2, 3)), [40 * e + 10 * (length - 1), 40 * e], atol=2)


def test_a_source_can_be_sent_to_a_loaders_workers(source: LeRobotSource) -> None:
    twin = pickle.loads(pickle.dumps(source))
    np.testing.assert_array_equal(twin.images(1, [2])["front"], source.images(1, [2])["front"])


def test_row_groups_that_cut_through_episodes_are_read_all_the_same(
    copy: Path, source: LeRobotSource
) -> None:
    pq.write_table(pq.read_table(copy / DATA), copy / DATA, row_group_size=4)
    again = LeRobotSource(copy)
    for e, length in enumerate(LENGTHS):
        frames = list(range(length))
        np.testing.assert_array_equal(again.images(e, frames)["front"], source.images(e, frames)["front"])


def test_the_split_of_a_dataset_is_respected(copy: Path) -> None:
    change_info(copy, splits={"train": "0:2", "val": "2:3"})
    assert [e.task for e in LeRobotSource(copy, "val").episodes] == ["task 2"]


def to_video(path: Path, codec: str) -> Path:
    """Move the pictures into a video, frame t of episode e painted with the number 40 e + t."""
    info, key = json.loads((path / "meta/info.json").read_text()), "observation.images.front"
    info["features"][key]["dtype"] = "video"
    place = "videos/{video_key}/chunk-{chunk_index:03d}/file-{file_index:03d}.mp4"
    change_info(path, features=info["features"], video_path=place, fps=RATE_HZ)
    file = path / f"videos/{key}/chunk-000/file-000.mp4"
    film(file, [40 * e + t for e, length in enumerate(LENGTHS) for t in range(length)], codec)
    rows = pq.read_table(path / EPISODES).to_pylist()
    for e, row in enumerate(rows):
        row |= {f"videos/{key}/{name}": 0 for name in ("chunk_index", "file_index")}
        row[f"videos/{key}/from_timestamp"] = sum(LENGTHS[:e]) / RATE_HZ
    pq.write_table(pa.Table.from_pylist(rows), path / EPISODES)
    table = pq.read_table(path / DATA).drop_columns([key])
    times = pa.array([t / RATE_HZ for t in table["frame_index"].to_pylist()], pa.float32())
    pq.write_table(table.set_column(table.column_names.index("timestamp"), "timestamp", times), path / DATA)
    return file


@pytest.mark.parametrize("codec", ["av1", "h264"])
def test_pictures_kept_as_video_are_read(copy: Path, codec: str) -> None:
    """As most datasets of the hub have them; the episodes of a file follow each other in its video."""
    file = to_video(copy, codec)
    source = LeRobotSource(copy)
    for e, length in enumerate(LENGTHS):
        seen = source.images(e, range(length))["front"]
        assert [number_of(image) for image in seen] == [40 * e + t for t in range(length)]
    twin = pickle.loads(pickle.dumps(source))
    assert [number_of(image) for image in twin.images(1, [4, 0])["front"]] == [44, 40]
    file.write_bytes(file.read_bytes()[:-200])
    with pytest.raises(UsageError, match=r"file-000\.mp4, episode 2, frame 4: "):
        LeRobotSource(copy).images(2, [4])
    file.unlink()
    with pytest.raises(UsageError, match=r"file-000\.mp4 is missing$"):
        LeRobotSource(copy)
    assert LeRobotSource(copy, cameras=()).images(0, [0]) == {}


def test_a_dataset_that_does_not_say_where_its_videos_are_is_refused(copy: Path) -> None:
    to_video(copy, "h264")
    change_info(copy, video_path=None)
    with pytest.raises(UsageError, match=r"info\.json: video_path None does not name a file"):
        LeRobotSource(copy)
    table = pq.read_table(copy / EPISODES)
    pq.write_table(table.drop_columns(["videos/observation.images.front/from_timestamp"]), copy / EPISODES)
    with pytest.raises(UsageError, match=r"has no column 'videos/observation\.images\.front/from_timestamp'"):
        LeRobotSource(copy)


def test_only_the_pictures_of_chosen_cameras_are_read(copy: Path) -> None:
    assert LeRobotSource(copy, cameras=["front"]).cameras == ("front",)
    with pytest.raises(UsageError, match=r"no camera 'top'; it has front"):
        LeRobotSource(copy, cameras=["top"])


def test_encoded_pictures_in_memory_stay_within_their_limit(
    copy: Path, source: LeRobotSource, monkeypatch: pytest.MonkeyPatch
) -> None:
    pq.write_table(pq.read_table(copy / DATA), copy / DATA, row_group_size=2)
    monkeypatch.setattr(lerobot, "CACHE_BYTES", 3000)
    again = LeRobotSource(copy)
    for e in (0, 1, 2, 1, 0):
        frames = list(range(LENGTHS[e]))
        np.testing.assert_array_equal(again.images(e, frames)["front"], source.images(e, frames)["front"])
        assert 0 < sum(images.nbytes for images in again._groups.values()) <= 3000


def change_info(path: Path, **changes: Any) -> None:
    file = path / "meta/info.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | changes))


def change_rows(change: Callable[[list[dict[str, Any]]], Any]) -> Callable[[Path], None]:
    """Rewrite the data file's rows, with the pictures as they are."""

    def apply(path: Path) -> None:
        table = pq.read_table(path / DATA)
        rows = table.to_pylist()
        change(rows)
        schema = pa.schema(
            [f.with_type(pa.list_(pa.float32())) if f.name == "action" else f for f in table.schema]
        )
        pq.write_table(pa.Table.from_pylist(rows, schema), path / DATA)

    return apply


def put(row: int, key: str, value: Any) -> Callable[[Path], None]:
    return change_rows(lambda rows: rows[row].update({key: value}))


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (put(4, "action", [0.0, float("nan")]), r"file-000.parquet, episode 1, frame 1: action w is nan"),
        (put(4, "observation.state", [0, float("inf"), 0]), r"frame 1: observation.state y is inf"),
        (put(4, "action", [0.0]), r"file-000.parquet, episode 1: action is not equally wide"),
        (
            change_rows(lambda rows: [r.update(action=[1.0, 2.0, 3.0]) for r in rows]),
            r"file-000.parquet, episode 0: action has 3 values a frame, not 2 \(v, w\)",
        ),
        (
            change_rows(lambda rows: [rows.pop(3) for _ in range(7)]),
            r"file-000.parquet, episode 1: none of its 7 frames are there",
        ),
        (put(5, "frame_index", 9), r"episode 1: its frames are not numbered upwards from 0 to 6"),
        (put(9, "frame_index", 10**12), r"episode 1: its frames are not numbered upwards from 0 to 6"),
        (put(3, "frame_index", -1), r"episode 1: its frames are not numbered upwards from 0 to 6"),
        (
            lambda path: pq.write_table(pq.read_table(path / DATA).drop_columns(["action"]), path / DATA),
            r"file-000.parquet: it has no column 'action'",
        ),
        (lambda path: change_info(path, data_path="data/{episode_chunk}"), r"data_path .* does not name"),
        (put(5, "task_index", 7), r"episode 1: task 1, 7 is not one task of .*tasks.parquet"),
        (lambda path: (path / DATA).unlink(), r"file-000.parquet is missing"),
        (lambda path: (path / DATA).write_bytes(b"PAR1"), r"file-000.parquet can't be read"),
        (lambda path: change_info(path, splits={"train": "0:0"}), r"the split 'train' has no episodes"),
        (lambda path: change_info(path, splits={"val": "0:3"}), r"info.json: no split 'train'"),
        (lambda path: change_info(path, splits={"train": "0:4"}), r"meta/episodes: episode 3 is missing"),
        (lambda path: change_info(path, codebase_version="v2.0"), r"the layout is v2.0, this reads v3.0"),
        (lambda path: (path / EPISODES).write_bytes(b"PAR1"), r"episodes/.*file-000.parquet can't be read"),
        (lambda path: change_info(path, features={"action": {}}), r"info.json does not describe"),
        (lambda path: (path / "meta/info.json").write_text("{"), r"info.json does not describe"),
        (lambda path: (path / "meta/info.json").unlink(), r"is not a LeRobotDataset: .*No such file"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_named_with_file_and_episode(
    copy: Path, spoil: Callable[[Path], Any], message: str
) -> None:
    spoil(copy)
    with pytest.raises(UsageError, match=message):
        LeRobotSource(copy)


def test_an_unreadable_picture_is_named(copy: Path) -> None:
    put(4, "observation.images.front", {"bytes": b"no picture", "path": None})(copy)
    with pytest.raises(UsageError, match=r"episode 1, frame 1: the image can't be read"):
        LeRobotSource(copy).images(1, [0, 1])


def test_frames_off_their_time_and_frames_that_are_missing_are_told_apart(copy: Path) -> None:
    def spoil(rows: list[dict[str, Any]]) -> None:
        rows[5]["timestamp"] = 0.27  # frame 2 of episode 1, a period being 0.1 s
        rows[6]["timestamp"] = 0.34  # in time
        rows[8]["timestamp"] = float("nan")
        rows.pop(14)  # the last of episode 2
        rows.pop(11)  # its second
        rows.pop(7)  # frame 4 of episode 1

    change_rows(spoil)(copy)
    whole, torn, short = (source := LeRobotSource(copy)).episodes
    assert (whole.length, whole.late, whole.missing) == (3, (), ()) and whole.usable.all()
    assert (torn.length, torn.late, torn.missing) == (7, (2, 5), (4,))
    assert torn.usable.tolist() == [True, True, False, True, False, False, True]
    assert (short.length, short.late, short.missing) == (5, (), (1, 4))
    np.testing.assert_array_equal(source.actions(1)[torn.usable][:, 0], [100, 101, 103, 106])
    assert np.isnan(source.states(1)[4]).all()
    seen = source.images(1, [3, 6])["front"].mean((1, 2, 3))
    np.testing.assert_allclose(seen, [70, 100], atol=2)


def test_an_episode_may_be_longer_than_its_number_of_frames(copy: Path) -> None:
    """Recorders that lose a frame count on."""

    def lose(rows: list[dict[str, Any]]) -> None:
        for row in rows[5:10]:
            row |= {"frame_index": row["frame_index"] + 1, "timestamp": row["timestamp"] + 0.1}

    change_rows(lose)(copy)
    torn = LeRobotSource(copy).episodes[1]
    assert (torn.length, torn.late, torn.missing) == (8, (), (2,))
