"""Explicit QuantizeLinear and DequantizeLinear around products with constant weights.

Our own, because onnxruntime's quantizer holds a whole model in memory several times and serialises it, which
ends at 2 GB. Here a weight is read from the draft, replaced there and forgotten before the next one.

Kinds:

    uint8  for ONNX Runtime's CPU: activations uint8 with a zero point, int32 biases of Gemm and Conv. Their
           outputs are rounded too, else ONNX Runtime does not use its integer kernels; so is the output of a
           MatMul that a bias is added to, else ONNX Runtime makes one fp32 product of both
    int8   for TensorRT: activations int8 around 0, biases as they are (its parser refuses integer ones)
    fp8    for TensorRT: activations and weights E4M3

Weights have a scale for each output channel, activations one for all.
"""

from collections.abc import Collection
from typing import Any, Literal

import ml_dtypes
import numpy as np
from onnx import NodeProto, TensorProto, helper

from export.graphs.edit import Draft
from export.graphs.graph import fixed_products
from export.measure.ranges import Ranges

Kind = Literal["uint8", "int8", "fp8"]
E4M3 = np.dtype(ml_dtypes.float8_e4m3fn)
E4M3_MAX = 448.0
_OPSETS: dict[Kind, int] = {"uint8": 13, "int8": 13, "fp8": 19}  # the first with the type
_WEIGHT_MAX: dict[Kind, float] = {"uint8": 127.0, "int8": 127.0, "fp8": E4M3_MAX}
_TINY = float(np.finfo(np.float32).tiny)


def insert_qdq(
    draft: Draft, names: Collection[str], kind: Kind, ranges: Ranges, rounded: bool = False
) -> None:
    """Quantize these products of a draft, by node name.

    `ranges` holds those of their inputs and, for uint8, of their outputs. Raises KeyError if one is missing,
    which means that they are another graph's.

    With `rounded`, fp8 is its twin for ONNX Runtime's CPU, which has no product of fp8: numbers are rounded
    to E4M3 and multiplied in the type that they had.
    """
    draft.raise_opset(_OPSETS[kind])
    chosen = {node.name for node in fixed_products(draft.model) if node.name in set(names)}
    _QdqPass(draft, kind, ranges, chosen, rounded and kind == "fp8").run()


def channel_axis(node: NodeProto) -> int:
    """Return the axis of a product's weight that its output channels lie along."""
    if node.op_type == "Gemm":
        return 0 if any(a.name == "transB" and a.i for a in node.attribute) else 1
    return 0 if node.op_type == "Conv" else -1


def round_weight(numbers: np.ndarray, axis: int, kind: Kind) -> tuple[np.ndarray, np.ndarray]:
    """Return a weight's codes, and the scale of each channel along the axis in the weight's own type."""
    others = tuple(i for i in range(numbers.ndim) if i != axis % numbers.ndim)
    # Not np.abs, which would be one more copy of a weight that may have gigabytes.
    high, low = numbers.max(axis=others, keepdims=True), numbers.min(axis=others, keepdims=True)
    scale = safe_scale(np.maximum(high, -low), _WEIGHT_MAX[kind], numbers.dtype)
    scaled = np.divide(numbers, scale, dtype=np.float32)
    np.clip(scaled, -_WEIGHT_MAX[kind], _WEIGHT_MAX[kind], out=scaled)
    if kind != "fp8":
        np.rint(scaled, out=scaled)
    return scaled.astype(E4M3 if kind == "fp8" else np.int8), scale.ravel()


def safe_scale(largest: np.ndarray | float, most: float, dtype: Any = np.float32) -> np.ndarray:
    """Return the divisor that brings numbers up to `largest` down to `most`; 1 if all are 0."""
    scale = (np.asarray(largest, np.float32) / np.float32(most)).astype(dtype)
    return np.where(scale.astype(np.float32) < _TINY, np.ones((), dtype), scale)


