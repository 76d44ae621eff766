"""The recipe on a handful of pictures: it learns, stops and goes on exactly; its masks are PaliGemma's."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from edge.errors import UsageError
from training.recipes.batches import QuestionEncoder
from training.recipes.grounding import Grounder, GrounderTrainer, augment
from training.recipes.grounding_command import main
from training.recipes.grounding_loss import DenseHead, answer_loss, presence_loss
from training.recipes.questions import GroundingQuestion
from training.recipes.recipe import GrounderRecipe
from vla.backbones.paligemma import TinyConfig
from vla.backbones.tokenizer import build_tokenizer

RECIPE = GrounderRecipe(vision_steps=2, vision_batch=4, steps=4, images=2, questions=2, warmup_steps=1)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("data")
    rng = np.random.default_rng(0)
    np.save(folder / "images.npy", rng.integers(0, 255, (12, 144, 192, 3), dtype=np.uint8))
    table = np.full((12, 10, 8), -1, np.float32)
    table[:, 0] = (0, 0, 0.3, 0.3, 0.6, 0.5, 1.0, 1)
    np.save(folder / "objects.npy", table)
    return folder


def trainer(data: Path, out: Path, recipe: GrounderRecipe = RECIPE) -> GrounderTrainer:
    return GrounderTrainer(data, data, out, recipe, compiled=False)


def test_the_masks_are_paligemmas_own() -> None:
    torch.manual_seed(0)
    config, tokenizer = TinyConfig(), build_tokenizer()
    net, encoder = Grounder(config).eval(), QuestionEncoder(tokenizer, config.image_tokens)
    box = np.array([0.1, 0.2, 0.5, 0.6], np.float32)
    batch = encoder.batch(
        [GroundingQuestion("detect red cup", "red cup", box), GroundingQuestion("detect cup", "none")]
    )
    pixels = torch.randn(2, 3, 144, 192)
    types = torch.ones_like(batch.ids)
    for row, prompt in zip(types, ("detect red cup", "detect cup"), strict=True):
        row[: len(encoder.prompt(prompt))] = 0
    with torch.no_grad():
        ours = net.answer(net.vision(pixels), batch)
        theirs = net.model(
            input_ids=batch.ids, pixel_values=pixels, token_type_ids=types,
            attention_mask=(batch.ids != 0).long(), labels=torch.full_like(batch.ids, -100),
        ).logits  # fmt: skip
    for i, length in enumerate((7, 2)):
        assert torch.allclose(theirs[i][batch.answer_at[i, :length]], ours[i, :length], atol=1e-5)


def test_a_perfect_answer_costs_nothing_and_a_wrong_one_does() -> None:
    encoder = QuestionEncoder(build_tokenizer(), 108)
    batch = encoder.batch(
        [GroundingQuestion("detect cup", "cup", np.array([0.1, 0.2, 0.5, 0.6], np.float32))]
    )
    logits = torch.full((1, 10, 1068), -30.0)
    bins = torch.arange(1024)
    for i in range(4):
        where = batch.location[0, i] * 1023
        logits[0, i, encoder.first_location :] = -0.5 * ((bins - where) / 4.0) ** 2
    for i in range(4, 6):
        logits[0, i, batch.answer[0, i]] = 30.0
    tokens, l1 = answer_loss(logits, batch, encoder.first_location, 4.0)
    assert tokens < 1e-3 and l1 < 1e-3
    tokens, l1 = answer_loss(logits.roll(200, -1), batch, encoder.first_location, 4.0)
    assert tokens > 1 and l1 > 0.1


def test_presence_is_decided_by_all_places_together_and_captions_do_not_count() -> None:
    encoder = QuestionEncoder(build_tokenizer(), 108)
    box = np.array([0.1, 0.2, 0.5, 0.6], np.float32)
    there, absent = GroundingQuestion("detect cup", "cup", box), GroundingQuestion("detect cup", "none")
    none = encoder.words("none")[0]
    logits = torch.zeros(3, 10, 1068)
    logits[:, 0, none] = 6.0  # above any single place, below the 1024 of them together: log 1024 = 6.9
    caption = GroundingQuestion("caption en", "red cup")
    sure = presence_loss(logits, encoder.batch([there, there, caption]), encoder.first_location, none)
    wrong = presence_loss(logits, encoder.batch([absent, absent, caption]), encoder.first_location, none)
    odds = np.log(1024) - 6
    assert sure.item() == pytest.approx(np.log1p(np.exp(-odds)), rel=1e-4)
    assert wrong.item() == pytest.approx(np.log1p(np.exp(odds)), rel=1e-4)


def test_dense_targets_prefer_the_nearest_object() -> None:
    head = DenseHead(8, (9, 12))
    table = torch.full((1, 10, 8), -1.0)
    table[0, 0] = torch.tensor([2, 3, 0.4, 0.4, 0.6, 0.6, 1.0, 1])
    table[0, 1] = torch.tensor([5, 1, 0.0, 0.0, 1.0, 1.0, 2.0, 1])
    kind, colour, _, positive = head.targets(table)
    assert positive.all() and set(kind.unique().tolist()) == {3, 6}
    assert colour[0, 4 * 12 + 5] == 3


def test_flips_move_the_boxes_with_the_pictures() -> None:
    image = torch.zeros(64, 144, 192, 3, dtype=torch.uint8)
    image[:, 60:80, 20:40] = 255
    table = torch.full((64, 10, 8), -1.0)
    table[:, 0] = torch.tensor([0, 0, 60 / 144, 20 / 192, 80 / 144, 40 / 192, 1.0, 1])
    pixels, objects = augment(image, table, torch.Generator().manual_seed(0))
    for x, row in zip(pixels, objects[:, 0], strict=True):
        ys, xs = torch.nonzero(x[0] > x[0].mean() + 0.3, as_tuple=True)
        assert float(row[3]) * 192 == pytest.approx(float(xs.min()), abs=1)
        assert float(row[5]) * 192 == pytest.approx(float(xs.max()) + 1, abs=1)
        assert float(ys.min()) == 60
    assert 10 < (objects[:, 0, 3] > 0.5).sum() < 54
    assert (objects[:, 1:] == -1).all()


def test_the_loss_falls_on_a_fixed_batch(data: Path, tmp_path: Path) -> None:
    t = trainer(data, tmp_path)
    t.images, t.objects = t.images[:2], t.objects[:2]
    t.step = RECIPE.vision_steps
    for group in t.optimizer.param_groups:
        group["lr"] = 1e-3
    losses = [t._joint_step()["tokens"] for _ in range(25)]
    assert np.mean(losses[-5:]) < 0.7 * np.mean(losses[:5])


def test_a_resumed_run_ends_with_the_same_weights(data: Path, tmp_path: Path) -> None:
    straight = trainer(data, tmp_path / "a")
    straight.run()
    stopped = trainer(data, tmp_path / "b")
    while stopped.step < 3:
        for group in stopped.optimizer.param_groups:
            group["lr"] = stopped._learning_rate()
        stopped._vision_step() if stopped.step < RECIPE.vision_steps else stopped._joint_step()
        stopped.step += 1
        stopped._update_average()
    stopped.checkpoint()
    again = trainer(data, tmp_path / "b")
    again.resume()
    again.run()
    for name, value in straight.average.items():
        assert torch.equal(value, again.average[name]), name
    assert json.loads((tmp_path / "b" / "recipe.json").read_text())["seed"] == 0


def test_a_missing_dataset_is_named(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no dataset"):
        main(["--data", str(tmp_path), "--val", str(tmp_path), "--out", str(tmp_path / "out")])


def test_the_command_says_how_it_ended_and_what_is_next(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folders = ["--data", str(data), "--val", str(data), "--out", str(tmp_path)]
    argv = [*folders, "--no-compile", "--vision-steps", "1", "--steps", "1"]
    assert main(argv) == 0
    captured = capsys.readouterr()
    assert captured.out.startswith(f"{tmp_path}: 2 steps; in held-out rooms: found ")
    assert captured.out.endswith(f"next: vla-edge export {tmp_path} --out BUNDLE\n")
    assert "{" not in captured.out + captured.err and "steps 1/2, dense " in captured.err
    assert main([*argv, "--resume", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == {"out": str(tmp_path), "steps": 2, "validation": None}
    with pytest.raises(UsageError, match="no checkpoint"):
        main([*argv[:5], str(tmp_path / "other"), *argv[6:], "--resume"])
