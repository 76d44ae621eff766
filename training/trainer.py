"""Trains a policy by behaviour cloning, on one processor or on many machines.

Accelerate starts and joins the processes (`torchrun`, `accelerate launch`); every update equals that of one
process with all batches in one, because each mean is weighted by the number of answers in it.
"""

import math
import time
from collections.abc import Iterator
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import numpy as np
import torch
from accelerate import Accelerator
from accelerate.utils import gather_object
from torch import Tensor

from edge.errors import EdgeError
from training.checkpoints import RESUME, TrainingFolder
from training.config import Config
from training.learner import Learner, make_learner, named_losses, set_checkpointing
from training.opening import (
    begin_folder,
    encode_frames,
    load_last,
    make_encoders,
    open_sources,
    open_statistics,
    open_tasks,
    rehearse_encoding,
    with_image,
)
from training.pipeline.loading import choose_workers, load
from training.pipeline.processing import Processing
from training.pipeline.stream import BatchStream, Task, TaskBatches, move, weight
from training.policy import STATISTICS, build_policy, open_backbone, save_policy
from training.processes import make_accelerator
from training.schedule import learning_rate


class Trainer:
    """A run. `step` counts updates of the weights, `waited_s` the seconds without data."""

    def __init__(
        self,
        accelerator: Accelerator,
        processing: Processing,
        tasks: dict[str, Task],
        learner: Learner,
        stream: BatchStream,
        workers: int,
        encoding_s: float = 0.0,
    ) -> None:
        """`workers` processes prepare batches of `stream`; `encoding_s`: seconds that encoding would take."""
        self.accelerator, self.processing, self.tasks = accelerator, processing, tasks
        self.learner, self.policy = learner, learner.policy
        self.stream, self.workers = stream, workers
        self.encoding_s = encoding_s
        self.config = processing.config
        self.folder = TrainingFolder(self.config.out)
        self.step, self.waited_s = 0, 0.0

    @classmethod
    def open(cls, config: Config, resume: bool = False, writes: bool = True) -> "Trainer":
        """Open a run from its config.

        With `writes` False nothing is written, and only `update` may be called.
        Raises UsageError for a config that does not fit its data, its backbone or the folder `out`.
        """
        accelerator = make_accelerator(config.optimiser.precision)
        torch.manual_seed(config.seed)  # every process begins with the same weights
        sources = open_sources(config)
        backbone, tokenizer = open_backbone(config.backbone)
        config = with_image(config)
        statistics = open_statistics(config, sources, resume)
        processing = Processing(config, statistics, tokenizer, backbone.vocabulary)
        policy = build_policy(config, backbone, processing)
        set_checkpointing(policy, config.backbone)
        tasks = open_tasks(config, sources, processing, backbone.layout.end)
        encoders = make_encoders(policy, processing, tasks)
        if writes:  # only now, when nothing else can be wrong
            begin_folder(config, sources, tasks, resume, accelerator)
        state = load_last(policy, config.out) if resume else None
        policy.to(accelerator.device)
        encoding_s = 0.0
        if writes:
            encode_frames(encoders, tasks, config.inputs.encoded or config.out / "encoded", accelerator)
        else:
            encoding_s = rehearse_encoding(encoders, tasks)
        sizes = {name: source.batch_size for name, source in config.sources.items()}
        ranks = accelerator.process_index, accelerator.num_processes
        stream = BatchStream(tasks, sizes, config.seed, *ranks)
        first = stream[0]
        workers = choose_workers(config.workers, first.size_bytes)
        on_device = first.on_device(accelerator.device, processing.image)
        learner = make_learner(policy, config, accelerator, on_device)
        trainer = cls(accelerator, processing, tasks, learner, stream, workers, encoding_s)
        if state is not None:
            trainer._resume(state)
        return trainer

    def batches(self) -> Iterator[list[TaskBatches]]:
        """Yield what each update from `step` on learns from: as many batches as are accumulated."""
        each, on_gpu = self.config.optimiser.accumulation, self.accelerator.device.type == "cuda"
        numbers = range(self.step * each, self.config.steps * each)
        stream = load(self.stream, numbers, self.workers, pin=on_gpu)
        for _ in range(self.step, self.config.steps):
            if on_gpu:
                torch.cuda.synchronize()  # so that nothing is computed in the time that is measured
            started = time.monotonic()
            parts = [next(stream) for _ in range(each)]
            self.waited_s += time.monotonic() - started
            yield parts

    def time_batch(self) -> float:
        """Measure the seconds that one process needs to prepare an update's batches."""
        started = time.monotonic()
        _ = self.stream[0]
        return (time.monotonic() - started) * self.config.optimiser.accumulation

    def update(self, parts: list[TaskBatches]) -> dict[str, Tensor]:
        """Update the weights once. Returns this process's part of the figures, see `mean_figures`."""
        settings, accelerator = self.config.optimiser, self.accelerator
        rate = learning_rate(self.step, self.config.steps, settings)
        for group in self.learner.optimiser.param_groups:
            group["lr"] = rate
        self.learner.set_training(self.config.backbone)
        figures: dict[str, Tensor] = {}
        for i, (part, shares) in enumerate(zip(parts, self._shares(parts), strict=True)):
            moved = part.on_device(accelerator.device, self.processing.image)
            # Only dropout draws from this generator, and from here on: its state needs no saving.
            torch.manual_seed(_seed(self.config.seed, self.step, i, accelerator.process_index))
            with accelerator.no_sync(self.learner.loss) if i < len(parts) - 1 else nullcontext():
                total, found = self.learner.loss(moved, shares)
                accelerator.backward(total)
            for key, value in (found | {"loss": total.detach()}).items():
                figures[key] = figures.get(key, 0) + value / accelerator.num_processes
        if settings.clip_norm is not None:
            accelerator.clip_grad_norm_(self.learner.weights, settings.clip_norm)
        self.learner.optimiser.step()
        self.learner.optimiser.zero_grad()
        self.step += 1
        return figures

    def _shares(self, parts: list[TaskBatches]) -> list[dict[str, float]]:
        """Weigh each mean so that the sum over parts and the mean over processes is right."""
        policy, accelerator = self.config.policy, self.accelerator
        weights = torch.tensor([[weight(batch, policy) for batch in part.values()] for part in parts])
        totals: Any = accelerator.reduce(weights.sum(0).to(accelerator.device), "sum")
        shares = weights * accelerator.num_processes / totals.cpu()
        return [dict(zip(part, row.tolist(), strict=True)) for part, row in zip(parts, shares, strict=True)]

    def mean_figures(self, figures: dict[str, Tensor]) -> dict[str, float]:
        """Sum the figures of all processes. Raises EdgeError if the loss is NaN or infinite."""
        mine = {key: float(value) for key, value in figures.items()}
        every = gather_object([mine])
        summed = {key: math.fsum(each[key] for each in every) for key in mine}
        if not math.isfinite(summed["loss"]):
            raise EdgeError(
                f"the loss is {summed['loss']} at step {self.step}",
                "lower optimiser.learning_rate, or change optimiser.precision; the last checkpoint is whole",
            )
        return summed

    @torch.no_grad()
    def validate(self) -> dict[str, float]:
        """Measure losses on the samples kept apart: "validation/task/figure", and their sum, "validation"."""
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
        """Write a checkpoint of this step. Returns its folder in the first process, and None in others.

        Raises EdgeError if it can't be written.
        """
        self.accelerator.wait_for_everyone()
        return self.folder.save(self.step, self._write) if self.accelerator.is_main_process else None

    def _write(self, folder: Path) -> None:
        save_policy(folder, self.policy, self.processing, self.config.out / STATISTICS)
        scaler: Any = self.accelerator.scaler
        state = {
            "step": self.step,
            "optimizer": self.learner.optimiser.state_dict(),
            "scaler": scaler.state_dict() if scaler is not None else None,
        }
        torch.save(state, folder / RESUME)

    def _resume(self, state: dict[str, Any]) -> None:
        self.learner.optimiser.load_state_dict(state["optimizer"])
        if state["scaler"] is not None and self.accelerator.scaler is not None:
            self.accelerator.scaler.load_state_dict(state["scaler"])
        self.step = state["step"]


def _seed(*numbers: int) -> int:
    return int(np.random.SeedSequence(numbers).generate_state(1)[0])
