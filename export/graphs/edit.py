"""A graph in the making: what the changes of precision share."""

import numpy as np
import onnx
from onnx import ModelProto, NodeProto, TensorProto, helper, numpy_helper

from export.graphs.graph import Graph, read_values
from export.graphs.weights import WeightStore, without_outside

LARGE = 4096  # numbers
_CHANGED = {"GroupNormalization", "GridSample", "DFT", "AffineGrid"}  # their meaning differs after opset 18


class Draft:
    """A copy of a graph that is changed in place; new weights go where the graph has its own."""

    def __init__(self, graph: Graph) -> None:
        self.model, self.store = ModelProto(), graph.store
        self.model.CopyFrom(graph.model)

    def graph(self) -> Graph:
        """Return the graph as it stands. Takes the draft over."""
        return Graph(self.model, self.store)

    def finish(self) -> Graph:
        """Return the graph without unused weights, stale types of tensors and notes. Takes the draft over.

        Stale value_info makes ONNX Runtime read a tensor as what it was before the change.
        """
        model, graph = self.model, self.model.graph
        used = {name for node in graph.node for name in node.input} | {value.name for value in graph.output}
        kept = [weight for weight in graph.initializer if weight.name in used]
        del graph.initializer[:], graph.value_info[:], model.metadata_props[:], graph.metadata_props[:]
        graph.initializer.extend(kept)
        for item in (*graph.node, *graph.input, *graph.output, *graph.initializer):
            del item.metadata_props[:]
            item.doc_string = ""
        onnx.checker.check_model(model if self.store is None else without_outside(model))
        return self.graph()

    def values(self, weight: TensorProto) -> np.ndarray:
        """Return the numbers of a constant, which must not be written to."""
        return read_values(weight, self.store)

    def add_constant(self, name: str, array: np.ndarray) -> TensorProto:
        """Return the new constant, of the array's own type; ml_dtypes has the types that numpy lacks."""
        self.model.graph.initializer.append(constant(name, array, self.store))
        return self.model.graph.initializer[-1]

    def replace_nodes(self, nodes: list[NodeProto]) -> None:
        """Make these the nodes of the graph, in the order of computation."""
        del self.model.graph.node[:]
        self.model.graph.node.extend(nodes)

    def raise_opset(self, least: int) -> None:
        """Declare operators of a later version, if the graph's are older.

        Nothing else changes: from 18 to 23 the operators that policies are made of only took in more types.
        Raises ValueError for one of the few others. onnx's own converter would serialise the model.
        """
        model = self.model
        changed = {node.op_type for node in model.graph.node} & _CHANGED
        (opset,) = (one for one in model.opset_import if one.domain in ("", "ai.onnx"))
        if opset.version < least:
            if changed:
                raise ValueError(f"{changed} mean something else in opset {least} than in {opset.version}")
            opset.version = least
            model.ir_version = max(model.ir_version, helper.find_min_ir_version_for([opset]))

    def swap_constant(self, node: NodeProto, name: str) -> None:
        """Let a product read another tensor; its old constant goes if nothing else reads that."""
        graph, old = self.model.graph, node.input[1]
        node.input[1] = name
        if not any(old in one.input for one in graph.node) and all(old != one.name for one in graph.output):
            del graph.initializer[[one.name for one in graph.initializer].index(old)]

    def store_as_fp16(self) -> None:
        """Hold large fp32 constants as fp16, cast to fp32 when the graph is loaded.

        That halves their size, at an error far below that of int8.
        """
        graph = self.model.graph
        casts: list[NodeProto] = []
        scales = {n for node in graph.node if "Linear" in node.op_type for n in node.input[1:]}
        for weight in list(graph.initializer):
            if weight.data_type != TensorProto.FLOAT or np.prod(weight.dims) < LARGE or weight.name in scales:
                continue
            numbers = self.values(weight)
            if np.abs(numbers).max() > np.finfo(np.float16).max:
                continue
            stored = f"{weight.name}_fp16"
            if not self._gather_stored(weight.name, stored):
                casts.append(
                    helper.make_node("Cast", [stored], [weight.name], f"{stored}_cast", to=TensorProto.FLOAT)
                )
            graph.initializer.remove(weight)
            self.add_constant(stored, numbers.astype(np.float16))
        self.replace_nodes([*casts, *graph.node])

    def _gather_stored(self, name: str, stored: str) -> bool:
        """Return True if the constant is a table that is only looked up: then the rows looked up are cast.

        To cast the whole table would take the memory that fp16 saves.
        """
        graph = self.model.graph
        readers = [node for node in graph.node if name in node.input]
        if any(node.op_type != "Gather" or node.input[1] == name for node in readers):
            return False
        for node in readers:
            (rows,) = node.output
            node.input[0], node.output[0] = stored, f"{rows}_fp16"
            cast = helper.make_node("Cast", [f"{rows}_fp16"], [rows], f"{rows}_cast", to=TensorProto.FLOAT)
            graph.node.insert([id(one) for one in graph.node].index(id(node)) + 1, cast)
        return True


def constant(name: str, array: np.ndarray, store: WeightStore | None = None) -> TensorProto:
    """Return a constant of the array's own type, its numbers in the store if there is one, else in itself."""
    array = np.asarray(array, order="C")
    return numpy_helper.from_array(array, name) if store is None else store.put(name, array)
