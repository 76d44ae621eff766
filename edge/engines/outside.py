"""The files that hold an ONNX graph's external data, found in its bytes: a robot has no onnx package.

ONNX Runtime before 1.24, the last for Python 3.10, and TensorRT's parser read whatever file a graph names,
also `../../`. https://github.com/onnx/onnx/blob/main/onnx/onnx.proto
"""

from collections.abc import Iterator
from pathlib import Path

from edge.engines.protobuf import parts
from edge.errors import BundleRefused

# Message -> number of a field -> message in it; all fields that lead to a tensor.
FIELDS: dict[str, dict[int, str]] = {
    "Model": {7: "Graph", 20: "TrainingInfo", 25: "Function"},
    "TrainingInfo": {1: "Graph", 2: "Graph"},
    "Function": {7: "Node", 11: "Attribute"},
    "Graph": {1: "Node", 5: "Tensor", 15: "SparseTensor"},
    "Node": {5: "Attribute"},
    "Attribute": {5: "Tensor", 6: "Graph", 10: "Tensor", 11: "Graph", 22: "SparseTensor", 23: "SparseTensor"},
    "SparseTensor": {1: "Tensor", 2: "Tensor"},
    "Tensor": {13: "StringStringEntry"},
}
_MOST_LEVELS = 100  # protobuf's own limit


def check_outside(onnx: bytes, weights: Path | None) -> None:
    """Check that a graph refers to no file but `weights`, beside it. Raises BundleRefused if it does."""
    unknown = sorted(name for name in outside_files(onnx) if weights is None or name != weights.name)
    if unknown:
        raise BundleRefused(
            f"cannot load a graph that refers to {unknown[0]!r}, which is not the bundle's weights",
            "get the bundle from a source that you trust, or export it again",
        )


def outside_files(onnx: bytes) -> set[str]:
    """Return the names of all files that a serialized model's tensors lie in.

    Raises BundleRefused if the model is cut short or not ONNX.
    """
    try:
        return set(_locations(memoryview(onnx), "Model", 0))
    except (IndexError, RecursionError) as error:
        raise BundleRefused(
            "cannot load a graph: it is not a whole ONNX file", "export or download the bundle again"
        ) from error


def _locations(message: memoryview, kind: str, level: int) -> Iterator[str]:
    if level > _MOST_LEVELS:
        raise RecursionError
    if kind == "StringStringEntry":
        entry = list(parts(message))
        # protobuf takes the last entry of each; the others are not trusted either.
        if any(number == 1 and bytes(value) == b"location" for number, value in entry):
            yield from (bytes(value).decode(errors="replace") for number, value in entry if number == 2)
        return
    inner = FIELDS[kind]
    for number, value in parts(message):
        if number in inner:
            yield from _locations(value, inner[number], level + 1)
