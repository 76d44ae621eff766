"""Collecting: a small real dataset, and with made-up episodes whatever can go wrong on the way to disk."""

import errno
import json
import os
import signal
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.errors import EdgeError, UsageError
from edge.records import BASE_ACTION, Velocity
from sim.driving.expert import STAND_S
from training.datasets import lerobot_writer
from training.datasets.lerobot import LeRobotSource
from training.datasets.lerobot_writer import LeRobotWriter, Recording
from training.demonstrations import collect
from training.demonstrations.collect import CollectSettings
from training.demonstrations.command import main
from training.demonstrations.demonstrator import STATE_NAMES, Pushes, to_jpeg

ARGUMENTS = ["--jobs", "1", "--height", "24", "--target", "cup"]


def made_up(frames: int = 5, task: str = "find the cup") -> Recording:
    rng = np.random.default_rng(frames)
    images = rng.integers(0, 255, (frames, 24, 32, 3), dtype=np.uint8)
    states, actions = (rng.normal(size=(frames, n)).astype(np.float32) for n in (6, 3))
    return Recording(
        task, {"front": [to_jpeg(i) for i in images]}, {"front": images[0].reshape(-1, 3)}, states, actions
    )


class MadeUp:
    """In place of the simulator. `then` is called before each episode, with how many there were."""

    def __init__(self, then: Any = lambda count: None, good: Any = lambda count: True) -> None:
        self.then, self.good, self.count = then, good, 0

    def __call__(self, job: CollectSettings) -> "MadeUp":
        return self

    def play(self, seed: int) -> Recording | None:
        self.then(self.count)
        self.count += 1
        return made_up(4 + self.count) if self.good(self.count) else None


def run(monkeypatch: pytest.MonkeyPatch, player: MadeUp, out: Path, episodes: int) -> int:
    monkeypatch.setattr(collect, "Player", player)
    return main(["--out", str(out), *ARGUMENTS, "--episodes", str(episodes)])


@pytest.fixture(scope="module")
def pushed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("pushed") / "set"
    assert main(["--out", str(out), *ARGUMENTS, "--episodes", "2", "--noise", "0.5"]) == 0
    return out


def test_a_collected_dataset_has_the_documented_layout(pushed: Path) -> None:
    files = {str(f.relative_to(pushed)) for f in pushed.rglob("*") if f.is_file()}
    assert files == {
        "data/chunk-000/file-000.parquet", "meta/episodes/chunk-000/file-000.parquet", "meta/info.json",
        "meta/stats.json", "meta/tasks.parquet", "meta/collect.json",
    }  # fmt: skip
    info = json.loads((pushed / "meta/info.json").read_text())
    table = pq.read_table(pushed / "data/chunk-000/file-000.parquet")
    assert info["codebase_version"] == "v3.0" and info["fps"] == 10 and info["splits"] == {"train": "0:2"}
    assert table.column_names == list(info["features"]) and table.num_rows == info["total_frames"]
    assert info["features"]["observation.images.front"]["shape"] == [24, 32, 3]
    assert table["index"].to_pylist() == list(range(table.num_rows))
    stats = json.loads((pushed / "meta/stats.json").read_text())
    assert set(stats) == set(info["features"])
    assert np.shape(stats["observation.images.front"]["mean"]) == (3, 1, 1)


def test_a_demonstration_ends_standing_before_the_target(pushed: Path) -> None:
    source = LeRobotSource(pushed)
    for i, episode in enumerate(source.episodes):
        assert episode.task == "find the cup" and source.action_names == BASE_ACTION.names
        standing = source.actions(i)[-round(STAND_S * 10) :]
        assert not standing.any()
        assert abs(source.states(i)[-1, STATE_NAMES.index("linear_x_m_s")]) < 0.05


def test_pushes_move_the_base_but_are_not_recorded(pushed: Path, tmp_path: Path) -> None:
    assert main(["--out", str(tmp_path / "calm"), *ARGUMENTS, "--episodes", "2"]) == 0
    wild, calm = LeRobotSource(pushed), LeRobotSource(tmp_path / "calm")
    velocity = [STATE_NAMES.index(name) for name in ("linear_x_m_s", "linear_y_m_s")]
    off = []
    for source in (wild, calm):
        gaps = [np.abs(source.states(i)[1:, velocity] - source.actions(i)[:-1, :2]).mean() for i in (0, 1)]
        off.append(np.mean(gaps))
    assert off[0] > off[1] + 0.02


def test_the_same_seed_gives_the_same_demonstrations(pushed: Path, tmp_path: Path) -> None:
    assert main(["--out", str(tmp_path / "b"), *ARGUMENTS, "--episodes", "1", "--noise", "0.5"]) == 0
    a, b = LeRobotSource(pushed), LeRobotSource(tmp_path / "b")
    np.testing.assert_array_equal(a.actions(0), b.actions(0))
    np.testing.assert_array_equal(a.images(0, [3])["front"], b.images(0, [3])["front"])


def test_in_a_dagger_round_the_policy_drives_and_the_expert_labels(tiny_bundle: Path, tmp_path: Path) -> None:
    arguments = ["--episodes", "1", "--dagger", str(tiny_bundle), "--max-seconds", "3"]
    assert main(["--out", str(tmp_path / "d"), *ARGUMENTS, *arguments]) == 0
    source = LeRobotSource(tmp_path / "d")
    # An untrained net finds nothing and turns; the expert would have driven by now or turned at another rate.
    turned = source.states(0)[5:, STATE_NAMES.index("angular_z_rad_s")]
    assert np.abs(turned - source.actions(0)[4:-1, 2]).max() > 0.1


