"""What the gate measures of a large model, and its refusal."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Literal

from edge.errors import BundleRefused
from export.gate.records import LIMITS, StageError

LargePrecision = Literal["fp32", "fp16", "bf16", "int8", "int4"]
# Rounding normally distributed weights to 4 bits leaves under 20 dB in a single layer: the cosine must judge.
_INT4_SQNR_DB = 10.0


@dataclass(frozen=True)
class LargeParity:
    """What the gate measured of graphs in another precision, against the fp32 ones."""

    precision: LargePrecision
    questions: int
    steps: int
    stages: dict[str, StageError]
    equal_tokens: float  # share of the generated tokens; it means nothing with random weights
    failures: list[str]  # sentences; empty: it passed
    computed: str  # what computed it, such as ONNX Runtime

    def summary(self) -> dict[str, float]:
        """Return the figures for the manifest."""
        cosines = {f"gate_cosine_{stage}": error.cosine for stage, error in self.stages.items()}
        return {**cosines, "gate_equal_tokens": self.equal_tokens, "gate_questions": float(self.questions)}

    def to_json(self) -> bytes:
        """Return the content of a bundle's parity.json, of the same form as a small model's."""
        limits = {"stage_cosine": LIMITS.stage_cosine, "stage_sqnr_db": _least_db(self.precision)}
        limits["said_equal"] = LIMITS.said_equal
        none = {"kept": {}, "answers": None, "noise": [], "worst": {stage: [] for stage in self.stages}}
        about = {"samples": self.questions, "computed": self.computed, "limits": limits}
        return (json.dumps(asdict(self) | none | about, indent=1) + "\n").encode()


class LargeRefused(BundleRefused):
    """A bundle of a large model is too far from the fp32 graphs."""

    def __init__(self, parity: LargeParity, hint: str) -> None:
        super().__init__(f"{parity.precision} does not pass the gate: {'; '.join(parity.failures)}", hint)
        self.parity = parity


def failures(precision: LargePrecision, stages: Mapping[str, StageError], equal: float) -> list[str]:
    """Sentences about the limits that these figures pass."""
    least_db = _least_db(precision)
    limit = f"limits {LIMITS.stage_cosine}, {least_db:g} dB"
    tokens = f"share of equal tokens: {equal:.2f}, at least {LIMITS.said_equal:g} wanted"
    return [tokens] * (equal < LIMITS.said_equal) + [
        f"stage {stage} has {error.summary} ({limit})"
        for stage, error in stages.items()
        if not error.finite or error.cosine < LIMITS.stage_cosine or error.sqnr_db < least_db
    ]


def _least_db(precision: LargePrecision) -> float:
    return _INT4_SQNR_DB if precision == "int4" else LIMITS.stage_sqnr_db
