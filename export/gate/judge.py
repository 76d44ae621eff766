"""The gate that a bundle in another precision must pass: it computes and decides as the fp32 one does.

It looks at pictures that no range was computed from. Every limit stands in `LIMITS`.
"""

import math
from collections.abc import Sequence

from calibration.sample_set import Sample
from edge.bundle.bundle import Bundle
from export.gate.answers import compare_actions, compare_boxes
from export.gate.records import LIMITS, ActionAnswers, BoxAnswers, LayerError, Parity, StageError
from export.gate.stages import compare_stage, worst_layers
from export.graphs.graph import Graph
from export.measure.feeds import collect_feeds
from export.measure.progress import OnProgress
from export.measure.sensitivity import Sensitivity

STAGE_SAMPLES = 100  # that stages are compared on; answers are compared on all


def judge(
    reference: Bundle,
    candidate: Bundle,
    samples: Sequence[Sample],
    precision: str,
    computed: str,
    kept: dict[str, list[Sensitivity]],
    on_progress: OnProgress,
) -> Parity:
    """Compare a bundle with the fp32 one that it was made of, on samples that nothing was calibrated on.

    ONNX Runtime must be able to compute both.
    """
    on_progress("collecting the graphs' inputs", 0, 1)
    feeds = collect_feeds(reference, samples[:: max(1, len(samples) // STAGE_SAMPLES)])
    changed = [stage for stage in feeds if candidate.read(stage) != reference.read(stage)]
    stages: dict[str, StageError] = {}
    worst: dict[str, list[LayerError]] = {}
    for done, stage in enumerate(changed):
        on_progress(f"comparing {stage}", done, len(changed))
        graphs = Graph.parse(reference.read(stage)), Graph.parse(candidate.read(stage))
        stages[stage] = compare_stage(*graphs, feeds[stage])
        worst[stage] = worst_layers(*graphs, feeds[stage])
    answers = None
    if all(error.finite for error in stages.values()):
        compare = compare_boxes if reference.manifest.head is None else compare_actions
        on_sample = lambda done: on_progress("comparing answers", done, len(samples))  # noqa: E731
        answers = compare(reference, candidate, samples, on_sample)
    failures = [*_stage_failures(stages, worst), *_answer_failures(answers)]
    few = isinstance(answers, BoxAnswers) and answers.detections < LIMITS.min_detections
    if failures and stages and not few and not _stage_failures(stages, worst):
        stage = max(worst, key=lambda name: max((layer.added for layer in worst[name]), default=0.0))
        failures.append(f"most error comes from {_named(stage, worst)}")
    return Parity(precision, computed, len(samples), stages, answers, worst, kept, LIMITS, failures)


def _stage_failures(stages: dict[str, StageError], worst: dict[str, list[LayerError]]) -> list[str]:
    limit = f"limits {LIMITS.stage_cosine}, {LIMITS.stage_sqnr_db:g} dB"
    return [
        f"stage {stage} has {error.summary} ({limit}); worst is {_named(stage, worst)}"
        for stage, error in stages.items()
        if not error.finite or error.cosine < LIMITS.stage_cosine or error.sqnr_db < LIMITS.stage_sqnr_db
    ]


def _named(stage: str, worst: dict[str, list[LayerError]]) -> str:
    if not worst[stage]:
        return f"{stage}, as a whole"
    first = worst[stage][0]
    adds = f"adds {first.added:.1%} error" if math.isfinite(first.added) else "computes NaN or infinity"
    return f"{stage}'s layer {first.layer}, which {adds}"


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
        return _too_many(
            "error of actions (p99, as a share of their span)", answers.p99_share, LIMITS.action_share
        )
    return []


def _too_few(what: str, value: float, least: float) -> list[str]:
    return [] if value >= least else [f"{what}: {value:.4g}, at least {least:g} wanted"]


def _too_many(what: str, value: float, most: float) -> list[str]:
    return [] if value <= most else [f"{what}: {value:.4g}, at most {most:g} allowed"]