class _QdqPass:
    """One pass over a graph, in its order of computation."""

    def __init__(
        self, draft: Draft, kind: Kind, ranges: Ranges, chosen: Collection[str], rounded: bool
    ) -> None:
        graph = draft.model.graph
        self._kind: Kind = kind
        self._draft, self._ranges, self._chosen = draft, ranges, chosen
        self._only_round = rounded
        self._weights = {weight.name: weight for weight in graph.initializer}
        self._outputs = {value.name for value in graph.output}
        products = [node for node in graph.node if node.name in chosen]
        self._types = {n.input[0]: _numpy_type(self._weights[n.input[1]]) for n in products}
        if kind == "uint8":
            self._types |= {
                self._rectified(n.output[0]): _numpy_type(self._weights[n.input[1]])
                for n in products
                if n.op_type != "MatMul" or self._has_bias(n.output[0])
            }
        self._nodes: list[NodeProto] = []
        self._rounded: dict[str, str] = {}  # the rounded copy of a tensor
        self._restored: dict[tuple[str, int], str] = {}  # the rounded copy of a weight, by its name and axis
        self._scales: dict[str, np.ndarray] = {}  # the scales of both kinds of copies

    def run(self) -> None:
        """Change the draft."""
        graph = self._draft.model.graph
        for name in [*(value.name for value in graph.input), *self._weights]:
            self._round(name)
        for node in list(graph.node):
            self._read_rounded(node)
            self._nodes.append(node)
            for name in list(node.output):
                self._round(name)
        self._draft.replace_nodes(self._nodes)

    def _rectified(self, name: str) -> str:
        """Return the tensor to round in a product's place: behind a Relu, if that alone reads the product.

        Its lowest code is 0 then, so that ONNX Runtime leaves the Relu to the rounding.
        """
        readers = [node for node in self._draft.model.graph.node if name in node.input]
        if len(readers) != 1 or readers[0].op_type != "Relu" or name in self._outputs:
            return name
        behind = readers[0].output[0]
        return behind if behind in self._ranges else name

    def _has_bias(self, name: str) -> bool:
        """Return True if a constant is added to the tensor."""
        return any(
            node.op_type == "Add" and name in node.input and self._weights.keys() & set(node.input)
            for node in self._draft.model.graph.node
        )

    def _read_rounded(self, node: NodeProto) -> None:
        chosen = node.name in self._chosen
        for index, name in enumerate(node.input):
            # ONNX Runtime has integer kernels for nodes between products, if these read nothing else.
            if name in self._rounded and (self._kind == "uint8" or (chosen and not index)):
                node.input[index] = self._rounded[name]
        if not chosen:
            return
        weight = self._weights[node.input[1]]
        self._draft.swap_constant(node, self._weight(weight, channel_axis(node)))
        if self._kind == "uint8" and node.op_type != "MatMul" and len(node.input) > 2:
            self._bias(node)

    def _round(self, name: str) -> None:
        """Put the quantizers of an activation here, if it is one of those to round."""
        if name not in self._types:
            return
        at = f"{name}_{self._kind}"
        scale, zero = _activation(self._kind, self._ranges[name], self._types[name])
        if self._only_round:
            self._rounded[name] = self._cast(name, self._add(f"{at}_scale", scale))
            return
        s, z = self._add(f"{at}_scale", scale), self._add(f"{at}_zero", zero)
        exact, restored = name, f"{at}_restored"
        if name in self._outputs and self._kind == "uint8":
            exact, restored = f"{name}_exact", name
            node = self._nodes[-1]
            node.output[list(node.output).index(name)] = exact
        self._append("QuantizeLinear", [exact, s, z], f"{at}_quantized")
        self._rounded[name] = self._append("DequantizeLinear", [f"{at}_quantized", s, z], restored)
        self._scales[restored] = scale

    def _weight(self, weight: TensorProto, axis: int) -> str:
        """Return the name of a weight's rounded copy, which takes its place; readers share it."""
        name, axis = weight.name, axis % len(weight.dims)
        if (name, axis) not in self._restored:
            end = f"{name}_{axis}_{self._kind}"
            numbers = self._draft.values(weight)
            codes, scale = round_weight(numbers, axis, self._kind)
            if self._only_round:
                shape = [-1 if i == axis else 1 for i in range(numbers.ndim)]
                restored = (codes.astype(np.float32) * scale.reshape(shape)).astype(numbers.dtype)
                self._restored[name, axis] = self._add(f"{end}_restored", restored)
                return self._restored[name, axis]
            q, s = self._add(f"{end}_quantized", codes), self._add(f"{end}_scale", scale)
            z = self._add(f"{end}_zero", np.zeros(scale.shape, codes.dtype))
            restored = self._append("DequantizeLinear", [q, s, z], f"{end}_restored", axis=axis)
            self._restored[name, axis], self._scales[restored] = restored, scale
        return self._restored[name, axis]

    def _cast(self, name: str, scale: str) -> str:
        """Return the name of an activation after it was rounded to E4M3."""
        at = f"{name}_{self._kind}"
        scaled = self._append("Div", [name, scale], f"{at}_scaled")
        narrow = self._append("Cast", [scaled], f"{at}_e4m3", to=TensorProto.FLOAT8E4M3FN)
        wide = self._append("Cast", [narrow], f"{at}_wide", to=TensorProto.FLOAT)
        return self._append("Mul", [wide, scale], f"{at}_restored")

    def _bias(self, node: NodeProto) -> None:
        """Make a constant bias int32, in the steps of the product's integer sums."""
        bias = self._weights.get(node.input[2])
        x_scale, w_scale = (self._scales[name] for name in node.input[:2])
        if bias is None or list(bias.dims) != [len(w_scale)]:
            return
        scale = safe_scale(x_scale * w_scale, 1.0)
        most = np.iinfo(np.int32).max
        codes = np.clip(np.rint(self._draft.values(bias) / scale.astype(np.float64)), -most, most).astype(
            np.int32
        )
        name = f"{node.name}_bias"  # a bias may be shared by products with other steps
        q, s = self._add(f"{name}_quantized", codes), self._add(f"{name}_scale", scale)
        z = self._add(f"{name}_zero", np.zeros(scale.shape, np.int32))
        node.input[2] = self._append("DequantizeLinear", [q, s, z], f"{name}_restored", axis=0)

    def _add(self, name: str, array: np.ndarray) -> str:
        self._draft.add_constant(name, array)
        return name

    def _append(self, kind: str, inputs: list[str], output: str, **attributes: Any) -> str:
        self._nodes.append(helper.make_node(kind, inputs, [output], f"{output}_{kind}", **attributes))
        return output


def _activation(kind: Kind, span: tuple[float, float], dtype: np.dtype) -> tuple[np.ndarray, np.ndarray]:
    """Return the scale and zero point for numbers of a range, which is widened to hold 0."""
    low, high = min(span[0], 0.0), max(span[1], 0.0)
    if kind == "uint8":
        scale = safe_scale(high - low, 255.0, dtype)
        return scale, np.asarray(np.rint(-low / float(scale)), np.uint8)
    scale = safe_scale(max(-low, high), _WEIGHT_MAX[kind], dtype)
    return scale, np.zeros((), E4M3 if kind == "fp8" else np.int8)


def _numpy_type(weight: TensorProto) -> np.dtype:
    return helper.tensor_dtype_to_np_dtype(weight.data_type)
