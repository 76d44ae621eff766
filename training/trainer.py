"""Trains a policy by behaviour cloning, on one processor or on many machines.

Accelerate starts and joins the processes (`torchrun`, `accelerate launch`); every update equals that of one
process with all batches in one, because each mean is weighted by how many answers it is the mean of.
"""

import math
import time
from collections.abc import Iterator
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import numpy as np
import torch
from accelerate.utils import gather_object
from torch import Tensor, nn

from edge.errors import EdgeError, UsageError
from training.checkpoints import RESUME, TrainingFolder
from training.config import Config, RobotSourceSettings, WordsSourceSettings
from training.datasets.source import EpisodeSource
from training.datasets.statistics import Statistics, compute_statistics, stored_statistics
from training.datasets.words import WordsFolder
from training.net import MultiTaskLoss, named_losses
from training.pipeline.augment import check_instruction
from training.pipeline.encode import FrameEncoder
from training.pipeline.loading import choose_workers, load
from training.pipeline.processing import Processing, image_spec
from training.pipeline.stream import (
    BatchStream,
    RobotTask,
    Task,
    TaskBatches,
    WordsTask,
    move,
    open_robot,
    weight,
)
from training.policy import STATISTICS, build_policy, dump_config, open_backbone, save_policy
from training.processes import make_accelerator
from training.schedule import learning_rate, make_optimiser
from vla.backbones.weights import load_exactly
from vla.model import VLA


