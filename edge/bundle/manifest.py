"""The schema of a bundle's `manifest.json`."""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError, model_validator
from typing_extensions import Self

from edge.records import BASE_ACTION, ActionSpec

SCHEMA_VERSION = 1
MAX_ANSWER_TOKENS = 4096
SIMULATED_ROOMS = "simulated-rooms"  # the domain of models that were trained on the simulator alone

MIN_STD = 1e-6  # limit for the channels of an image: what divides by less is not a number in float32
# No separators and no leading dot: a listed file always lies directly in the folder.
FileName = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_][A-Za-z0-9._-]{0,99}$")]
DOMAIN = r"([a-z][a-z0-9-]{0,39})?"
Domain = Annotated[str, StringConstraints(pattern=f"^{DOMAIN}$")]
Sha256 = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]


class _Model(BaseModel):
    model_config = ConfigDict(strict=True, extra="forbid", frozen=True, allow_inf_nan=False)


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
    weights_bytes: int = Field(default=0, ge=0)  # those in the bundle's weights file


class Vocabulary(_Model):
    """The targets that the model knows, as `[colour] kind`; both empty if it takes any words."""

    kinds: tuple[str, ...] = ()
    colours: tuple[str, ...] = ()


class ImageSpec(_Model):
    """The model's input image: (x / 255 - mean) / std per RGB channel, after resizing.

    `fit` says how an image gets to height and width:

        stretch   the whole image is squeezed to them
        crop      the shorter edge is scaled to them, the middle cut out (CLIP)
        multiple  both edges are scaled to multiples of them, in patches of half a multiple (Qwen-VL)
        tiles     it is cut into tiles of that size, and the whole image is added (Idefics3, SmolVLM)
        single    as tiles, but only the whole image
    """

    height: int = Field(gt=0)  # pixels
    width: int = Field(gt=0)  # pixels
    resize: Literal["area", "bilinear", "bicubic", "lanczos"]  # area is cv2's, the others are Pillow's
    mean: tuple[float, float, float]
    std: tuple[float, float, float]
    fit: Literal["stretch", "crop", "multiple", "tiles", "single"] = "stretch"
    pixels: tuple[int, int] | None = None  # fit multiple: least and most pixels of the resized image
    longest_edge: int | None = Field(
        default=None, gt=0, le=4096
    )  # fits tiles and single: pixels before the cut

    @model_validator(mode="after")
    def _check(self) -> Self:
        if not all(abs(each) > MIN_STD for each in self.std):
            raise ValueError(f"std {self.std} has a number of {MIN_STD} or less")
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
    """The machine that the graphs were compiled for; "any" if it does not matter."""

    engine: Literal["onnxruntime", "tensorrt"]
    device: str = "any"  # for people
    sm: str = "any"  # compute capability, "87"
    multiprocessors: int = Field(default=0, ge=0)  # the GPU has; 0: not written down
    tensorrt: str = "any"
    jetpack: str = "any"


class MinMaxScaling(_Model):
    """The scaling of each column from [low, high] to [-1, 1], see `edge.actions.MinMax`."""

    kind: Literal["min_max"]
    low: tuple[float, ...]  # in the columns' units
    high: tuple[float, ...]


class MeanStdScaling(_Model):
    """The scaling of each column to mean 0 and deviation 1, see `edge.actions.MeanStd`."""

    kind: Literal["mean_std"]
    mean: tuple[float, ...]  # in the columns' units
    std: tuple[float, ...]


class ActionTokens(_Model):
    """The ids of a discrete head, see `edge.actions.ActionTokenizer`."""

    first_id: int = Field(ge=0)  # the lowest id, which the highest action has
    bins: int = Field(ge=2)


class StateInput(_Model):
    """The columns of the odometry that a policy takes as its state, each as (value - mean) / std."""

    columns: tuple[str, ...] = Field(min_length=1)  # names of `edge.model.actions.STATE_COLUMNS`
    mean: tuple[float, ...]
    std: tuple[float, ...]


class ActionHead(_Model):
    """The action head of a policy of kind head or token: at each step it predicts T rows of A columns."""

    kind: Literal["fc", "lstm", "gpt", "discrete"]
    history: Literal["none", "post"]
    window: int = Field(ge=1)  # W, steps that the head remembers
    horizon: int = Field(ge=1)  # T
    rate_hz: float = Field(gt=0, allow_inf_nan=False)  # rate of steps and of rows, as in the demonstrations
    columns: tuple[str, ...] = Field(min_length=1)  # columns of the base's action; all others stay zero
    scaling: Annotated[MinMaxScaling | MeanStdScaling, Field(discriminator="kind")]
    mu_law: float | None = None  # finer steps near zero, after the scaling
    tokens: ActionTokens | None = None  # kind discrete only
    state: StateInput | None = None  # None: the policy takes no state

    @model_validator(mode="after")
    def _check(self) -> Self:
        unknown = [name for name in self.columns if name not in BASE_ACTION.names]
        if unknown or len(set(self.columns)) < len(self.columns):
            raise ValueError(f"columns {self.columns} are not different ones of {BASE_ACTION.names}")
        if (self.kind == "discrete") != (self.tokens is not None):
            raise ValueError("tokens belong to kind discrete, and to no other")
        return self


