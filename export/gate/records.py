"""The gate's records: its limits, what it measured, and its refusal. They are written into parity.json."""

import json
import math
from dataclasses import asdict, dataclass, field
from typing import Any

from edge.errors import BundleRefused
from export.measure.sensitivity import Sensitivity


@dataclass(frozen=True)
class Limits:
    """What a bundle must keep to, against its fp32 reference."""

    stage_cosine: float = 0.95  # lowest of any stage and input
    stage_sqnr_db: float = 20.0  # median of any stage
    lost: float = 0.01  # share of the fp32 bundle's detections
    gained: float = 0.01  # share of the questions that it answers with no detection
    iou_median: float = 0.9
    min_detections: int = 20  # fewer prove nothing
    words_equal: float = 0.8  # share of answers in words; near-ties may fall either way
    equal_tokens: float = 0.9  # share of the tokens of discrete policies
    said_equal: float = 0.8  # share of the tokens that a large model generates, on few questions
    action_share: float = 0.05  # p99 error of any column, as a share of the column's span
    success_points: float = 0.02  # share of the same simulated rooms that fewer goals are reached in


LIMITS = Limits()


@dataclass(frozen=True)
class StageError:
    """The error of one graph against its fp32 one over many inputs; of several outputs the worst counts."""

    cosine: float  # lowest
    max_error: float  # largest difference of two numbers
    sqnr_db: float  # median ratio of signal to quantization noise
    finite: bool  # False: it computed NaN or infinity, and the others are 0

    @property
    def summary(self) -> str:
        return f"cosine {self.cosine:.4f}, {self.sqnr_db:.1f} dB" if self.finite else "NaN or infinity"


@dataclass(frozen=True)
class LayerError:
    """The error that a layer adds to its graph, as a share of its signal; infinite if it computes NaN."""

    layer: str
    added: float


@dataclass(frozen=True)
class BoxAnswers:
    """How a grounding bundle's answers differ from those of its fp32 reference.

    A detection is an answer that a robot would believe (`SeekerParams.min_confidence`). It is lost
    when the other bundle has none there, with `export.gate.answers.SAME_IOU`, and gained when only the other
    has one. It is sure from `export.gate.answers.SURE` on.
    """

    questions: int
    equal: float  # share of texts that are the same token for token
    detections: int  # those of the fp32 bundle
    lost: float  # share of those
    sure_detections: int  # those with a confidence of SURE or more
    sure_lost: float  # share of those
    absent: int  # questions that the fp32 bundle answers with none
    gained: float  # share of those
    sure_gained: float  # share of those that the other bundle answers surely
    iou_median: float  # over the detections of the fp32 bundle
    iou_p5: float
    words: int  # questions answered in words
    words_equal: float


@dataclass(frozen=True)
class ActionAnswers:
    """How a policy's actions differ from those of its fp32 reference, in physical units by column."""

    steps: int
    equal: float | None  # share of tokens that are the same; None: the policy is not discrete
    max_error: dict[str, float]
    p99_error: dict[str, float]
    p99_share: float  # the largest p99 error as a share of its column's span


Answers = BoxAnswers | ActionAnswers


@dataclass(frozen=True)
class Noise:
    """The gate's figures between the fp32 bundle and one that nobody would call worse."""

    of: str  # bf16 | another seed
    samples: int
    stages: dict[str, StageError]
    answers: Answers | None  # None: a stage computes NaN


@dataclass(frozen=True)
class Success:
    """How often both bundles reached their goals in simulation, room by room."""

    simulation: str
    episodes: int
    seed: int  # the first room's; the others follow
    base: float  # share of the rooms in which the fp32 bundle reached its goal
    other: float
    lost: list[int]  # seeds of the rooms in which only the fp32 bundle reached it
    gained: list[int]  # seeds of the rooms in which only the other one did


@dataclass(frozen=True)
class Parity:
    """What the gate measured."""

    precision: str
    computed: str  # what computed it, such as ONNX Runtime
    samples: int
    stages: dict[str, StageError]
    answers: Answers | None  # None: a stage computes NaN, so nothing could be answered
    worst: dict[str, list[LayerError]]  # by stage
    kept: dict[str, list[Sensitivity]]  # by stage, the layers that stay fp32 and why
    limits: Limits
    failures: list[str]  # sentences; empty: it passed
    noise: list[Noise] = field(default_factory=list)
    success: Success | None = None  # None: no episodes were driven

    def to_json(self) -> bytes:
        """Return the content of a bundle's parity.json; NaN and infinity are null there."""
        return (json.dumps(_finite(asdict(self)), indent=1) + "\n").encode()

    def summary(self) -> dict[str, float]:
        """Return the figures for the manifest."""
        answers = asdict(self.answers) if self.answers is not None else {}
        figures: dict[str, float] = {
            f"gate_{name}": v for name, v in answers.items() if isinstance(v, int | float)
        }
        if self.success is not None:
            figures |= {"gate_success": self.success.other, "gate_success_fp32": self.success.base}
        return figures | {f"gate_cosine_{stage}": error.cosine for stage, error in self.stages.items()}


class GateRefused(BundleRefused):
    """A bundle is too far from the fp32 one."""

    def __init__(self, parity: Parity, hint: str) -> None:
        super().__init__(f"{parity.precision} does not pass the gate: {'; '.join(parity.failures)}", hint)
        self.parity = parity


def _finite(value: Any) -> Any:
    """Return the value with None for every number that JSON does not have."""
    if isinstance(value, dict):
        return {key: _finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
