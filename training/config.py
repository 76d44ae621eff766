"""The YAML file of a training run. Every key is checked before anything starts."""

import json
import re
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import BaseModel, Field, ValidationError, model_validator
from typing_extensions import Self

from edge.bundle.manifest import ImageSpec
from edge.errors import UsageError, reason_of
from edge.robots.yaml_tree import check_events
from training.config_data import (
    Count,
    Fraction,
    InputSettings,
    Positive,
    RobotSourceSettings,
    Section,
    SourceSettings,
    WordsSourceSettings,
)
from training.datasets.windows import Mode
from vla.training_modes import TrainableConfig


class BackboneSettings(Section):
    """The vision-language model, and how much of it learns."""

    path: Path  # a checkpoint folder with tokenizer.json
    family: str | None = None  # checked against the folder; needed if the family's code is in the folder
    sha256: str | None = None  # digest of a folder with code, see vla.backbones.loading.load_pinned
    dtype: Literal["float32", "bfloat16"] = "float32"  # type of the weights; bfloat16 for frozen ones only
    trainable: Literal["frozen", "last", "lora", "full"] = "full"
    last_layers: Count = TrainableConfig.last_layers
    lora_rank: Count = TrainableConfig.lora_rank
    lora_alpha: Count = TrainableConfig.lora_alpha
    lora_dropout: Fraction = TrainableConfig.lora_dropout
    gradient_checkpointing: bool = False  # less memory, a third more time

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.dtype == "bfloat16" and self.trainable in ("last", "full"):
            raise ValueError(
                f"dtype bfloat16 would lose the small steps that trainable {self.trainable} takes; "
                "leave dtype out, and set optimiser.precision to bf16"
            )
        return self


class HeadSettings(Section):
    """The head, see vla.heads.HeadConfig."""

    kind: Literal["fc", "lstm", "gpt", "discrete"] = "lstm"
    hidden: Count = 1024
    layers: Count | None = None
    attention_heads: Count = 8
    mlp: tuple[Count, ...] = (1024, 512, 256)
    pool: bool = False
    bins: Annotated[int, Field(ge=2)] = 256  # discrete only: steps that a number's range is cut into


class LossSettings(Section):
    """The loss on actions, see vla.losses.LossConfig."""

    pose: Literal["huber", "mse"] = "huber"
    gripper_weight: Annotated[float, Field(ge=0)] = 0.01
    step_weights: tuple[Annotated[float, Field(ge=0)], ...] = ()


class PolicySettings(Section):
    """The shape of the policy, see vla.model.VLAConfig."""

    history: Literal["none", "post", "pre", "video"] = "post"
    window: Count = 8  # W, steps that the policy sees
    horizon: Count = 10  # T, actions in a chunk
    layout: Mode = "interleave"  # learn the chunk of every step in a window, or of the last one (segment)
    action_tokens: Count = 1
    head: HeadSettings = HeadSettings()
    loss: LossSettings = LossSettings()

    @model_validator(mode="after")
    def _check(self) -> Self:
        weights = len(self.loss.step_weights)
        if weights not in (0, self.window):
            raise ValueError(f"loss.step_weights has {weights} numbers for a window of {self.window}")
        if (self.head.kind, self.history, self.layout) == ("discrete", "pre", "segment"):
            raise ValueError(
                "a discrete head with history pre reads its earlier answers, so layout must be interleave"
            )
        return self


class ActionSettings(Section):
    """Which columns of the dataset's actions are learned, and how they are scaled to [-1, 1]."""

    columns: tuple[str, ...] = ()  # empty: all; a gripper must be the last
    scaling: Literal["min_max", "quantile", "mean_std", "limits"] = "quantile"
    low: tuple[float, ...] = ()  # for scaling limits, in the actions' own units, without the gripper
    high: tuple[float, ...] = ()  # likewise
    mu_law: Positive | None = None  # finer steps near zero, after the scaling

    @model_validator(mode="after")
    def _check(self) -> Self:
        if {bool(self.low), bool(self.high)} != {self.scaling == "limits"}:
            raise ValueError("low and high belong to scaling limits: set all three, or none")
        return self


