"""The recipe of the default model: a tiny PaliGemma, trained from random weights on rendered rooms.

    python -m sim.dataset data/train --pictures 120000 --seed 0
    python -m sim.dataset data/val --pictures 1500 --seed 9000000
    vla-edge train-grounding --data data/train --val data/val --out checkpoints/default

Two phases. First the vision tower alone learns dense per-patch labels (kind, colour, box); then the whole
net learns to answer questions, beside the dense loss at a lower weight. Weights are averaged (EMA), and the
averages are saved. Interrupted runs continue with `--resume`.
"""

import json
import math
import time
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from edge.errors import UsageError
from edge.files import whole_file
from training.recipes.batches import QuestionEncoder
from training.recipes.grounder import Grounder, validate
from training.recipes.grounding_loss import answer_loss, presence_loss
from training.recipes.questions import sample_question
from training.recipes.recipe import GrounderRecipe
from vla.backbones.paligemma import TinyConfig, load, save
from vla.backbones.tokenizer import build_tokenizer

OnProgress = Callable[[int, int, str], None]  # the step, the number of steps, and the losses in words


def augment(images: Tensor, objects: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Augment uint8 (B, H, W, 3) to float (B, 3, H, W) in [-1, 1]: flips, brightness, contrast, tint."""
    x = images.permute(0, 3, 1, 2).float().div(127.5).sub(1)
    b = len(x)
    flip = torch.rand(b, generator=generator) < 0.5
    x = torch.where(flip[:, None, None, None], x.flip(-1), x)
    flipped = objects.clone()
    flipped[..., 3], flipped[..., 5] = 1 - objects[..., 5], 1 - objects[..., 3]
    objects = torch.where(flip[:, None, None] & (objects[..., :1] >= 0), flipped, objects)
    gain = 1 + 0.2 * (torch.rand(b, 1, 1, 1, generator=generator) * 2 - 1)
    bias = 0.12 * (torch.rand(b, 1, 1, 1, generator=generator) * 2 - 1)
    tint = 1 + 0.03 * torch.randn(b, 3, 1, 1, generator=generator)
    return (((x + 1) * gain * tint - 1) + bias).clamp(-1, 1), objects


class GrounderTrainer:
    """A run of this recipe: data, net, optimiser and curve."""

    def __init__(self, data: Path, val: Path, out: Path, recipe: GrounderRecipe, compiled: bool) -> None:
        torch.manual_seed(recipe.seed)
        self.recipe, self.out = recipe, out
        self.config = TinyConfig()
        self.tokenizer = build_tokenizer()
        self.encoder = QuestionEncoder(self.tokenizer, self.config.image_tokens)
        self.net = Grounder(self.config)
        self.vision, self.answer = self.net.vision, self.net.answer
        if compiled:
            self.net.model.model.vision_tower.compile(dynamic=False)
            self.net.model.model.language_model.compile(dynamic=False)
        self.average = {k: v.detach().clone() for k, v in self.net.state_dict().items()}
        self.images, self.objects = _open(data)
        self.val = _open(val)
        self.rng = np.random.default_rng(recipe.seed)
        self.generator = torch.Generator().manual_seed(recipe.seed)
        self.step = 0
        self.started = time.monotonic()
        out.mkdir(parents=True, exist_ok=True)
        (out / "recipe.json").write_text(json.dumps(asdict(recipe), indent=1))
        self._set_optimizer()

    def _set_optimizer(self) -> None:
        decay = [p for p in self.net.parameters() if p.ndim > 1]
        plain = [p for p in self.net.parameters() if p.ndim <= 1]
        groups = [
            {"params": decay, "weight_decay": self.recipe.weight_decay},
            {"params": plain, "weight_decay": 0.0},
        ]
        self.optimizer = torch.optim.AdamW(groups, lr=self.recipe.learning_rate, betas=(0.9, 0.98))

    def run(self, on_progress: OnProgress = lambda step, total, losses: None) -> dict[str, float | None]:
        """Train from the current step to the last, and write curve and checkpoints.

        Returns the last scores on held-out images; empty if the run ended before. `on_progress` gets the
        step, their number, and the losses in words.
        """
        r = self.recipe
        total = r.vision_steps + r.steps
        scores: dict[str, float | None] = {}
        while self.step < total:
            vision_only = self.step < r.vision_steps
            lr = self._learning_rate()
            for group in self.optimizer.param_groups:
                group["lr"] = lr
            losses = self._vision_step() if vision_only else self._joint_step()
            self.step += 1
            self._update_average()
            shown = ", ".join(f"{name} {value:.3g}" for name, value in losses.items() if name != "sigma")
            on_progress(self.step, total, shown)
            if self.step % 50 == 0:
                self._write({"step": self.step, "lr": lr, **losses})
            if self.step % 500 == 0 or self.step == total:
                self.checkpoint()
                if not vision_only:
                    scores = self.validate_average()
                    self._write({"step": self.step, **scores})
        return scores

    def _learning_rate(self) -> float:
        r = self.recipe
        first = self.step < r.vision_steps
        at = self.step if first else self.step - r.vision_steps
        length = r.vision_steps if first else r.steps
        warm = min(1.0, (at + 1) / r.warmup_steps)
        lowest = 0.3 if first else 0.02
        return r.learning_rate * warm * (lowest + (1 - lowest) * 0.5 * (1 + math.cos(math.pi * at / length)))

    def _draw_images(self, count: int) -> tuple[Tensor, Tensor]:
        at = np.sort(self.rng.integers(0, len(self.images), count))
        return augment(torch.from_numpy(self.images[at]), torch.from_numpy(self.objects[at]), self.generator)

    def _vision_step(self) -> dict[str, float]:
        self.net.train()
        pixels, objects = self._draw_images(self.recipe.vision_batch)
        with torch.autocast("cpu", torch.bfloat16):
            features = self.vision(pixels)
        loss = self.net.dense.loss(features, objects)
        self._descend(loss)
        return {"dense": loss.item()}

    def _joint_step(self) -> dict[str, float]:
        self.net.train()
        r = self.recipe
        pixels, objects = self._draw_images(r.images)
        rows = objects.numpy()
        questions = [sample_question(rows[i], self.rng) for i in range(r.images) for _ in range(r.questions)]
        batch = self.encoder.batch(questions)
        done = (self.step - r.vision_steps) / r.steps
        sigma = r.sigma_bins[0] * (r.sigma_bins[1] / r.sigma_bins[0]) ** min(1.0, done * 1.25)
        with torch.autocast("cpu", torch.bfloat16):
            features = self.vision(pixels)
            logits = self.answer(features, batch)
        tokens, l1 = answer_loss(logits, batch, self.encoder.first_location, sigma)
        there = presence_loss(logits, batch, self.encoder.first_location, self.encoder.words("none")[0])
        dense = self.net.dense.loss(features, objects)
        self._descend(tokens + r.l1_weight * l1 + r.presence_weight * there + r.dense_weight * dense)
        losses = {"tokens": tokens, "l1": l1, "presence": there, "dense": dense}
        return {name: loss.item() for name, loss in losses.items()} | {"sigma": sigma}

    def _descend(self, loss: Tensor) -> None:
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        nn.utils.clip_grad_norm_(self.net.parameters(), 1.0)
        self.optimizer.step()

    @torch.no_grad()
    def _update_average(self) -> None:
        keep = min(self.recipe.ema, (1 + self.step) / (10 + self.step))
        state = self.net.state_dict()
        names = [k for k, v in state.items() if v.is_floating_point()]
        torch._foreach_lerp_([self.average[k] for k in names], [state[k] for k in names], 1 - keep)

    def averaged(self) -> Grounder:
        """Copy the net with the averaged weights."""
        net = Grounder(self.config)
        net.load_state_dict(self.average)
        return net.eval()

    def validate_average(self) -> dict[str, float | None]:
        """Score the averaged weights on held-out images."""
        return validate(self.averaged(), self.encoder, *self.val)

    def checkpoint(self) -> None:
        """Write the averaged model, for export, and the state of the run, for `resume`."""
        save(self.averaged().model, self.config, self.tokenizer, self.out)
        state = {
            "net": self.net.state_dict(), "average": self.average, "optimizer": self.optimizer.state_dict(),
            "step": self.step, "rng": self.rng.bit_generator.state, "generator": self.generator.get_state(),
        }  # fmt: skip
        with whole_file(self.out / "resume.pt") as draft:
            torch.save(state, draft)

    def resume(self) -> None:
        """Continue from the last checkpoint in `out`. Raises UsageError if there is none."""
        if not (self.out / "resume.pt").is_file():
            raise UsageError(f"there is no checkpoint in {self.out} to continue from", "leave out --resume")
        state = torch.load(self.out / "resume.pt", weights_only=True)
        self.net.load_state_dict(state["net"])
        self.average = state["average"]
        self.optimizer.load_state_dict(state["optimizer"])
        self.step = state["step"]
        self.rng.bit_generator.state = state["rng"]
        self.generator.set_state(state["generator"])

    def start_from(self, checkpoint: Path) -> None:
        """Start with the averaged weights of another run.

        Residual blocks that the other net lacks begin as identities, so that a net can grow. A folder without
        resume.pt gives only the model, and the dense head begins anew. Raises UsageError for another net.
        """
        if (checkpoint / "resume.pt").is_file():
            weights = torch.load(checkpoint / "resume.pt", weights_only=True)["average"]
        else:
            weights = {"model." + k: v for k, v in load(checkpoint)[0].state_dict().items()}
        lacking = self.net.load_state_dict(weights, strict=False)
        strange = [k for k in lacking.missing_keys if ".blocks." not in k and not k.startswith("dense.")]
        if strange or lacking.unexpected_keys:
            raise UsageError(
                f"{checkpoint} holds another net: {(strange or lacking.unexpected_keys)[0]}",
                "start from a run of this recipe",
            )
        self.average = {k: v.detach().clone() for k, v in self.net.state_dict().items()}

    def _write(self, row: dict[str, Any]) -> None:
        row = {k: round(v, 6) if isinstance(v, float) else v for k, v in row.items()}
        row["minutes"] = round((time.monotonic() - self.started) / 60, 2)
        with (self.out / "curve.jsonl").open("a") as f:
            f.write(json.dumps(row, allow_nan=False) + "\n")


def _open(folder: Path) -> tuple[NDArray[np.uint8], NDArray[np.float32]]:
    if not (folder / "images.npy").is_file():
        raise UsageError(f"no dataset in {folder}", f"make one: python -m sim.dataset {folder}")
    return np.load(folder / "images.npy", mmap_mode="r"), np.load(folder / "objects.npy")
