"""What a bundle's `manifest.json` holds."""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError, model_validator
from typing_extensions import Self

from edge.records import BASE_ACTION, ActionSpec

SCHEMA_VERSION = 1
MAX_ANSWER_TOKENS = 4096

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
    precision: Literal["fp32", "fp16", "bf16", "int8", "fp8", "int4", "nvfp4"]
    weights_bytes: int = Field(default=0, ge=0)  # that it refers to in the bundle's weights file


class Vocabulary(_Model):
    """The targets that the model knows, as `[colour] kind`. Both empty: it takes any words."""

    kinds: tuple[str, ...] = ()
    colours: tuple[str, ...] = ()


class ImageSpec(_Model):
    """What the model wants of an image: (x / 255 - mean) / std per RGB channel, after resizing.

    How the image comes to height and width is its fit:

        stretch   squeezed to them whole
        crop      its shorter edge to them, the middle cut out (CLIP)
        multiple  both edges to multiples of them, in patches of half a multiple (Qwen-VL)
        tiles     cut to tiles of that size, and the whole image once more (Idefics3, SmolVLM)
        single    as tiles, but only the whole image
    """

    height: int = Field(gt=0)  # pixels
    width: int = Field(gt=0)  # pixels
    resize: Literal["area", "bilinear", "bicubic", "lanczos"]  # area is cv2's, the others are Pillow's
    mean: tuple[float, float, float]
    std: tuple[float, float, float]
    fit: Literal["stretch", "crop", "multiple", "tiles", "single"] = "stretch"
    pixels: tuple[int, int] | None = None  # least and most of the resized image, of multiple
    longest_edge: int | None = Field(default=None, gt=0, le=4096)  # pixels, before tiles or single

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.fit != "stretch" and (self.height != self.width or self.resize == "area"):
            raise ValueError(f"fit {self.fit} needs a square image, and another filter than area")
        if (self.fit == "multiple") != (self.pixels is not None):
            raise ValueError("pixels belong to fit multiple, and to no other")
        if self.fit == "multiple" and self.height % 2:
            raise ValueError(f"fit multiple needs an even multiple, not {self.height}")
        if (self.fit in ("tiles", "single")) != (self.longest_edge is not None):
            raise ValueError("longest_edge belongs to fits tiles and single, and to no other")
        return self


class Target(_Model):
    """What the graphs were compiled for; "any" where it does not matter."""

    engine: Literal["onnxruntime", "tensorrt"]
    device: str = "any"
    tensorrt: str = "any"
    jetpack: str = "any"


class MinMaxScaling(_Model):
    """From [low, high] of each column to [-1, 1], see `edge.actions.MinMax`."""

    kind: Literal["min_max"]
    low: tuple[float, ...]  # in the columns' units
    high: tuple[float, ...]


class MeanStdScaling(_Model):
    """To mean 0 and deviation 1 of each column, see `edge.actions.MeanStd`."""

    kind: Literal["mean_std"]
    mean: tuple[float, ...]  # in the columns' units
    std: tuple[float, ...]


class ActionTokens(_Model):
    """The ids of a discrete head, see `edge.actions.ActionTokenizer`."""

    first_id: int = Field(ge=0)  # lowest action id, of the highest action
    bins: int = Field(ge=2)


class StateInput(_Model):
    """What of the odometry a policy is told; each column is (value - mean) / std."""

    columns: tuple[str, ...] = Field(min_length=1)  # names of `edge.model.actions.STATE_COLUMNS`
    mean: tuple[float, ...]
    std: tuple[float, ...]


class ActionHead(_Model):
    """How a policy of kind head or token says its actions: at each step T rows of A columns."""

    kind: Literal["fc", "lstm", "gpt", "discrete"]
    history: Literal["none", "post"]
    window: int = Field(ge=1)  # W, steps that the head remembers
    horizon: int = Field(ge=1)  # T
    rate_hz: float = Field(gt=0, allow_inf_nan=False)  # of steps and of rows, as in the demonstrations
    columns: tuple[str, ...] = Field(min_length=1)  # of the base's action; the others stay zero
    scaling: Annotated[MinMaxScaling | MeanStdScaling, Field(discriminator="kind")]
    mu_law: float | None = None  # finer steps near zero, after the scaling
    tokens: ActionTokens | None = None  # of kind discrete
    state: StateInput | None = None  # None: it is told no state

    @model_validator(mode="after")
    def _check(self) -> Self:
        strange = [name for name in self.columns if name not in BASE_ACTION.names]
        if strange or len(set(self.columns)) < len(self.columns):
            raise ValueError(f"columns {self.columns} are not different ones of {BASE_ACTION.names}")
        if (self.kind == "discrete") != (self.tokens is not None):
            raise ValueError("tokens belong to kind discrete, and to no other")
        return self


