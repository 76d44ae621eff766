"""Only those rows computed that a graph reads in the end: of its last layer, mostly those of one token."""

from collections.abc import Mapping

import numpy as np
from onnx import NodeProto, helper

from export.graphs.edit import Draft
from export.graphs.fusion.wiring import Wiring, attribute

# Operators that compute each row by itself, if it does not lie along the last axis.
_BY_ROW = {
    "Add",
    "Sub",
    "Mul",
    "Div",
    "Pow",
    "Sqrt",
    "Reciprocal",
    "Neg",
    "Tanh",
    "Erf",
    "Gelu",
    "Relu",
    "Cast",
}
_BY_ROW_OF_FIRST = {"MatMul", "ReduceMean", "LayerNormalization", "Softmax", "Slice"}


def read_fewer_rows(draft: Draft) -> None:
    """Take the rows (1, S, D) that one Gather takes in the end already where they begin to stand alone."""
    wiring = Wiring(draft)
    shapes = wiring.shapes
    for gather in list(wiring.graph.node):
        source = gather.input[0] if gather.op_type == "Gather" else ""
        index = gather.input[1] if source else ""
        if (
            attribute(gather, "axis", 0) == 1
            and len(shapes.get(source, [])) == 3
            and shapes.get(index) == [1]
        ):
            _narrow(wiring, gather, shapes)
            return


def _narrow(wiring: Wiring, gather: NodeProto, shapes: Mapping[str, list[int]]) -> None:
    """Move one Gather towards the inputs, past all nodes whose other rows nothing reads."""
    rows = shapes[gather.input[0]][1]
    narrowed, axes = _nodes_behind(wiring, gather, shapes)
    if not narrowed:
        return
    made = {node.output[0] for node in narrowed}
    gathers: dict[str, NodeProto] = {}
    for node in narrowed:
        for slot, name in enumerate(node.input):
            if name not in axes:
                continue
            node.input[slot] = new = f"{name}_row"  # another name, so that nobody compares it with all rows
            if name not in made:
                inputs = [name, gather.input[1]]
                gathers[name] = helper.make_node("Gather", inputs, [new], new, axis=axes[name])
        node.output[0] = f"{node.output[0]}_row"
        if node.op_type == "Reshape":
            before = wiring.values(node.input[1])
            assert before is not None  # see _reshaped
            node.input[1] = wiring.constant(f"{node.name}_row_shape", np.where(before == rows, 1, before))
    gather.op_type = "Identity"
    del gather.attribute[:], gather.input[:]
    gather.input.append(narrowed[0].output[0])
    Wiring(wiring.draft).replace(list(gathers.values()))


def _nodes_behind(
    wiring: Wiring, gather: NodeProto, shapes: Mapping[str, list[int]]
) -> tuple[list[NodeProto], dict[str, int]]:
    """Return the nodes of whose outputs only the gathered rows are read, the last one first.

    And the axis of the rows in each tensor that they read or make and that has rows.
    """
    axes, rows = {gather.input[0]: 1}, shapes[gather.input[0]][1]
    narrowed: list[NodeProto] = []
    reading = {id(gather)}
    for node in reversed(wiring.graph.node):
        (name, *others) = node.output
        wide = any(id(reader) not in reading for reader in wiring.readers.get(name, []))
        if name not in axes or others or wide or name in wiring.outputs:
            continue
        inputs = _narrow_inputs(wiring, node, axes[name], rows, shapes)
        if inputs is not None and all(axes.get(each, axis) == axis for each, axis in inputs.items()):
            axes |= inputs
            narrowed.append(node)
            reading.add(id(node))
    return narrowed, axes


def _narrow_inputs(
    wiring: Wiring, node: NodeProto, axis: int, rows: int, shapes: Mapping[str, list[int]]
) -> dict[str, int] | None:
    """Return the axis of the rows in each input that has them; None if the node mixes rows."""
    shape, kind = shapes.get(node.output[0], []), node.op_type
    if axis >= len(shape) - 1 or shape[axis] != rows:
        return None
    if kind in _BY_ROW:
        found: dict[str, int] = {}
        for name in node.input:
            size = shapes.get(name, [])
            at = axis - len(shape) + len(size)  # inputs with fewer axes are broadcast
            if at >= 0 and size[at] == rows:
                found[name] = at
        return found
    if kind in _BY_ROW_OF_FIRST and not _mixes(wiring, node, axis, len(shape)):
        size = shapes.get(node.input[0], [])
        return {node.input[0]: axis} if len(size) == len(shape) and size[axis] == rows else None
    if kind == "Concat" and attribute(node, "axis") in (-1, len(shape) - 1):
        return dict.fromkeys(node.input, axis)
    if kind == "Transpose":
        return {node.input[0]: attribute(node, "perm", range(len(shape))[::-1])[axis]}
    if kind == "Reshape":
        return _reshaped(wiring, node, axis, rows, shapes)
    return None


def _mixes(wiring: Wiring, node: NodeProto, axis: int, length: int) -> bool:
    """Return True if a node of these kinds computes a row from others, or takes some of them."""
    if node.op_type == "MatMul":
        return False
    if node.op_type in ("Softmax", "LayerNormalization"):
        return attribute(node, "axis", -1) not in (-1, length - 1)
    axes = wiring.values(node.input[3 if node.op_type == "Slice" else 1]) if len(node.input) > 1 else None
    return axes is None or axis in {int(each) % length for each in np.ravel(axes)}


def _reshaped(
    wiring: Wiring, node: NodeProto, axis: int, rows: int, shapes: Mapping[str, list[int]]
) -> dict[str, int] | None:
    """Return the axis of the rows before a Reshape that leaves them whole."""
    wanted, before, after = (
        wiring.values(node.input[1]),
        shapes.get(node.input[0], []),
        shapes[node.output[0]],
    )
    if wanted is None or wanted.tolist().count(rows) != 1:
        return None
    for at, size in enumerate(before):
        if size == rows and np.prod(before[:at]) == np.prod(after[:axis]):
            return {node.input[0]: at}
    return None