class Trainer:
    """A run from its config. `step` counts updates of the weights, `waited_s` the time without data."""

    def __init__(self, config: Config, resume: bool = False, writes: bool = True) -> None:
        """With `writes` False nothing is written, and only `update` may be called.

        Raises UsageError for a config that does not fit its data, its backbone or the folder `out`.
        """
        self.accelerator = make_accelerator(config.optimiser.precision)
        torch.manual_seed(config.seed)  # every process begins with the same weights
        robots = {
            n: open_robot(s, config.inputs)
            for n, s in config.sources.items()
            if isinstance(s, RobotSourceSettings)
        }
        check_instruction(config.inputs.instruction, {t for robot in robots.values() for t in robot.tasks})
        backbone, tokenizer = open_backbone(config.backbone)
        if config.inputs.image is None:
            seen = config.inputs.model_copy(update={"image": image_spec(config.backbone.path)})
            config = config.model_copy(update={"inputs": seen})
        self.config, self.step, self.waited_s = config, 0, 0.0
        statistics = self._statistics(list(robots.values()), resume)
        self.processing = Processing(config, statistics, tokenizer, backbone.vocabulary)
        self.policy = build_policy(config, backbone, self.processing)
        _checkpointing(self.policy, config.backbone.gradient_checkpointing)
        self.tasks: dict[str, Task] = {}
        for name, source in config.sources.items():
            self.tasks[name] = (
                WordsTask(WordsFolder(source.path), config, self.processing, backbone.layout.end)
                if isinstance(source, WordsSourceSettings)
                else RobotTask(robots[name], source, config, self.processing)
            )
        encoders = self._encoders()
        self.losses = {n: task.losses() for n, task in self.tasks.items() if isinstance(task, RobotTask)}
        self.folder = TrainingFolder(config.out)
        if writes:  # only now, when nothing else can be wrong
            if self.accelerator.is_main_process:
                self.folder.begin(dump_config(config), resume)
                stored_statistics(config.out / STATISTICS, list(robots.values()))
                self.folder.write_data(self.losses)
            self.accelerator.wait_for_everyone()
        state = self._load_last() if resume else None
        self.encoding_s = self._encode(encoders, writes)
        self._prepare()
        if state is not None:
            self._resume(state)

    def _encoders(self) -> dict[str, FrameEncoder]:
        """Of the sources whose frames are encoded once, before training."""
        tasks = self.tasks if self.config.inputs.encode_once != "none" else {}
        return {
            name: FrameEncoder(self.policy, self.processing, task.source, task.episodes, self.config.workers)
            for name, task in tasks.items()
            if isinstance(task, RobotTask) and self.config.sources[name].batch_size
        }

    def _encode(self, encoders: dict[str, FrameEncoder], writes: bool) -> float:
        """By the first process, unless it was done before. When nothing is written: seconds it will take."""
        self.policy.to(self.accelerator.device)
        folder, seconds = self.config.inputs.encoded or self.config.out / "encoded", 0.0
        for name, encoder in encoders.items():
            task: Any = self.tasks[name]
            if not writes:
                encoded, estimated_s = encoder.rehearse()
                task.read_instead(encoded)
                seconds += estimated_s
                continue
            file = encoder.file(folder)
            if self.accelerator.is_main_process:
                encoder.write(file)
            self.accelerator.wait_for_everyone()
            task.read_instead(encoder.encoded(file))
        return seconds

    def _statistics(self, sources: list[EpisodeSource], resume: bool) -> Statistics:
        file = self.config.out / STATISTICS
        return stored_statistics(file, sources) if resume and file.exists() else compute_statistics(sources)

    def _prepare(self) -> None:
        sources = self.config.sources
        self._batches = BatchStream(
            self.tasks,
            {name: source.batch_size for name, source in sources.items()},
            self.config.seed,
            self.accelerator.process_index,
            self.accelerator.num_processes,
        )
        self._net = net = MultiTaskLoss(
            self.policy, {name: source.weight for name, source in sources.items()}
        )
        self._freeze_unused()
        self._learning = [p for p in self.policy.parameters() if p.requires_grad]
        optimizer = make_optimiser(self._learning, self.config.optimiser)
        self._net, self._optimizer = self.accelerator.prepare(net, optimizer)

    def _freeze_unused(self) -> None:
        """Weights that no loss reaches, such as an LM head's beside an action head, block others."""
        device = self.accelerator.device
        self._net.to(device)
        self._set_training()
        first = self._batches[0]
        self.workers = choose_workers(self.config.workers, first.size_bytes)
        part = {name: move(batch, device, self.processing.image) for name, batch in first.items()}
        with self.accelerator.autocast():
            total, _ = self._net(part, dict.fromkeys(part, 1.0))
        total.backward()
        for parameter in self.policy.parameters():
            parameter.requires_grad_(parameter.grad is not None)
            parameter.grad = None

    def batches(self) -> Iterator[list[TaskBatches]]:
        """What each update from `step` on learns from: as many batches as are accumulated."""
        each, on_gpu = self.config.optimiser.accumulation, self.accelerator.device.type == "cuda"
        numbers = range(self.step * each, self.config.steps * each)
        stream = load(self._batches, numbers, self.workers, pin=on_gpu)
        for _ in range(self.step, self.config.steps):
            if on_gpu:
                torch.cuda.synchronize()  # so that what follows is time in which nothing is computed
            started = time.monotonic()
            parts = [next(stream) for _ in range(each)]
            self.waited_s += time.monotonic() - started
            yield parts

    def time_batch(self) -> float:
        """Seconds that one process needs to prepare what an update learns from."""
        started = time.monotonic()
        _ = self._batches[0]
        return (time.monotonic() - started) * self.config.optimiser.accumulation

    def update(self, parts: list[TaskBatches]) -> dict[str, Tensor]:
        """One update of the weights. Returns this process's part of the figures, see `mean_figures`."""
        settings, accelerator = self.config.optimiser, self.accelerator
        rate = learning_rate(self.step, self.config.steps, settings)
        for group in self._optimizer.param_groups:
            group["lr"] = rate
        self._set_training()
        figures: dict[str, Tensor] = {}
        for i, (part, shares) in enumerate(zip(parts, self._shares(parts), strict=True)):
            moved = {n: move(b, accelerator.device, self.processing.image) for n, b in part.items()}
            # Dropout draws from here on only: nothing of the generators needs to be saved.
            torch.manual_seed(_seed(self.config.seed, self.step, i, accelerator.process_index))
            with accelerator.no_sync(self._net) if i < len(parts) - 1 else nullcontext():
                total, found = self._net(moved, shares)
                accelerator.backward(total)
            for key, value in (found | {"loss": total.detach()}).items():
                figures[key] = figures.get(key, 0) + value / accelerator.num_processes
        if settings.clip_norm is not None:
            accelerator.clip_grad_norm_(self._learning, settings.clip_norm)
        self._optimizer.step()
        self._optimizer.zero_grad()
        self.step += 1
        return figures

    def _shares(self, parts: list[TaskBatches]) -> list[dict[str, float]]:
        """What each mean counts, so that the sum over parts and the mean over processes is right."""
        policy, accelerator = self.config.policy, self.accelerator
        weights = torch.tensor([[weight(batch, policy) for batch in part.values()] for part in parts])
        totals: Any = accelerator.reduce(weights.sum(0).to(accelerator.device), "sum")
        shares = weights * accelerator.num_processes / totals.cpu()
        return [dict(zip(part, row.tolist(), strict=True)) for part, row in zip(parts, shares, strict=True)]

    def _set_training(self) -> None:
        self._net.train()
        backbone, settings = self.policy.backbone, self.config.backbone
        if settings.trainable == "frozen" and not settings.gradient_checkpointing:  # which eval would end
            backbone.eval()
        for module in backbone.modules():
            # Frames of one episode are no sample to take statistics of, and processes would differ in them.
            if isinstance(module, nn.modules.batchnorm._BatchNorm):
                module.eval()

    def mean_figures(self, figures: dict[str, Tensor]) -> dict[str, float]:
        """Over all processes. Raises EdgeError when the loss is no number any more."""
        mine = {key: float(value) for key, value in figures.items()}
        every = gather_object([mine])
        summed = {key: math.fsum(each[key] for each in every) for key in mine}
        if not math.isfinite(summed["loss"]):
            raise EdgeError(
                f"the loss is {summed['loss']} at step {self.step}",
                "lower optimiser.learning_rate or change the precision; the last checkpoint is whole",
            )
        return summed

    @torch.no_grad()
    def validate(self) -> dict[str, float]:
        """Figures of the samples that were kept apart, "validation/task/what", and their "validation"."""
        self.policy.eval()
        figures: dict[str, float] = {}
        total, process = 0.0, self.accelerator.process_index
        for name, task in self.tasks.items():
            source = self.config.sources[name]
            if not (task.kept and source.batch_size):
                continue
            chosen = np.linspace(0, task.kept - 1, min(task.kept, self.config.validation.samples)).round()
            batches = np.array_split(chosen.astype(int), math.ceil(len(chosen) / source.batch_size))
            sums: dict[str, float] = {"weight": 0.0}
            for samples in batches[process :: self.accelerator.num_processes]:
                batch = task.batch(samples.tolist(), None)
                share = weight(batch, self.config.policy)
                with self.accelerator.autocast():
                    losses = self.policy(*move(batch, self.accelerator.device, self.processing.image))
                sums["weight"] += share
                for key, value in named_losses(losses).items():
                    sums[key] = sums.get(key, 0.0) + share * float(value)
            every = gather_object([sums])
            whole = sum(each["weight"] for each in every)
            for key in every[0].keys() - {"weight"}:
                figures[f"validation/{name}/{key}"] = sum(each.get(key, 0.0) for each in every) / whole
            total += source.weight * figures[f"validation/{name}/loss"]
        return figures | {"validation": total} if figures else {}

    def save(self) -> Path | None:
        """A checkpoint of this step, by the first process: its folder. Raises EdgeError when it can't."""
        self.accelerator.wait_for_everyone()
        return self.folder.save(self.step, self._write) if self.accelerator.is_main_process else None

    def _write(self, folder: Path) -> None:
        save_policy(folder, self.policy, self.processing, self.config.out / STATISTICS)
        scaler: Any = self.accelerator.scaler
        state = {
            "step": self.step,
            "optimizer": self._optimizer.state_dict(),
            "scaler": scaler.state_dict() if scaler is not None else None,
        }
        torch.save(state, folder / RESUME)

    def _load_last(self) -> dict[str, Any]:
        """The last checkpoint's weights into the policy; returns what else it holds."""
        folder = self.folder.checkpoint("last")
        if folder is None:
            raise UsageError(f"there is no checkpoint in {self.config.out} to go on from")
        state = torch.load(folder / RESUME, weights_only=True, map_location="cpu")
        load_exactly(self.policy, folder / "model.safetensors")
        return state

    def _resume(self, state: dict[str, Any]) -> None:
        self._optimizer.load_state_dict(state["optimizer"])
        if state["scaler"] is not None and self.accelerator.scaler is not None:
            self.accelerator.scaler.load_state_dict(state["scaler"])
        self.step = state["step"]


def _seed(*numbers: int) -> int:
    return int(np.random.SeedSequence(numbers).generate_state(1)[0])


def _checkpointing(policy: VLA, wanted: bool) -> None:
    if not wanted:
        return
    try:
        policy.backbone.checkpoint_activations()
    except ValueError as error:
        raise UsageError(
            f"backbone.gradient_checkpointing: {error}", "leave it out for this family"
        ) from error
