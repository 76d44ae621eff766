"""Runs on datasets that lost frames: what is left is learnt, and what is not is counted."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
import yaml

from edge.errors import UsageError
from tests.training.small_run import config, curve, settings, write_dataset
from training.datasets.windows import Windows
from training.pipeline.encode import FrameEncoder
from training.pipeline.stream import move
from training.running import run
from training.train import main
from training.trainer import Trainer

DATA = "data/chunk-000/file-000.parquet"
EPISODE = 16  # frames of each of four


@pytest.fixture
def dataset(tmp_path: Path) -> Path:
    return write_dataset(tmp_path / "set")


def change(path: Path, spoil: Callable[[dict[str, Any]], bool]) -> Path:
    """Rewrite the rows, without those for which it is False."""
    table = pq.read_table(path / DATA)
    rows = [row for row in table.to_pylist() if spoil(row)]
    pq.write_table(pa.Table.from_pylist(rows, table.schema), path / DATA)
    return path


def lose(path: Path) -> Path:
    """Frame 7 of episode 0 comes late, frame 3 of episode 1 never, and all of episode 2 late."""

    def spoil(row: dict[str, Any]) -> bool:
        place = row["episode_index"], row["frame_index"]
        if place == (0, 7) or place[0] == 2:
            row["timestamp"] += 0.06
        return place != (1, 3)

    return change(path, spoil)


def test_what_dropped_out_is_said_once_and_kept_with_the_run(
    dataset: Path, tiny_checkpoint: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "run.yaml"
    changes = {"steps": 2, "validation": {"fraction": 0.3, "every": 3}}
    file.write_text(yaml.safe_dump(settings(tmp_path / "out", lose(dataset), tiny_checkpoint, **changes)))
    # Windows of 3 frames with chunks of 2 actions: those that end at frame k - 1 to k + 2 have frame k.
    said = "sim: 24 of 64 samples dropped: 17 frames off their time, 1 missing\n"
    assert main([str(file), "--dry-run", "--json"]) == 0
    shown = capsys.readouterr()
    assert shown.err.count(said) == 1 and json.loads(shown.out)["sim_dropped"] == 24
    assert main([str(file)]) == 0
    assert capsys.readouterr().err.count(said) == 1
    about = {"samples": 40, "dropped": 24, "late_frames": 17, "missing_frames": 1}
    assert json.loads((tmp_path / "out/data.json").read_text()) == {"sim": about}


def test_a_dataset_that_lost_nothing_says_nothing(
    dataset: Path, tiny_checkpoint: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "run.yaml"
    file.write_text(yaml.safe_dump(settings(tmp_path / "out", dataset, tiny_checkpoint, steps=1)))
    assert main([str(file)]) == 0 and "dropped" not in capsys.readouterr().err
    about = {"samples": 64, "dropped": 0, "late_frames": 0, "missing_frames": 0}
    assert json.loads((tmp_path / "out/data.json").read_text()) == {"sim": about}


@pytest.mark.parametrize("fraction", [0.0, 0.3, 0.6])
def test_no_sample_shows_a_frame_that_was_lost(
    fraction: float, dataset: Path, tiny_checkpoint: Path, tmp_path: Path
) -> None:
    changes = {"validation": {"fraction": fraction}}
    made = config(tmp_path / "out", lose(dataset), tiny_checkpoint, **changes)
    task = Trainer.open(made, writes=False).tasks["sim"]
    assert task.train + task.kept == 40
    for count, rngs in ((task.train, [np.random.default_rng(0)] * task.train), (task.kept, None)):
        if count:
            inputs, targets = task.batch(range(count), rngs)
            assert inputs.state is not None and torch.isfinite(inputs.state).all()
            assert torch.isfinite(targets.actions).all() and len(targets.actions) == count


def test_a_dataset_of_which_nothing_is_left_is_refused(
    dataset: Path, tiny_checkpoint: Path, tmp_path: Path
) -> None:
    def late(row: dict[str, Any]) -> bool:
        row["timestamp"] += 0.06 * (row["frame_index"] % 3 == 0)
        return True

    made = config(tmp_path / "out", change(dataset, late), tiny_checkpoint)
    message = r"all 64 samples have a frame that can't be used: 24 frames are more than 0\.050 s off"
    with pytest.raises(UsageError, match=message):
        Trainer.open(made)
    assert not (tmp_path / "out").exists()


def test_frames_encoded_once_are_those_that_there_are(
    dataset: Path, tiny_checkpoint: Path, tmp_path: Path
) -> None:
    lose(dataset)
    tokens = []
    for once in ("none", "pictures"):
        changes: dict[str, Any] = {"inputs__encode_once": once, "backbone__trainable": "last"}
        trainer = Trainer.open(config(tmp_path / once, dataset, tiny_checkpoint, **changes))
        task = trainer.tasks["sim"]
        batch = task.batch(range(task.train), [np.random.default_rng(0)] * task.train)
        inputs, _ = move(batch, torch.device("cpu"), trainer.processing.image)
        with torch.no_grad():
            seen = trainer.policy.eval().fusion.encoded_images(inputs)[-1].tokens
        tokens.append(seen.float().flatten(0, -3))
    assert tokens[0].shape == tokens[1].shape
    assert (tokens[0] - tokens[1]).abs().max() < 2e-3 * tokens[0].abs().max()


def test_an_encoded_frame_is_never_taken_for_another(
    dataset: Path, tiny_checkpoint: Path, tmp_path: Path
) -> None:
    changes: dict[str, Any] = {"inputs__encode_once": "pictures", "backbone__trainable": "last"}
    trainer = Trainer.open(config(tmp_path / "out", lose(dataset), tiny_checkpoint, **changes), writes=False)
    task: Any = trainer.tasks["sim"]
    encoder = FrameEncoder(trainer.policy, trainer.processing, task.source, task.episodes, 0)
    rows = encoder.encoded(tmp_path / "rows.npy").rows
    windows = Windows(task.source, 1, 1, episodes=task.episodes)
    assert encoder.shape[0] == len(windows)
    for n in range(len(windows)):
        episode, frame = windows.locate(n)
        assert rows[episode][frame] == n
    lost = [(0, 7), (1, 3)]
    assert all(rows[e][t] == -1 for e, t in lost if e in rows) and 2 not in rows


def test_a_run_on_what_is_left_learns(dataset: Path, tiny_checkpoint: Path, tmp_path: Path) -> None:
    made = config(tmp_path / "out", lose(dataset), tiny_checkpoint, steps=12, optimiser__learning_rate=3e-3)
    run(Trainer.open(made))
    losses = [row["loss"] for row in curve(made.out)]
    assert np.mean(losses[-3:]) < np.mean(losses[:3])
