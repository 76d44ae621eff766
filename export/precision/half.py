"""An fp32 graph to fp16 or bf16, strongly typed: every cast stands in the graph, no builder decides anything.

Matrix products, convolutions and what lies plainly between them are computed in the half type. Norms,
softmax, residual sums, rotary angles, powers and everything that mixes with them stay fp32, and so do the
graph's inputs and outputs.
"""

from collections.abc import Collection
from typing import Literal

import ml_dtypes
import numpy as np
import onnx
from onnx import ModelProto, NodeProto, TensorProto, helper

from export.graphs.edit import COMPUTE, constant, finish, parse, values

Half = Literal["fp16", "bf16"]
_TYPES = {
    "fp16": (TensorProto.FLOAT16, np.dtype(np.float16)),
    "bf16": (TensorProto.BFLOAT16, np.dtype(ml_dtypes.bfloat16)),
}
# These only move or scale numbers: half where all that goes in is half already.
_PLAIN = ("Reshape", "Transpose", "Squeeze", "Unsqueeze", "Slice", "Concat", "Expand", "Neg", "Relu", "Mul")


def to_half(graph: bytes, half: Half, also: Collection[str] = (), rounded: bool = False) -> bytes:
    """The half file of an fp32 graph. `also` names nodes to compute in half beyond those above.

    With `rounded` it is its twin for ONNX Runtime's CPU, which has few kernels for half types: sums are done
    in fp32, as tensor cores do, and each tensor that would be half is rounded to it.
    """
    return finish(_Halving(parse(graph), half, also, rounded).done())


class _Halving:
    """One pass over a graph, in its order of computation."""

    def __init__(self, model: ModelProto, half: Half, also: Collection[str], rounded: bool) -> None:
        self._model, self._also, self._rounded = model, also, rounded
        self._type, self._dtype = _TYPES[half]
        self._suffix = "_" + half
        inferred = onnx.shape_inference.infer_shapes(model).graph
        values = (*inferred.value_info, *inferred.input, *inferred.output)
        self._floats = {v.name for v in values if v.type.tensor_type.elem_type == TensorProto.FLOAT}
        self._weights = {w.name: w for w in model.graph.initializer}
        self._floats |= {name for name, w in self._weights.items() if w.data_type == TensorProto.FLOAT}
        self._halves: set[str] = set()  # tensors that nodes give out in half
        self._made: dict[str, str] = {}  # the other type's copy of a tensor, by name
        self._nodes: list[NodeProto] = []

    def done(self) -> ModelProto:
        """The model, changed."""
        graph = self._model.graph
        outputs = {value.name for value in graph.output}
        for node in list(graph.node):
            self._convert(node) if self._is_half(node) else self._restore(node)
            for name in self._halves.intersection(node.output):
                if self._rounded or name in outputs:
                    self._give_out(node, name)
        del graph.node[:]
        graph.node.extend(self._nodes)
        return self._model

    def _is_half(self, node: NodeProto) -> bool:
        floats = [name for name in node.input if name in self._floats]
        if not floats:
            return False
        if node.name in self._also or node.op_type in COMPUTE:
            return True
        moving = [name for name in floats if name not in self._weights]
        if not moving or any(name not in self._halves for name in moving):
            return False
        # A sum of two moving tensors is a residual, one with a constant a bias.
        return node.op_type in _PLAIN or (node.op_type == "Add" and len(moving) == 1)

    def _convert(self, node: NodeProto) -> None:
        for index, name in enumerate(node.input):
            if name in self._floats and name not in self._halves:
                node.input[index] = self._weight(name) if name in self._weights else self._cast(name, True)
        self._nodes.append(node)
        self._halves |= self._floats.intersection(node.output)

    def _restore(self, node: NodeProto) -> None:
        for index, name in enumerate(node.input):
            if name in self._halves and not self._rounded:
                node.input[index] = self._cast(name, False)
        self._nodes.append(node)

    def _weight(self, name: str) -> str:
        if name not in self._made:
            self._made[name] = name + self._suffix
            with np.errstate(over="ignore"):  # infinities are the gate's to find, with the layer's name
                numbers = values(self._weights[name]).astype(self._dtype)
            if self._rounded:
                numbers = numbers.astype(np.float32)
            self._model.graph.initializer.append(constant(self._made[name], numbers))
        return self._made[name]

    def _cast(self, name: str, down: bool) -> str:
        """The name of the tensor in the other type."""
        if name not in self._made:
            self._made[name] = name + (self._suffix if down else "_fp32")
            if down and self._rounded:
                self._round(name, self._made[name])
            else:
                self._add_cast(name, self._made[name], self._type if down else TensorProto.FLOAT)
        return self._made[name]

    def _give_out(self, node: NodeProto, name: str) -> None:
        """The tensor stays fp32 under its own name; those who want it in half get what the node made."""
        inner = name + "_made"
        node.output[list(node.output).index(name)] = inner
        if self._rounded:
            self._round(inner, name)
            return
        self._add_cast(inner, name, TensorProto.FLOAT)
        self._halves.discard(name)
        self._halves.add(inner)
        self._made[name] = inner

    def _round(self, name: str, rounded: str) -> None:
        self._add_cast(name, f"{rounded}_half", self._type)
        self._add_cast(f"{rounded}_half", rounded, TensorProto.FLOAT)

    def _add_cast(self, source: str, result: str, kind: int) -> None:
        self._nodes.append(helper.make_node("Cast", [source], [result], f"{result}_cast", to=kind))
