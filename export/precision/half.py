"""fp16 and bf16, strongly typed: every cast stands in the graph, and no builder decides anything.

Matrix products, convolutions and what lies plainly between them are computed in the half type. Norms,
softmax, residual sums, rotary angles, powers and everything that mixes with them stay fp32, and so do the
graph's inputs and outputs.
"""

from collections.abc import Collection
from dataclasses import dataclass, replace
from typing import Literal

import ml_dtypes
import numpy as np
import onnx
from onnx import NodeProto, TensorProto, helper

from export.graphs.edit import Draft
from export.graphs.graph import COMPUTE, Graph
from export.precision.calibrate import StageCalibration
from export.precision.candidate import Candidate

HalfKind = Literal["fp16", "bf16"]
_TYPES = {
    "fp16": (TensorProto.FLOAT16, np.dtype(np.float16)),
    "bf16": (TensorProto.BFLOAT16, np.dtype(ml_dtypes.bfloat16)),
}
# These only move or scale numbers: they are half if all their inputs are half already.
_PLAIN = ("Reshape", "Transpose", "Squeeze", "Unsqueeze", "Slice", "Concat", "Expand", "Neg", "Relu", "Mul")


@dataclass(frozen=True)
class Half:
    """An fp32 graph to a half type."""

    kind: HalfKind
    also: Collection[str] = ()  # names of nodes to compute in half beside those above
    rounded: bool = False

    @property
    def twin(self) -> "Half":
        """The same for ONNX Runtime's CPU, which has few kernels for half types.

        Sums are done in fp32, as tensor cores do, and each tensor that would be half is rounded to it.
        """
        return replace(self, rounded=True)

    def apply(self, graph: Graph) -> Graph:
        """Return the graph in the half type."""
        return _HalfPass(Draft(graph), self).run()


def fit_half(stage: StageCalibration, kind: HalfKind) -> Candidate:
    """Return a stage in a half type, which nothing is calibrated for."""
    half = Half(kind)
    twin = None if stage.options.profile == "onnxruntime" else half.twin.apply(stage.graph)
    return Candidate(kind, half.apply(stage.graph), twin)


class _HalfPass:
    """One pass over a graph, in its order of computation."""

    def __init__(self, draft: Draft, half: Half) -> None:
        self._draft, self._also, self._rounded = draft, half.also, half.rounded
        self._type, self._dtype = _TYPES[half.kind]
        self._suffix = "_" + half.kind
        inferred = onnx.shape_inference.infer_shapes(draft.model).graph
        values = (*inferred.value_info, *inferred.input, *inferred.output)
        self._floats = {v.name for v in values if v.type.tensor_type.elem_type == TensorProto.FLOAT}
        self._weights = {w.name: w for w in draft.model.graph.initializer}
        self._floats |= {name for name, w in self._weights.items() if w.data_type == TensorProto.FLOAT}
        self._halves: set[str] = set()  # tensors that nodes give out in half
        self._copies: dict[str, str] = {}  # the name of a tensor's copy in the other type
        self._nodes: list[NodeProto] = []

    def run(self) -> Graph:
        """Return the changed graph."""
        graph = self._draft.model.graph
        outputs = {value.name for value in graph.output}
        for node in list(graph.node):
            self._convert(node) if self._is_half(node) else self._restore(node)
            for name in self._halves.intersection(node.output):
                if self._rounded or name in outputs:
                    self._give_out(node, name)
        self._draft.replace_nodes(self._nodes)
        return self._draft.finish()

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
        if name not in self._copies:
            self._copies[name] = name + self._suffix
            with np.errstate(over="ignore"):  # infinities are the gate's to find, with the layer's name
                numbers = self._draft.values(self._weights[name]).astype(self._dtype)
            if self._rounded:
                numbers = numbers.astype(np.float32)
            self._draft.add_constant(self._copies[name], numbers)
        return self._copies[name]

    def _cast(self, name: str, down: bool) -> str:
        """Return the name of the tensor in the other type."""
        if name not in self._copies:
            self._copies[name] = name + (self._suffix if down else "_fp32")
            if down and self._rounded:
                self._round(name, self._copies[name])
            else:
                self._add_cast(name, self._copies[name], self._type if down else TensorProto.FLOAT)
        return self._copies[name]

    def _give_out(self, node: NodeProto, name: str) -> None:
        """Keep the tensor fp32 under its own name; readers in half get the node's own output."""
        inner = name + "_made"
        node.output[list(node.output).index(name)] = inner
        if self._rounded:
            self._round(inner, name)
            return
        self._add_cast(inner, name, TensorProto.FLOAT)
        self._halves.discard(name)
        self._halves.add(inner)
        self._copies[name] = inner

    def _round(self, name: str, rounded: str) -> None:
        self._add_cast(name, f"{rounded}_half", self._type)
        self._add_cast(f"{rounded}_half", rounded, TensorProto.FLOAT)

    def _add_cast(self, source: str, result: str, kind: int) -> None:
        self._nodes.append(helper.make_node("Cast", [source], [result], f"{result}_cast", to=kind))
