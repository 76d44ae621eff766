"""Graphs whose weights lie in a work folder's file to another precision, and to a bundle.

The same changes as `export.change_precision` makes, judged with less: no two engines fit into memory
together, and each call takes seconds. So there are few questions, ranges are the least and greatest numbers
seen, no layer is tried alone, and what is compared is each stage's outputs and the tokens said.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Literal

import numpy as np

from edge.bundle.bundle import Bundle, Content, file_info, make_bundle
from edge.bundle.manifest import Manifest
from edge.bundle.weights import ROLE, Weights
from edge.engines.onnx import OnnxEngine
from edge.errors import BundleRefused, EngineFault, UsageError
from export.gate.records import LIMITS, StageError
from export.gate.stages import stage_error
from export.graphs.edit import finish, fixed_products, parse, store_as_fp16
from export.graphs.weights import FILE, WeightStore, gather, weights_in
from export.measure.feeds import Feed
from export.measure.progress import OnProgress
from export.measure.ranges import Ranges
from export.measure.stages import STAGES, Calls, Observer, tokens, walk
from export.precision.blocks import INT4_CPU, INT4_TENSORRT, Blocks, insert_blocks
from export.precision.half import to_half
from export.precision.int8 import to_int8
from export.precision.options import Profile
from export.sources.manifest import graph_info

LargePrecision = Literal["fp32", "fp16", "bf16", "int8", "int4"]
# A scale below 0 makes use of -8.
_NEAREST: dict[Profile, Blocks] = {
    "onnxruntime": replace(INT4_CPU, clips=(1.0, -1.0)),
    "tensorrt": replace(INT4_TENSORRT, clips=(1.0,)),
}
# Rounding normally distributed weights to 4 bits leaves under 20 dB in a single layer: the cosine must judge.
_INT4_SQNR_DB = 10.0
STEPS = 3  # calls of decode for each question
METHOD = "minmax by ReduceMin and ReduceMax in the graph"


@dataclass(frozen=True)
class Graphs:
    """Graphs by role, and the store that their weights lie in."""

    files: Mapping[str, bytes]
    store: WeightStore
    threads: int = 1

    def open(self, role: str) -> OnnxEngine:
        """Its weights stay mapped: they take memory only as far as it is free."""
        return OnnxEngine(self.files[role], self.threads, self.store.file, prepack=False)


@dataclass(frozen=True)
class Judged:
    """What the graphs in another precision are, against the fp32 ones."""

    precision: LargePrecision
    questions: int
    steps: int
    stages: dict[str, StageError]
    equal_tokens: float  # share of what was said; of random weights it tells nothing
    failures: list[str]
    computed: str = "ONNX Runtime on the CPU"

    def summary(self) -> dict[str, float]:
        """The figures for the manifest."""
        cosines = {f"gate_cosine_{role}": stage.cosine for role, stage in self.stages.items()}
        return {**cosines, "gate_equal_tokens": self.equal_tokens, "gate_questions": float(self.questions)}

    def to_json(self) -> bytes:
        """The content of a bundle's parity.json, of the same form as a small model's."""
        limits = {"stage_cosine": LIMITS.stage_cosine, "stage_sqnr_db": _least_db(self.precision)}
        limits["said_equal"] = LIMITS.said_equal
        none = {"kept": {}, "answers": None, "noise": [], "worst": {role: [] for role in self.stages}}
        about = {"samples": self.questions, "computed": self.computed, "limits": limits}
        return (json.dumps(asdict(self) | none | about, indent=1) + "\n").encode()


class LargeRefused(BundleRefused):
    """A bundle is too far from the fp32 graphs."""

    def __init__(self, judged: Judged, hint: str) -> None:
        super().__init__(f"{judged.precision} does not pass the gate: {'; '.join(judged.failures)}", hint)
        self.parity = judged


def change_large(
    base: Graphs,
    precision: LargePrecision,
    profile: Profile,
    calibrate: Sequence[Feed],
    held_out: Sequence[Feed],
    on_progress: OnProgress,
    steps: int = STEPS,
) -> tuple[Graphs, dict[str, Ranges], Judged]:
    """vision, prefill and decode of `base` in another precision, the ranges that it took, and how far they
    are from fp32. Questions are those of `export.measure.stages`; ranges are of `calibrate`, the rest of
    `held_out`.

    int4 is of prefill and decode, which so share their weights; vision is int8 then. Raises UsageError where
    a set of questions is empty, OSError where the disk is full.
    """
    if not calibrate or not held_out:
        raise UsageError("no questions to calibrate on, or none to judge by", "give a set with both")
    observers: dict[str, Observer] = {}

    def observe(role: str) -> Observer:
        observers[role] = Observer(base.files[role], base.store.file, base.threads)
        return observers[role]

    observed = [role for role in STAGES if _precision(role, precision) == "int8"]
    walk(observe, calibrate, steps, lambda role: on_progress(f"calibrating {role}", 0, 1), observed)
    ranges = {role: observer.ranges for role, observer in observers.items()}
    made, twins = dict(base.files), dict(base.files)
    with weights_in(base.store):
        for done, role in enumerate(STAGES):
            on_progress(f"{role} to {_precision(role, precision)}", done, len(STAGES))
            made[role], twins[role] = _change(
                base.files[role], role, precision, profile, ranges.get(role, {})
            )
    wanted = walk(base.open, held_out, steps, lambda role: on_progress(f"running {role} in fp32", 0, 1))
    twin = replace(base, files=twins)
    stages, equal = _compare(twin, wanted, held_out, steps, on_progress)
    judged = Judged(precision, len(held_out), steps, stages, equal, _failures(precision, stages, equal))
    if made != twins:
        judged = replace(judged, computed="ONNX Runtime on the CPU, fp32 sums of rounded tensors")
    return replace(base, files=made), ranges, judged


def large_bundle(
    manifest: Manifest, graphs: Graphs, files: Mapping[str, bytes], target: Path, precision: LargePrecision
) -> Bundle:
    """The bundle of these graphs; `manifest` says all else, and `files` are its own, by role. What the graphs
    refer to goes to the new file `target`, which must stay until the bundle is written.

    Raises BundleRefused where ONNX Runtime does not load a graph, OSError where the disk is full.
    """
    changed = gather(graphs.files, graphs.store.file, target)
    weights = Weights.of(target)
    contents: dict[str, Content] = {**files, **changed, ROLE: weights}
    infos = {
        role: graph_info(role, content, target).model_copy(update={"precision": _precision(role, precision)})
        for role, content in changed.items()
    }
    listed = {role: file_info(f"{role}.json", content) for role, content in files.items()}
    listed[ROLE] = file_info(FILE, weights)
    manifest = manifest.model_copy(update={"graphs": infos, "files": listed})
    return make_bundle(manifest, contents)


def _precision(role: str, asked: LargePrecision) -> LargePrecision:
    """Of a graph, in a bundle of the precision that was asked for."""
    if role not in STAGES:
        return "fp32"
    return "int8" if asked == "int4" and role == "vision" else asked


def _change(
    graph: bytes, role: str, precision: LargePrecision, profile: Profile, ranges: Ranges
) -> tuple[bytes, bytes]:
    """The graph, and its twin that this machine can compute."""
    if precision in ("fp16", "bf16"):
        real = to_half(graph, precision)
        return real, real if profile == "onnxruntime" else to_half(graph, precision, rounded=True)
    to_int = _precision(role, precision)
    content = nearest_int4(graph, profile) if to_int == "int4" else to_int8(graph, ranges, profile)
    return content, content


def nearest_int4(graph: bytes, profile: Profile) -> bytes:
    """Of an fp32 graph, with the weights of its matrix products rounded to the nearest int4: to search for
    better scales, or to scale weights by what comes in, takes many times as long."""
    model = parse(graph)
    names = [node.name for node in fixed_products(model) if node.op_type == "MatMul"]
    return finish(store_as_fp16(insert_blocks(model, names, _NEAREST[profile])))


def _compare(
    twin: Graphs, wanted: Calls, questions: Sequence[Feed], steps: int, on_progress: OnProgress
) -> tuple[dict[str, StageError], float]:
    """Each stage fed what fp32 was fed; and the share of equal tokens where each feeds the next."""
    errors: dict[str, StageError] = {}

    def open_and_compare(role: str) -> OnnxEngine:
        engine = twin.open(role)
        on_progress(f"comparing {role}", len(errors), len(STAGES))
        calls = [call for one in wanted[role] for call in one]
        errors[role] = stage_error((call.outputs, engine.run(call.inputs)) for call in calls)
        return engine

    try:
        found = walk(open_and_compare, questions, steps, lambda role: on_progress(f"answering, {role}", 0, 1))
    except EngineFault:  # NaN or infinity, which a stage's error tells of
        return errors, 0.0
    return errors, float(np.mean(np.array(tokens(wanted)) == np.array(tokens(found))))


def _failures(precision: LargePrecision, stages: Mapping[str, StageError], equal: float) -> list[str]:
    least_db = _least_db(precision)
    limit = f"limits {LIMITS.stage_cosine}, {least_db:g} dB"
    said = f"share of equal tokens: {equal:.2f}, at least {LIMITS.said_equal:g} wanted"
    return [said] * (equal < LIMITS.said_equal) + [
        f"stage {role} has {stage.summary} ({limit})"
        for role, stage in stages.items()
        if not stage.finite or stage.cosine < LIMITS.stage_cosine or stage.sqnr_db < least_db
    ]


def _least_db(precision: LargePrecision) -> float:
    return _INT4_SQNR_DB if precision == "int4" else LIMITS.stage_sqnr_db
