"""Converts windows of demonstrations to a policy's inputs and targets, and its actions back.

One object holds all that a checkpoint needs for that: it is made from the run's config, its statistics and
the backbone's tokenizer, and made again from the folder that the trainer wrote.
"""

from dataclasses import fields, replace
from pathlib import Path
from typing import TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from tokenizers import Tokenizer
from torch.utils.data import get_worker_info

from edge.actions import GRIPPER, ActionTokenizer, MeanStd, MinMax, MuLaw, Pipeline
from edge.bundle.manifest import ImageSpec
from edge.errors import UsageError
from edge.model.images import image_to_planes
from training.config import ActionSettings, Config
from training.datasets.source import EpisodeSource, Images
from training.datasets.statistics import Span, Statistics
from training.datasets.windows import Window
from training.pipeline.augment import augment_actions, augment_images, instruct, prompts
from vla.backbones.preprocessor import read_image_spec
from vla.fusion import Inputs
from vla.model import LanguageTargets, Targets

Tensors = TypeVar("Tensors", bound=Inputs | Targets | LanguageTargets)


def image_spec(folder: Path) -> ImageSpec:
    """Read how the images of a backbone's folder are made. Raises UsageError if they have no one size."""
    spec = read_image_spec(folder)
    if spec.fit in ("multiple", "tiles"):
        raise UsageError(
            f"{folder} makes images of several sizes (fit {spec.fit}); a policy is trained on one",
            "in the YAML file, set inputs.image with its keys height, width, resize, mean and std",
        )
    return spec


def scaling(settings: ActionSettings, span: Span) -> Pipeline:
    """Build the steps that scale physical actions of the chosen columns to [-1, 1], but not a gripper.

    Raises UsageError for columns that never move, and for a wrong number of limits.
    """
    gripper = span.names[-1] == GRIPPER
    poses = slice(len(span.names) - gripper)
    first = {
        "min_max": lambda: MinMax(span.min[poses], span.max[poses], gripper),
        "quantile": lambda: MinMax(span.q01[poses], span.q99[poses], gripper),
        "mean_std": lambda: MeanStd(span.mean[poses], span.std[poses], gripper),
        "limits": lambda: MinMax(settings.low, settings.high, gripper),
    }[settings.scaling]()
    names = span.names[poses]
    width = len(names)
    if settings.scaling == "limits" and len(settings.low) != width:
        raise UsageError(
            f"actions.low has {len(settings.low)} numbers for {width} columns ({', '.join(names)})",
            "in the YAML file, give actions.low and actions.high one number for each of these columns",
        )
    steps = (first,) if settings.mu_law is None else (first, MuLaw(width, settings.mu_law, gripper))
    return Pipeline(steps)


def choose(span: Span, columns: tuple[str, ...], key: str) -> Span:
    """Select columns of a span; none: all. Raises UsageError for a column that the dataset lacks.

    key: the config's key that chose them.
    """
    strange = [name for name in columns if name not in span.names]
    if strange:
        raise UsageError(
            f"{key}: no column {strange[0]!r}; the dataset has {', '.join(span.names) or 'none'}",
            f"in the YAML file, set {key} to some of these, such as "
            f"`{key.partition('.')[2]}: [{', '.join(span.names[:2])}]`, or leave it out"
            if span.names
            else f"leave {key} out",
        )
    at = [span.names.index(name) for name in columns or span.names]
    if GRIPPER in [span.names[i] for i in at[:-1]]:
        raise UsageError(
            f"{key}: the {GRIPPER} must be the last column", f"in the YAML file, write it last in {key}"
        )
    figures = ("names", "min", "max", "mean", "std", "q01", "q99")
    return Span(**{name: tuple(getattr(span, name)[i] for i in at) for name in figures})


def to_device(tensors: Tensors, device: torch.device, spec: ImageSpec) -> Tensors:
    """Copy to the device, where images of uint8 are normalised for the policy."""
    found = {field.name: getattr(tensors, field.name) for field in fields(tensors)}
    moved = {name: value.to(device, non_blocking=True) for name, value in found.items() if value is not None}
    for name in ("images", "hand_images"):
        if name in moved and moved[name].dtype == torch.uint8:
            moved[name] = _normalised(moved[name], spec)
    return replace(tensors, **moved)


