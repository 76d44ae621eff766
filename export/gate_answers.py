"""What a bundle in another precision answers, against its fp32 one: boxes, words, actions."""

import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from edge.action_model import STATE_COLUMNS, ActionModel
from edge.bundle import Bundle
from edge.calibration_set import Sample
from edge.grounding import GroundingModel
from edge.parsing import parse_detections
from edge.records import Box, Odometry, Velocity
from edge.seeker import MIN_CONFIDENCE

SAME_IOU = 0.5  # of two boxes that are the same detection
_CAPTION_TOKENS = 8
Progress = Callable[[int], None]  # told after each sample


@dataclass(frozen=True)
class BoxAnswers:
    """How a grounding bundle's answers differ. Shares are of the fp32 bundle's detections, and for gained
    ones of the questions where it saw nothing."""

    questions: int
    equal: float  # share of texts that are the same token for token
    detections: int  # of the fp32 bundle, with confidence
    lost: float
    gained: float
    iou_median: float
    iou_p5: float
    words: int  # questions answered in words
    words_equal: float


@dataclass(frozen=True)
class ActionAnswers:
    """How a policy's actions differ, in physical units by column."""

    steps: int
    equal: float | None  # share of tokens that are the same, of discrete policies
    max_error: dict[str, float]
    p99_error: dict[str, float]
    p99_share: float  # the largest p99 error as a share of what its column spans


def compare_boxes(base: Bundle, other: Bundle, samples: Sequence[Sample], told: Progress) -> BoxAnswers:
    """Ask both the same questions."""
    equal = words = words_equal = boxes = lost = gained = nothing = 0
    overlaps: list[float] = []
    with GroundingModel(base) as first, GroundingModel(other) as second:
        for done, sample in enumerate(samples, 1):
            (said, box), (other_said, other_box) = (_ask(m, base, sample) for m in (first, second))
            same = said == other_said
            equal += same
            told(done)
            if not sample.question.target:
                words += 1
                words_equal += same
            elif box is None:
                nothing += 1
                gained += other_box is not None
            else:
                boxes += 1
                overlap = 0.0 if other_box is None else box.iou(other_box)
                lost += overlap < SAME_IOU
                overlaps.append(overlap)
    return BoxAnswers(
        questions=len(samples),
        equal=equal / len(samples),
        detections=boxes,
        lost=lost / max(boxes, 1),
        gained=gained / max(nothing, 1),
        iou_median=float(np.median(overlaps)) if overlaps else 0.0,
        iou_p5=float(np.quantile(overlaps, 0.05)) if overlaps else 0.0,
        words=words,
        words_equal=words_equal / max(words, 1),
    )


def _ask(model: GroundingModel, bundle: Bundle, sample: Sample) -> tuple[str, Box | None]:
    """What it says, and the box that a robot would believe."""
    asked = sample.question
    if not asked.target:
        return model.caption(sample.image, asked.prompt, _CAPTION_TOKENS).text, None
    said = model.ground(sample.image, asked.prompt, asked.target)
    found = parse_detections(said.text, bundle.manifest.family).detections
    return said.text, found[0].box if found and said.confidence >= MIN_CONFIDENCE else None


def compare_actions(base: Bundle, other: Bundle, samples: Sequence[Sample], told: Progress) -> ActionAnswers:
    """Drive both through the same pictures, an episode for each run of the same prompt."""
    rng = np.random.default_rng(1)
    gaps: list[np.ndarray] = []
    equal: list[bool] = []
    with ActionModel(base) as first, ActionModel(other) as second:
        head, done = first.head, 0
        for text, episode in itertools.groupby(
            sorted(samples, key=lambda s: s.question.prompt), lambda s: s.question.prompt
        ):
            first.reset()
            second.reset()
            for sample in episode:
                odometry = _odometry(first, rng)
                a, b = (m.step(sample.image, text, odometry).actions for m in (first, second))
                gaps.append(np.abs(first.pipeline.decode(a) - first.pipeline.decode(b)))
                equal += np.isclose(a, b, atol=1e-6, rtol=0).ravel().tolist()
                told(done := done + 1)
        span = np.ptp(first.pipeline.decode(np.array([[-1.0], [1.0]]) * np.ones(len(head.columns))), axis=0)
    errors = np.concatenate(gaps).reshape(-1, len(head.columns))
    p99 = np.quantile(errors, 0.99, axis=0)
    return ActionAnswers(
        steps=len(gaps),
        equal=float(np.mean(equal)) if head.tokens is not None else None,
        max_error=dict(zip(head.columns, errors.max(0).tolist(), strict=True)),
        p99_error=dict(zip(head.columns, p99.tolist(), strict=True)),
        p99_share=float((p99 / span).max()),
    )


def _odometry(model: ActionModel, rng: np.random.Generator) -> Odometry:
    """Such as the policy was trained with."""
    values = dict.fromkeys(STATE_COLUMNS, 0.0)
    if model.head.state is not None:
        drawn = rng.normal(model.head.state.mean, model.head.state.std)
        values |= dict(zip(model.head.state.columns, drawn.tolist(), strict=True))
    x, y, yaw, *velocity = (values[name] for name in STATE_COLUMNS)
    return Odometry(0, x, y, yaw, Velocity(*velocity))
