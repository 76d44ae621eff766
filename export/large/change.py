"""Graphs whose weights lie in a work folder's file, in another precision.

The same changes as `export.change_precision` makes, judged with less: no two engines fit into memory
together, and each call takes seconds. So there are few questions, ranges are the least and greatest numbers
seen, no layer is tried alone, and only each stage's outputs and the generated tokens are compared.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from edge.engines.onnx import OnnxEngine
from edge.errors import EngineFault, UsageError
from export.gate.records import StageError
from export.gate.stages import stage_error
from export.graphs.graph import Graph
from export.graphs.weights import WeightStore
from export.large.parity import LargeParity, LargePrecision, failures
from export.measure.feeds import STAGES, Feed
from export.measure.progress import OnProgress
from export.measure.ranges import Ranges
from export.measure.stages import RangeObserver, StageCalls, tokens, walk
from export.precision.half import Half
from export.precision.int4 import Int4
from export.precision.int8 import Int8
from export.precision.options import Profile
from export.precision.quantizers.blocks import INT4_CPU, INT4_TENSORRT, Blocks

# A scale below 0 makes use of -8.
_NEAREST: dict[Profile, Blocks] = {
    "onnxruntime": replace(INT4_CPU, clips=(1.0, -1.0)),
    "tensorrt": replace(INT4_TENSORRT, clips=(1.0,)),
}
STEPS = 3  # calls of decode for each question
METHOD = "minmax by ReduceMin and ReduceMax in the graph"


@dataclass(frozen=True)
class LargeGraphs:
    """Graphs by stage, and the store that their weights lie in."""

    graphs: Mapping[str, Graph]
    store: WeightStore
    threads: int = 1  # threads of an engine

    def open(self, stage: str) -> OnnxEngine:
        """Return an engine whose weights stay mapped: they take memory only as far as it is free."""
        return OnnxEngine(self.graphs[stage].content, self.threads, self.store.file, prepack=False)


@dataclass(frozen=True)
class LargeChange:
    """Graphs in another precision, the ranges that it took, and their comparison with the fp32 ones."""

    graphs: LargeGraphs
    ranges: dict[str, Ranges]  # by stage
    parity: LargeParity


def change_large(
    reference: LargeGraphs,
    precision: LargePrecision,
    profile: Profile,
    calibrate: Sequence[Feed],
    held_out: Sequence[Feed],
    on_progress: OnProgress,
    steps: int = STEPS,
) -> LargeChange:
    """Change vision, prefill and decode of `reference` to another precision, and compare them with fp32.

    Questions are those of `export.measure.stages`; ranges are computed from `calibrate`, the comparison from
    `held_out`. int4 is of prefill and decode, which so share their weights; vision is int8 then.
    Raises UsageError if a set of questions is empty, OSError if the disk is full.
    """
    if not calibrate or not held_out:
        raise UsageError("no questions to calibrate on, or none to judge by", "give a set with both")
    ranges = _ranges(reference, precision, calibrate, on_progress, steps)
    changed, twins = dict(reference.graphs), dict(reference.graphs)
    for done, stage in enumerate(STAGES):
        on_progress(f"{stage} to {stage_precision(stage, precision)}", done, len(STAGES))
        changed[stage], twins[stage] = _change(
            reference.graphs[stage], stage_precision(stage, precision), profile, ranges.get(stage, {})
        )
    on_stage = lambda stage: on_progress(f"running {stage} in fp32", 0, 1)  # noqa: E731
    wanted = walk(reference.open, held_out, steps, on_stage)
    stages, equal = _compare(replace(reference, graphs=twins), wanted, held_out, steps, on_progress)
    computed = "ONNX Runtime on the CPU"
    if any(changed[stage] is not twins[stage] for stage in STAGES):
        computed += ", fp32 sums of rounded tensors"
    parity = LargeParity(
        precision, len(held_out), steps, stages, equal, failures(precision, stages, equal), computed
    )
    return LargeChange(replace(reference, graphs=changed), ranges, parity)


def _ranges(
    reference: LargeGraphs,
    precision: LargePrecision,
    questions: Sequence[Feed],
    on_progress: OnProgress,
    steps: int,
) -> dict[str, Ranges]:
    """Return the ranges of the stages that become int8."""
    observers: dict[str, RangeObserver] = {}

    def observe(stage: str) -> RangeObserver:
        observers[stage] = RangeObserver(reference.graphs[stage], reference.threads)
        return observers[stage]

    observed = [stage for stage in STAGES if stage_precision(stage, precision) == "int8"]
    walk(observe, questions, steps, lambda stage: on_progress(f"calibrating {stage}", 0, 1), observed)
    return {stage: observer.ranges for stage, observer in observers.items()}


def stage_precision(stage: str, precision: LargePrecision) -> LargePrecision:
    """Return the precision of a graph in a bundle of this precision."""
    if stage not in STAGES:
        return "fp32"
    return "int8" if precision == "int4" and stage == "vision" else precision


def _change(graph: Graph, precision: LargePrecision, profile: Profile, ranges: Ranges) -> tuple[Graph, Graph]:
    """Return the graph in this precision, and its twin that this machine can compute."""
    if precision in ("fp16", "bf16"):
        half = Half(precision)
        changed = half.apply(graph)
        return changed, changed if profile == "onnxruntime" else half.twin.apply(graph)
    if precision == "int4":
        changed = nearest_int4(graph, profile)
    elif precision == "int8":
        changed = Int8(ranges, profile).apply(graph)
    else:
        raise AssertionError(f"no method makes {precision}")
    return changed, changed


def nearest_int4(graph: Graph, profile: Profile) -> Graph:
    """Return the fp32 graph with the weights of its matrix products rounded to the nearest int4.

    To search for better scales, or to scale weights by their inputs, takes many times as long.
    """
    layers = [node.name for node in graph.products if node.op_type == "MatMul"]
    return Int4(layers, _NEAREST[profile]).apply(graph)


def _compare(
    twin: LargeGraphs, wanted: StageCalls, questions: Sequence[Feed], steps: int, on_progress: OnProgress
) -> tuple[dict[str, StageError], float]:
    """Return the error of each stage on fp32's inputs, and the share of equal tokens of a whole answer."""
    errors: dict[str, StageError] = {}

    def open_and_compare(stage: str) -> OnnxEngine:
        engine = twin.open(stage)
        on_progress(f"comparing {stage}", len(errors), len(STAGES))
        calls = [call for one in wanted[stage] for call in one]
        errors[stage] = stage_error((call.outputs, engine.run(call.inputs)) for call in calls)
        return engine

    try:
        found = walk(
            open_and_compare, questions, steps, lambda stage: on_progress(f"answering, {stage}", 0, 1)
        )
    except EngineFault:  # a stage's error tells of NaN or infinity
        return errors, 0.0
    return errors, float(np.mean(np.array(tokens(wanted)) == np.array(tokens(found))))
