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

RotaryTables = Mapping[
    str, np.ndarray
]  # (slots, D) by the name of a tensor (1, 1, 1, D) that a position makes


def fuse_operators(draft: Draft, tables: RotaryTables) -> None:
    """Put one operator in the place of each norm, GELU and rotation of a draft.

    `tables` are the cosines and sines of graphs that compute these from the input `position`.
    """
    # ONNX Runtime 1.23 rounds to int8 up to opset 22 alone, as convolutions need it.
    newest = 22 if any(node.op_type == "Conv" for node in draft.model.graph.node) else 23
    for opset, pattern, make in (
        (20, _GELU, _gelu),
        (23, _RMS_NORM, _rms_norm),
        (23, _ROTARY, _rotary(tables)),
    ):
        if opset > newest:
            continue
        wiring = Wiring(draft)
        made: list[NodeProto] = []
        for node in wiring.graph.node:
            found = wiring.find(pattern, node.output[0])
            new = None if found is None else make(wiring, found, node)
            if new is not None:
                made.append(new)
        wiring.replace(made)
        if made:
            draft.raise_opset(opset)


def _rms_norm(wiring: Wiring, found: Found, node: NodeProto) -> NodeProto | None:
    weight, epsilon = wiring.values(found["weight"]), wiring.values(found["epsilon"])
    if weight is None or epsilon is None or weight.ndim != 1 or epsilon.size != 1:
        return None
    inputs = [found["x"], found["weight"]]
    return helper.make_node(
        "RMSNormalization", inputs, [node.output[0]], node.name, axis=-1, epsilon=float(epsilon.item())
    )


def _gelu(wiring: Wiring, found: Found, node: NodeProto) -> NodeProto:
    return helper.make_node("Gelu", [found["x"]], [node.output[0]], node.name, approximate="tanh")


def _rotary(tables: RotaryTables) -> Callable[[Wiring, Found, NodeProto], NodeProto | None]:
    def make(wiring: Wiring, found: Found, node: NodeProto) -> NodeProto | None:
        angles = [_angles(wiring, found[word], tables) for word in ("cos", "sin")]
        half = wiring.values(found["half"])
        if half is None or any(one is None or one.shape[-1] != 2 * half.item() for one in angles):
            return None
        if any(not np.array_equal(*np.split(one, 2, axis=-1)) for one in angles if one is not None):
            return None  # the halves turn by different angles, which the operator can't
        names: list[str] = []
        for word, values in zip(("cos", "sin"), angles, strict=True):
            names.append(f"{found[word]}_half")
            if names[-1] not in wiring.weights and values is not None:
                narrow = np.ascontiguousarray(values[..., : half.item()])
                wiring.weights[names[-1]] = wiring.draft.add_constant(names[-1], narrow)
        positions = _positions(wiring, found, angles[0])
        return helper.make_node(
            "RotaryEmbedding", [found["x"], *names, positions], [node.output[0]], node.name
        )

    return make


def _angles(wiring: Wiring, name: str, tables: RotaryTables) -> np.ndarray | None:
    """Return the cosines or sines (positions, D) behind a tensor; None if they depend on other inputs."""
    values = wiring.values(name)
    if values is None:
        return tables.get(name)
    return values[0, 0] if values.ndim == 4 and values.shape[:2] == (1, 1) else None


def _positions(wiring: Wiring, found: Found, angles: np.ndarray | None) -> str:
    """Return the name of a tensor (1, S) with the rows of the tables to turn by."""
    assert angles is not None
    if found["cos"] in wiring.makers:
        name = "position_row"
        if name not in wiring.makers:
            shape = "position_row_shape"
            wiring.weights[shape] = wiring.draft.add_constant(shape, np.array([1, 1], np.int64))
            node = helper.make_node("Reshape", ["position", shape], [name], name)
            wiring.graph.node.insert(0, node)
            wiring.makers[name] = node
        return name
    name = f"rows_{len(angles)}"
    if name not in wiring.weights:
        rows = np.arange(len(angles), dtype=np.int64)[None]
        wiring.weights[name] = wiring.draft.add_constant(name, rows)
    return name


def rotary_inputs(draft: Draft) -> list[str]:
    """Return the names of the tensors that rotations multiply by and that are not constants."""
    wiring = Wiring(draft)
    found = [wiring.find(_ROTARY, node.output[0]) for node in wiring.graph.node]
    names = [one[word] for one in found if one is not None for word in ("cos", "sin")]
    return [name for name in dict.fromkeys(names) if name in wiring.makers]
