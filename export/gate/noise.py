"""The noise that the gate's figures are held against: bf16 alone, or another seed of training."""

from collections.abc import Sequence
from dataclasses import replace

from calibration.sample_set import Sample
from edge.bundle.bundle import Bundle
from edge.errors import UsageError
from export.gate.answers import compare_actions, compare_boxes
from export.gate.records import Noise, Parity
from export.gate.stages import compare_stage
from export.graphs.graph import Graph
from export.measure.feeds import STAGES, collect_feeds
from export.measure.progress import OnProgress

MAX_SAMPLES = 100


def with_noise(
    parity: Parity,
    of: str,
    reference: Bundle,
    other: Bundle,
    samples: Sequence[Sample],
    on_progress: OnProgress,
) -> Parity:
    """Return the parity with the figures of `other`, which is called `of`, against the fp32 bundle."""
    count = min(len(samples), MAX_SAMPLES)
    chosen = [samples[index * len(samples) // count] for index in range(count)]
    on_progress(f"comparing {of}", 0, len(chosen))
    stages = {
        stage: compare_stage(Graph.parse(reference.read(stage)), Graph.parse(other.read(stage)), feeds)
        for stage, feeds in collect_feeds(reference, chosen).items()
    }
    answers = None
    if all(error.finite for error in stages.values()):
        compare = compare_boxes if reference.manifest.head is None else compare_actions
        on_sample = lambda done: on_progress(f"comparing {of}", done, len(chosen))  # noqa: E731
        answers = compare(reference, other, chosen, on_sample)
    return replace(parity, noise=[*parity.noise, Noise(of, len(chosen), stages, answers)])


def check_same_recipe(reference: Bundle, other: Bundle) -> None:
    """Raise UsageError for a bundle that can't be the same recipe with another seed."""
    a, b = reference.manifest, other.manifest
    fields = ("family", "policy", "prompts", "vocabulary", "image", "head")
    wrong = [name for name in fields if getattr(a, name) != getattr(b, name)]
    for stage in STAGES:
        tensors = [
            (m.graphs[stage].inputs, m.graphs[stage].outputs, m.graphs[stage].precision)
            if stage in m.graphs
            else None
            for m in (a, b)
        ]
        wrong += [f"graph {stage}"] * (tensors[0] != tensors[1])
    if wrong or a.graphs.keys() != b.graphs.keys():
        raise UsageError(
            f"bundle '{b.name}' is not of the recipe of '{a.name}': {', '.join(wrong) or 'other graphs'}",
            "give the fp32 bundle of the same training with another seed",
        )
