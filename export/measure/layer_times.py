"""How long each product of a graph takes: measured in ONNX Runtime here, or the least that a board's memory
and tensor cores allow."""

import json
import re
import tempfile
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
from onnx import ModelProto, NodeProto

from export.graphs.edit import fixed_products, parse
from export.measure.feeds import Feed
from export.planner.boards import BITS, Board

_CALLS, _WARM_UP, _TURNS = 12, 3, 3
# What ONNX Runtime adds to the name of a node, or of the tensor that it gives out, where it fuses.
_FUSED = re.compile(r"(_nchwc|_token_\d+|/.*)$")
_QUANTIZER = re.compile(r"(.*)_uint8_(quantized_QuantizeLinear|restored_DequantizeLinear)$")
_ELEMENT_BYTES = 2  # of activations on a board
_KERNELS = ("Conv", "QLinearConv", "FusedConv", "MatMul", "Gemm")


def measured_ms(
    graph: bytes, others: Mapping[str, bytes], feeds: Sequence[Feed]
) -> dict[str, dict[str, float]]:
    """Milliseconds of each product of an fp32 graph, by node name, in each of these files, by theirs: medians
    of calls made in turn on one thread. Quantizers count to the products that read or give out the tensor."""
    times: dict[str, dict[str, list[float]]] = {name: defaultdict(list) for name in others}
    owners = _Owners(parse(graph))
    for _ in range(_TURNS):
        for name, content in others.items():
            for product, ms in owners.sum(_profile(content, feeds)).items():
                times[name][product].append(ms)
    return {name: {p: float(np.median(ms)) for p, ms in found.items()} for name, found in times.items()}


def _profile(content: bytes, feeds: Sequence[Feed]) -> dict[tuple[str, str], float]:
    """Median milliseconds by name and operator of each kernel."""
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


class _Owners:
    """Which products of an fp32 graph a kernel belongs to, by the names that ONNX Runtime gives."""

    def __init__(self, model: ModelProto) -> None:
        self._makers = {name: node for node in model.graph.node for name in node.output}
        self._nodes = {node.name: node for node in model.graph.node}
        self._products = {node.name for node in fixed_products(model)}
        self._of_tensor: dict[str, list[str]] = defaultdict(list)
        for node in fixed_products(model):
            self._of_tensor[node.input[0]].append(node.name)
        for node in fixed_products(model):
            self._of_tensor.setdefault(node.output[0], [node.name])

    def sum(self, kernels: Mapping[tuple[str, str], float]) -> dict[str, float]:
        """Milliseconds by product."""
        totals = dict.fromkeys(self._products, 0.0)
        for (name, kind), ms in kernels.items():
            found = self._find(name, kind)
            for product in found:
                totals[product] += ms / len(found)
        return totals

    def _find(self, name: str, kind: str) -> Sequence[str]:
        quantizer = _QUANTIZER.match(name)
        if quantizer:
            return self._of_tensor.get(quantizer[1], ())
        plain = _FUSED.sub("", name)
        node = self._nodes.get(plain) or self._makers.get(plain)
        # A convolution that took in what follows it is called like that.
        while node is not None and node.name not in self._products and kind in _KERNELS:
            node = self._makers.get(node.input[0]) if node.input else None
        return (node.name,) if node is not None and node.name in self._products else ()


def floors_ms(graph: bytes, precisions: Sequence[str], board: Board) -> dict[str, dict[str, float]]:
    """The least milliseconds of each product on a board, by node name, in each of these precisions, by
    theirs: its numbers go through memory once, and its operations through the tensor cores."""
    model = parse(graph)
    inferred = onnx.shape_inference.infer_shapes(model).graph
    values = (*inferred.value_info, *inferred.input, *inferred.output)
    shapes = {v.name: [d.dim_value for d in v.type.tensor_type.shape.dim] for v in values}
    dims = {weight.name: list(weight.dims) for weight in model.graph.initializer}
    work = {node.name: _work(node, shapes, dims) for node in fixed_products(model)}
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
    """Numbers of the weight, numbers that go in and out, and operations."""
    weight = dims[node.input[1]]
    given = float(np.prod(shapes[node.output[0]]))
    taken = float(np.prod(shapes[node.input[0]])) if node.input[0] in shapes else 0.0
    channels = shapes[node.output[0]][1 if node.op_type == "Conv" else -1]
    return float(np.prod(weight)), given + taken, 2 * given * float(np.prod(weight)) / channels