TokenId = Annotated[int, Field(ge=0)]


class TokenRules(_Model):
    """What a checkpoint's generation_config.json says of the tokens of its answers, in its own words.

    Ids seen are those of the whole prompt, its picture included, and of what was said; of a decoder with an
    encoder, `start` and what was said.
    """

    repetition_penalty: float = Field(default=1.0, gt=0, allow_inf_nan=False)  # of each id seen
    no_repeat_ngram_size: int = Field(default=0, ge=0)  # so many ids in a row are not said twice
    bad_words_ids: tuple[Annotated[tuple[TokenId, ...], Field(min_length=1)], ...] = ()
    min_length: int = Field(default=0, ge=0)  # ids seen, before which no end is said
    min_new_tokens: int = Field(default=0, ge=0)  # the same, of what was said
    forced_bos_token_id: TokenId | None = None  # said where one id was seen
    suppress_tokens: tuple[TokenId, ...] = ()  # never said
    begin_suppress_tokens: tuple[TokenId, ...] = ()  # not said first
    start: tuple[TokenId, ...] = ()  # what a decoder with an encoder goes on from; of others empty


class AnswerSpec(_Model):
    """How a model of open words answers: the most probable token, over and over, until that is an end."""

    max_tokens: int = Field(ge=1, le=MAX_ANSWER_TOKENS)  # of the answer; one that has more is cut off
    end_ids: tuple[TokenId, ...] = Field(min_length=1)  # each ends an answer
    prefix: str = ""  # what the family's parser wants ahead of what was said about a target
    rules: TokenRules | None = None  # None: any token may be said at any time


class ChatTemplate(_Model):
    """What a checkpoint's chat template writes around one picture and one question."""

    before: str  # the picture
    between: str  # the picture and the words
    after: str  # the words
    special: bool  # whether the tokenizer adds what its post-processor wants


class PromptSpec(_Model):
    """How a policy's prompt becomes ids, where its vocabulary is open: `after_image`, then the words with
    their end, in the tokenizer's plain ids."""

    after_image: tuple[TokenId, ...]
    end: str  # of every prompt


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
    graphs: dict[str, GraphInfo]  # by role: vision, prefill, decode, head, window; floor where there is one
    files: dict[str, FileInfo]  # by role: tokenizer, calibration, parity; weights of a large bundle
    plans: dict[
        str, FileInfo
    ] = {}  # by the role of the graph; of engine tensorrt; empty until they are built
    target: Target
    provenance: dict[str, str]
    parity: dict[str, float]
    head: ActionHead | None = None  # of policies token and head
    answer: AnswerSpec | None = None  # of policy grounding; None: only places and known words can be said
    chat: ChatTemplate | None = None  # the checkpoint's own; None: the family's, see `edge.model.prompt_ids`
    prompt: PromptSpec | None = None  # of policies token and head; None: the words of a closed vocabulary
    unproved: tuple[str, ...] = ()  # what an export found too far from fp32 and was told to write anyway

    @model_validator(mode="after")
    def _check(self) -> Self:
        kind = None if self.head is None else ("token" if self.head.kind == "discrete" else "head")
        if kind != (None if self.policy == "grounding" else self.policy):
            raise ValueError(f"a {self.policy} policy with a section head that says {kind}")
        if self.answer is not None and self.policy != "grounding":
            raise ValueError(f"a {self.policy} policy with a section answer")
        if self.chat is not None and self.answer is None:
            raise ValueError("a section chat without a section answer")
        if self.prompt is not None and self.policy == "grounding":
            raise ValueError("a grounding policy with a section prompt")
        wanted = self.graphs.keys() if self.target.engine == "tensorrt" else set[str]()
        if self.plans and self.plans.keys() != wanted:
            raise ValueError(
                f"engine {self.target.engine} wants plans of {sorted(wanted)}, not {sorted(self.plans)}"
            )
        return self


def first_problem(error: ValidationError) -> str:
    """Return the first thing that a file holds wrongly: where, and what is wrong with it."""
    first = error.errors()[0]
    return f"{'.'.join(map(str, first['loc']))}: {first['msg']}"
