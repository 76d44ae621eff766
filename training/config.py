"""What a policy's training run is told, as a YAML file. Every key is checked before anything starts."""

import json
import re
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import BaseModel, Field, ValidationError, model_validator
from typing_extensions import Self

from edge.bundle.manifest import ImageSpec
from edge.errors import UsageError
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
    family: str | None = None  # checked against the folder; needed for one whose code lies in the folder
    sha256: str | None = None  # of such a folder, see vla.backbones.loading.load_pinned
    dtype: Literal["float32", "bfloat16"] = "float32"  # of the weights; bfloat16 only where they are frozen
    trainable: Literal["frozen", "last", "lora", "full"] = "full"
    last_layers: Count = TrainableConfig.last_layers
    lora_rank: Count = TrainableConfig.lora_rank
    lora_alpha: Count = TrainableConfig.lora_alpha
    lora_dropout: Fraction = TrainableConfig.lora_dropout
    gradient_checkpointing: bool = False  # less memory, a third more time

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.dtype == "bfloat16" and self.trainable in ("last", "full"):
            raise ValueError(f"weights in bfloat16 lose the small steps of {self.trainable}; use precision")
        return self


class HeadSettings(Section):
    """See vla.heads.HeadConfig."""

    kind: Literal["fc", "lstm", "gpt", "discrete"] = "lstm"
    hidden: Count = 1024
    layers: Count | None = None
    attention_heads: Count = 8
    mlp: tuple[Count, ...] = (1024, 512, 256)
    pool: bool = False
    bins: Annotated[int, Field(ge=2)] = 256  # of the discrete head


class LossSettings(Section):
    """See vla.losses.LossConfig."""

    pose: Literal["huber", "mse"] = "huber"
    gripper_weight: Annotated[float, Field(ge=0)] = 0.01
    step_weights: tuple[Annotated[float, Field(ge=0)], ...] = ()


class PolicySettings(Section):
    """The shape of the policy, see vla.model.VLAConfig."""

    history: Literal["none", "post", "pre", "video"] = "post"
    window: Count = 8  # W, steps
    horizon: Count = 10  # T, actions a chunk
    layout: Mode = "interleave"  # learn every step's chunk of a window, or the last one's (segment)
    action_tokens: Count = 1
    head: HeadSettings = HeadSettings()
    loss: LossSettings = LossSettings()

    @model_validator(mode="after")
    def _check(self) -> Self:
        weights = len(self.loss.step_weights)
        if weights not in (0, self.window):
            raise ValueError(f"loss.step_weights has {weights} numbers for a window of {self.window}")
        if (self.head.kind, self.history, self.layout) == ("discrete", "pre", "segment"):
            raise ValueError("a discrete head with history pre reads its earlier answers: layout interleave")
        return self


class ActionSettings(Section):
    """Which columns of the dataset's actions are learned, and how they get into [-1, 1]."""

    columns: tuple[str, ...] = ()  # empty: all; a gripper only as the last
    scaling: Literal["min_max", "quantile", "mean_std", "limits"] = "quantile"
    low: tuple[float, ...] = ()  # of limits, in the actions' own units, without the gripper
    high: tuple[float, ...] = ()
    mu_law: Positive | None = None  # finer steps near zero, after the scaling

    @model_validator(mode="after")
    def _check(self) -> Self:
        if {bool(self.low), bool(self.high)} != {self.scaling == "limits"}:
            raise ValueError("low and high belong to scaling limits, and to no other")
        return self


class AugmentSettings(Section):
    """Of training samples. One draw holds for a whole window."""

    shift_px: Annotated[int, Field(ge=0)] = 0  # of the model's image, in any direction
    brightness: Fraction = 0.0  # added, of the full range
    contrast: Fraction = 0.0  # factor 1 +- this
    colour: Fraction = 0.0  # factor 1 +- this, each channel by itself
    action_noise: Annotated[float, Field(ge=0)] = 0.0  # deviation, of actions in [-1, 1]; not of a gripper


class OptimiserSettings(Section):
    """AdamW and its schedule. A step is one update of the weights."""

    learning_rate: Positive = 1e-4
    weight_decay: Annotated[float, Field(ge=0)] = 0.0  # of matrices
    betas: tuple[Fraction, Fraction] = (0.9, 0.999)
    schedule: Literal["constant", "cosine", "step"] = "cosine"
    warmup_steps: Annotated[int, Field(ge=0)] = 0
    step_every: Count = 1000  # of schedule step
    step_factor: Fraction = 0.1
    clip_norm: Positive | None = 1.0
    accumulation: Count = 1  # batches an update
    precision: Literal["fp32", "bf16", "fp16"] = "fp32"  # autocast


class ValidationSettings(Section):
    """Which episodes are kept apart, and what "best" means."""

    fraction: Annotated[float, Field(ge=0, lt=1)] = 0.1  # of the episodes; 0: none, then the last is best
    every: Count = 500  # steps, with a checkpoint each time
    samples: Count = 256  # of each source, evenly spread
    success: str | None = None  # "module:function" from a checkpoint's folder to its success rate


