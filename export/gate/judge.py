"""The gate that a bundle in another precision must pass: what it computes and what it decides, against fp32.

It looks at pictures that no range was computed from. Every limit stands in `LIMITS`.
"""

import json
import math
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

from calibration.sample_set import Sample
from edge.bundle.bundle import Bundle
from edge.errors import BundleRefused
from export.gate.answers import ActionAnswers, BoxAnswers, compare_actions, compare_boxes
from export.gate.stages import LayerError, StageError, compare_stage, worst_layers
from export.measure.feeds import collect_feeds
from export.measure.sensitivity import Sensitivity

if TYPE_CHECKING:
    from export.gate.drive import Success
    from export.gate.noise import Noise


@dataclass(frozen=True)
class Limits:
    """What is still let through."""

    stage_cosine: float = 0.95  # lowest of any stage and input
    stage_sqnr_db: float = 20.0  # median of any stage
    lost: float = 0.01  # share of the fp32 bundle's detections
    gained: float = 0.01  # share of the questions where it saw nothing
    iou_median: float = 0.9
    min_detections: int = 20  # fewer prove nothing
    words_equal: float = 0.8  # share of answers in words; near-ties may fall either way
    equal_tokens: float = 0.9  # of discrete policies
    said_equal: float = 0.8  # share of tokens that a large model says, on few questions
    action_share: float = 0.05  # p99 error of any column, as a share of what it spans
    success_points: float = 0.02  # share of the same simulated rooms that fewer goals are reached in


LIMITS = Limits()
STAGE_SAMPLES = 100  # that stages are compared on; answers are compared on all
Say = Callable[[str, int, int], None]  # what is being done, how much of it is done, of how much


@dataclass(frozen=True)
class Parity:
    """What the gate measured."""

    precision: str
    computed: str  # by what
    samples: int
    stages: dict[str, StageError]
    answers: BoxAnswers | ActionAnswers | None  # None: a stage computes NaN, nothing could be asked
    worst: dict[str, list[LayerError]]  # by stage
    kept: dict[str, list[Sensitivity]]  # by stage, the layers that stay fp32 and why
    limits: Limits
    failures: list[str]  # sentences; empty: it passed
    noise: "list[Noise]" = field(default_factory=list)  # what others differ by from fp32
    success: "Success | None" = None  # in simulation, where that was asked for

    def to_json(self) -> bytes:
        """The content of a bundle's parity.json; what is no number is null there."""
        return (json.dumps(_plain(asdict(self)), indent=1) + "\n").encode()

    def summary(self) -> dict[str, float]:
        """The figures for the manifest."""
        answers = asdict(self.answers) if self.answers is not None else {}
        figures: dict[str, float] = {
            f"gate_{name}": v for name, v in answers.items() if isinstance(v, int | float)
        }
        if self.success is not None:
            figures |= {"gate_success": self.success.other, "gate_success_fp32": self.success.base}
        return figures | {f"gate_cosine_{role}": stage.cosine for role, stage in self.stages.items()}


class GateRefused(BundleRefused):
    """A bundle is too far from the fp32 one."""

    def __init__(self, parity: Parity, hint: str) -> None:
        super().__init__(f"{parity.precision} does not pass the gate: {'; '.join(parity.failures)}", hint)
        self.parity = parity


def judge(
    base: Bundle,
    other: Bundle,
    samples: Sequence[Sample],
    precision: str,
    computed: str,
    kept: dict[str, list[Sensitivity]],
    say: Say,
) -> Parity:
    """Compare a bundle with the fp32 one that it was made of, on samples that nothing was calibrated on.
    ONNX Runtime must be able to compute both."""
    say("collecting what goes into the graphs", 0, 1)
    feeds = collect_feeds(base, samples[:: max(1, len(samples) // STAGE_SAMPLES)])
    changed = [role for role in feeds if other.read(role) != base.read(role)]
    stages: dict[str, StageError] = {}
    worst: dict[str, list[LayerError]] = {}
    for done, role in enumerate(changed):
        say(f"comparing {role}", done, len(changed))
        graphs = base.read(role), other.read(role)
        stages[role] = compare_stage(*graphs, feeds[role])
        worst[role] = worst_layers(*graphs, feeds[role])
    answers = None
    if all(stage.finite for stage in stages.values()):
        compare = compare_boxes if base.manifest.head is None else compare_actions
        answers = compare(base, other, samples, lambda done: say("comparing answers", done, len(samples)))
    failures = [*_stage_failures(stages, worst), *_answer_failures(answers)]
    few = isinstance(answers, BoxAnswers) and answers.detections < LIMITS.min_detections
    if failures and stages and not few and not _stage_failures(stages, worst):
        role = max(worst, key=lambda r: max((layer.added for layer in worst[r]), default=0.0))
        failures.append(f"most error comes from {_named(role, worst)}")
    return Parity(precision, computed, len(samples), stages, answers, worst, kept, LIMITS, failures)


def _stage_failures(stages: dict[str, StageError], worst: dict[str, list[LayerError]]) -> list[str]:
    limit = f"limits {LIMITS.stage_cosine}, {LIMITS.stage_sqnr_db:g} dB"
    return [
        f"stage {role} has {stage.summary} ({limit}); worst is {_named(role, worst)}"
        for role, stage in stages.items()
        if not stage.finite or stage.cosine < LIMITS.stage_cosine or stage.sqnr_db < LIMITS.stage_sqnr_db
    ]


def _named(role: str, worst: dict[str, list[LayerError]]) -> str:
    if not worst[role]:
        return f"{role}, as a whole"
    first = worst[role][0]
    adds = f"adds {first.added:.1%} error" if math.isfinite(first.added) else "computes NaN or infinity"
    return f"{role}'s layer {first.layer}, which {adds}"


def _answer_failures(answers: BoxAnswers | ActionAnswers | None) -> list[str]:
    if isinstance(answers, BoxAnswers):
        return [
            *_too_few("detections of the fp32 bundle to judge by", answers.detections, LIMITS.min_detections),
            *_too_many("share of detections lost", answers.lost, LIMITS.lost),
            *_too_many("share of detections gained", answers.gained, LIMITS.gained),
            *_too_few("median IoU", answers.iou_median, LIMITS.iou_median),
            *(
                _too_few("equal answers in words", answers.words_equal, LIMITS.words_equal)
                * bool(answers.words)
            ),
        ]
    if isinstance(answers, ActionAnswers):
        if answers.equal is not None:
            return _too_few("share of equal tokens", answers.equal, LIMITS.equal_tokens)
        return _too_many("error of actions (p99, of what they span)", answers.p99_share, LIMITS.action_share)
    return []


def _too_few(what: str, value: float, least: float) -> list[str]:
    return [] if value >= least else [f"{what}: {value:.4g}, at least {least:g} wanted"]


def _too_many(what: str, value: float, most: float) -> list[str]:
    return [] if value <= most else [f"{what}: {value:.4g}, at most {most:g} allowed"]


def _plain(value: Any) -> Any:
    """As JSON has it."""
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