class AugmentSettings(Section):
    """Random changes to training samples. One draw holds for a whole window."""

    shift_px: Annotated[int, Field(ge=0)] = 0  # pixels of the model's image, in any direction
    brightness: Fraction = 0.0  # added at most, as a share of the full range
    contrast: Fraction = 0.0  # factor from 1 - this to 1 + this
    colour: Fraction = 0.0  # factor from 1 - this to 1 + this, for each channel by itself
    action_noise: Annotated[float, Field(ge=0)] = (
        0.0  # standard deviation, for actions in [-1, 1]; a gripper gets none
    )


class OptimiserSettings(Section):
    """AdamW and its schedule. A step is one update of the weights."""

    learning_rate: Positive = 1e-4
    weight_decay: Annotated[float, Field(ge=0)] = 0.0  # for matrices only
    betas: tuple[Fraction, Fraction] = (0.9, 0.999)
    schedule: Literal["constant", "cosine", "step"] = "cosine"
    warmup_steps: Annotated[int, Field(ge=0)] = 0
    step_every: Count = 1000  # steps; for schedule step
    step_factor: Fraction = 0.1  # for schedule step
    clip_norm: Positive | None = 1.0  # largest norm of the gradients; None: any
    accumulation: Count = 1  # batches in an update
    precision: Literal["fp32", "bf16", "fp16"] = "fp32"  # type that autocast computes in


class ValidationSettings(Section):
    """Which episodes are kept for validation, and which checkpoint is the best."""

    fraction: Annotated[float, Field(ge=0, lt=1)] = (
        0.1  # share of the episodes; 0: none, and the last checkpoint is best
    )
    every: Count = 500  # steps between validations; each writes a checkpoint
    samples: Count = 256  # samples from each source, evenly spread
    success: str | None = None  # "module:function" that takes a checkpoint's folder, returns its success rate


class Config(Section):
    """All settings of a run."""

    out: Path  # the run's folder
    seed: Annotated[int, Field(ge=0)] = 0
    steps: Count = 10000
    log_every: Count = 20
    workers: Annotated[int, Field(ge=0, le=64)] | None = None  # processes that load data; None: by the cores
    start: Path | None = None  # folder of a policy whose weights the run starts with
    backbone: BackboneSettings
    policy: PolicySettings = PolicySettings()
    inputs: InputSettings
    actions: ActionSettings = ActionSettings()
    sources: Annotated[dict[str, SourceSettings], Field(min_length=1)]
    augmentation: AugmentSettings = AugmentSettings()
    optimiser: OptimiserSettings = OptimiserSettings()
    validation: ValidationSettings = ValidationSettings()

    @model_validator(mode="after")
    def _check(self) -> Self:
        if not any(isinstance(source, RobotSourceSettings) for source in self.sources.values()):
            raise ValueError("sources: at least one must be of kind lerobot or calvin, which have actions")
        if not any(source.batch_size for source in self.sources.values()):
            raise ValueError("sources: all have batch_size 0, so there is nothing to learn")
        if self.policy.window != 1 and self.policy.history == "none":
            raise ValueError(
                f"policy: history none has a window of 1, not {self.policy.window}: set policy.window to 1"
            )
        if wrong := self._not_once():
            raise ValueError(f"inputs.encode_once {self.inputs.encode_once}: {wrong}")
        return self

    def _not_once(self) -> str | None:
        """Say why the frames can't be encoded before training; None: they can."""
        policy, instruction = self.policy, self.inputs.instruction
        if self.inputs.encode_once == "none":
            return None
        changes = self.augmentation
        if changes.shift_px or changes.brightness or changes.contrast or changes.colour:
            return "augmentation changes the images at every step; only action_noise may be above 0"
        if policy.history == "video":
            return "a clip's images are encoded together, so policy.history can't be video"
        if self.inputs.encode_once == "pictures":
            whole = self.backbone.trainable == "full"
            return "backbone.trainable full trains what encodes the images" if whole else None
        if self.backbone.trainable != "frozen":
            return "only the head learns, so backbone.trainable must be frozen"
        if policy.head.kind == "discrete" or policy.history == "pre":
            return "it needs a head behind the backbone: not discrete, and policy.history none or post"
        if len(instruction.templates) > 1 or any(instruction.paraphrases.values()):
            return "a frame has one prompt: give one of inputs.instruction.templates and no paraphrases"
        if any(isinstance(source, WordsSourceSettings) for source in self.sources.values()):
            return "only the head learns, and sources of kind words don't train it"
        return None


