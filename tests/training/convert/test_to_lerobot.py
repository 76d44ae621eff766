"""Recorded runs that become a dataset which training reads."""

import json
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from edge.cli import main
from edge.records import DriveEnd, Outcome
from tests.edge.convert.made_up import BY_PERSON, picture, record, tear
from training.datasets.lerobot import LeRobotSource
from training.demonstrations.demonstrator import STATE_NAMES

FAILED = DriveEnd(Outcome.TIMEOUT, "not reached within 3 s", 3, seconds=3.0)


def convert(runs: Path, out: Path, *more: str) -> int:
    return main(["convert", str(runs), "--to", "lerobot", "--out", str(out), *more])


def test_runs_become_episodes_and_what_a_person_drove_is_marked(tmp_path: Path, capsys):
    runs = tmp_path / "runs"
    runs.mkdir()
    record(runs / "1.mcap", by_hand_s=(1.0, 1.5))
    record(runs / "2.mcap", end=FAILED)
    record(runs / "3.mcap", armed=False)
    assert convert(runs, tmp_path / "set") == 0
    out = capsys.readouterr().out
    assert '1.mcap: 29 frames, "find the cup": reached, a success, 1 intervention of 0.5 s' in out
    assert "2.mcap: 29 frames" in out and "timeout, no success\n" in out
    assert "left out: " in out and "3.mcap: the base was not armed long enough" in out
    source = LeRobotSource(tmp_path / "set")
    assert [each.length for each in source.episodes] == [29, 29]
    assert (source.tasks, source.state_names, source.cameras) == (("find the cup",), STATE_NAMES, ("front",))
    assert source.actions(0)[12, 0] == pytest.approx(BY_PERSON.linear_x_m_s)
    seen = source.images(0, [10])["front"][0].astype(int)
    assert np.abs(seen - picture(30)).mean() < 3  # JPEG; the image of 990 ms
    table = pq.read_table(tmp_path / "set/data").to_pydict()
    assert np.flatnonzero(table["intervention"]).tolist() == [10, 11, 12, 13, 14]
    assert np.flatnonzero(table["next.done"]).tolist() == [28, 57]
    assert np.flatnonzero(table["next.success"]).tolist() == [28]
    about = json.loads((tmp_path / "set/meta/convert.json").read_text())
    assert [each["outcome"] for each in about["episodes"]] == ["reached", "timeout"]


def test_several_cameras_and_a_base_that_measures_nothing(tmp_path: Path):
    record(tmp_path / "run.mcap", cameras=("front", "wrist"), odometry=False, jpeg=True)
    assert convert(tmp_path / "run.mcap", tmp_path / "set", "--rate-hz", "5", "--robot-type", "rover") == 0
    source = LeRobotSource(tmp_path / "set")
    assert (source.cameras, source.state_names, source.rate_hz) == (("front", "wrist"), (), 5)
    assert source.robot == "rover"
    assert source.episodes[0].length == 14


def test_a_torn_recording_gives_what_is_whole_and_says_so(tmp_path: Path, capsys):
    tear(record(tmp_path / "run.mcap", size=(240, 320)), 0.6)
    assert convert(tmp_path / "run.mcap", tmp_path / "set", "--json") == 0
    (told,) = json.loads(capsys.readouterr().out)["episodes"]
    assert told["notes"] == ["the file is torn: the episode ends with its last whole chunk"]
    assert (told["success"], told["outcome"]) == (False, None) and 5 <= told["rows"] < 29


@pytest.mark.parametrize(
    ("other", "says"),
    [
        ({"size": (72, 96)}, "camera 'front' of 96x72, "),
        ({"cameras": ("wrist",)}, "camera 'wrist' of 48x36, "),
        ({"odometry": False}, "has no odometry, other runs have"),
    ],
)
def test_runs_that_differ_are_refused(tmp_path: Path, capsys, other, says: str):
    runs = tmp_path / "runs"
    runs.mkdir()
    record(runs / "1.mcap", seconds=0.5)
    record(runs / "2.mcap", seconds=0.5, **other)
    assert convert(runs, tmp_path / "set") == 2
    assert says in capsys.readouterr().err
    assert [each.name for each in tmp_path.iterdir()] == ["runs"]


def test_what_can_not_be_converted_is_said(tmp_path: Path, capsys):
    (tmp_path / "taken").mkdir()
    record(tmp_path / "parked.mcap", seconds=0.5, armed=False)
    (tmp_path / "text.mcap").write_text("no recording")
    for words, says in [
        (["nowhere.mcap", "--to", "lerobot", "--out", "set"], "there is no nowhere.mcap"),
        ([str(tmp_path / "text.mcap"), "--to", "lerobot", "--out", "set"], "is not a recording"),
        ([str(tmp_path / "parked.mcap"), "--to", "lerobot", "--out", "set"], "no run can be converted"),
        (["x", "--to", "lerobot", "--out", str(tmp_path / "taken")], "is there already"),
        ([str(tmp_path), "--to", "rosbag2", "--out", "set"], "these are 2 recordings, a bag is of one"),
        (
            [str(tmp_path / "parked.mcap"), "--to", "rosbag2", "--out", "set", "--rate-hz", "5"],
            "--rate-hz goes with --to lerobot",
        ),
        (["x", "--to", "hdf5", "--out", "set"], "invalid choice: 'hdf5'"),
    ]:
        assert main(["convert", *words]) == 2
        err = capsys.readouterr().err
        assert says in err and "hint: " in err and "Traceback" not in err


@pytest.mark.slow
def test_train_makes_steps_on_a_converted_run(tmp_path: Path, tiny_checkpoint: Path):
    from tests.training.small_run import config, curve
    from training.running import run
    from training.trainer import Trainer

    record(tmp_path / "1.mcap", by_hand_s=(1.0, 1.5))
    record(tmp_path / "2.mcap", by_hand_s=(0.5, 1.0))
    runs = ["convert", str(tmp_path / "1.mcap"), str(tmp_path / "2.mcap")]
    assert main([*runs, "--to", "lerobot", "--out", str(tmp_path / "set")]) == 0
    out = tmp_path / "out"
    columns = ["linear_x", "angular_z"]  # this base never went sideways: there is nothing to learn in it
    changes = {"inputs__state": ["x_m"], "actions__columns": columns, "validation__fraction": 0.5}
    made = config(out, tmp_path / "set", tiny_checkpoint, **changes)
    assert run(Trainer.open(made))
    assert len(curve(out)) == 6