def _normalised(planes: torch.Tensor, spec: ImageSpec) -> torch.Tensor:
    """Normalise (..., 3, height, width), bit for bit as `edge.model.images.normalised` does."""
    std = torch.tensor(spec.std, dtype=torch.float32)
    scale, offset = 1 / (255 * std), -torch.tensor(spec.mean, dtype=torch.float32) / std
    scale, offset = (each[:, None, None].to(planes.device) for each in (scale, offset))
    return planes.to(torch.float32).mul_(scale).add_(offset)


class Processing:
    """Converts windows to tensors. B rows, W steps, T horizon, A chosen action columns."""

    def __init__(self, config: Config, statistics: Statistics, tokenizer: Tokenizer, vocabulary: int) -> None:
        """Take a run's parts; `vocabulary`: number of the backbone's ids. Raises UsageError if they clash."""
        self.config, self.statistics, self.tokenizer = config, statistics, tokenizer
        self.image = config.inputs.image or image_spec(config.backbone.path)
        self.action = choose(statistics.action, config.actions.columns, "actions.columns")
        self.gripper = self.action.names[-1] == GRIPPER
        self.pipeline = scaling(config.actions, self.action)
        self._columns = [statistics.action.names.index(name) for name in self.action.names]
        self.tokens: ActionTokenizer | None = None
        if config.policy.head.kind == "discrete":
            special = sum(token.special for token in tokenizer.get_added_tokens_decoder().values())
            self.tokens = ActionTokenizer.for_vocabulary(vocabulary, special, config.policy.head.bins)
        self.pose_dims = 0
        if config.inputs.state:
            self._state = choose(statistics.state, config.inputs.state, "inputs.state")
            self._bit = self._state.names[-1] == GRIPPER
            self.pose_dims = len(self._state.names) - self._bit
            poses = slice(self.pose_dims)
            self._scale_state = MeanStd(self._state.mean[poses], self._state.std[poses])
            self._state_columns = [statistics.state.names.index(name) for name in self._state.names]

    def check_source(self, source: EpisodeSource) -> None:
        """Check a dataset's tasks. Raises UsageError for words that the tokenizer does not know."""
        for task in sorted({episode.task for episode in source.episodes}):
            for prompt in prompts(task, self.config.inputs.instruction):
                self.encode(prompt)

    def inputs(self, samples: list[Window], rngs: list[np.random.Generator] | None = None) -> Inputs:
        """Make what the policy sees, images in bytes; augmented if there is a generator for each sample."""
        settings = self.config.inputs
        ids, mask = self.prompt_ids([s.task for s in samples], rngs)
        states = np.stack([s.states for s in samples])
        return Inputs(
            images=self._camera(settings.camera, samples, rngs),
            ids=ids,
            ids_mask=mask,
            valid=torch.from_numpy(np.stack([s.history_mask for s in samples])),
            hand_images=self._camera(settings.hand_camera, samples, rngs),
            state=self._states(states) if self.pose_dims else None,
        )

    def targets(self, samples: list[Window], rngs: list[np.random.Generator] | None = None) -> Targets:
        """Make the right actions; in the layout segment only the last step counts."""
        window = self.config.policy.window
        actions = [
            self._normalised(s.actions, None if rngs is None else rngs[i]) for i, s in enumerate(samples)
        ]
        masks = np.stack([s.action_mask for s in samples])
        values = np.stack(actions)
        if values.ndim == 3:  # segment: (B, T, A)
            values = np.repeat(values[:, None], window, axis=1)
            last = (np.arange(window) == window - 1)[:, None]
            masks = masks[:, None] & last
        if self.tokens is not None:
            return Targets(torch.from_numpy(self.tokens.encode(values)), torch.from_numpy(masks))
        return Targets(torch.from_numpy(values.astype(np.float32)), torch.from_numpy(masks))

    def decode(self, actions: torch.Tensor) -> NDArray[np.float64]:
        """Convert the actions of `Rollout.step`, (..., A), to the dataset's units, as `action.names`."""
        values = actions.detach().cpu().double().numpy().copy()
        if self.gripper:  # 0 or 1 to the dataset's numbers for shut and open
            low, high = self.action.min[-1], self.action.max[-1]
            values[..., -1] = np.where(values[..., -1] > 0.5, high, low)
        return self.pipeline.decode(values)

    def questions(
        self,
        images: list[Images],
        texts: list[str],
        answers: list[str],
        end: int,
        rngs: list[np.random.Generator] | None = None,
    ) -> tuple[Inputs, LanguageTargets]:
        """Make vision-language samples from images of (1, height, width, 3), prompts and answers.

        The id `end` ends an answer. Images stay in bytes, as those of `inputs`.
        """
        ids, mask = self._pad([self.encode(p + self.config.inputs.instruction.end) for p in texts])
        answer_ids, counts = self._pad([[*self.encode(a), end] for a in answers])
        valid = torch.ones(len(texts), 1, dtype=torch.bool)
        return Inputs(self._images(images, rngs), ids, mask, valid), LanguageTargets(answer_ids, counts)

    def prompt_ids(
        self, tasks: list[str], rngs: list[np.random.Generator] | None = None
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Tokenize tasks, as the dataset words them, to ids (B, N) and their mask."""
        settings = self.config.inputs.instruction
        texts = [instruct(task, settings, None if rngs is None else rngs[i]) for i, task in enumerate(tasks)]
        return self._pad([self.encode(text) for text in texts])

    def encode(self, text: str) -> list[int]:
        """Tokenize a text. Raises UsageError for words that the tokenizer does not know."""
        encoding = self.tokenizer.encode(text, add_special_tokens=False)
        unknown = getattr(self.tokenizer.model, "unk_token", None)
        if not encoding.ids or (unknown is not None and unknown in encoding.tokens):
            raise UsageError(
                f"the tokenizer of {self.config.backbone.path} does not know all words of {text!r}",
                "in the YAML file, reword tasks with replace and templates of inputs.instruction, or take "
                "another backbone",
            )
        return encoding.ids

    def _pad(self, rows: list[list[int]]) -> tuple[torch.Tensor, torch.Tensor]:
        longest = max(map(len, rows))
        mask = torch.tensor([[i < len(row) for i in range(longest)] for row in rows])
        return torch.tensor([row + row[-1:] * (longest - len(row)) for row in rows]), mask

    def _camera(
        self, camera: str | None, samples: list[Window], rngs: list[np.random.Generator] | None
    ) -> torch.Tensor | None:
        """Make a camera's images; None: there is no camera, or the frames were encoded before."""
        if camera is None or not samples[0].images:
            return None
        return self._images([s.images[camera] for s in samples], rngs)

    def _images(self, windows: list[Images], rngs: list[np.random.Generator] | None) -> torch.Tensor:
        """Make (B, W, 3, height, width) uint8, a quarter of the bytes that `to_device` makes of them."""
        size = (self.image.height, self.image.width)
        images = torch.empty((len(windows), len(windows[0]), 3, *size), dtype=torch.uint8)
        if get_worker_info() is not None:
            images.share_memory_()  # from where the process that trains takes it
        planes = images.numpy()
        for i, window in enumerate(windows):
            for step, frame in enumerate(window):
                planes[i, step] = image_to_planes(frame, self.image)
            if rngs is not None:  # images are resized already, so a shift is in pixels of the net's image
                plain = planes[i].transpose(0, 2, 3, 1)
                changed = augment_images(plain, self.config.augmentation, rngs[i])
                if changed is not plain:
                    planes[i] = changed.transpose(0, 3, 1, 2)
        return images

    def _states(self, states: NDArray[np.float32]) -> torch.Tensor:
        chosen = states[..., self._state_columns]
        pose = self._scale_state.encode(chosen[..., : self.pose_dims])
        middle = (self._state.min[-1] + self._state.max[-1]) / 2
        bit = chosen[..., -1:] > middle if self._bit else np.zeros((*chosen.shape[:-1], 1))
        return torch.from_numpy(np.concatenate([pose, bit], axis=-1).astype(np.float32))

    def _normalised(
        self, actions: NDArray[np.float32], rng: np.random.Generator | None
    ) -> NDArray[np.float64]:
        values = self.pipeline.encode(actions[..., self._columns])
        if self.gripper:
            opened = values[..., -1] > (self.action.min[-1] + self.action.max[-1]) / 2
            values[..., -1] = np.where(opened, 1.0, -1.0 if self.tokens is not None else 0.0)
        return values if rng is None else augment_actions(values, self.gripper, self.config.augmentation, rng)
