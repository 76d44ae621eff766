"""The matrices in an ONNX graph, found in its bytes: a robot has no onnx package.

https://github.com/onnx/onnx/blob/main/onnx/onnx.proto
"""

from __future__ import annotations

from edge.engines.protobuf import fields, parts, varints
from edge.errors import BundleRefused

_GRAPH, _NODE, _INITIALIZER = 7, 1, 5  # fields of Model and Graph
_NODE_INPUT, _OP_TYPE = 1, 4
_DIMS, _DATA_TYPE, _NAME = 1, 2, 8  # fields of Tensor
_NOT_WEIGHTS = frozenset((5, 6, 7, 8, 9, 12, 13))  # types of indices, masks and text
_SCALED = (b"QuantizeLinear", b"DequantizeLinear")


def matrices(onnx: bytes) -> list[tuple[int, ...]]:
    """Return the shapes of a graph's weights of two or more axes, without what only scales others.

    Raises BundleRefused if the graph is cut short or not ONNX.
    """
    try:
        graph = next(part for number, part in parts(memoryview(onnx)) if number == _GRAPH)
        scales = {name for number, node in parts(graph) if number == _NODE for name in _scales(node)}
        tensors = [_tensor(tensor) for number, tensor in parts(graph) if number == _INITIALIZER]
    except (IndexError, StopIteration) as error:
        raise BundleRefused(
            "cannot count a graph's weights: it is not a whole ONNX file",
            "export or download the bundle again",
        ) from error
    return [
        shape
        for name, kind, shape in tensors
        if len(shape) > 1 and kind not in _NOT_WEIGHTS and name not in scales
    ]


def _scales(node: memoryview) -> list[bytes]:
    """Return the names of a node's scale and zero point, if it has them."""
    inputs: list[bytes] = []
    kind = b""
    for number, value in parts(node):
        if number == _NODE_INPUT:
            inputs.append(bytes(value))
        elif number == _OP_TYPE:
            kind = bytes(value)
    return inputs[1:] if kind in _SCALED else []


def _tensor(tensor: memoryview) -> tuple[bytes, int, tuple[int, ...]]:
    """Return a tensor's name, type and shape."""
    name, kind = b"", 0
    shape: list[int] = []
    for number, value in fields(tensor):
        if number == _DIMS:
            shape.extend([value] if isinstance(value, int) else varints(value))
        elif number == _DATA_TYPE and isinstance(value, int):
            kind = value
        elif number == _NAME and not isinstance(value, int):
            name = bytes(value)
    return name, kind, tuple(shape)
