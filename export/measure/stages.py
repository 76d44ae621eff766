"""A bundle's graphs driven stage by stage over several questions, with one engine in memory at a time.

A question holds what a runtime would give: pixel_values, ids, length. All else goes from graph to graph by
its name: what vision and prefill give out, the cache as `past`, and the token that was most probable.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from onnx import ModelProto, TensorProto, helper

from edge.engines.onnx import OnnxEngine
from edge.interfaces import Engine, Tensor
from export.graphs.edit import fixed_products, parse
from export.measure.feeds import Feed
from export.measure.ranges import Ranges

STAGES = ("vision", "prefill", "decode")
Open = Callable[[str], Engine]  # by role


@dataclass(frozen=True)
class Call:
    """One call of a graph: what went in, and what came out."""

    inputs: Feed
    outputs: Feed


Calls = dict[str, list[list[Call]]]  # by role, for each question; one call of vision and prefill


def walk(
    open_engine: Open,
    questions: Sequence[Feed],
    steps: int,
    told: Callable[[str], None],
    stages: Sequence[str] = STAGES,
) -> Calls:
    """All calls that answer the questions, greedily, with `steps` calls of decode each; or only those of the
    first stages. `told` hears of each stage before it begins."""
    calls: Calls = {}
    for role in stages:
        told(role)
        engine = open_engine(role)
        try:
            calls[role] = [
                _ask(engine, role, question, [calls[r][i][0] for r in STAGES if r in calls], steps)
                for i, question in enumerate(questions)
            ]
        finally:
            engine.close()
    return calls


def tokens(calls: Calls) -> list[list[int]]:
    """What was said to each question."""
    return [
        [_said(prefill[0]), *(_said(call) for call in decode)]
        for prefill, decode in zip(calls["prefill"], calls["decode"], strict=True)
    ]


def _ask(engine: Engine, role: str, question: Feed, before: Sequence[Call], steps: int) -> list[Call]:
    known = dict(question)
    for call in before:
        known |= call.outputs
    if role != "decode":
        return [_run(engine, {spec.name: known[spec.name] for spec in engine.inputs})]
    _, prefill = before
    first = known["position"]
    said: list[Call] = []
    for step in range(steps):
        last = said[-1] if said else prefill
        known |= {
            "token": np.array([[_said(last)]], np.int64),
            "position": first + step,
            "past": last.outputs["cache"],
        }
        said.append(_run(engine, {spec.name: known[spec.name] for spec in engine.inputs}))
    return said


def _run(engine: Engine, inputs: Mapping[str, Tensor]) -> Call:
    return Call(dict(inputs), {name: np.array(value) for name, value in engine.run(inputs).items()})


def _said(call: Call) -> int:
    return int(call.outputs["logits"][0].argmax())


class Observer:
    """An engine that also sees how far the tensors around a graph's layers reach."""

    def __init__(self, graph: bytes, weights: Path, threads: int) -> None:
        model = parse(graph)
        self._names = _around_layers(model)
        # Reduced by the graph itself: the tensors need not be kept, and the weights stay mapped.
        self._engine = OnnxEngine(_reduced(model, self._names), threads, weights, prepack=False)
        self._own = {f"{name}_{end}" for name in self._names for end in ("least", "most")}
        self.inputs = self._engine.inputs
        self.outputs = tuple(spec for spec in self._engine.outputs if spec.name not in self._own)
        self.ranges: Ranges = {}

    def run(self, inputs: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """The graph's outputs; widens the ranges."""
        outputs = self._engine.run(inputs)
        for name in self._names:
            low, high = float(outputs[f"{name}_least"]), float(outputs[f"{name}_most"])
            old_low, old_high = self.ranges.get(name, (low, high))
            self.ranges[name] = min(low, old_low), max(high, old_high)
        return {name: value for name, value in outputs.items() if name not in self._own}

    def close(self) -> None:
        """Frees the engine."""
        self._engine.close()


def _around_layers(model: ModelProto) -> list[str]:
    """What goes into and comes out of the products with fixed weights."""
    names = [name for node in fixed_products(model) for name in (node.input[0], node.output[0])]
    return list(dict.fromkeys(names))


def _reduced(model: ModelProto, names: Sequence[str]) -> bytes:
    for name in names:
        for kind, end in (("ReduceMin", "least"), ("ReduceMax", "most")):
            result = f"{name}_{end}"
            model.graph.node.append(helper.make_node(kind, [name], [result], result, keepdims=0))
            model.graph.output.append(helper.make_tensor_value_info(result, TensorProto.FLOAT, []))
    return model.SerializeToString()
