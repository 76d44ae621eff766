"""Small tools on ONNX graphs that the changes of precision share."""

import ast
from collections.abc import Iterable

import numpy as np
import onnx
from google.protobuf.message import DecodeError
from onnx import GraphProto, ModelProto, NodeProto, TensorProto, helper, numpy_helper

from edge.errors import BundleRefused
from export.graphs.weights import current_store, is_outside, without_outside

SCOPES = "pkg.torch.onnx.name_scopes"  # of a node: the modules of the net that it stands in
COMPUTE = ("MatMul", "Gemm", "Conv")
LARGE = 4096  # numbers
_CHANGED = {"GroupNormalization", "GridSample", "DFT", "AffineGrid"}  # in meaning, by opsets after 18


def parse(graph: bytes) -> ModelProto:
    """The model of an ONNX file. Raises BundleRefused for bytes that are none."""
    try:
        return onnx.load_from_string(graph)
    except DecodeError as error:
        raise BundleRefused(
            f"a graph is no ONNX file, cut short or damaged: {error}", "export or download the bundle again"
        ) from error


def finish(model: ModelProto) -> bytes:
    """The file of a changed model: unused weights, stale types of tensors and exporter's notes left out.

    Stale value_info makes ONNX Runtime read a tensor as what it was before the change.
    """
    graph = model.graph
    used = {name for node in graph.node for name in node.input} | {value.name for value in graph.output}
    kept = [weight for weight in graph.initializer if weight.name in used]
    del graph.initializer[:], graph.value_info[:], model.metadata_props[:], graph.metadata_props[:]
    graph.initializer.extend(kept)
    for item in (*graph.node, *graph.input, *graph.output, *graph.initializer):
        del item.metadata_props[:]
        item.doc_string = ""
    onnx.checker.check_model(without_outside(model))
    return model.SerializeToString()


def store_as_fp16(model: ModelProto) -> ModelProto:
    """Large fp32 constants that are left, held as fp16 and cast to fp32 when the graph is loaded: half the
    size, at an error far below that of int8."""
    graph = model.graph
    casts: list[NodeProto] = []
    scales = {n for node in graph.node if "Linear" in node.op_type for n in node.input[1:]}
    for weight in list(graph.initializer):
        if weight.data_type != TensorProto.FLOAT or np.prod(weight.dims) < LARGE or weight.name in scales:
            continue
        numbers = values(weight)
        if np.abs(numbers).max() > np.finfo(np.float16).max:
            continue
        stored = f"{weight.name}_fp16"
        if not _gather_stored(graph, weight.name, stored):
            casts.append(
                helper.make_node("Cast", [stored], [weight.name], f"{stored}_cast", to=TensorProto.FLOAT)
            )
        graph.initializer.remove(weight)
        graph.initializer.append(constant(stored, numbers.astype(np.float16)))
    nodes = [*casts, *graph.node]
    del graph.node[:]
    graph.node.extend(nodes)
    return model


def _gather_stored(graph: GraphProto, name: str, stored: str) -> bool:
    """Where a table is only looked up: those rows are cast that were, and not the whole table in memory."""
    readers = [node for node in graph.node if name in node.input]
    if any(node.op_type != "Gather" or node.input[1] == name for node in readers):
        return False
    for node in readers:
        (rows,) = node.output
        node.input[0], node.output[0] = stored, f"{rows}_fp16"
        cast = helper.make_node("Cast", [f"{rows}_fp16"], [rows], f"{rows}_cast", to=TensorProto.FLOAT)
        graph.node.insert([id(one) for one in graph.node].index(id(node)) + 1, cast)
    return True


def values(weight: TensorProto) -> np.ndarray:
    """The numbers of a constant; not to be written. Raises ValueError where they lie outside of the graph and
    `export.graphs.weights.weights_in` does not say where."""
    if not is_outside(weight):
        return numpy_helper.to_array(weight)
    store = current_store()
    if store is None:
        raise ValueError(f"the weights of '{weight.name}' lie outside of the graph")
    return store.read(weight)


def constant(name: str, array: np.ndarray) -> TensorProto:
    """A constant of the array's own type; ml_dtypes has those that numpy lacks. Its numbers lie in the store
    of `export.graphs.weights.weights_in`, where there is one."""
    array, store = np.asarray(array, order="C"), current_store()
    return numpy_helper.from_array(array, name) if store is None else store.put(name, array)


def raise_opset(model: ModelProto, least: int) -> ModelProto:
    """Declares operators of a later version, where the graph's are older.

    Nothing else changes: what policies are made of only took in more types from 18 to 23. Those few that did
    not are refused with ValueError. onnx's own converter would serialise the model.
    """
    changed = {node.op_type for node in model.graph.node} & _CHANGED
    (opset,) = (one for one in model.opset_import if one.domain in ("", "ai.onnx"))
    if opset.version < least:
        if changed:
            raise ValueError(f"{changed} mean something else in opset {least} than in {opset.version}")
        opset.version = least
        model.ir_version = max(model.ir_version, helper.find_min_ir_version_for([opset]))
    return model


def swap_constant(model: ModelProto, node: NodeProto, name: str) -> None:
    """A product reads another tensor in place of its constant, which goes where nothing reads it any more."""
    graph, old = model.graph, node.input[1]
    node.input[1] = name
    if not any(old in one.input for one in graph.node) and all(old != one.name for one in graph.output):
        del graph.initializer[[one.name for one in graph.initializer].index(old)]


def weights(graph: GraphProto) -> set[str]:
    """Names of the graph's constants."""
    return {weight.name for weight in graph.initializer}


def fixed_products(model: ModelProto) -> list[NodeProto]:
    """Matrix products and convolutions with a constant as their second input: layers, not attention. One
    whose first input does not depend on what goes into the graph is none: it is computed at loading."""
    constant = weights(model.graph)
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
    """What a person calls a node: where in the net it stands, and its kind."""
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


def with_outputs(model: ModelProto, names: Iterable[str]) -> bytes:
    """The file of a copy that also gives out these tensors."""
    copy = ModelProto()
    copy.CopyFrom(model)
    present = {value.name for value in copy.graph.output}
    copy.graph.output.extend(onnx.ValueInfoProto(name=name) for name in names if name not in present)
    return copy.SerializeToString()
