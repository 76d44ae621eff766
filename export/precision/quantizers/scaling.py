"""Equivalent graphs: the input channels of products divided, and the products' weights multiplied.

If a norm's weight or another linear layer comes before, the division goes into that.
"""

from collections.abc import Collection
from dataclasses import dataclass

import numpy as np
from onnx import NodeProto, helper

from export.graphs.edit import Draft
from export.graphs.graph import fixed_products
from export.precision.quantizers.qdq import channel_axis

_NORMS = ("LayerNormalization", "RMSNormalization", "SimplifiedLayerNormalization")


@dataclass(frozen=True)
class ProductGroup:
    """Products that read the same tensor (..., K)."""

    source: str
    nodes: tuple[str, ...]  # by name
    foldable: bool  # the division can go into the nodes before


class ChannelScaler:
    """Divides the inputs of groups of products in a draft."""

    def __init__(self, draft: Draft) -> None:
        self._draft = draft
        model = draft.model
        self._weights = {weight.name: weight for weight in model.graph.initializer}
        self._makers = {name: node for node in model.graph.node for name in node.output}
        self._readers: dict[str, list[NodeProto]] = {}
        for node in model.graph.node:
            for name in node.input:
                self._readers.setdefault(name, []).append(node)
        self._outputs = {value.name for value in model.graph.output}

    def groups(self, names: Collection[str]) -> list[ProductGroup]:
        """Return the groups of the MatMul and Gemm among these products, in their order."""
        found: dict[str, list[NodeProto]] = {}
        for node in fixed_products(self._draft.model):
            if node.name in names and node.op_type != "Conv" and self._is_own(node):
                found.setdefault(node.input[0], []).append(node)
        return [
            ProductGroup(source, tuple(n.name for n in nodes), self._path(source, len(nodes)) is not None)
            for source, nodes in found.items()
        ]

    def _is_own(self, node: NodeProto) -> bool:
        """Return True if the weight is a matrix that nothing else reads."""
        return len(self._weights[node.input[1]].dims) == 2 and len(self._readers[node.input[1]]) == 1

    def weights(self, group: ProductGroup) -> list[np.ndarray]:
        """Return the weights of its products, each (K, N)."""
        return [self._matrix(node) for node in self._nodes(group)]

    def divide(self, group: ProductGroup, by: np.ndarray) -> str:
        """Divide what the group reads by (K,) above 0; returns the name of the tensor that it reads now."""
        for node in self._nodes(group):
            axis = 1 - channel_axis(node) % 2
            self._multiply(node, 1, by[:, None] if axis == 0 else by)
        path = self._path(group.source, len(group.nodes))
        if path is None:
            return self._divide_by_node(group, by)
        for node in path:
            self._pass_on(node, 1 / by, last=node is path[-1])
        return self._rename(path)

    def _nodes(self, group: ProductGroup) -> list[NodeProto]:
        return [node for node in self._readers[group.source] if node.name in group.nodes]

    def _matrix(self, node: NodeProto) -> np.ndarray:
        numbers = self._draft.values(self._weights[node.input[1]])
        return numbers.T if channel_axis(node) == 0 else numbers

    def _path(self, name: str, readers: int = 1) -> list[NodeProto] | None:
        """Return the nodes from a tensor's maker back to the one whose constants take its scale, if any."""
        if name in self._outputs or len(self._readers.get(name, ())) != readers or name not in self._makers:
            return None
        node = self._makers[name]
        moving = [one for one in node.input if one and one not in self._weights]
        constants = [one for one in node.input if one in self._weights]
        if node.op_type in _NORMS or (node.op_type in ("MatMul", "Gemm") and node.input[1] in self._weights):
            return [node] if len(moving) == 1 and (node.op_type in _NORMS or self._is_own(node)) else None
        if node.op_type == "Mul" and len(moving) == 1 and self._per_channel(constants[0]):
            return [node]
        # A sum with a bias, a rectifier, and one side of a product of two pass a scale on.
        if node.op_type == "Add" and not (len(moving) == 1 and self._per_channel(constants[0])):
            return None
        if node.op_type not in ("Add", "Relu", "Mul"):
            return None
        for one in reversed(moving):
            rest = self._path(one)
            if rest is not None:
                return [node, *rest]
        return None

    def _per_channel(self, name: str) -> bool:
        dims = list(self._weights[name].dims)
        return bool(dims) and dims[-1] > 1 and int(np.prod(dims)) == dims[-1]

    def _pass_on(self, node: NodeProto, by: np.ndarray, last: bool) -> None:
        """Scale the constants of a node so that its output is `by` times what it was.

        In the last node of a path these are all constants; in the others a bias, for their other input is
        scaled already.
        """
        if node.op_type in ("MatMul", "Gemm"):
            self._multiply(node, 1, by[:, None] if channel_axis(node) == 0 else by)
        elif last or node.op_type == "Add":
            for index, name in enumerate(node.input):
                if name in self._weights:
                    self._multiply(node, index, by)
            return
        if len(node.input) > 2:
            self._multiply(node, 2, by)

    def _multiply(self, node: NodeProto, index: int, by: np.ndarray) -> None:
        """Put a product in place of a constant, for this node alone."""
        old = self._weights[node.input[index]]
        numbers = self._draft.values(old)
        name = f"{old.name}_of_{node.name}"
        scaled = (numbers * by).astype(numbers.dtype)
        self._readers[old.name].remove(node)
        initializers = self._draft.model.graph.initializer
        if not self._readers[old.name]:
            del initializers[[one.name for one in initializers].index(old.name)]
        self._weights[name] = self._draft.add_constant(name, scaled)
        self._readers[name] = [node]
        node.input[index] = name

    def _rename(self, path: list[NodeProto]) -> str:
        """Rename scaled tensors, so that nobody compares them with the old ones; returns the last name."""
        names: list[str] = []
        for node in path:
            old = node.output[0]
            new = f"{old}_scaled"
            node.output[0] = new
            self._makers[new] = self._makers.pop(old)
            self._readers[new] = self._readers.pop(old)
            for reader in self._readers[new]:
                reader.input[:] = [new if one == old else one for one in reader.input]
            names.append(new)
        return names[0]

    def _divide_by_node(self, group: ProductGroup, by: np.ndarray) -> str:
        new, factor = f"{group.source}_scaled", f"{group.source}_factor"
        self._draft.add_constant(factor, (1 / by).astype(np.float32))
        node = helper.make_node("Mul", [group.source, factor], [new], f"{new}_Mul")
        nodes = self._nodes(group)
        graph = self._draft.model.graph
        index = min(list(graph.node).index(one) for one in nodes)
        graph.node.insert(index, node)
        for reader in nodes:
            reader.input[0] = new
        self._readers[group.source] = [one for one in self._readers[group.source] if one not in nodes]
        self._readers[group.source].append(graph.node[index])
        self._readers[new], self._makers[new] = nodes, graph.node[index]
        return new
