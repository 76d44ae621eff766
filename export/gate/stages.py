"""The error of a graph in another precision against its fp32 one, and the layers that cause it."""

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import onnxruntime
from numpy.typing import NDArray
from onnx import ModelProto

from edge.engines.onnx import EngineFault, OnnxEngine
from export.gate.records import LayerError, StageError
from export.graphs.graph import Graph, float_outputs, layer_name
from export.measure.feeds import Feed

MAX_DB = 120.0  # the ratio that stands for no error at all
_LAYER_FEEDS = 4  # inputs that layers are compared on; each holds all tensors of the graph in memory


def compare_stage(reference: Graph, candidate: Graph, feeds: Sequence[Feed]) -> StageError:
    """Compare two graphs with the same inputs and outputs."""
    first, second = OnnxEngine(reference.content), OnnxEngine(candidate.content)
    try:
        return stage_error((first.run(feed), second.run(feed)) for feed in feeds)
    finally:
        first.close()
        second.close()


def stage_error(outputs: Iterable[tuple[Feed, Feed]]) -> StageError:
    """Return the error over pairs of outputs, the fp32 graph's and the candidate's."""
    cosines: list[float] = []
    decibels: list[float] = []
    largest = 0.0
    try:
        for wanted, found in outputs:
            pairs = [_pair(wanted[name], found[name]) for name in wanted]
            cosines.append(min(_cosine(a, b) for a, b in pairs))
            decibels.append(min(_sqnr_db(a, b) for a, b in pairs))
            largest = max(largest, *(float(np.abs(a - b).max()) for a, b in pairs))
    except EngineFault:
        return StageError(0.0, 0.0, 0.0, finite=False)
    return StageError(min(cosines), largest, float(np.median(decibels)), finite=True)


def worst_layers(
    reference: Graph, candidate: Graph, feeds: Sequence[Feed], count: int = 3
) -> list[LayerError]:
    """Return the layers of the fp32 graph that add most error in the candidate, worst first.

    A layer adds the error of its outputs over that of its inputs. The first one that computes NaN or infinity
    comes first.
    """
    present = {name for node in candidate.model.graph.node for name in node.output}
    rounded = _rounded(candidate.model)
    named = {name: rounded.get(name, name) for name in float_outputs(reference.model) if name in present}
    errors = _errors(reference, candidate, named, feeds)
    found: list[LayerError] = []
    for node in reference.model.graph.node:
        after = [errors[name] for name in node.output if name in errors]
        before = max((errors[name] for name in node.input if name in errors), default=0.0)
        if not after:
            # The candidate has another name for a scaled tensor: its error counts as that of the inputs.
            errors |= dict.fromkeys(node.output, before)
            continue
        if np.isfinite(before):
            found.append(LayerError(layer_name(node), max(after) - before))
    # Sorting is stable: of several infinite ones, the first in the order of computation stays first.
    return sorted(found, key=lambda layer: -layer.added)[:count]


def _rounded(model: ModelProto) -> dict[str, str]:
    """Return the name of each tensor after int8, by its name before, if its own node does the rounding.

    If an int8 node reads the output of an fp32 node, the rounding is the reader's.
    """
    quantized = {
        node.input[0]: node.output[0] for node in model.graph.node if node.op_type == "QuantizeLinear"
    }
    back = {node.input[0]: node.output[0] for node in model.graph.node if node.op_type == "DequantizeLinear"}
    restored = set(back.values())
    constant = {weight.name for weight in model.graph.initializer}
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
    reference: Graph, candidate: Graph, named: dict[str, str], feeds: Sequence[Feed]
) -> dict[str, float]:
    """Return the largest relative error of each tensor; infinite if it is NaN.

    `named` holds the candidate's name of a tensor, by the reference's.
    """
    sessions = _session(reference.with_outputs(named)), _session(candidate.with_outputs(named.values()))
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
