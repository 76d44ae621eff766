"""The part of a run's config that names its data and what the policy sees of it, see `training.config`."""

from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator
from typing_extensions import Self

from edge.bundle.manifest import ImageSpec

Fraction = Annotated[float, Field(ge=0, le=1)]
Positive = Annotated[float, Field(gt=0)]
Count = Annotated[int, Field(ge=1)]
Keys = Annotated[tuple[str, ...], Field(min_length=1)]


class Section(BaseModel):
    """Keys that are checked, and no others."""

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True)


class InstructionSettings(Section):
    """From the task's words to the prompt. Random choices are made in training only; else the first holds."""

    replace: dict[str, str] = {}  # parts of the task's words and what stands there instead
    templates: tuple[Annotated[str, Field(pattern=r"\{task\}")], ...] = ("{task}",)
    paraphrases: dict[str, tuple[str, ...]] = {}  # by whole task, as the dataset has it
    end: str = ""  # what the family's prompts end in; PaliGemma's in "\n"


class InputSettings(Section):
    """What the policy sees."""

    camera: str
    hand_camera: str | None = None
    image: ImageSpec | None = None  # None: as the backbone's folder says
    state: tuple[str, ...] = ()  # columns of the state token, a gripper only as the last; empty: no token
    encode_once: Literal["none", "pictures", "steps"] = "none"  # see training.pipeline.encode
    encoded: Path | None = None  # the folder for it, which runs may share; None: "encoded" in `out`
    instruction: InstructionSettings = InstructionSettings()


class RobotSourceSettings(Section):
    """Demonstrations."""

    kind: Literal["lerobot", "calvin"]
    path: Path
    split: str = "train"  # of a LeRobotDataset, as all *_keys are
    state_keys: Keys | None = None  # features joined to the state; None: observation.state, or none
    action_keys: Keys | None = None  # features joined to the actions; None: action
    batch_size: Annotated[int, Field(ge=0)] = 16  # a process; 0: only says what the actions are
    weight: Annotated[float, Field(ge=0)] = 1.0  # of its loss
    episodes: Count | None = None  # only so many

    @model_validator(mode="after")
    def _check(self) -> Self:
        for name in ("state_keys", "action_keys"):
            keys = getattr(self, name) or ()
            if keys and self.kind != "lerobot":
                raise ValueError(f"{name} choose features of kind lerobot; {self.kind} has its own")
            if len(set(keys)) < len(keys):
                raise ValueError(f"{name} has a key twice")
        return self


class WordsSourceSettings(Section):
    """Questions about images: a folder with metadata.jsonl, see training.datasets.words."""

    kind: Literal["words"]
    path: Path
    batch_size: Count = 16
    weight: Annotated[float, Field(ge=0)] = 1.0


SourceSettings = Annotated[RobotSourceSettings | WordsSourceSettings, Field(discriminator="kind")]
