"""An fp32 graph to int8 as explicit QuantizeLinear and DequantizeLinear, and to int4 weights.

Only products with constant weights change: weights per output channel, activations by calibrated ranges.
Norms, softmax, attention, residual sums and what a matrix product gives out stay fp32.

Profiles, because no one file is both fast in ONNX Runtime and accepted by TensorRT:

    onnxruntime  activations uint8 with a zero point, biases of convolutions int32, their outputs uint8 too:
                 what its fused integer kernels want
    tensorrt     activations int8 around 0, no integer biases (its parser refuses both)
"""

from collections.abc import Collection
from typing import Any, Literal

import numpy as np
import onnx
from onnx import ModelProto, NodeProto
from onnxruntime.quantization import CalibrationMethod, QDQQuantizer, QuantFormat, QuantType
from onnxruntime.quantization.calibrate import TensorsData
from onnxruntime.quantization.matmul_nbits_quantizer import MatMulNBitsQuantizer

from export.graph_edit import COMPUTE, finish, fixed_products, parse, store_as_fp16, weights
from export.ranges import Ranges, quiet

Profile = Literal["onnxruntime", "tensorrt"]
INT4_BLOCK = 32  # weights that share a scale; what ONNX Runtime's CPU kernel is fastest with
_INT4_OPSET = 21  # the first with int4 and blocks


def to_int8(graph: bytes, ranges: Ranges, profile: Profile, keep: Collection[str] = ()) -> bytes:
    """The int8 file of an fp32 graph; the layers named in `keep` stay fp32. Raises KeyError when `ranges`
    lack a tensor, which means that they are another graph's."""
    model = parse(graph)
    layers = [node for node in fixed_products(model) if node.name not in keep]
    # A missing range would leave its layer in fp32 without a word.
    for node in layers:
        _ = ranges[node.input[0]], ranges[node.output[0]]
    return finish(store_as_fp16(quantize(model, [node.name for node in layers], ranges, profile)))


def quantize(model: ModelProto, nodes: list[str], ranges: Ranges, profile: Profile) -> ModelProto:
    """The same for any nodes that ONNX Runtime's quantizer knows, by name."""
    if not nodes:
        return model
    trt = profile == "tensorrt"
    kinds = sorted({node.op_type for node in model.graph.node if node.name in set(nodes)})
    spans: dict[str, Any] = {
        name: (np.float32(low), np.float32(high)) for name, (low, high) in ranges.items()
    }
    quantizer: Any = QDQQuantizer(
        model,
        True,
        False,
        QuantType.QInt8,
        QuantType.QInt8 if trt else QuantType.QUInt8,
        TensorsData(CalibrationMethod.MinMax, spans),
        nodes,
        [],
        kinds,
        {
            "ActivationSymmetric": trt,
            "WeightSymmetric": True,
            "QuantizeBias": not trt,
            "OpTypesToExcludeOutputQuantization": list(COMPUTE) if trt else [],
        },
    )
    quantizer.quantize_model()
    if not trt:
        _free_outputs(quantizer.model.model)
    quantizer.model.topological_sort()
    return quantizer.model.model


def _free_outputs(model: ModelProto) -> None:
    """What a matrix product without a bias gives out need not be rounded to int8. With a bias it must: else
    ONNX Runtime makes one fp32 product of both before it sees that the inputs are int8."""
    graph = model.graph
    constant = weights(graph)
    readers: dict[str, list[NodeProto]] = {}
    for node in graph.node:
        for name in node.input:
            readers.setdefault(name, []).append(node)
    for node in [n for n in graph.node if n.op_type == "MatMul"]:
        quantize = readers.get(node.output[0], [])
        if len(quantize) != 1 or quantize[0].op_type != "QuantizeLinear":
            continue
        (dequantize,) = readers[quantize[0].output[0]]
        after = readers.get(dequantize.output[0], [])
        if any(reader.op_type == "Add" and constant & set(reader.input) for reader in after):
            continue
        for reader in after:
            for index, name in enumerate(reader.input):
                if name == dequantize.output[0]:
                    reader.input[index] = node.output[0]
        graph.node.remove(quantize[0])
        graph.node.remove(dequantize)


def to_int4(graph: bytes, keep: Collection[str] = ()) -> bytes:
    """The file of an fp32 graph with block-wise int4 weights in its matrix products, symmetric around 0, as
    DequantizeLinear: ONNX Runtime makes its own 4-bit product of it, and TensorRT's parser takes it."""
    model = onnx.version_converter.convert_version(parse(graph), _INT4_OPSET)
    chosen = {n.name for n in fixed_products(model) if n.op_type == "MatMul" and n.name not in keep}
    others = [node.name for node in model.graph.node if node.name not in chosen]
    quantizer: Any = MatMulNBitsQuantizer(
        model,
        block_size=INT4_BLOCK,
        is_symmetric=True,
        nodes_to_exclude=others,
        quant_format=QuantFormat.QDQ,
        op_types_to_quantize=("MatMul",),
    )
    with quiet():
        quantizer.process()
    return finish(store_as_fp16(quantizer.model.model))
