"""What a bundle's `manifest.json` holds."""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from edge.records import ActionSpec

SCHEMA_VERSION = 1

# No separators and no leading dot: a listed file always lies directly in the folder.
FileName = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_][A-Za-z0-9._-]{0,99}$")]
Sha256 = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]


class _Model(BaseModel):
    model_config = ConfigDict(strict=True, extra="forbid", frozen=True)


class FileInfo(_Model):
    """One file of the bundle."""

    file: FileName
    bytes: int = Field(ge=0)
    sha256: Sha256


class TensorInfo(_Model):
    """One input or output of a graph; shapes are static."""

    name: str
    dtype: str  # a numpy name, "float32"
    shape: tuple[int, ...]


class GraphInfo(FileInfo):
    """One compiled graph."""

    inputs: tuple[TensorInfo, ...]
    outputs: tuple[TensorInfo, ...]
    precision: Literal["fp32", "fp16", "bf16", "int8", "fp8", "int4"]


class Vocabulary(_Model):
    """The targets that the model knows, as `[colour] kind`. Both empty: it takes any words."""

    kinds: tuple[str, ...] = ()
    colours: tuple[str, ...] = ()


class ImageSpec(_Model):
    """What the model wants of an image: (x / 255 - mean) / std per RGB channel, after resizing."""

    height: int = Field(gt=0)  # pixels
    width: int = Field(gt=0)  # pixels
    resize: Literal["area", "bilinear", "bicubic"]
    mean: tuple[float, float, float]
    std: tuple[float, float, float]


class Target(_Model):
    """What the graphs were compiled for; "any" where it does not matter."""

    engine: Literal["onnxruntime", "tensorrt"]
    device: str = "any"
    tensorrt: str = "any"
    jetpack: str = "any"


class Manifest(_Model):
    """What `manifest.json` holds."""

    schema_version: int
    name: str
    family: str
    policy: Literal["grounding", "token", "head"]
    goals: tuple[str, ...]
    prompts: dict[str, str]  # by goal, with {target}; where the model was not taught its family's
    vocabulary: Vocabulary
    image: ImageSpec
    action: ActionSpec | None
    graphs: dict[str, GraphInfo]  # by role: vision, prefill, decode, head; floor where the model brings one
    files: dict[str, FileInfo]  # by role: tokenizer, calibration
    target: Target
    provenance: dict[str, str]
    parity: dict[str, float]
