"""The part of a run's config about its data and what the policy sees of it, see `training.config`."""

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
    """A section of the file, in which other keys are refused."""

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True)


class InstructionSettings(Section):
    """How a task's words become a prompt. Only training chooses at random; else the first one is taken."""

    replace: dict[str, str] = {}  # parts of the task's words, and what replaces them
    templates: tuple[Annotated[str, Field(pattern=r"\{task\}")], ...] = ("{task}",)
    paraphrases: dict[str, tuple[str, ...]] = {}  # by whole task, as the dataset words it
    end: str = ""  # end of the family's prompts, which is "\n" for PaliGemma


class InputSettings(Section):
    """What the policy sees."""

    camera: str  # a camera of the dataset, by its name there
    hand_camera: str | None = None  # a second one, on the arm
    image: ImageSpec | None = None  # None: as the backbone's folder says
    state: tuple[str, ...] = ()  # columns of the state token, a gripper as the last; empty: no token
    encode_once: Literal["none", "pictures", "steps"] = "none"  # see training.pipeline.encode
    encoded: Path | None = None  # folder for encoded frames, which runs may share; None: "encoded" in `out`
    instruction: InstructionSettings = InstructionSettings()


class RobotSourceSettings(Section):
    """A dataset of demonstrations."""

    kind: Literal["lerobot", "calvin"]
    path: Path
    split: str = "train"  # lerobot only, as are state_keys and action_keys
    state_keys: Keys | None = None  # features joined to the state; None: observation.state, if it is there
    action_keys: Keys | None = None  # features joined to the actions; None: action
    batch_size: Annotated[int, Field(ge=0)] = (
        16  # samples in each process; 0: it adds to the statistics alone
    )
    weight: Annotated[float, Field(ge=0)] = 1.0  # factor on its loss
    episodes: Count | None = None  # number of episodes to learn from; None: all

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