class Config(Section):
    """A run."""

    out: Path
    seed: Annotated[int, Field(ge=0)] = 0
    steps: Count = 10000
    log_every: Count = 20
    workers: Annotated[int, Field(ge=0)] | None = None  # processes that load data; None: as there are cores
    start: Path | None = None  # a policy's folder whose weights are the first ones
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
            raise ValueError("sources: one of kind lerobot or calvin must say what the actions are")
        if not any(source.batch_size for source in self.sources.values()):
            raise ValueError("sources: all have batch_size 0, so there is nothing to learn")
        if self.policy.window != 1 and self.policy.history == "none":
            raise ValueError("policy: history none has a window of 1")
        if wrong := self._not_once():
            raise ValueError(f"inputs.encode_once {self.inputs.encode_once}: {wrong}")
        return self

    def _not_once(self) -> str | None:
        """Why the frames can't be encoded before training, if they can't."""
        policy, said = self.policy, self.inputs.instruction
        if self.inputs.encode_once == "none":
            return None
        changes = self.augmentation
        if changes.shift_px or changes.brightness or changes.contrast or changes.colour:
            return "augmentation changes the pictures at every step; only action_noise may be above 0"
        if policy.history == "video":
            return "a clip's pictures are encoded together, so policy.history can't be video"
        if self.inputs.encode_once == "pictures":
            whole = self.backbone.trainable == "full"
            return "backbone.trainable full trains what encodes the pictures" if whole else None
        if self.backbone.trainable != "frozen":
            return "only the head learns, so backbone.trainable must be frozen"
        if policy.head.kind == "discrete" or policy.history == "pre":
            return "it needs a head that comes after the backbone: not discrete, and history none or post"
        if len(said.templates) > 1 or any(said.paraphrases.values()):
            return "a frame has one prompt: one of inputs.instruction.templates, and no paraphrases"
        if any(isinstance(source, WordsSourceSettings) for source in self.sources.values()):
            return "only the head learns, which sources of kind words don't reach"
        return None


class _Loader(yaml.SafeLoader):
    """YAML 1.2's numbers: PyYAML would read 1e-4 as text."""


_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:float", re.compile(r"[-+]?(\d+\.?\d*|\.\d+)[eE][-+]?\d+$"), list("-+.0123456789")
)


def load_config(path: Path) -> Config:
    """Read a run's YAML. Raises UsageError that names the key and what it may be."""
    try:
        found = yaml.load(path.read_text(encoding="utf-8"), _Loader)
    except OSError as error:
        raise UsageError(
            f"cannot read {path}: {error.strerror}", "see training/configs for examples"
        ) from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise UsageError(f"{path} is no YAML: {' '.join(str(error).split())}") from error
    return parse_config(found, str(path))


def parse_config(found: Any, name: str) -> Config:
    """The same of what YAML or JSON made of a file called `name`."""
    try:
        # By way of JSON, in which strict checking still takes text for a path and a list for a tuple.
        return Config.model_validate_json(json.dumps(found))
    except TypeError as error:
        raise UsageError(f"{name}: {error}", "YAML's dates and the like have no place here") from error
    except ValidationError as error:
        # An unknown key first: it is why another one is missing.
        first = min(error.errors(), key=lambda e: e["type"] != "extra_forbidden")
        raise UsageError(f"{name}: {_explain(first)}", "see training/config.py for all keys") from error


_KINDS = ("lerobot", "calvin", "words")


def _explain(error: Any) -> str:
    place = ".".join(str(part) for part in error["loc"] if part not in _KINDS) or "the file"
    if error["type"] == "extra_forbidden":
        keys = _keys_beside(error["loc"])
        return f"unknown key {place}; allowed are {', '.join(keys)}"
    if error["type"] == "missing":
        return f"{place} is missing"
    message = error["msg"].removeprefix("Value error, ").removeprefix("Input ")
    if error["type"] == "value_error":
        return f"{place}: {message}"
    if error["type"].startswith("union_tag"):
        return f"{place}.kind should be {', '.join(_KINDS)}"
    return f"{place} {message}, got {error['input']!r:.60}"


def _keys_beside(place: tuple[Any, ...]) -> list[str]:
    """The keys of the section that an unknown key stands in."""
    section: Any = Config
    for part in place[:-1]:
        if part in _KINDS:  # a source's kind, by which pydantic chose its section
            section = WordsSourceSettings if part == "words" else RobotSourceSettings
        elif section is not None and part in section.model_fields:
            section = section.model_fields[part].annotation
            section = ImageSpec if section == (ImageSpec | None) else section
            section = section if isinstance(section, type) and issubclass(section, BaseModel) else None
    return list(section.model_fields) if section is not None else []
