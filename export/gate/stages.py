"""How far a graph in another precision is from its fp32 one, given the same inputs; and which layer it is due
to."""

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import onnxruntime
from numpy.typing import NDArray
from onnx import ModelProto

from edge.engines.onnx import EngineFault, OnnxEngine
from export.gate.records import LayerError, StageError
from export.graphs.edit import float_outputs, layer_name, parse, weights, with_outputs
from export.measure.feeds import Feed

_LAYER_FEEDS = 4  # inputs that layers are compared on; each holds all tensors of the graph in memory
MAX_DB = 120.0  # what an error of nothing counts as


def compare_stage(base: bytes, other: bytes, feeds: Sequence[Feed]) -> StageError:
    """Compare two graphs with the same inputs and outputs."""
    first, second = OnnxEngine(base), OnnxEngine(other)
    try:
        return stage_error((first.run(feed), second.run(feed)) for feed in feeds)
    finally:
        first.close()
        second.close()


def stage_error(answers: Iterable[tuple[Feed, Feed]]) -> StageError:
    """Of pairs of outputs, the fp32 graph's and the other's."""
    cosines: list[float] = []
    decibels: list[float] = []
    largest = 0.0
    try:
        for wanted, found in answers:
            pairs = [_pair(wanted[name], found[name]) for name in wanted]
            cosines.append(min(_cosine(a, b) for a, b in pairs))
            decibels.append(min(_sqnr_db(a, b) for a, b in pairs))
            largest = max(largest, *(float(np.abs(a - b).max()) for a, b in pairs))
    except EngineFault:
        return StageError(0.0, 0.0, 0.0, finite=False)
    return StageError(min(cosines), largest, float(np.median(decibels)), finite=True)


def worst_layers(base: bytes, other: bytes, feeds: Sequence[Feed], count: int = 3) -> list[LayerError]:
    """The layers of the fp32 graph that add most error in the other one, worst first: the error of what a
    layer gives out, over that of what it takes in. The first that computes NaN or infinity comes first."""
    model, changed = parse(base), parse(other)
    made = {name for node in changed.graph.node for name in node.output}
    rounded = _rounded(changed)
    named = {name: rounded.get(name, name) for name in float_outputs(model) if name in made}
    errors = _errors(model, changed, named, feeds)
    found: list[LayerError] = []
    for node in model.graph.node:
        after = [errors[name] for name in node.output if name in errors]
        before = max((errors[name] for name in node.input if name in errors), default=0.0)
        if not after:
            # The other graph has another name for it, as where it is scaled: it passes on what it takes in.
            errors |= dict.fromkeys(node.output, before)
            continue
        if np.isfinite(before):
            found.append(LayerError(layer_name(node), max(after) - before))
    # Sorting is stable: of several infinite ones, the first in the order of computation stays first.
    return sorted(found, key=lambda layer: -layer.added)[:count]


def _rounded(model: ModelProto) -> dict[str, str]:
    """Tensors, by name, and what they are after int8, where the rounding is that of the node that gives them
    out. Where an int8 node reads what an fp32 node gives out, the rounding is the reader's."""
    quantized = {
        node.input[0]: node.output[0] for node in model.graph.node if node.op_type == "QuantizeLinear"
    }
    back = {node.input[0]: node.output[0] for node in model.graph.node if node.op_type == "DequantizeLinear"}
    restored = set(back.values())
    constant = weights(model.graph)
    fixed = {after for before, after in back.items() if before in constant}
    read_by_int8 = {
        name
        for node in model.graph.node
        if fixed & set(node.input) or (restored & set(node.input) and quantized.keys() & set(node.output))
        for name in node.input
    }
    rounded: dict[str, str] = {}
    for node in model.graph.node:
        for name in node.output:
            after = back.get(quantized.get(name, ""))
            if after is not None and (restored & set(node.input) or after not in read_by_int8):
                rounded[name] = after
    return rounded


def _errors(
    model: ModelProto, other: ModelProto, named: dict[str, str], feeds: Sequence[Feed]
) -> dict[str, float]:
    """The largest relative error of each tensor, which the other graph calls as `named` says; infinite where
    it is no number."""
    sessions = _session(with_outputs(model, named)), _session(with_outputs(other, named.values()))
    worst = dict.fromkeys(named, 0.0)
    for feed in feeds[:_LAYER_FEEDS]:
        wanted, found = sessions[0].run(list(named), feed), sessions[1].run(list(named.values()), feed)
        for name, a, b in zip(named, wanted, found, strict=True):
            a, b = _pair(a, b)
            gap = float(np.linalg.norm(a - b) / max(float(np.linalg.norm(a)), 1e-12))
            worst[name] = max(worst[name], gap if np.isfinite(b).all() else np.inf)
    return worst


def _session(model: bytes) -> onnxruntime.InferenceSession:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.log_severity_level = 3
    return onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])


def _pair(a: Any, b: Any) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    return np.asarray(a, np.float64).ravel(), np.asarray(b, np.float64).ravel()


def _cosine(a: NDArray[np.float64], b: NDArray[np.float64]) -> float:
    lengths = float(np.linalg.norm(a) * np.linalg.norm(b))
    return float(a @ b) / lengths if lengths else float(not np.any(a - b))


def _sqnr_db(a: NDArray[np.float64], b: NDArray[np.float64]) -> float:
    noise, signal = float(((a - b) ** 2).sum()), float((a**2).sum())
    return float(np.clip(10 * np.log10(max(signal, 1e-30) / max(noise, 1e-30)), -MAX_DB, MAX_DB))
