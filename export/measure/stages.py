"""A bundle's graphs run stage by stage over several questions, with one engine in memory at a time.

A question holds a runtime's inputs: pixel_values, ids, length. All else goes from graph to graph by its name:
the outputs of vision and prefill, the cache as `past`, and the most probable token.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from onnx import TensorProto, helper

from edge.engines.onnx import OnnxEngine
from edge.interfaces import Engine, Tensor
from export.graphs.edit import Draft
from export.graphs.graph import Graph
from export.measure.feeds import STAGES, Feed
from export.measure.ranges import Ranges


@dataclass(frozen=True)
class StageCall:
    """One call of a graph."""

    inputs: Feed
    outputs: Feed


StageCalls = dict[str, list[list[StageCall]]]  # by stage, for each question; one call of vision and prefill


def walk(
    open_engine: Callable[[str], Engine],
    questions: Sequence[Feed],
    steps: int,
    on_stage: Callable[[str], None],
    stages: Sequence[str] = STAGES,
) -> StageCalls:
    """All calls that answer the questions, greedily, with `steps` calls of decode each.

    Only the calls of `stages` are made, which are the first ones; each stage's engine is opened by its name.
    `on_stage` is called before each.
    """
    calls: StageCalls = {}
    for stage in stages:
        on_stage(stage)
        engine = open_engine(stage)
        try:
            calls[stage] = [
                _run_stage(engine, stage, question, [calls[s][i][0] for s in STAGES if s in calls], steps)
                for i, question in enumerate(questions)
            ]
        finally:
            engine.close()
    return calls


def tokens(calls: StageCalls) -> list[list[int]]:
    """Return the tokens that answer each question."""
    return [
        [_next_token(prefill[0]), *(_next_token(call) for call in decode)]
        for prefill, decode in zip(calls["prefill"], calls["decode"], strict=True)
    ]


def _run_stage(
    engine: Engine, stage: str, question: Feed, before: Sequence[StageCall], steps: int
) -> list[StageCall]:
    known = dict(question)
    for call in before:
        known |= call.outputs
    if stage != "decode":
        return [_run(engine, {spec.name: known[spec.name] for spec in engine.inputs})]
    _, prefill = before
    first = known["position"]
    calls: list[StageCall] = []
    for step in range(steps):
        last = calls[-1] if calls else prefill
        known |= {
            "token": np.array([[_next_token(last)]], np.int64),
            "position": first + step,
            "past": last.outputs["cache"],
        }
        calls.append(_run(engine, {spec.name: known[spec.name] for spec in engine.inputs}))
    return calls


def _run(engine: Engine, inputs: Mapping[str, Tensor]) -> StageCall:
    return StageCall(dict(inputs), {name: np.array(value) for name, value in engine.run(inputs).items()})


def _next_token(call: StageCall) -> int:
    return int(call.outputs["logits"][0].argmax())


class RangeObserver:
    """An engine that also measures the ranges of the tensors around a graph's layers."""

    def __init__(self, graph: Graph, threads: int) -> None:
        names = [name for node in graph.products for name in (node.input[0], node.output[0])]
        self._names = list(dict.fromkeys(names))
        # The graph itself reduces the tensors: they need not be kept, and the weights stay mapped.
        weights = None if graph.store is None else graph.store.file
        self._engine = OnnxEngine(_reduced(graph, self._names).content, threads, weights, prepack=False)
        self._own = {f"{name}_{end}" for name in self._names for end in ("least", "most")}
        self.inputs = self._engine.inputs
        self.outputs = tuple(spec for spec in self._engine.outputs if spec.name not in self._own)
        self.ranges: Ranges = {}

    def run(self, inputs: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Return the graph's outputs; widens the ranges."""
        outputs = self._engine.run(inputs)
        for name in self._names:
            low, high = float(outputs[f"{name}_least"]), float(outputs[f"{name}_most"])
            old_low, old_high = self.ranges.get(name, (low, high))
            self.ranges[name] = min(low, old_low), max(high, old_high)
        return {name: value for name, value in outputs.items() if name not in self._own}

    def close(self) -> None:
        """Free the engine."""
        self._engine.close()


def _reduced(graph: Graph, names: Sequence[str]) -> Graph:
    """Return the graph with the least and the greatest number of each of these tensors as outputs."""
    draft = Draft(graph)
    for name in names:
        for kind, end in (("ReduceMin", "least"), ("ReduceMax", "most")):
            result = f"{name}_{end}"
            draft.model.graph.node.append(helper.make_node(kind, [name], [result], result, keepdims=0))
            draft.model.graph.output.append(helper.make_tensor_value_info(result, TensorProto.FLOAT, []))
    return draft.graph()