@given(st.floats(0, 1), st.floats(-1, 2), st.lists(st.floats(0.02, 1.0), min_size=1, max_size=40))
def test_a_pushed_velocity_stays_within_limits_and_is_left_alone_at_obstacles(
    scale: float, gap_m: float, steps_s: list[float]
) -> None:
    pushes, time_s = Pushes(scale, np.random.default_rng(0)), 0.0
    for step_s in steps_s:
        time_s += step_s
        v = pushes.push(Velocity(0.4, 0.0, -0.5), time_s, gap_m)
        values = (v.linear_x_m_s, v.linear_y_m_s, v.angular_z_rad_s)
        assert all(lo <= a <= hi for lo, a, hi in zip(BASE_ACTION.low, values, BASE_ACTION.high, strict=True))
        if gap_m <= 0 or scale == 0:
            assert values == pytest.approx((0.4, 0.0, -0.5))


def test_failed_episodes_are_left_out_and_replaced(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    assert run(monkeypatch, MadeUp(good=lambda count: count != 2), tmp_path / "set", 3) == 0
    about = json.loads((tmp_path / "set/meta/collect.json").read_text())
    assert about["episodes"] == 3 and about["left_out"] == 1 and about["seeds"] == [0, 2, 3]


def test_too_many_failed_episodes_end_it_without_a_trace(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    with pytest.raises(UsageError, match="1 of 6 episodes were good, 2 are wanted"):
        run(monkeypatch, MadeUp(good=lambda count: count == 1), tmp_path / "set", 2)
    assert not list(tmp_path.iterdir())


def test_ctrl_c_keeps_the_whole_episodes(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def interrupt(count: int) -> None:
        if count == 2:
            os.kill(os.getpid(), signal.SIGINT)

    before = signal.getsignal(signal.SIGINT)
    assert run(monkeypatch, MadeUp(interrupt), tmp_path / "set", 9) == 130
    assert [e.length for e in LeRobotSource(tmp_path / "set").episodes] == [5, 6, 7]
    assert signal.getsignal(signal.SIGINT) is before


def test_one_episode_is_one(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for count, said in ((1, "1 episode,"), (2, "2 episodes,")):
        assert run(monkeypatch, MadeUp(), tmp_path / str(count), count) == 0
        assert said in capsys.readouterr().out


def test_a_second_ctrl_c_keeps_nothing(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def interrupt(count: int) -> None:
        if count == 2:
            os.kill(os.getpid(), signal.SIGINT)
            os.kill(os.getpid(), signal.SIGINT)

    with pytest.raises(KeyboardInterrupt):
        run(monkeypatch, MadeUp(interrupt), tmp_path / "set", 9)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("when", ["an episode", "the end"])
def test_a_full_disk_is_said_and_leaves_nothing(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, when: str
) -> None:
    def full(*arguments: object, **options: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    place = (pq.ParquetWriter, "write_table") if when == "an episode" else (lerobot_writer, "_write_json")
    monkeypatch.setattr(*place, full)
    with pytest.raises(EdgeError, match="No space left on device; nothing of it was kept"):
        run(monkeypatch, MadeUp(), tmp_path / "set", 2)
    assert not list(tmp_path.iterdir())


def test_a_file_that_has_grown_is_followed_by_another(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(lerobot_writer, "FILE_BYTES", 2000)
    monkeypatch.setattr(lerobot_writer, "FILES_PER_CHUNK", 2)
    with LeRobotWriter(
        tmp_path / "set", "r", 10, {"front": (24, 32)}, STATE_NAMES, ("a", "b", "c")
    ) as writer:
        for frames in (3, 4, 5):
            writer.add(made_up(frames, f"task {frames}"))
        writer.finish({})
    files = sorted(
        str(f.relative_to(tmp_path / "set/data")) for f in (tmp_path / "set/data").rglob("*.parquet")
    )
    assert files == [f"chunk-00{c}/file-00{f}.parquet" for c, f in ((0, 0), (0, 1), (1, 0))]
    source = LeRobotSource(tmp_path / "set")
    assert [(e.task, e.length) for e in source.episodes] == [("task 3", 3), ("task 4", 4), ("task 5", 5)]
    for i, frames in enumerate((3, 4, 5)):
        np.testing.assert_array_equal(source.actions(i), made_up(frames).actions)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--target", "tiger"], "can't have a 'tiger'"),
        (["--noise", "1.5"], "not a number from 0 to 1"),
        (["--rate-hz", "60"], "takes 30 frames per second"),
        (["--height", "999"], "not between 8 and the camera's 240"),
        (["--episodes", "0"], "above 0"),
    ],
)
def test_bad_arguments_are_refused_before_anything_starts(
    tmp_path: Path, arguments: list[str], message: str
) -> None:
    with pytest.raises(UsageError, match=message):
        main(["--out", str(tmp_path / "set"), "--episodes", "1", *arguments])
    assert not list(tmp_path.iterdir())


def test_a_folder_that_can_not_be_made_is_a_usage_error(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(UsageError, match="can't write"):
        main(["--out", str(tmp_path / "file" / "set"), "--episodes", "1"])


def test_a_folder_that_exists_is_never_written_to(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="is there already"):
        main(["--out", str(tmp_path), "--episodes", "1"])
