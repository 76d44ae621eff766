"""What is frozen is computed once: the same losses as from pictures, exactly resumable, never half a file."""

import json
import os
import signal
import subprocess
import sys
import threading
from collections import namedtuple
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml

from edge import cli
from edge.errors import UsageError
from training.config import Config, parse_config
from training.datasets.encoded import open_rows
from training.datasets.lerobot import LeRobotSource
from training.datasets.lerobot_writer import LeRobotWriter, Recording
from training.datasets.windows import Windows
from training.demonstrations.demonstrator import to_jpeg
from training.pipeline import encode
from training.pipeline.encode import FrameEncoder
from training.policy import load_policy
from training.running import run
from training.train import main
from training.trainer import Trainer

FC = {"kind": "fc", "hidden": 16, "mlp": [16]}
LSTM = {"kind": "lstm", "hidden": 16, "layers": 1, "mlp": [16]}


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three episodes of 12 frames; state and the picture's brightness tell the action."""
    path = tmp_path_factory.mktemp("data") / "set"
    rng = np.random.default_rng(0)
    with LeRobotWriter(path, "rover", 10, {"front": (32, 48)}, ("x", "y"), ("v", "w")) as writer:
        for episode in range(3):
            light = rng.uniform(0, 1, (12, 2)).astype(np.float32)
            images = np.repeat((255 * light).astype(np.uint8)[:, None], 32, 1).repeat(24, 2)
            images = np.repeat(images[..., None], 3, 3)
            task = f"detect {('red', 'blue')[episode % 2]} cup"
            encoded = {"front": [to_jpeg(image) for image in images]}
            pixels = {"front": images[0].reshape(-1, 3)}
            writer.add(Recording(task, encoded, pixels, light * 2, light - 0.5))
        writer.finish({})
    return path


def settings(out: Path, dataset: Path, checkpoint: Path, once: str, **changes: Any) -> dict[str, Any]:
    steps = once == "steps"
    fields: dict[str, Any] = {
        "out": str(out), "steps": 6, "log_every": 1, "workers": 0,
        "backbone": {"path": str(checkpoint), "trainable": "frozen" if steps else "last", "last_layers": 2},
        "policy": {"history": "post", "window": 3, "horizon": 2, "action_tokens": 2, "head": LSTM},
        "inputs": {
            "camera": "front", "state": ["x", "y"], "instruction": {"end": "\n"}, "encode_once": once,
        },
        "sources": {"sim": {"kind": "lerobot", "path": str(dataset), "batch_size": 4}},
        "optimiser": {"learning_rate": 1e-3},
        "validation": {"fraction": 0.3, "every": 3},
    }  # fmt: skip
    for key, value in changes.items():
        section, _, name = key.rpartition("__")
        (fields[section] if section else fields)[name] = value
    return fields


def config(out: Path, dataset: Path, checkpoint: Path, once: str, **changes: Any) -> Config:
    return parse_config(settings(out, dataset, checkpoint, once, **changes), "test")


def curve(out: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (out / "curve.jsonl").read_text().splitlines()]


