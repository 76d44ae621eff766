"""The keys and values of attention with fewer copies: of heads, of rows, of layers."""

import numpy as np
from onnx import NodeProto, helper

from export.graphs.edit import Draft
from export.graphs.fusion.wiring import Pattern, Wiring, attribute

_COPIES: Pattern = ("Reshape", ("Expand", ("Unsqueeze", "x", [2]), "times"), "shape")
_WRITTEN: Pattern = ("Where", ("Equal", "slots", "position"), "row", "past")


def share_heads(draft: Draft) -> None:
    """Drop the copies of keys and values for each head of the queries, where there is one head of them.

    A product broadcasts that one by itself.
    """
    wiring = Wiring(draft)
    for node in list(wiring.graph.node):
        found = wiring.find(_COPIES, node.output[0])
        times = None if found is None else wiring.values(found["times"])
        if found is None or times is None or times[1] != 1:
            continue
        _read_instead(wiring, node.output[0], found["x"])
    wiring.replace([])


def _read_instead(wiring: Wiring, name: str, other: str) -> None:
    """Let the readers of a tensor read another one, which has fewer heads."""
    for reader in wiring.readers.get(name, []):
        reader.input[:] = [other if each == name else each for each in reader.input]
        if reader.op_type == "Transpose":
            # Another name, so that nobody compares it with that of all heads.
            before = reader.output[0]
            reader.output[0] = f"{before}_shared"
            _read_instead(wiring, before, reader.output[0])


def write_slots(draft: Draft) -> None:
    """Write a token's keys and values into their slot, in place of choosing between them and every slot."""
    wiring = Wiring(draft)
    made: list[NodeProto] = []
    slots: dict[int, str] = {}  # indices of a slot, by the heads of keys and values
    for node in wiring.graph.node:
        found = wiring.find(_WRITTEN, node.output[0])
        if found is None or found["position"] not in wiring.inputs:
            continue
        order = wiring.values(found["slots"])
        row, past = wiring.shapes.get(found["row"], []), wiring.shapes.get(found["past"], [])
        if len(past) != 4 or past[0] != 1 or row != [*past[:2], 1, past[3]]:
            continue
        if order is None or not np.array_equal(order, np.arange(past[2])[:, None]):
            continue
        if past[1] not in slots:
            made += _slot(draft, found["position"], past[1])
            slots[past[1]] = made[-1].output[0]
        inputs = [found["past"], slots[past[1]], found["row"]]
        made.append(helper.make_node("ScatterND", inputs, [node.output[0]], node.name))
    wiring.replace(made)


def _slot(draft: Draft, position: str, heads: int) -> list[NodeProto]:
    """Return the nodes that compute the indices (1, heads, 1, 3) of a slot in (1, heads, slots, D)."""
    at = f"slot_of_{heads}"
    before = np.stack([np.zeros(heads, np.int64), np.arange(heads)], axis=-1)
    draft.add_constant(f"{at}_heads", before.reshape(1, heads, 1, 2))
    draft.add_constant(f"{at}_shape", np.array([1, heads, 1, 1], np.int64))
    return [
        helper.make_node("Expand", [position, f"{at}_shape"], [f"{at}_position"], f"{at}_position"),
        helper.make_node("Concat", [f"{at}_heads", f"{at}_position"], [at], at, axis=-1),
    ]


def stack_once(draft: Draft) -> None:
    """Cut the cache of all layers apart, and put it together, by one operator each."""
    wiring = Wiring(draft)
    made = [*_cut(wiring), *_joined(wiring)]
    wiring.replace(made)


def _cut(wiring: Wiring) -> list[NodeProto]:
    """Return a Split in place of one Gather for each layer's keys and for its values."""
    past = wiring.shapes.get("past")
    parts: dict[int, str] = {}
    for node in wiring.readers.get("past", []):
        index = wiring.values(node.input[1]) if node.op_type == "Gather" else None
        if index is None or index.ndim or attribute(node, "axis", 0) != 0:
            return []
        parts[int(index)] = node.output[0]
    if past is None or past[1] != 1 or sorted(parts) != list(range(past[0])):
        return []
    wiring.draft.add_constant("past_flat_shape", np.array([past[0], *past[2:]], np.int64))
    return [
        helper.make_node("Reshape", ["past", "past_flat_shape"], ["past_flat"], "past_flat"),
        helper.make_node(
            "Split", ["past_flat"], [parts[i] for i in range(past[0])], "past_split", num_outputs=past[0]
        ),
    ]


def _joined(wiring: Wiring) -> list[NodeProto]:
    """Return one Concat and a Reshape in place of an Unsqueeze for each part and their Concat."""
    made: list[NodeProto] = []
    for node in wiring.graph.node:
        if node.op_type != "Concat" or attribute(node, "axis") != 0:
            continue
        parts = [wiring.find(("Unsqueeze", "x", [0]), name) for name in node.input]
        shape = wiring.shapes.get(node.output[0], [])
        if len(shape) != 5 or shape[1] != 1 or any(part is None for part in parts):
            continue
        name = f"{node.output[0]}_flat"
        wiring.draft.add_constant(f"{name}_shape", np.array(shape, np.int64))
        sources = [part["x"] for part in parts if part is not None]
        made += [
            helper.make_node("Concat", sources, [name], name, axis=0),
            helper.make_node("Reshape", [name, f"{name}_shape"], [node.output[0]], node.name),
        ]
    return made
