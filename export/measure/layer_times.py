"""The time of each layer of a graph: measured in ONNX Runtime here, or the least that a board allows."""

import json
import re
import tempfile
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
from onnx import NodeProto

from export.graphs.graph import Graph
from export.measure.feeds import Feed
from export.planner.boards import BITS, Board

_CALLS, _WARM_UP, _TURNS = 12, 3, 3
# ONNX Runtime adds this to the name of a node, or of its output, when it fuses nodes.
_FUSED = re.compile(r"(_nchwc|_token_\d+|/.*)$")
_QUANTIZER = re.compile(r"(.*)_uint8_(quantized_QuantizeLinear|restored_DequantizeLinear)$")
_ELEMENT_BYTES = 2  # bytes of an activation on a board
_KERNELS = ("Conv", "QLinearConv", "FusedConv", "MatMul", "Gemm")


def measured_ms(
    graph: Graph, variants: Mapping[str, Graph], feeds: Sequence[Feed]
) -> dict[str, dict[str, float]]:
    """Return milliseconds by variant of an fp32 graph and layer: medians of calls in turn on one thread.

    Quantizers count to the layers that read or give out the tensor.
    """
    times: dict[str, dict[str, list[float]]] = {name: defaultdict(list) for name in variants}
    owners = _KernelOwners(graph)
    for _ in range(_TURNS):
        for name, variant in variants.items():
            for layer, ms in owners.sum(_profile(variant.content, feeds)).items():
                times[name][layer].append(ms)
    return {name: {p: float(np.median(ms)) for p, ms in found.items()} for name, found in times.items()}


def _profile(content: bytes, feeds: Sequence[Feed]) -> dict[tuple[str, str], float]:
    """Return the median milliseconds of each kernel, by its name and operator."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.log_severity_level = 3
    options.enable_profiling = True
    with tempfile.TemporaryDirectory() as folder:
        options.profile_file_prefix = str(Path(folder) / "profile")
        session = onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
        for index in range(_CALLS + _WARM_UP):
            session.run(None, feeds[index % len(feeds)])
        events = json.loads(Path(session.end_profiling()).read_text())
    found: dict[tuple[str, str], list[float]] = defaultdict(list)
    for event in events:
        name, kernel, _ = event["name"].partition("_kernel_time")
        if event.get("cat") == "Node" and kernel:
            found[name, event["args"]["op_name"]].append(event["dur"] / 1e3)
    return {key: float(np.median(values[_WARM_UP:])) for key, values in found.items()}


class _KernelOwners:
    """The layers of an fp32 graph that a kernel belongs to, by the names that ONNX Runtime gives."""

    def __init__(self, graph: Graph) -> None:
        nodes = graph.model.graph.node
        self._makers = {name: node for node in nodes for name in node.output}
        self._nodes = {node.name: node for node in nodes}
        self._layers = set(graph.layers)
        self._by_tensor: dict[str, list[str]] = defaultdict(list)
        for node in graph.products:
            self._by_tensor[node.input[0]].append(node.name)
        for node in graph.products:
            self._by_tensor.setdefault(node.output[0], [node.name])

    def sum(self, kernels: Mapping[tuple[str, str], float]) -> dict[str, float]:
        """Return the milliseconds of each layer."""
        totals = dict.fromkeys(self._layers, 0.0)
        for (name, kind), ms in kernels.items():
            found = self._find(name, kind)
            for layer in found:
                totals[layer] += ms / len(found)
        return totals

    def _find(self, name: str, kind: str) -> Sequence[str]:
        quantizer = _QUANTIZER.match(name)
        if quantizer:
            return self._by_tensor.get(quantizer[1], ())
        plain = _FUSED.sub("", name)
        node = self._nodes.get(plain) or self._makers.get(plain)
        # A convolution fused with a later node has that node's name.
        while node is not None and node.name not in self._layers and kind in _KERNELS:
            node = self._makers.get(node.input[0]) if node.input else None
        return (node.name,) if node is not None and node.name in self._layers else ()


def bounds_ms(graph: Graph, precisions: Sequence[str], board: Board) -> dict[str, dict[str, float]]:
    """Return the least milliseconds on a board, by precision and layer.

    A layer's numbers go through memory once, and its operations through the tensor cores.
    """
    inferred = onnx.shape_inference.infer_shapes(graph.model).graph
    values = (*inferred.value_info, *inferred.input, *inferred.output)
    shapes = {v.name: [d.dim_value for d in v.type.tensor_type.shape.dim] for v in values}
    dims = {name: list(weight.dims) for name, weight in graph.weights.items()}
    work = {node.name: _work(node, shapes, dims) for node in graph.products}
    return {
        precision: {
            name: 1e3
            * max(
                (weights * BITS[precision] / 8 + moved * _ELEMENT_BYTES) / board.bandwidth_bytes_s,
                flops / board.flops_s[precision],
            )
            for name, (weights, moved, flops) in work.items()
        }
        for precision in precisions
    }


def _work(
    node: NodeProto, shapes: Mapping[str, list[int]], dims: Mapping[str, list[int]]
) -> tuple[float, float, float]:
    """Return the count of a layer's weights, of its activations, and of its operations."""
    weights = float(np.prod(dims[node.input[1]]))
    outputs = float(np.prod(shapes[node.output[0]]))
    inputs = float(np.prod(shapes[node.input[0]])) if node.input[0] in shapes else 0.0
    channels = shapes[node.output[0]][1 if node.op_type == "Conv" else -1]
    return weights, outputs + inputs, 2 * outputs * weights / channels
