"""Opens the parts of a run, see `training.trainer.Trainer.open`: datasets, tasks, encoded frames, folder."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from accelerate import Accelerator

from edge.errors import UsageError
from training.checkpoints import RESUME, TrainingFolder
from training.config import Config, RobotSourceSettings, WordsSourceSettings
from training.datasets.source import EpisodeSource
from training.datasets.statistics import Statistics, compute_statistics, stored_statistics
from training.datasets.words import WordsFolder
from training.pipeline.augment import check_instruction
from training.pipeline.encode import FrameEncoder
from training.pipeline.processing import Processing, image_spec
from training.pipeline.stream import RobotTask, Task, WordsTask, open_robot
from training.policy import STATISTICS, dump_config
from vla.backbones.weights import load_exactly
from vla.model import VLA

Sources = Mapping[str, EpisodeSource]


def open_sources(config: Config) -> Sources:
    """Open all datasets of demonstrations. Raises UsageError if one is damaged or lacks what is chosen."""
    sources = {
        name: open_robot(settings, config.inputs)
        for name, settings in config.sources.items()
        if isinstance(settings, RobotSourceSettings)
    }
    check_instruction(config.inputs.instruction, {t for source in sources.values() for t in source.tasks})
    return sources


def with_image(config: Config) -> Config:
    """Fill in `inputs.image`, if the config leaves it out, from the backbone's folder.

    Raises UsageError if that folder does not tell.
    """
    if config.inputs.image is not None:
        return config
    inputs = config.inputs.model_copy(update={"image": image_spec(config.backbone.path)})
    return config.model_copy(update={"inputs": inputs})


def open_statistics(config: Config, sources: Sources, resume: bool) -> Statistics:
    """Compute the statistics, or read those that a resumed run began with. Raises UsageError."""
    file = config.out / STATISTICS
    every = list(sources.values())
    return stored_statistics(file, every) if resume and file.exists() else compute_statistics(every)


def open_tasks(config: Config, sources: Sources, processing: Processing, end: int) -> dict[str, Task]:
    """Open the samples of all sources. `end` is the id that ends an answer in words. Raises UsageError."""
    tasks: dict[str, Task] = {}
    for name, settings in config.sources.items():
        if isinstance(settings, WordsSourceSettings):
            tasks[name] = WordsTask(WordsFolder(settings.path), config, processing, end)
        else:
            tasks[name] = RobotTask(sources[name], settings, config, processing)
    return tasks


def make_encoders(policy: VLA, processing: Processing, tasks: dict[str, Task]) -> dict[str, FrameEncoder]:
    """Make encoders for the sources whose frames are encoded once, before training. Raises UsageError."""
    config = processing.config
    if config.inputs.encode_once == "none":
        return {}
    return {
        name: FrameEncoder(policy, processing, task.source, task.episodes, config.workers)
        for name, task in tasks.items()
        if isinstance(task, RobotTask) and config.sources[name].batch_size
    }


def begin_folder(
    config: Config, sources: Sources, tasks: dict[str, Task], resume: bool, accelerator: Accelerator
) -> None:
    """Write the run's folder, by the first process, or check the one that is there. Raises UsageError."""
    if accelerator.is_main_process:
        folder = TrainingFolder(config.out)
        folder.begin(dump_config(config), resume)
        stored_statistics(config.out / STATISTICS, list(sources.values()))
        folder.write_data(count_dropped(tasks))
    accelerator.wait_for_everyone()


def count_dropped(tasks: dict[str, Task]) -> dict[str, dict[str, int]]:
    """Count what became of the frames of each source of demonstrations."""
    return {name: task.count_dropped() for name, task in tasks.items() if isinstance(task, RobotTask)}


def encode_frames(
    encoders: dict[str, FrameEncoder], tasks: dict[str, Task], folder: Path, accelerator: Accelerator
) -> None:
    """Encode, in the first process, what `folder` lacks; from here on tasks read it from there."""
    for name, encoder in encoders.items():
        file = encoder.file(folder)
        if accelerator.is_main_process:
            encoder.write(file)
        accelerator.wait_for_everyone()
        task: Any = tasks[name]
        task.read_instead(encoder.encoded(file))


def rehearse_encoding(encoders: dict[str, FrameEncoder], tasks: dict[str, Task]) -> float:
    """Estimate the seconds of `encode_frames`. Tasks read a stand-in from here on; nothing is written."""
    seconds = 0.0
    for name, encoder in encoders.items():
        encoded, estimated_s = encoder.rehearse()
        task: Any = tasks[name]
        task.read_instead(encoded)
        seconds += estimated_s
    return seconds


def load_last(policy: VLA, out: Path) -> dict[str, Any]:
    """Load the last checkpoint's weights into the policy, and return its step and its optimiser's state.

    Raises UsageError if there is none.
    """
    folder = TrainingFolder(out).checkpoint("last")
    if folder is None:
        raise UsageError(f"there is no checkpoint in {out} to continue from", "leave out --resume")
    state = torch.load(folder / RESUME, weights_only=True, map_location="cpu")
    load_exactly(policy, folder / "model.safetensors")
    return state
