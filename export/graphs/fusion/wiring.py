"""The nodes of a draft by what they make and read, and the search for patterns among them.

A pattern is a tuple of an operator and the patterns of its inputs. Among these, a word stands for a tensor,
the same one wherever it comes again; a number or a list for a constant of these numbers.

    ("Mul", "x", ("Add", ("Tanh", "y"), 1.0))
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import onnx
from onnx import NodeProto, helper

from export.graphs.edit import Draft

Pattern = tuple[Any, ...] | str | float | list[int]
Found = dict[str, str]  # the tensor that each word of a pattern stands for
_COMMUTE = ("Add", "Mul")
_CLOSE = 1e-6  # share by which a constant may differ from a pattern's: fp32 rounds it


@dataclass(frozen=True)
class Bias:
    """A constant that is added to a product."""

    output: str  # the sum
    constant: str


class Wiring:
    """A draft whose nodes are looked up by tensors. After a change of nodes, take a new one."""

    def __init__(self, draft: Draft) -> None:
        self.draft, self.graph = draft, draft.model.graph
        self.weights = {weight.name: weight for weight in self.graph.initializer}
        self.makers = {name: node for node in self.graph.node for name in node.output}
        self.inputs = {value.name for value in self.graph.input}
        self.outputs = {value.name for value in self.graph.output}
        self.readers: dict[str, list[NodeProto]] = {}
        for node in self.graph.node:
            for name in dict.fromkeys(node.input):
                self.readers.setdefault(name, []).append(node)

    def values(self, name: str) -> np.ndarray | None:
        """Return the numbers of a constant; None if the tensor is not one."""
        return self.draft.values(self.weights[name]) if name in self.weights else None

    def constant(self, name: str, array: np.ndarray) -> str:
        """Add a constant to the draft if it has none of that name, and return the name."""
        if name not in self.weights:
            self.weights[name] = self.draft.add_constant(name, array)
        return name

    def find(self, pattern: Pattern, name: str, found: Found | None = None) -> Found | None:
        """Return what the words of a pattern stand for, if it makes the tensor of that name; else None."""
        found = dict(found or {})
        if isinstance(pattern, str):
            return found if found.setdefault(pattern, name) == name else None
        if not isinstance(pattern, tuple):
            values, wanted = self.values(name), np.asarray(pattern)
            if values is None or values.size != wanted.size:
                return None
            return found if np.allclose(values.ravel(), wanted, rtol=_CLOSE, atol=0) else None
        kind, *inputs = pattern
        node = self.makers.get(name)
        if node is None or node.op_type != kind or len(node.input) != len(inputs) or node.output[0] != name:
            return None
        orders = [inputs, inputs[::-1]] if kind in _COMMUTE else [inputs]
        for order in orders:
            result: Found | None = found
            for each, source in zip(order, node.input, strict=True):
                result = None if result is None else self.find(each, source, result)
            if result is not None:
                return result
        return None

    def one_reader(self, name: str) -> NodeProto | None:
        """Return the only node that reads a tensor; None if there are others, or the graph gives it out."""
        readers = self.readers.get(name, [])
        return readers[0] if len(readers) == 1 and name not in self.outputs else None

    def bias(self, node: NodeProto) -> "Bias | None":
        """Return the sum of a node's output with a constant (N,), if nothing else reads the output."""
        reader = self.one_reader(node.output[0])
        if reader is None or reader.op_type != "Add":
            return None
        others = [name for name in reader.input if name != node.output[0]]
        if len(others) != 1 or others[0] not in self.weights or len(self.weights[others[0]].dims) != 1:
            return None
        return Bias(reader.output[0], others[0])

    def replace(self, made: Sequence[NodeProto]) -> None:
        """Put nodes in place of those that make the same tensors, and drop what nothing reads any more."""
        made = list({tuple(node.output): node for node in made}.values())  # several may need the same one
        names = {name for node in made for name in node.output}
        old = [node for node in self.graph.node if not names.intersection(node.output)]
        known = {weight.name for weight in self.graph.initializer} | self.inputs
        self.draft.replace_nodes(in_order([*old, *made], known))
        del self.graph.value_info[:]  # notes of shapes, some of them no longer true
        drop_unread(self.draft)

    @cached_property
    def shapes(self) -> dict[str, list[int]]:
        """The shapes of tensors, as far as onnx infers them."""
        graph = onnx.shape_inference.infer_shapes(self.draft.model, data_prop=True).graph
        values = (*graph.value_info, *graph.input, *graph.output)
        found = {v.name: [d.dim_value for d in v.type.tensor_type.shape.dim] for v in values}
        return {**found, **{weight.name: list(weight.dims) for weight in graph.initializer}}


def attribute(node: NodeProto, name: str, default: Any = None) -> Any:
    """Return a node's attribute of that name."""
    found = [helper.get_attribute_value(one) for one in node.attribute if one.name == name]
    return found[0] if found else default


def in_order(nodes: Sequence[NodeProto], known: set[str]) -> list[NodeProto]:
    """Return the nodes so that each stands behind those that make what it reads, else in their order."""
    makers: Mapping[str, int] = {name: i for i, node in enumerate(nodes) for name in node.output}
    done: list[NodeProto] = []
    placed: set[int] = set()

    def place(index: int) -> None:
        stack = [index]
        while stack:
            at = stack[-1]
            waiting = [makers[n] for n in nodes[at].input if n and n not in known and makers[n] not in placed]
            if waiting:
                stack += waiting
                continue
            stack.pop()
            if at not in placed:
                placed.add(at)
                done.append(nodes[at])

    for index in range(len(nodes)):
        place(index)
    return done


def drop_unread(draft: Draft) -> None:
    """Remove the nodes whose outputs nothing reads, and constants that nothing reads."""
    graph = draft.model.graph
    needed = {value.name for value in graph.output}
    kept: list[NodeProto] = []
    for node in reversed(graph.node):
        if needed.intersection(node.output):
            needed.update(node.input)
            kept.append(node)
    draft.replace_nodes(kept[::-1])
    weights = [weight for weight in graph.initializer if weight.name in needed]
    del graph.initializer[:]
    graph.initializer.extend(weights)
