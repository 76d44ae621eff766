"""The types that the layers of a TensorRT network, and of the engine built from it, compute in.

The network, right after parsing, has the types of the ONNX file; the engine, read back through its inspector,
has those that it really computes in. Both name the ONNX nodes that a layer comes from.
"""

import json
import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

# The spellings of TensorRT's DataType in Python, of its inspector, and of words in its older formats
# ("Row major linear FP16 format").
_TYPES = {
    "FLOAT": "fp32", "FP32": "fp32", "HALF": "fp16", "FP16": "fp16", "BF16": "bf16", "BFLOAT16": "bf16",
    "INT8": "int8", "UINT8": "uint8", "FP8": "fp8", "E4M3": "fp8", "INT4": "int4", "FP4": "fp4",
    "E8M0": "e8m0", "INT32": "int32", "INT64": "int64", "BOOL": "bool",
}  # fmt: skip
_QUANTIZED = frozenset({"int8", "fp8", "fp4"})
PRODUCTS = ("MATRIX_MULTIPLY", "CONVOLUTION")  # names of TensorRT's LayerType
_NODE = re.compile(r"\[ONNX Layer: (.*?)\](?=\s*(?:[\x1e\x1f,]|\[|$))")


@dataclass(frozen=True)
class Layer:
    """One layer, with types such as fp32, fp16, int8."""

    name: str
    kind: str  # "MATRIX_MULTIPLY", "gemm"
    nodes: tuple[str, ...]  # nodes of the ONNX file; none if TensorRT put the layer in by itself
    inputs: tuple[str, ...]  # types; a network's products have those before dequantization
    outputs: tuple[str, ...]  # types

    @property
    def types(self) -> frozenset[str]:
        return frozenset(self.inputs + self.outputs)


def type_name(spelt: str) -> str:
    """Return fp32, fp16, ... for TensorRT's word for a type, or that word if it is another type."""
    return next((_TYPES[word] for word in re.findall(r"\w+", spelt.upper()) if word in _TYPES), spelt)


def onnx_nodes(metadata: str) -> tuple[str, ...]:
    """List the ONNX nodes in a layer's metadata, as the parser writes them there."""
    return tuple(_NODE.findall(metadata or ""))


def engine_layers(dump: str) -> list[Layer]:
    """Read the layers in an engine inspector's JSON.

    Raises ValueError if it lacks their types, as that of a plan that was built without detailed verbosity.
    """
    layers = json.loads(dump)["Layers"]
    if not all(isinstance(layer, dict) for layer in layers):
        raise ValueError("the engine does not say its layers' types")
    return [
        Layer(
            layer["Name"],
            layer.get("LayerType", ""),
            onnx_nodes(layer.get("Metadata", "")),
            tuple(type_name(tensor["Format/Datatype"]) for tensor in layer.get("Inputs", ())),
            tuple(type_name(tensor["Format/Datatype"]) for tensor in layer.get("Outputs", ())),
        )
        for layer in layers
    ]


def widened(network: Iterable[Layer], engine: Iterable[Layer]) -> list[Layer]:
    """Find layers of the engine that compute in wider types than the ONNX file means.

    They compute in FP32 though none of their nodes does, or not in int8, fp8 or fp4 though they are products
    of quantized tensors.

    A layer that fuses several nodes is judged by all of them together; if it quantizes by itself, its inputs
    may be wide. One without nodes only carries values, and is not judged.
    """
    fp32: set[str] = set()
    quantizers: set[str] = set()
    products: dict[str, frozenset[str]] = {}  # types of products of quantized tensors
    for layer in network:
        if "fp32" in layer.types:
            fp32.update(layer.nodes)
        if layer.inputs and _QUANTIZED.issuperset(layer.inputs) and layer.kind in PRODUCTS:
            products.update(dict.fromkeys(layer.nodes, frozenset(layer.inputs)))
        elif _QUANTIZED.intersection(layer.outputs):
            quantizers.update(layer.nodes)
    found: list[Layer] = []
    for layer in engine:
        narrow = frozenset[str]().union(*(products.get(node, ()) for node in layer.nodes))
        lost = narrow and quantizers.isdisjoint(layer.nodes) and narrow.isdisjoint(layer.inputs)
        if lost or (layer.nodes and "fp32" in layer.types and fp32.isdisjoint(layer.nodes)):
            found.append(layer)
    return found


def count_types(layers: Iterable[Layer]) -> dict[str, int]:
    """Count the layers by the type of their first output, the most frequent first."""
    return dict(Counter(layer.outputs[0] for layer in layers if layer.outputs).most_common())
