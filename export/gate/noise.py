"""What the gate's figures are held against: how far bf16 alone, or another seed of training, is from fp32."""

from collections.abc import Sequence
from dataclasses import replace

from calibration.sample_set import Sample
from edge.bundle.bundle import Bundle
from edge.errors import UsageError
from export.gate.answers import compare_actions, compare_boxes
from export.gate.records import Noise, Parity
from export.gate.stages import compare_stage
from export.measure.feeds import ROLES, collect_feeds
from export.measure.progress import OnProgress

SAMPLES = 100  # that it is measured on, at most


def with_noise(
    parity: Parity, of: str, base: Bundle, other: Bundle, samples: Sequence[Sample], on_progress: OnProgress
) -> Parity:
    """The parity, and what `other` differs by from the fp32 bundle."""
    count = min(len(samples), SAMPLES)
    chosen = [samples[index * len(samples) // count] for index in range(count)]
    on_progress(f"comparing {of}", 0, len(chosen))
    feeds = collect_feeds(base, chosen)
    stages = {role: compare_stage(base.read(role), other.read(role), found) for role, found in feeds.items()}
    answers = None
    if all(stage.finite for stage in stages.values()):
        compare = compare_boxes if base.manifest.head is None else compare_actions
        answers = compare(base, other, chosen, lambda done: on_progress(f"comparing {of}", done, len(chosen)))
    return replace(parity, noise=[*parity.noise, Noise(of, len(chosen), stages, answers)])


def check_same_recipe(base: Bundle, other: Bundle) -> None:
    """Raises UsageError for a bundle that can't be the same recipe with another seed."""
    a, b = base.manifest, other.manifest
    fields = ("family", "policy", "prompts", "vocabulary", "image", "head")
    wrong = [name for name in fields if getattr(a, name) != getattr(b, name)]
    for role in ROLES:
        tensors = [
            (m.graphs[role].inputs, m.graphs[role].outputs, m.graphs[role].precision)
            if role in m.graphs
            else None
            for m in (a, b)
        ]
        wrong += [f"graph {role}"] * (tensors[0] != tensors[1])
    if wrong or a.graphs.keys() != b.graphs.keys():
        raise UsageError(
            f"bundle '{b.name}' is not of the recipe of '{a.name}': {', '.join(wrong) or 'other graphs'}",
            "give the fp32 bundle of the same training with another seed",
        )
