"""The endless stream of training batches; the order of its samples depends on the seed alone.

A batch is found by its number, so nothing of the stream needs to be saved: a resumed run takes the next
number, and N processes together see what one process with an N times larger batch sees.
"""

from collections.abc import Sequence
from dataclasses import fields, replace
from functools import lru_cache
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch.utils.data import Dataset

from edge.bundle.manifest import ImageSpec
from edge.errors import UsageError
from training.config import Config, InputSettings, PolicySettings, RobotSourceSettings
from training.datasets.calvin import CalvinSource
from training.datasets.encoded import EncodedFrames, NumbersOnly
from training.datasets.lerobot import LeRobotSource
from training.datasets.lerobot_meta import ACTION, STATE
from training.datasets.source import EpisodeSource
from training.datasets.windows import Windows, history_rows, whole_windows
from training.datasets.words import WordsFolder
from training.pipeline.processing import Processing, Tensors, to_device
from vla.fusion import Inputs
from vla.model import LanguageTargets, Targets

Batch = tuple[Inputs, Targets | LanguageTargets]
_SPLIT, _ORDER, _SAMPLE = range(3)  # so that no two uses of a seed draw the same numbers


class Task(Protocol):
    """One source of samples, some of them kept for validation."""

    train: int  # samples to learn from
    kept: int  # samples for validation

    def batch(self, samples: Sequence[int], rngs: list[np.random.Generator] | None) -> Batch:
        """Batch training samples, numbered 0 to `train` - 1; without generators, those kept apart."""
        ...


class RobotTask:
    """Windows of demonstrations; whole episodes are kept for validation."""

    def __init__(
        self, source: EpisodeSource, settings: RobotSourceSettings, config: Config, processing: Processing
    ) -> None:
        """Split the episodes. Raises UsageError if the config does not fit, or if no sample is usable."""
        processing.check_source(source)
        self.source, self._policy, self._processing = source, config.policy, processing
        fitting = self._fitting()
        order = fitting[np.random.default_rng((config.seed, _SPLIT)).permutation(len(fitting))].tolist()
        kept = _kept(len(order), config.validation.fraction, f"{source.path} has 1 episode")
        episodes = {True: order[kept:][: settings.episodes], False: order[:kept]}
        self._chosen = {train: sorted(chosen) for train, chosen in episodes.items() if chosen}
        self._windows = self._windows_of(source)
        self._encoded: EncodedFrames | None = None
        self.train, self.kept = len(self._windows[True]), len(self._windows.get(False, ()))

    def _fitting(self) -> NDArray[np.int64]:
        """Find the episodes that have a sample. Raises UsageError if none has."""
        p, episodes = self._policy, self.source.episodes
        mask = [whole_windows(episode, p.window, p.horizon).any() for episode in episodes]
        if not any(mask):
            Windows(self.source, p.window, p.horizon, p.layout)  # raises the reason
        return np.flatnonzero(mask)

    def count_dropped(self) -> dict[str, int]:
        """Count what became of the frames of the chosen episodes, and of those that have no sample."""
        lost = set(range(len(self.source.episodes))) - set(self._fitting().tolist())
        episodes = [self.source.episodes[i] for i in sorted({*self.episodes, *lost})]
        frames = sum(episode.length for episode in episodes)
        return {
            "samples": self.train + self.kept,
            "dropped": frames - self.train - self.kept,
            "late_frames": sum(len(episode.late) for episode in episodes),
            "missing_frames": sum(len(episode.missing) for episode in episodes),
        }

    @property
    def episodes(self) -> list[int]:
        """Indices in `source` of all episodes that are read."""
        return sorted(i for chosen in self._chosen.values() for i in chosen)

    def read_instead(self, encoded: EncodedFrames) -> None:
        """Replace the images in batches by encoded frames from here on."""
        self._encoded, self._windows = encoded, self._windows_of(NumbersOnly(self.source))

    def _windows_of(self, source: EpisodeSource) -> dict[bool, Windows]:
        p = self._policy
        return {
            train: Windows(source, p.window, p.horizon, p.layout, chosen)
            for train, chosen in self._chosen.items()
        }

    def batch(self, samples: Sequence[int], rngs: list[np.random.Generator] | None) -> Batch:
        windows = self._windows[rngs is not None]
        found = [windows[i] for i in samples]
        inputs = self._processing.inputs(found, rngs)
        if self._encoded is not None:
            inputs = replace(
                inputs, **self._encoded_fields(self._encoded, [windows.locate(i) for i in samples])
            )
        return inputs, self._processing.targets(found, rngs)

    def _encoded_fields(self, encoded: EncodedFrames, ends: list[tuple[int, int]]) -> dict[str, torch.Tensor]:
        """Read the fields of Inputs for windows that end at (episode, frame)."""
        window, inputs = self._policy.window, self._processing.config.inputs
        rows = torch.from_numpy(
            encoded.read([(episode, history_rows(frame, window)[0]) for episode, frame in ends])
        )
        if inputs.encode_once == "steps":
            return {"features": rows}
        hand = {"hand_tokens": rows[:, :, 0]} if inputs.hand_camera is not None else {}
        return {"tokens": rows[:, :, -1]} | hand


