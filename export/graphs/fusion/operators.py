"""Norms, activations and rotary angles that torch's exporter writes in pieces, as one operator each."""

from collections.abc import Callable, Mapping

import numpy as np
from onnx import NodeProto, helper

from export.graphs.edit import Draft
from export.graphs.fusion.wiring import Found, Pattern, Wiring

_END = 9223372036854775807  # the end of a slice that goes to the end
_RMS_NORM: Pattern = (
    "Mul",
    ("Mul", "x", ("Reciprocal", ("Sqrt", ("Add", ("ReduceMean", ("Pow", "x", 2.0), [-1]), "epsilon")))),
    "weight",
)
_CUBE: Pattern = ("Mul", 0.044715, ("Pow", "x", 3.0))
_TANH: Pattern = ("Tanh", ("Mul", 0.7978845608, ("Add", "x", _CUBE)))
_GELU: Pattern = ("Mul", "x", ("Mul", 0.5, ("Add", _TANH, 1.0)))
_FIRST: Pattern = ("Slice", "x", [0], "half", [3], [1])
_SECOND: Pattern = ("Slice", "x", "half", [_END], [3], [1])
_ROTARY: Pattern = (
    "Add",
    ("Mul", "x", "cos"),
    ("Mul", ("Concat", ("Neg", _SECOND), _FIRST), "sin"),
)

# Cosines or sines (slots, D) by the name of a tensor (1, 1, 1, D) that is computed from a position.
RotaryTables = Mapping[str, np.ndarray]


def fuse_operators(draft: Draft, tables: RotaryTables) -> None:
    """Put one operator in the place of each norm, GELU and rotation of a draft.

    `tables` are the cosines and sines of graphs that compute these from the input `position`.
    """
    # ONNX Runtime 1.23 rounds to int8 up to opset 22 alone, as convolutions need it.
    newest = 22 if any(node.op_type == "Conv" for node in draft.model.graph.node) else 23
    rotary: _Make = lambda wiring, found, node: _rotary(wiring, found, node, tables)  # noqa: E731
    for opset, pattern, make in ((20, _GELU, _gelu), (23, _RMS_NORM, _rms_norm), (23, _ROTARY, rotary)):
        if opset > newest:
            continue
        wiring = Wiring(draft)
        found = [(wiring.find(pattern, node.output[0]), node) for node in wiring.graph.node]
        made = [new for one, node in found if one is not None for new in make(wiring, one, node)]
        wiring.replace(made)
        if made:
            draft.raise_opset(opset)


def rotary_inputs(draft: Draft) -> list[str]:
    """Return the names of the tensors that rotations multiply by and that are not constants."""
    wiring = Wiring(draft)
    found = [wiring.find(_ROTARY, node.output[0]) for node in wiring.graph.node]
    names = [one[word] for one in found if one is not None for word in ("cos", "sin")]
    return [name for name in dict.fromkeys(names) if name in wiring.makers]


_Make = Callable[[Wiring, Found, NodeProto], list[NodeProto]]  # nothing if it only looks like the operator


def _rms_norm(wiring: Wiring, found: Found, node: NodeProto) -> list[NodeProto]:
    weight, epsilon = wiring.values(found["weight"]), wiring.values(found["epsilon"])
    if weight is None or epsilon is None or weight.ndim != 1 or epsilon.size != 1:
        return []
    about = {"axis": -1, "epsilon": float(epsilon.item())}
    inputs, output = [found["x"], found["weight"]], [node.output[0]]
    return [helper.make_node("RMSNormalization", inputs, output, node.name, **about)]


def _gelu(wiring: Wiring, found: Found, node: NodeProto) -> list[NodeProto]:
    return [helper.make_node("Gelu", [found["x"]], [node.output[0]], node.name, approximate="tanh")]


def _rotary(wiring: Wiring, found: Found, node: NodeProto, tables: RotaryTables) -> list[NodeProto]:
    by_slot = found["cos"] in wiring.makers
    angles = {word: _angles(wiring, found[word], tables) for word in ("cos", "sin")}
    shape, half = wiring.shapes.get(found["x"], []), wiring.values(found["half"])
    names: list[str] = []
    for word, values in angles.items():
        if values is None or half is None or len(shape) != 4 or values.shape[1] != 2 * half.item():
            return []
        if shape[2] != (1 if by_slot else len(values)):
            return []
        first, second = np.split(values, 2, axis=1)
        if not np.array_equal(first, second):
            return []  # the halves turn by different angles, which the operator can't
        names.append(wiring.constant(f"{found[word]}_half", np.ascontiguousarray(first)))
    if by_slot:
        rows = "position_row"
        inputs = ["position", wiring.constant("position_row_shape", np.array([1, 1], np.int64))]
        made = [helper.make_node("Reshape", inputs, [rows], rows)]
    else:
        made = []
        rows = wiring.constant(f"rows_{shape[2]}", np.arange(shape[2], dtype=np.int64)[None])
    inputs = [found["x"], *names, rows]
    return [*made, helper.make_node("RotaryEmbedding", inputs, [node.output[0]], node.name)]


def _angles(wiring: Wiring, name: str, tables: RotaryTables) -> np.ndarray | None:
    """Return the cosines or sines (positions, D) behind a tensor; None if they depend on other inputs."""
    values = wiring.values(name)
    if values is None:
        return tables.get(name)
    return values[0, 0] if values.ndim == 4 and values.shape[:2] == (1, 1) else None
