"""An fp32 graph to int8 as explicit QuantizeLinear and DequantizeLinear, and to int4 weights.

Only products with constant weights change: weights per output channel, activations by calibrated ranges.
Norms, softmax, attention, residual sums and what a matrix product gives out stay fp32.

Profiles, because no one file is both fast in ONNX Runtime and accepted by TensorRT:

    onnxruntime  activations uint8 with a zero point, biases of convolutions int32, their outputs uint8 too:
                 what its fused integer kernels want
    tensorrt     activations int8 around 0, no integer biases (its parser refuses both)
"""

from collections.abc import Collection, Sequence

from export.graphs.edit import finish, fixed_products, parse, store_as_fp16
from export.measure.feeds import Feed
from export.measure.ranges import Ranges
from export.precision.blocks import INT4_CPU, INT4_TENSORRT, Blocks, fits, insert_blocks
from export.precision.options import Profile
from export.precision.qdq import Kind, insert_qdq
from export.precision.smoothing import Change, aware


def to_int8(graph: bytes, ranges: Ranges, profile: Profile, keep: Collection[str] = ()) -> bytes:
    """The int8 file of an fp32 graph; the layers named in `keep` stay fp32. Raises KeyError when `ranges`
    lack a tensor, which means that they are another graph's."""
    model = parse(graph)
    layers = [node for node in fixed_products(model) if node.name not in keep]
    # A missing range would leave its layer in fp32 without a word.
    for node in layers:
        _ = ranges[node.input[0]], ranges[node.output[0]]
    kind: Kind = "int8" if profile == "tensorrt" else "uint8"
    return finish(store_as_fp16(insert_qdq(model, [node.name for node in layers], kind, ranges)))


def to_int4(
    graph: bytes, profile: Profile, feeds: Sequence[Feed], keep: Collection[str] = ()
) -> tuple[bytes, list[Change]]:
    """The file of an fp32 graph with block-wise int4 weights in its matrix products but those in `keep`,
    symmetric around 0, as DequantizeLinear, and how they were scaled: ONNX Runtime makes its own 4-bit
    product of it, and TensorRT's parser takes it."""
    blocks = int4_blocks(profile)
    names = [name for name in int4_layers(graph, profile) if name not in keep]
    scaled, importance, changes = aware(graph, names, blocks, feeds)
    return finish(store_as_fp16(insert_blocks(parse(scaled), names, blocks, importance))), changes


def int4_blocks(profile: Profile) -> Blocks:
    """How an engine takes int4."""
    return INT4_TENSORRT if profile == "tensorrt" else INT4_CPU


def int4_layers(graph: bytes, profile: Profile) -> list[str]:
    """Names of the matrix products that can be int4."""
    model = parse(graph)
    held = {weight.name: weight for weight in model.graph.initializer}
    return [
        node.name
        for node in fixed_products(model)
        if node.op_type == "MatMul" and fits(node, held[node.input[1]], int4_blocks(profile))
    ]