_MOST_CHARS = 1_000_000  # in a file; the longest list in one has a line for each task of a dataset
_DEEPEST = 16  # levels


class _Loader(yaml.SafeLoader):
    """Reads numbers as YAML 1.2 does: PyYAML would take 1e-4 for text."""


_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:float", re.compile(r"[-+]?(\d+\.?\d*|\.\d+)[eE][-+]?\d+$"), list("-+.0123456789")
)


def load_config(path: Path) -> Config:
    """Read a run's YAML file. Raises UsageError that names the wrong key and what it may be."""
    try:
        text = path.read_text(encoding="utf-8")
        if len(text) > _MOST_CHARS:
            raise UsageError(f"{path} has {len(text)} characters (limit {_MOST_CHARS})")
        check_events(text, str(path), _DEEPEST)
        found = yaml.load(text, _Loader)
    except OSError as error:
        raise UsageError(
            f"cannot read {path}: {error.strerror}", "see training/configs for examples"
        ) from error
    except (yaml.YAMLError, ValueError) as error:  # ValueError: such as a date in month 13
        raise UsageError(
            f"{path} is not YAML: {reason_of(error)}", "see training/configs for examples"
        ) from error
    return parse_config(found, str(path))


def parse_config(found: Any, name: str) -> Config:
    """Check what YAML or JSON made of a file called `name`. Raises UsageError like `load_config`."""
    try:
        # Strict checking of JSON, unlike that of objects, takes text for a path and a list for a tuple.
        return Config.model_validate_json(json.dumps(found))
    except ValidationError as error:
        # An unknown key comes first: a misspelled one is why another is missing.
        first = min(error.errors(), key=lambda e: e["type"] != "extra_forbidden")
        raise UsageError(f"{name}: {_explain(first)}", _hint(first)) from error
    except (TypeError, ValueError) as error:  # ValueError: a number of thousands of digits
        raise UsageError(
            f"{name}: {reason_of(error)}", "quote it: YAML takes it for a date, a number or the like"
        ) from error


_KINDS = ("lerobot", "calvin", "words")


def _explain(error: Any) -> str:
    key = _key(error) or "the file"
    if error["type"] == "extra_forbidden":
        keys = _keys_beside(error["loc"])
        return f"unknown key {key}; allowed are {', '.join(keys)}"
    if error["type"] == "missing":
        return f"{key} is missing"
    message = error["msg"].removeprefix("Value error, ").removeprefix("Input ")
    if error["type"] == "value_error":
        return f"{key}: {message}"
    if error["type"].startswith("union_tag"):
        return f"{key}.kind should be {', '.join(_KINDS)}"
    return f"{key} {message}, got {error['input']!r:.60}"


def _key(error: Any) -> str:
    return ".".join(str(part) for part in error["loc"] if part not in _KINDS)


def _hint(error: Any) -> str:
    if _key(error) == "inputs.camera" and error["type"] == "missing":
        return (
            "write the name of one of the dataset's cameras, such as `inputs: {camera: front}`; "
            "a LeRobotDataset names them in meta/info.json, as observation.images.NAME"
        )
    return "training/config.py describes all keys, training/configs has examples"


def _keys_beside(path: tuple[Any, ...]) -> list[str]:
    """List the keys of the section that has an unknown key."""
    section: Any = Config
    for part in path[:-1]:
        if part in _KINDS:  # a source's kind, by which pydantic chose its section
            section = WordsSourceSettings if part == "words" else RobotSourceSettings
        elif section is not None and part in section.model_fields:
            section = section.model_fields[part].annotation
            section = ImageSpec if section == (ImageSpec | None) else section
            section = section if isinstance(section, type) and issubclass(section, BaseModel) else None
    return list(section.model_fields) if section is not None else []
