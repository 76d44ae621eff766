"""What the layers of a TensorRT network and of the engine built from it compute in.

The network, right after parsing, has the types that the ONNX file means; the engine, read back through its
inspector, has those that are really computed in. Both name the ONNX nodes that a layer comes from.
"""

import json
import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

# As TensorRT's DataType is spelt in Python, as its inspector spells it, and as words in its older formats
# ("Row major linear FP16 format").
_TYPES = {
    "FLOAT": "fp32", "FP32": "fp32", "HALF": "fp16", "FP16": "fp16", "BF16": "bf16", "BFLOAT16": "bf16",
    "INT8": "int8", "UINT8": "uint8", "FP8": "fp8", "E4M3": "fp8", "INT4": "int4", "FP4": "fp4",
    "E8M0": "e8m0", "INT32": "int32", "INT64": "int64", "BOOL": "bool",
}  # fmt: skip
_QUANTIZED = frozenset({"int8", "fp8", "fp4"})
PRODUCTS = ("MATRIX_MULTIPLY", "CONVOLUTION")  # of TensorRT's LayerType
_NODE = re.compile(r"\[ONNX Layer: (.*?)\](?=\s*(?:[\x1e\x1f,]|\[|$))")


@dataclass(frozen=True)
class Layer:
    """One layer. Types are such as fp32, fp16, int8."""

    name: str
    kind: str  # "MATRIX_MULTIPLY", "gemm"
    nodes: tuple[str, ...]  # of the ONNX file; none where TensorRT put it in by itself
    inputs: tuple[str, ...]  # types; of a network's products those before they were dequantized
    outputs: tuple[str, ...]

    @property
    def types(self) -> frozenset[str]:
        return frozenset(self.inputs + self.outputs)


def type_name(spelt: str) -> str:
    """fp32, fp16, ... of TensorRT's word for a type; its own word where that is none of them."""
    return next((_TYPES[word] for word in re.findall(r"\w+", spelt.upper()) if word in _TYPES), spelt)


def onnx_nodes(metadata: str) -> tuple[str, ...]:
    """The ONNX nodes in a layer's metadata, as the parser writes it there."""
    return tuple(_NODE.findall(metadata or ""))


def engine_layers(dump: str) -> list[Layer]:
    """The layers in what an engine inspector writes as JSON. Raises ValueError where that lacks their types,
    as it does of plans that were built without detailed verbosity."""
    layers = json.loads(dump)["Layers"]
    if not all(isinstance(layer, dict) for layer in layers):
        raise ValueError("the engine does not tell its layers' types")
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
    """Layers of the engine that compute in wider types than the ONNX file means: in FP32 though none of their
    nodes has any, or not in int8, fp8 or fp4 though they are products of quantized tensors.

    A layer that fuses several nodes is judged by all of them together; where it quantizes by itself, its
    inputs may be wide. One without nodes only carries values, and is not judged.
    """
    fp32: set[str] = set()
    quantizers: set[str] = set()
    products: dict[str, frozenset[str]] = {}  # of quantized tensors alone
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
    """How many layers give out which type, the most frequent first; where several, the first."""
    return dict(Counter(layer.outputs[0] for layer in layers if layer.outputs).most_common())
