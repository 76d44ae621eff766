"""The answers of a bundle in another precision against those of its fp32 one: boxes, words, actions."""

import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from calibration.sample_set import Sample
from edge.bundle.bundle import Bundle
from edge.model.actions import STATE_COLUMNS, ActionModel
from edge.model.boxes import BoxReader
from edge.model.grounding import GroundingModel
from edge.policies.seeker_states import SeekerParams
from edge.records import Box, Odometry, Velocity
from export.gate.records import ActionAnswers, BoxAnswers

SAME_IOU = 0.5  # least overlap of two boxes that are the same detection
# From this confidence on the fp32 bundle itself did not waver between a box and `none`, or between two boxes.
# Below, any change of precision tips its answers to either side; these count apart, and are limited too.
SURE = 0.7
_CAPTION_TOKENS = 8
OnSample = Callable[[int], None]  # called after each sample, with how many are done


@dataclass(frozen=True)
class _GroundingAnswer:
    text: str
    box: Box | None  # a box that a robot would believe
    confidence: float


def compare_boxes(
    reference: Bundle, candidate: Bundle, samples: Sequence[Sample], on_sample: OnSample
) -> BoxAnswers:
    """Compare the answers of both bundles to the same questions."""
    pairs: list[tuple[Sample, _GroundingAnswer, _GroundingAnswer]] = []
    with GroundingModel(reference) as first, GroundingModel(candidate) as second:
        for done, sample in enumerate(samples, 1):
            pairs.append((sample, _answer(first, reference, sample), _answer(second, reference, sample)))
            on_sample(done)
    equal = [a.text == b.text for _, a, b in pairs]
    words = [same for (sample, _, _), same in zip(pairs, equal, strict=True) if not sample.question.target]
    grounded = [(a, b) for sample, a, b in pairs if sample.question.target]
    boxes = [(a, _iou(a, b)) for a, b in grounded if a.box is not None]
    overlaps = [overlap for _, overlap in boxes]
    sure = [overlap for a, overlap in boxes if a.confidence >= SURE]
    absent = [b for a, b in grounded if a.box is None]
    return BoxAnswers(
        questions=len(pairs),
        equal=_share(equal),
        detections=len(boxes),
        lost=_share([overlap < SAME_IOU for overlap in overlaps]),
        sure_detections=len(sure),
        sure_lost=_share([overlap < SAME_IOU for overlap in sure]),
        absent=len(absent),
        gained=_share([b.box is not None for b in absent]),
        sure_gained=_share([b.box is not None and b.confidence >= SURE for b in absent]),
        iou_median=float(np.median(overlaps)) if overlaps else 0.0,
        iou_p5=float(np.quantile(overlaps, 0.05)) if overlaps else 0.0,
        words=len(words),
        words_equal=_share(words),
    )


def _share(true: Sequence[bool]) -> float:
    return sum(true) / max(len(true), 1)


def _iou(a: _GroundingAnswer, b: _GroundingAnswer) -> float:
    return 0.0 if a.box is None or b.box is None else a.box.iou(b.box)


def _answer(model: GroundingModel, bundle: Bundle, sample: Sample) -> _GroundingAnswer:
    question = sample.question
    if not question.target:
        decoded = model.caption(sample.image, question.prompt, _CAPTION_TOKENS)
        return _GroundingAnswer(decoded.text, None, decoded.confidence)
    decoded = model.ground(sample.image, question.prompt, question.target)
    boxes = BoxReader(bundle.manifest.family, bundle.manifest.image)
    found = boxes.read(decoded.text, decoded.confidence, question.target, sample.image).detections
    believed = bool(found) and decoded.confidence >= SeekerParams().min_confidence
    return _GroundingAnswer(decoded.text, found[0].box if believed else None, decoded.confidence)


def compare_actions(
    reference: Bundle, candidate: Bundle, samples: Sequence[Sample], on_sample: OnSample
) -> ActionAnswers:
    """Compare the actions of both bundles for the same pictures, an episode for each prompt."""
    rng = np.random.default_rng(1)
    gaps: list[np.ndarray] = []
    equal: list[bool] = []
    with ActionModel(reference) as first, ActionModel(candidate) as second:
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
                on_sample(done := done + 1)
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
    """Return a random one such as the policy was trained with."""
    values = dict.fromkeys(STATE_COLUMNS, 0.0)
    if model.head.state is not None:
        drawn = rng.normal(model.head.state.mean, model.head.state.std)
        values |= dict(zip(model.head.state.columns, drawn.tolist(), strict=True))
    x, y, yaw, *velocity = (values[name] for name in STATE_COLUMNS)
    return Odometry(0, x, y, yaw, Velocity(*velocity))
