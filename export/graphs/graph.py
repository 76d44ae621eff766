"""An ONNX graph that is parsed once and travels as that, with the file that its large weights lie in."""

import ast
from collections.abc import Iterable
from functools import cached_property

import numpy as np
import onnx
from google.protobuf.message import DecodeError
from onnx import ModelProto, NodeProto, TensorProto, numpy_helper

from edge.errors import BundleRefused, reason_of
from export.graphs.weights import WeightStore, is_outside

SCOPES = "pkg.torch.onnx.name_scopes"  # note at a node: the modules of the net that it stands in
COMPUTE = ("MatMul", "Gemm", "Conv")


class Graph:
    """A parsed ONNX graph. Nobody changes it: `export.graphs.edit.Draft` is a copy to change."""

    def __init__(self, model: ModelProto, store: WeightStore | None = None) -> None:
        """Take the model over. `store` holds the weights that lie outside of it; None: all lie inside."""
        self.model, self.store = model, store

    @classmethod
    def parse(cls, content: bytes, store: WeightStore | None = None) -> "Graph":
        """Return the graph of an ONNX file. Raises BundleRefused if the file is cut short or damaged."""
        try:
            graph = cls(onnx.load_from_string(content), store)
        except DecodeError as error:
            raise BundleRefused(
                f"a graph is not an ONNX file, or it is cut short or damaged: {reason_of(error)}",
                "export or download the bundle again",
            ) from error
        graph.content = content
        return graph

    @cached_property
    def content(self) -> bytes:
        """The ONNX file."""
        return self.model.SerializeToString()

    @cached_property
    def products(self) -> list[NodeProto]:
        """The layers: `fixed_products` of the model."""
        return fixed_products(self.model)

    @cached_property
    def layers(self) -> list[str]:
        """Names of the layers, in the order of computation."""
        return [node.name for node in self.products]

    @cached_property
    def weights(self) -> dict[str, TensorProto]:
        """The constants, by name."""
        return {weight.name: weight for weight in self.model.graph.initializer}

    def with_outputs(self, names: Iterable[str]) -> bytes:
        """Return the ONNX file of a copy that also gives out these tensors."""
        copy = ModelProto()
        copy.CopyFrom(self.model)
        present = {value.name for value in copy.graph.output}
        copy.graph.output.extend(onnx.ValueInfoProto(name=name) for name in names if name not in present)
        return copy.SerializeToString()


def read_values(weight: TensorProto, store: WeightStore | None = None) -> np.ndarray:
    """Return the numbers of a constant, which must not be written to.

    Raises ValueError if they lie outside of the graph and there is no store to read them from.
    """
    if not is_outside(weight):
        return numpy_helper.to_array(weight)
    if store is None:
        raise ValueError(f"the weights of '{weight.name}' lie outside of the graph")
    return store.read(weight)


def fixed_products(model: ModelProto) -> list[NodeProto]:
    """Matrix products and convolutions with a constant as their second input: layers, not attention.

    A product whose first input does not depend on the graph's inputs is left out: it is computed at loading.
    """
    constant = {weight.name for weight in model.graph.initializer}
    moving = {value.name for value in model.graph.input} - constant
    for node in model.graph.node:
        if moving.intersection(node.input):
            moving.update(node.output)
    return [
        n
        for n in model.graph.node
        if n.op_type in COMPUTE and n.input[1] in constant and n.input[0] in moving
    ]


def layer_name(node: NodeProto) -> str:
    """Return a node's name for people: the module of the net that it stands in, and its kind."""
    for note in node.metadata_props:
        if note.key == SCOPES:
            scopes = [scope for scope in ast.literal_eval(note.value)[:-1] if scope]
            if scopes:
                return f"{scopes[-1]} ({node.op_type} {node.name})"
    return f"{node.op_type} {node.name}"


def float_outputs(model: ModelProto) -> list[str]:
    """Names of all tensors between the nodes that hold fp32, in the order of computation."""
    inferred = onnx.shape_inference.infer_shapes(model).graph
    types = {v.name: v.type.tensor_type.elem_type for v in (*inferred.value_info, *inferred.output)}
    names = [name for node in model.graph.node for name in node.output]
    return [name for name in names if types.get(name) == TensorProto.FLOAT]
