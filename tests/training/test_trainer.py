"""Training end to end, on a made-up dataset and nets of a few thousand weights."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch
import yaml

from edge.errors import UsageError
from tests.training.small_run import ACTIONS, config, curve, settings, write_dataset
from training.pipeline.stream import move
from training.policy import load_policy
from training.running import run
from training.train import main
from training.trainer import Trainer


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_dataset(tmp_path_factory.mktemp("data") / "set")


def test_a_run_that_was_killed_goes_on_as_if_it_had_not_been(
    dataset: Path, tiny_checkpoint: Path, tmp_path: Path
) -> None:
    def killed(folder: Path) -> float:
        raise KeyboardInterrupt

    changes = {"augmentation": {"shift_px": 2, "contrast": 0.2, "action_noise": 0.1}}
    run(Trainer.open(config(tmp_path / "whole", dataset, tiny_checkpoint, **changes)))
    parted = config(tmp_path / "parted", dataset, tiny_checkpoint, **changes)
    with pytest.raises(KeyboardInterrupt):
        run(Trainer.open(parted), killed)
    assert curve(parted.out)[-1]["step"] == 3
    # How data is loaded makes no difference.
    run(Trainer.open(parted.model_copy(update={"workers": 2}), resume=True))
    whole, again = (load_policy(tmp_path / name / "last")[0] for name in ("whole", "parted"))
    for name, value in whole.state_dict().items():
        assert torch.equal(value, again.state_dict()[name]), name
    losses = [[row["loss"] for row in curve(tmp_path / name)] for name in ("whole", "parted")]
    assert losses[0] == losses[1] and len(losses[0]) == 6


def test_the_seed_decides_the_first_weights(dataset: Path, tiny_checkpoint: Path, tmp_path: Path) -> None:
    def first_weights(seed: int) -> list[torch.Tensor]:
        trainer = Trainer.open(config(tmp_path / "run", dataset, tiny_checkpoint, seed=seed), writes=False)
        return list(trainer.policy.head.parameters())

    ours, again, other = first_weights(5), first_weights(5), first_weights(6)
    assert all(map(torch.equal, ours, again))
    assert not all(map(torch.equal, ours, other))


def test_accumulated_batches_are_one_batch(dataset: Path, tiny_checkpoint: Path, tmp_path: Path) -> None:
    sizes = {"whole": (8, 1), "parts": (2, 4)}
    losses = {}
    for name, (size, accumulation) in sizes.items():
        changes = {"sources__sim__batch_size": size, "optimiser__accumulation": accumulation}
        run(Trainer.open(config(tmp_path / name, dataset, tiny_checkpoint, **changes)))
        losses[name] = [row["loss"] for row in curve(tmp_path / name)]
    np.testing.assert_allclose(losses["whole"], losses["parts"], atol=1e-4)


@pytest.mark.slow
def test_two_processes_learn_as_one_with_twice_the_batch(
    dataset: Path, tiny_checkpoint: Path, tmp_path: Path
) -> None:
    file = tmp_path / "two.yaml"
    file.write_text(yaml.safe_dump(settings(tmp_path / "two", dataset, tiny_checkpoint, steps=10)))
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    done = subprocess.run(
        [*command, "-m", "training.train", str(file)],
        env={**os.environ, "OMP_NUM_THREADS": "1"}, capture_output=True, text=True, timeout=100,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    one = config(tmp_path / "one", dataset, tiny_checkpoint, steps=10, sources__sim__batch_size=8)
    run(Trainer.open(one))
    keys = ("loss", "validation", "sim/pose", "validation/sim/pose")
    for mine, theirs in zip(curve(tmp_path / "two"), curve(tmp_path / "one"), strict=True):
        assert {k for k in keys if k in mine} == {k for k in keys if k in theirs}
        for key in set(keys) & mine.keys():
            assert mine[key] == pytest.approx(theirs[key], abs=1e-3), (mine["step"], key)
    assert curve(tmp_path / "one")[-1]["loss"] < curve(tmp_path / "one")[0]["loss"]


def discrete(bins: int = 256) -> dict[str, Any]:
    head = {"kind": "discrete", "bins": bins}
    return {"history": "none", "window": 1, "horizon": 2, "head": head}


@pytest.mark.slow
def test_a_discrete_policy_reproduces_64_chunks_token_by_token(
    dataset: Path, tiny_checkpoint: Path, tmp_path: Path
) -> None:
    trainer = Trainer.open(config(
        tmp_path / "run", dataset, tiny_checkpoint,
        policy=discrete(), steps=300, sources__sim__batch_size=64,
        optimiser={"learning_rate": 1e-2, "warmup_steps": 20},
        validation={"fraction": 0.0}, log_every=50,
    ))  # fmt: skip
    run(trainer)
    policy, _ = load_policy(tmp_path / "run" / "best")
    task = trainer.tasks["sim"]
    assert task.train == 64
    batch = task.batch(range(64), [np.random.default_rng(0)] * 64)
    inputs, targets = move(batch, torch.device("cpu"), trainer.processing.image)
    there = targets.mask[:, 0]  # what would follow an episode's end is not learned
    assert there[:, 0].all() and there.sum() == 64 * 2 - 4
    assert torch.equal(policy.generate(inputs, [])[there], targets.actions[:, 0][there])


def words_folder(path: Path) -> Path:
    path.mkdir()
    cv2.imwrite(str(path / "a.png"), np.full((20, 30, 3), 90, np.uint8))
    line = {"file_name": "a.png", "prompt": "detect red cup", "answer": "<loc0100><loc0200> red cup"}
    (path / "metadata.jsonl").write_text(f"{json.dumps(line)}\n" * 4)
    return path


@pytest.mark.parametrize("kind", ["fc", "gpt", "discrete"])
def test_actions_and_words_are_learned_together(
    kind: str, dataset: Path, tiny_checkpoint: Path, tmp_path: Path
) -> None:
    words = {"kind": "words", "path": str(words_folder(tmp_path / "words")), "batch_size": 2, "weight": 0.5}
    head = {"kind": kind, "hidden": 16, "layers": 1, "attention_heads": 2, "mlp": [16]}
    policy = {"history": "none", "window": 1, "horizon": 2, "head": head}
    made = config(tmp_path / "out", dataset, tiny_checkpoint, policy=policy, sources__words=words, steps=3)
    run(Trainer.open(made))
    rows = curve(made.out)
    for row in rows:
        total = row["sim/loss"] + 0.5 * row["words/loss"]
        assert row["loss"] == pytest.approx(total, rel=1e-5)
    assert rows[-1]["words/loss"] < rows[0]["words/loss"]
    assert {"validation", "validation/sim/loss", "validation/words/loss"} <= rows[-1].keys()


def test_words_alone_are_a_stage_before_the_robot(
    dataset: Path, tiny_checkpoint: Path, tmp_path: Path
) -> None:
    words = {"kind": "words", "path": str(words_folder(tmp_path / "words")), "batch_size": 2}
    changes: dict[str, Any] = {"sources__words": words, "sources__sim__batch_size": 0, "steps": 2}
    run(Trainer.open(config(tmp_path / "out", dataset, tiny_checkpoint, **changes)))
    last = curve(tmp_path / "out")[-1]
    assert last["validation"] == last["validation/words/loss"] and "sim/loss" not in last


@pytest.mark.parametrize(
    ("history", "kind", "layout"),
    [("pre", "discrete", "interleave"), ("pre", "fc", "segment"), ("video", "fc", "segment"),
     ("post", "gpt", "segment")],
)  # fmt: skip
def test_every_history_and_layout_learns(
    history: str, kind: str, layout: str, dataset: Path, tiny_checkpoint: Path, tmp_path: Path
) -> None:
    head = {"kind": kind, "hidden": 16, "layers": 1, "attention_heads": 2, "mlp": [16]}
    policy = {"history": history, "window": 3, "horizon": 2, "layout": layout, "head": head}
    changes: dict[str, Any] = {"policy": policy, "steps": 12, "optimiser__learning_rate": 3e-3}
    run(Trainer.open(config(tmp_path / "out", dataset, tiny_checkpoint, **changes)))
    losses = [row["loss"] for row in curve(tmp_path / "out")]
    assert np.mean(losses[-3:]) < np.mean(losses[:3])


def test_checkpointed_gradients_are_the_same(dataset: Path, tiny_checkpoint: Path, tmp_path: Path) -> None:
    losses = []
    for wanted in (False, True):
        changes: dict[str, Any] = {"backbone__gradient_checkpointing": wanted, "steps": 3}
        made = config(tmp_path / str(wanted), dataset, tiny_checkpoint, **changes)
        run(Trainer.open(made))
        losses.append([row["loss"] for row in curve(made.out)])
    np.testing.assert_allclose(losses[0], losses[1], rtol=1e-5)


@pytest.mark.parametrize("mode", ["frozen", "last", "lora", "full"])
def test_only_what_may_learn_changes(mode: str, dataset: Path, tiny_checkpoint: Path, tmp_path: Path) -> None:
    trainable = {"path": str(tiny_checkpoint), "trainable": mode, "last_layers": 1, "lora_rank": 2}
    changes: dict[str, Any] = {"backbone": trainable, "steps": 2, "optimiser__precision": "bf16"}
    trainer = Trainer.open(config(tmp_path / "out", dataset, tiny_checkpoint, **changes))
    before = {k: v.clone() for k, v in trainer.policy.state_dict().items()}
    run(trainer)
    after, _ = load_policy(tmp_path / "out" / "last")
    moved = {k for k, v in after.state_dict().items() if not torch.equal(v, before[k])}
    named = trainer.policy.named_parameters(remove_duplicate=False)  # tied weights have two names
    learning = {k for k, p in named if p.requires_grad}
    assert moved and moved <= learning  # so batch normalisation's statistics stay as well
    backbone = {k for k in moved if k.startswith("backbone.")}
    assert bool(backbone) == (mode != "frozen")
    assert all("lora_" in k for k in backbone) or mode != "lora"
    assert all(".layers.1." in k for k in backbone) or mode != "last"


def test_the_best_checkpoint_is_kept_beside_the_last(
    dataset: Path, tiny_checkpoint: Path, tmp_path: Path
) -> None:
    seen: list[str] = []

    def success(folder: Path) -> float:
        policy, processing = load_policy(folder)
        assert not policy.training and processing.action.names == ACTIONS
        seen.append(folder.name)
        return [0.2, 0.9, 0.9, 0.1][len(seen) - 1]

    made = config(tmp_path / "out", dataset, tiny_checkpoint, steps=8, validation__every=2)
    run(Trainer.open(made), success)
    assert seen == [f"step-{n:08d}" for n in (2, 4, 6, 8)]
    folders = sorted(p.name for p in made.out.glob("step-*"))
    assert folders == ["step-00000004", "step-00000008"]
    assert (made.out / "best").resolve().name == folders[0]
    assert (made.out / "last").resolve().name == folders[1]
    assert [row["success"] for row in curve(made.out) if "success" in row] == [0.2, 0.9, 0.9, 0.1]


def test_without_success_the_lowest_validation_loss_is_best(
    dataset: Path, tiny_checkpoint: Path, tmp_path: Path
) -> None:
    made = config(tmp_path / "out", dataset, tiny_checkpoint, validation__every=1)
    run(Trainer.open(made))
    losses = {row["step"]: row["validation"] for row in curve(made.out)}
    assert (made.out / "best").resolve().name == f"step-{min(losses, key=losses.__getitem__):08d}"
    assert list((made.out / "tensorboard").iterdir())


def test_another_run_begins_with_the_weights_of_the_first(
    dataset: Path, tiny_checkpoint: Path, tmp_path: Path
) -> None:
    first = config(tmp_path / "first", dataset, tiny_checkpoint, steps=1)
    run(Trainer.open(first))
    weights = load_policy(first.out / "last")[0].state_dict()
    start = str(first.out / "last")
    other = config(
        tmp_path / "other", dataset, tiny_checkpoint, start=start, actions__columns=["w"], inputs__state=[]
    )
    found = Trainer.open(other, writes=False).policy
    assert found.config.head.action_dims == 1
    for name, value in found.backbone.state_dict().items():
        assert torch.equal(value, weights[f"backbone.{name}"]), name
    lora = config(tmp_path / "x", dataset, tiny_checkpoint, start=start, backbone__trainable="lora")
    with pytest.raises(UsageError, match="another backbone"):
        Trainer.open(lora)


def test_a_policys_answer_is_decoded_to_the_datasets_units(
    dataset: Path, tiny_checkpoint: Path, tmp_path: Path
) -> None:
    trainer = Trainer.open(
        config(tmp_path / "x", dataset, tiny_checkpoint, actions__scaling="min_max", actions__mu_law=255.0),
        writes=False,
    )
    _, targets = trainer.tasks["sim"].batch([0, 1], [np.random.default_rng(0)] * 2)
    assert targets.actions.abs().max() <= 1
    assert targets.actions.shape == (2, 3, 2, 2)
    actions = trainer.processing.decode(targets.actions)
    low, high = trainer.processing.action.min, trainer.processing.action.max
    assert (actions >= np.array(low) - 1e-6).all() and (actions <= np.array(high) + 1e-6).all()
    np.testing.assert_allclose(trainer.processing.pipeline.encode(actions), targets.actions, atol=1e-5)


def test_a_dry_run_says_what_to_expect_and_writes_nothing(
    dataset: Path, tiny_checkpoint: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "run.yaml"
    file.write_text(yaml.safe_dump(settings(tmp_path / "out", dataset, tiny_checkpoint)))
    assert main([str(file), "--dry-run", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["steps"] == 6 and found["sim_samples"] == 48 and found["sim_epochs"] == pytest.approx(0.5)
    assert 0 < found["learning"] <= found["parameters"] and found["peak_memory_bytes"] > 0
    assert found["hours"] == pytest.approx(6 * found["seconds_per_step"] / 3600)
    assert [p.name for p in tmp_path.iterdir()] == ["run.yaml"]


def test_a_missing_package_is_named_before_it_is_said_to_load(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "run.yaml").write_text("")
    monkeypatch.setattr("training.train.find_spec", lambda name: None if name == "accelerate" else name)
    with pytest.raises(ModuleNotFoundError, match="No module named 'accelerate'"):
        main([str(tmp_path / "run.yaml")])
    assert "loading" not in capsys.readouterr().err


def test_the_command_trains_and_goes_on(
    dataset: Path, tiny_checkpoint: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "run.yaml"
    file.write_text(yaml.safe_dump(settings(tmp_path / "out", dataset, tiny_checkpoint, steps=3)))
    with pytest.raises(UsageError, match="no checkpoint"):
        main([str(file), "--resume"])
    assert main([str(file)]) == 0
    captured, out, row = capsys.readouterr(), tmp_path / "out", curve(tmp_path / "out")[-1]
    assert captured.out.splitlines() == [
        f"{out}: 3 steps, loss {row['loss']:.4f}",
        f"best     {out}/best, step 3: validation {row['validation']:.4f}",
        f"curve    tensorboard --logdir {out}/tensorboard",
        f"next     vla-edge export {out}/best --out BUNDLE",
    ]
    assert captured.err.startswith("loading torch") and "steps 0/3" in captured.err
    with pytest.raises(UsageError, match="already holds a run"):
        main([str(file)])
    assert main([str(file), "--resume", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["loss"], found["judged_by"], found["best_step"]) == (row["loss"], "validation", 3)
    assert found["best_value"] == row["validation"] and Path(found["best"]) == (out / "best").resolve()
    file.write_text(yaml.safe_dump(settings(tmp_path / "out", dataset, tiny_checkpoint, steps=9)))
    with pytest.raises(UsageError, match=r"steps is 9, but the run in .* has 3"):
        main([str(file), "--resume"])


def test_a_run_without_validation_says_that_its_last_checkpoint_is_its_best(
    dataset: Path, tiny_checkpoint: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "run.yaml"
    changes = {"steps": 2, "validation__fraction": 0.0, "log_every": 5}
    file.write_text(yaml.safe_dump(settings(tmp_path / "out", dataset, tiny_checkpoint, **changes)))
    assert main([str(file)]) == 0
    assert f"best     {tmp_path}/out/best, the last one: nothing was kept" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("changes", "hint"),
    [
        ({"inputs__camera": "top"}, "set inputs.camera to one of these, such as `camera: front`"),
        ({"inputs__state": ["z"]}, "set inputs.state to some of these, such as `state: [x, y]`"),
        ({"actions__columns": ["u"]}, "set actions.columns to some of these, such as `columns: [v, w]`"),
        (
            {"sources__sim__action_keys": ["actions"]},
            "set action_keys of this source to one or more of these, such as `action_keys: [action]`",
        ),
    ],
)
def test_a_hint_names_the_key_and_a_value_that_the_dataset_has(
    changes: dict[str, Any], hint: str, dataset: Path, tiny_checkpoint: Path, tmp_path: Path
) -> None:
    with pytest.raises(UsageError) as caught:
        Trainer.open(config(tmp_path / "out", dataset, tiny_checkpoint, **changes), writes=False)
    assert hint in caught.value.hint


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"inputs__camera": "top"}, "no camera 'top'; it has front"),
        ({"inputs__state": ["z"]}, "inputs.state: no column 'z'; the dataset has x, y"),
        ({"actions__columns": ["u"]}, "actions.columns: no column 'u'; the dataset has v, w"),
        ({"actions": {"scaling": "limits", "low": [-1], "high": [1]}}, "1 numbers for 2 columns"),
        (
            {"inputs__instruction__paraphrases": {"find a red cup": ["detect cup"]}},
            "inputs.instruction.paraphrases: no task is 'find a red cup'; the nearest is 'find the red cup'",
        ),
        (
            {"inputs__instruction__replace": {"seek the": "detect"}},
            "inputs.instruction.replace: no task has 'seek the' in it; one is 'find the blue cup'",
        ),
        ({"sources__sim__action_keys": ["actions"]}, r"no feature 'actions' of numbers; it has 'observation"),
        ({"inputs__instruction": {}}, "does not know all words of 'find the"),
        ({"backbone__path": "nowhere"}, "nowhere/tokenizer.json is missing"),
        ({"backbone__family": "llava"}, "holds a paligemma checkpoint, not llava"),
        ({"optimiser__precision": "fp16"}, "fp16 needs a GPU"),
        ({"policy__history": "none", "policy__window": 1, "start": "nowhere"}, "start: cannot read nowhere"),
        ({"sources__words": {"kind": "words", "path": "nowhere"}}, "cannot read nowhere/metadata.jsonl"),
    ],
)
def test_what_does_not_fit_is_refused_before_anything_is_written(
    changes: dict[str, Any], message: str, dataset: Path, tiny_checkpoint: Path, tmp_path: Path
) -> None:
    with pytest.raises(UsageError, match=message):
        run(Trainer.open(config(tmp_path / "out", dataset, tiny_checkpoint, **changes)))
    assert not (tmp_path / "out").exists()


def test_a_run_goes_on_only_with_its_own_robots_statistics(
    dataset: Path, tiny_checkpoint: Path, tmp_path: Path
) -> None:
    made = config(tmp_path / "out", dataset, tiny_checkpoint, steps=3)
    run(Trainer.open(made))
    file = made.out / "statistics.json"
    file.write_text(file.read_text().replace("rover", "arm"))
    with pytest.raises(UsageError, match="statistics of another robot"):
        Trainer.open(made, resume=True)