TokenId = Annotated[int, Field(ge=0)]


class TokenRules(_Model):
    """The rules for the tokens of an answer in a checkpoint's generation_config.json, under its names.

    The ids seen are those of the whole prompt, its image included, and of the answer so far; for a decoder
    with an encoder they are `start` and the answer so far.
    """

    repetition_penalty: float = Field(default=1.0, gt=0, allow_inf_nan=False)  # applied to each id seen
    no_repeat_ngram_size: int = Field(default=0, ge=0)  # no row of so many ids comes twice
    bad_words_ids: tuple[Annotated[tuple[TokenId, ...], Field(min_length=1)], ...] = ()
    min_length: int = Field(default=0, ge=0)  # ids seen before an end may come
    min_new_tokens: int = Field(default=0, ge=0)  # ids of the answer before an end may come
    forced_bos_token_id: TokenId | None = None  # comes after exactly one id
    suppress_tokens: tuple[TokenId, ...] = ()  # never come
    begin_suppress_tokens: tuple[TokenId, ...] = ()  # never come first
    start: tuple[TokenId, ...] = ()  # first ids of a decoder with an encoder; empty for others


class AnswerSpec(_Model):
    """Decoding of a model of open words: the most probable token, over and over, until an end token."""

    max_tokens: int = Field(ge=1, le=MAX_ANSWER_TOKENS)  # tokens of an answer; a longer one is cut off
    end_ids: tuple[TokenId, ...] = Field(min_length=1)  # each ends an answer
    prefix: str = ""  # put ahead of an answer about a target, for the family's parser
    rules: TokenRules | None = None  # None: any token may come at any time


class ChatTemplate(_Model):
    """The text that a checkpoint's chat template writes around one image and one question."""

    before: str  # ahead of the image
    between: str  # between the image and the words
    after: str  # behind the words
    special: bool  # whether the tokenizer adds its post-processor's tokens


class PromptSpec(_Model):
    """The layout of a prompt's ids for a policy of open words: `after_image`, the words, `end`."""

    after_image: tuple[TokenId, ...]
    end: str  # ends every prompt


class Manifest(_Model):
    """The content of `manifest.json`."""

    schema_version: int
    name: str
    family: str
    policy: Literal["grounding", "token", "head"]
    goals: tuple[str, ...]
    prompts: dict[str, str]  # by goal, with {target}; goals not in it use the family's
    vocabulary: Vocabulary
    image: ImageSpec
    action: ActionSpec | None
    graphs: dict[str, GraphInfo]  # by stage: vision, prefill, decode, head, window, floor
    files: dict[str, FileInfo]  # by role: tokenizer, calibration, parity; weights of a large bundle
    plans: dict[str, FileInfo] = {}  # engine tensorrt: by stage; empty until they are built
    target: Target
    provenance: dict[str, str]
    parity: dict[str, float]
    head: ActionHead | None = None  # policies token and head only
    answer: AnswerSpec | None = None  # policy grounding only; None: location tokens and known words alone
    chat: ChatTemplate | None = None  # the checkpoint's own; None: the family's, see `edge.model.prompt_ids`
    prompt: PromptSpec | None = None  # policies token and head only; None: the words of a closed vocabulary
    domain: Domain = ""  # what its training has shown it, such as SIMULATED_ROOMS; empty: not stated
    floor_domain: Domain = ""  # the same of its floor graph
    camera: str = ""  # name of the camera that the policy sees with; empty: the only one, or "front"
    restarts: int = Field(default=0, ge=0, le=3)  # times that a run may start its engine afresh after a fault
    unproved: tuple[str, ...] = ()  # figures too far from fp32 in an export that was written anyway

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.action is not None and self.action.names != BASE_ACTION.names:
            raise ValueError(f"actions {self.action.names} are not those of a base, {BASE_ACTION.names}")
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
    """Return the first error of a file: where it is, and what is wrong."""
    first = error.errors()[0]
    return f"{'.'.join(map(str, first['loc']))}: {first['msg']}"