@pytest.fixture(scope="module")
def begun(dataset: Path, tiny_checkpoint: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A policy whose action and state tokens have learnt a little."""
    out = tmp_path_factory.mktemp("begun") / "run"
    policy = {"history": "none", "window": 1, "horizon": 2, "action_tokens": 2, "head": FC}
    run(Trainer.open(config(out, dataset, tiny_checkpoint, "none", policy=policy, steps=2)))
    return out / "last"


@pytest.mark.parametrize("kind", ["fc", "lstm", "discrete"])
def test_tokens_encoded_once_lose_as_much_as_pictures(
    kind: str, dataset: Path, tiny_checkpoint: Path, tmp_path: Path
) -> None:
    window = 1 if kind == "discrete" else 3
    policy = {
        "history": "none" if window == 1 else "post", "window": window, "horizon": 2,
        "head": LSTM | {"kind": kind},
    }  # fmt: skip
    for once in ("none", "pictures"):
        run(Trainer.open(config(tmp_path / once, dataset, tiny_checkpoint, once, policy=policy, steps=3)))
    mine, theirs = curve(tmp_path / "pictures"), curve(tmp_path / "none")
    assert mine[0]["loss"] == pytest.approx(theirs[0]["loss"], rel=2e-3)
    # AdamW's first steps turn on the signs of gradients, so that small differences grow.
    assert mine[-1]["validation"] == pytest.approx(theirs[-1]["validation"], rel=0.05)


def test_features_computed_once_lose_as_much_as_pictures(
    dataset: Path, tiny_checkpoint: Path, begun: Path, tmp_path: Path
) -> None:
    found = {}
    for once in ("none", "steps"):
        frozen = {"path": str(tiny_checkpoint), "trainable": "frozen"}
        made = config(tmp_path / once, dataset, tiny_checkpoint, once, backbone=frozen, start=str(begun))
        found[once] = Trainer.open(made).validate()["validation"]
    assert found["steps"] == pytest.approx(found["none"], rel=5e-3)
    trainer = Trainer.open(config(tmp_path / "run", dataset, tiny_checkpoint, "steps", start=str(begun)))
    learning = {name for name, p in trainer.policy.named_parameters() if p.requires_grad}
    assert learning and all(name.startswith("head.") for name in learning)
    run(trainer)
    before, after = load_policy(begun)[0].state_dict(), load_policy(tmp_path / "run" / "last")[0].state_dict()
    same = {name for name in before if not name.startswith("head.")}
    assert all(torch.equal(before[name], after[name]) for name in same)


def test_features_begin_with_the_pictures_of_an_earlier_run(
    dataset: Path, tiny_checkpoint: Path, begun: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def features(folder: str) -> np.ndarray:
        fields = settings(tmp_path / folder, dataset, tiny_checkpoint, "steps", start=str(begun))
        fields["inputs"]["encoded"] = str(tmp_path / folder)
        before = set((tmp_path / folder).glob("*.npy"))
        Trainer.open(parse_config(fields, "test"))
        (file,) = set((tmp_path / folder).glob("*.npy")) - before
        return np.asarray(open_rows(file), np.float32)

    alone = features("alone")
    shared = settings(tmp_path / "run", dataset, tiny_checkpoint, "pictures")
    shared["inputs"]["encoded"] = str(tmp_path / "shared")
    Trainer.open(parse_config(shared, "test"))
    with monkeypatch.context() as patch:
        patch.setattr(Windows, "__getitem__", without_pictures(Windows.__getitem__))
        assert features("shared") == pytest.approx(alone, abs=5e-3)


def without_pictures(get: Any) -> Any:
    """Encoding decodes one frame to learn its shape; all others come from the file."""

    def take(self: Windows, i: int) -> Any:
        sample = get(self, i)
        assert i == 0 or not sample.images
        return sample

    return take


def no_pictures(*_: Any) -> Any:
    raise AssertionError("a picture was read")


@pytest.mark.parametrize("once", ["pictures", "steps"])
def test_a_run_that_was_killed_goes_on_exactly_and_encodes_nothing_again(
    once: str, dataset: Path, tiny_checkpoint: Path, begun: Path, tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    def killed(folder: Path) -> float:
        raise KeyboardInterrupt

    start = {"start": str(begun)} if once == "steps" else {}
    whole = config(tmp_path / "whole", dataset, tiny_checkpoint, once, **start)
    run(Trainer.open(whole))
    parted = config(tmp_path / "parted", dataset, tiny_checkpoint, once, **start)
    with pytest.raises(KeyboardInterrupt):
        run(Trainer.open(parted), killed)
    trainer = Trainer.open(parted.model_copy(update={"workers": 1}), resume=True)
    monkeypatch.setattr(FrameEncoder, "_fill", no_pictures)
    monkeypatch.setattr(LeRobotSource, "images", no_pictures)
    run(trainer)
    a, b = (load_policy(made.out / "last")[0].state_dict() for made in (whole, parted))
    assert all(torch.equal(a[name], b[name]) for name in a)
    assert [row["loss"] for row in curve(whole.out)] == [row["loss"] for row in curve(parted.out)]


def test_half_a_file_is_never_taken_for_a_whole_one(
    dataset: Path, tiny_checkpoint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "encoded"
    shared = settings(tmp_path / "a", dataset, tiny_checkpoint, "pictures", steps=1)
    shared["inputs"]["encoded"] = str(folder)
    made, rows, count = parse_config(shared, "test"), FrameEncoder._rows, []

    def dies(self: FrameEncoder, inputs: Any) -> Any:
        count.append(inputs)
        if len(count) > 1:
            raise KeyboardInterrupt
        return rows(self, inputs)

    with monkeypatch.context() as patch:
        patch.setattr(encode, "BATCH", 8)
        patch.setattr(FrameEncoder, "_rows", dies)
        with pytest.raises(KeyboardInterrupt):
            Trainer.open(made)
    assert len(count) == 2 and not list(folder.glob("*.npy"))
    run(Trainer.open(made.model_copy(update={"out": tmp_path / "b"})))
    (file,) = folder.glob("*.npy")
    assert open_rows(file).shape == (36, 1, 6, 32) and [p.name for p in folder.iterdir()] == [file.name]


def test_a_disk_without_room_is_told_how_much_is_needed(
    dataset: Path, tiny_checkpoint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(encode.shutil, "disk_usage", lambda folder: usage(10, 10, 1000))
    with pytest.raises(UsageError, match=rf"36 frames take {36 * 6 * 32 * 2} bytes, .* has 1000 free"):
        Trainer.open(config(tmp_path / "out", dataset, tiny_checkpoint, "pictures"))
    assert not list(tmp_path.rglob("*.npy"))


@pytest.mark.parametrize(
    ("once", "changes", "message"),
    [
        ("pictures", {"augmentation": {"shift_px": 2}}, "augmentation changes the images"),
        ("pictures", {"backbone__trainable": "full"}, "full trains what encodes the images"),
        ("pictures", {"policy__history": "video"}, "a clip's images are encoded together"),
        ("steps", {"backbone__trainable": "lora"}, "trainable must be frozen"),
        ("steps", {"policy__history": "pre"}, "a head behind the backbone"),
        ("steps", {"policy__head": {"kind": "discrete"}}, "a head behind the backbone"),
        ("steps", {"sources__w": {"kind": "words", "path": "x"}}, "sources of kind words"),
        ("steps", {}, "the action token must be trained already"),
    ],
)
def test_what_can_not_be_encoded_once_is_refused(
    once: str, changes: dict[str, Any], message: str, dataset: Path, tiny_checkpoint: Path, tmp_path: Path
) -> None:
    with pytest.raises(UsageError, match=message):
        Trainer.open(config(tmp_path / "out", dataset, tiny_checkpoint, once, **changes))
    assert not (tmp_path / "out").exists()


def test_features_need_a_policy_whose_state_token_learnt(
    dataset: Path, tiny_checkpoint: Path, begun: Path, tmp_path: Path
) -> None:
    inputs = {"camera": "front", "state": ["x"], "instruction": {"end": "\n"}, "encode_once": "steps"}
    made = config(tmp_path / "out", dataset, tiny_checkpoint, "steps", start=str(begun), inputs=inputs)
    with pytest.raises(UsageError, match=r"has no state\.pose\.weight of shape"):
        Trainer.open(made)


def test_a_dry_run_foretells_the_encoding_and_writes_nothing(
    dataset: Path, tiny_checkpoint: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "run.yaml"
    file.write_text(yaml.safe_dump(settings(tmp_path / "out", dataset, tiny_checkpoint, "pictures")))
    assert main([str(file), "--dry-run", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["encoding_hours"] > 0
    assert [p.name for p in tmp_path.iterdir()] == ["run.yaml"]


def test_ctrl_c_saves_the_step_it_came_to(
    dataset: Path, tiny_checkpoint: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    fields = settings(tmp_path / "out", dataset, tiny_checkpoint, "pictures", steps=100000)
    fields["validation"] = {"fraction": 0.0, "every": 100000}
    file = tmp_path / "run.yaml"
    file.write_text(yaml.safe_dump(fields))
    rows, ended, code = tmp_path / "out" / "curve.jsonl", threading.Event(), None

    def press() -> None:
        while not (rows.exists() and len(rows.read_text().splitlines()) > 3):
            if ended.wait(0.05):
                return
        os.kill(os.getpid(), signal.SIGINT)

    person = threading.Thread(target=press)
    person.start()
    try:
        code = cli.main(["train", str(file)])
    finally:
        ended.set()
        person.join()
    assert code == 130
    assert f"to go on: vla-edge train {file} --resume" in capsys.readouterr().err
    saved = (tmp_path / "out" / "last").resolve().name
    assert saved == f"step-{len(curve(tmp_path / 'out')):08d}"
    assert Trainer.open(parse_config(fields, "test"), resume=True).step == len(curve(tmp_path / "out"))


@pytest.mark.slow
def test_of_two_processes_one_encodes_and_both_learn(
    dataset: Path, tiny_checkpoint: Path, tmp_path: Path
) -> None:
    file = tmp_path / "two.yaml"
    file.write_text(yaml.safe_dump(settings(tmp_path / "two", dataset, tiny_checkpoint, "pictures")))
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    done = subprocess.run(
        [*command, "-m", "training.train", str(file)],
        env={**os.environ, "OMP_NUM_THREADS": "1"}, capture_output=True, text=True, timeout=100,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    sources = {"sim": {"kind": "lerobot", "path": str(dataset), "batch_size": 8}}
    run(Trainer.open(config(tmp_path / "one", dataset, tiny_checkpoint, "pictures", sources=sources)))
    for mine, theirs in zip(curve(tmp_path / "two"), curve(tmp_path / "one"), strict=True):
        assert mine["loss"] == pytest.approx(theirs["loss"], abs=1e-3)