class WordsTask:
    """Questions about images; some are kept for validation."""

    def __init__(self, folder: WordsFolder, config: Config, processing: Processing, end: int) -> None:
        for question in folder.questions:
            processing.encode(question.prompt + config.inputs.instruction.end)
            processing.encode(question.answer)
        order = np.random.default_rng((config.seed, _SPLIT)).permutation(len(folder.questions))
        self.kept = _kept(len(order), config.validation.fraction, f"{folder.path} has 1 question")
        self.train = len(order) - self.kept
        self._order = {True: order[self.kept :], False: order[: self.kept]}
        self._folder, self._processing, self._end = folder, processing, end

    def batch(self, samples: Sequence[int], rngs: list[np.random.Generator] | None) -> Batch:
        numbers = self._order[rngs is not None][list(samples)].tolist()
        questions = [self._folder.questions[i] for i in numbers]
        images = [self._folder.image(i) for i in numbers]
        prompts, answers = [q.prompt for q in questions], [q.answer for q in questions]
        return self._processing.questions(images, prompts, answers, self._end, rngs)


def open_robot(settings: RobotSourceSettings, inputs: InputSettings) -> EpisodeSource:
    """Open a dataset of demonstrations. Raises UsageError with file and episode."""
    cameras = [camera for camera in (inputs.camera, inputs.hand_camera) if camera is not None]
    if settings.kind == "calvin":
        return CalvinSource(settings.path, cameras)
    state = settings.state_keys or ((STATE,) if inputs.state else None)
    return LeRobotSource(settings.path, settings.split, cameras, state, settings.action_keys or (ACTION,))


def _kept(count: int, fraction: float, one: str) -> int:
    """Choose how many of `count` are kept apart: at least one if any, and never all."""
    if count == 1 and fraction:
        raise UsageError(f"{one}, so none can be kept for validation", "set validation.fraction to 0")
    return min(max(1, round(count * fraction)), count - 1) if fraction else 0


class TaskBatches(dict[str, Batch]):
    """A batch of every task, by its name."""

    def pin_memory(self) -> "TaskBatches":
        """Copy to pinned memory, which a GPU reads directly."""
        return TaskBatches(
            {name: (_pinned(inputs), _pinned(targets)) for name, (inputs, targets) in self.items()}
        )

    def on_device(self, device: torch.device, spec: ImageSpec) -> "TaskBatches":
        """Copy to the device, as the policy takes it."""
        return TaskBatches({name: move(batch, device, spec) for name, batch in self.items()})

    @property
    def size_bytes(self) -> int:
        """Bytes of all its tensors."""
        return sum(size_bytes(each) for batch in self.values() for each in batch)


class BatchStream(Dataset[TaskBatches]):
    """A batch of every task by its number, for one of several processes that train together."""

    def __init__(
        self, tasks: dict[str, Task], sizes: dict[str, int], seed: int, process: int, processes: int
    ) -> None:
        """Take the tasks; `sizes`: samples of each task in a process's batch."""
        self._tasks, self._sizes, self._seed = tasks, sizes, seed
        self._process, self._processes = process, processes

    def __getitem__(self, number: int) -> TaskBatches:
        return TaskBatches({name: self._batch(name, number) for name, size in self._sizes.items() if size})

    def _batch(self, name: str, number: int) -> Batch:
        task, size = self._tasks[name], self._sizes[name]
        first = (number * self._processes + self._process) * size
        numbers = range(first, first + size)
        samples = [int(_order(self._seed, n // task.train, task.train)[n % task.train]) for n in numbers]
        return task.batch(samples, [np.random.default_rng((self._seed, _SAMPLE, n)) for n in numbers])


@lru_cache(maxsize=8)
def _order(seed: int, epoch: int, count: int) -> np.ndarray:
    return np.random.default_rng((seed, _ORDER, epoch)).permutation(count)


def weight(batch: Batch, policy: PolicySettings) -> float:
    """Sum the weights that a batch's mean loss was divided by; see `vla.model.VLA.forward`."""
    inputs, target = batch
    if isinstance(target, LanguageTargets):
        return float(target.mask.sum())
    steps = target.mask & inputs.valid[..., None]
    if policy.history == "video":
        steps = steps[:, -1:]
    weights = torch.tensor(policy.loss.step_weights or (1.0,))[-steps.shape[1] :]
    return float((steps * weights[:, None]).sum())


def _values(tensors: Inputs | Targets | LanguageTargets) -> dict[str, torch.Tensor]:
    found = {field.name: getattr(tensors, field.name) for field in fields(tensors)}
    return {name: value for name, value in found.items() if value is not None}


def size_bytes(tensors: Inputs | Targets | LanguageTargets) -> int:
    """Bytes of all tensors."""
    return sum(value.nbytes for value in _values(tensors).values())


def _pinned(tensors: Tensors) -> Tensors:
    return replace(tensors, **{name: value.pin_memory() for name, value in _values(tensors).items()})


def move(batch: Batch, device: torch.device, spec: ImageSpec) -> Batch:
    """Copy a batch to the device, as the policy takes it."""
    inputs, targets = batch
    return to_device(inputs, device, spec), to_device(targets, device, spec)
