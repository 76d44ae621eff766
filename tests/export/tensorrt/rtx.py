"""Small ONNX graphs, and the shipped ones in other types, for TensorRT-RTX to build."""

import ml_dtypes
import numpy as np
import onnx
from onnx import ModelProto, TensorProto, helper, numpy_helper

from export.tensorrt.plans import PlanTarget

RTX = PlanTarget(sm="86", jetpack="none", edition="tensorrt_rtx", compute_capability="SM86")
SIDE = 1024  # so many quantized weights that a plan's size shows their type
_NUMPY = {TensorProto.FLOAT16: np.dtype(np.float16), TensorProto.BFLOAT16: np.dtype(ml_dtypes.bfloat16)}


def graph(
    nodes: list[onnx.NodeProto], weights: dict[str, np.ndarray], x: tuple[int, ...], y: tuple[int, ...]
) -> bytes:
    """From `x` to `y`, both fp32."""
    sides = [helper.make_tensor_value_info(*side) for side in (("x", 1, x), ("y", 1, y))]
    tensors = [numpy_helper.from_array(value, name) for name, value in weights.items()]
    made = helper.make_graph(nodes, "graph", sides[:1], sides[1:], tensors)
    opset = helper.make_opsetid("", 21)  # the first with int4
    return helper.make_model(made, opset_imports=[opset], ir_version=10).SerializeToString()


def int8_matmul() -> bytes:
    """x (1, SIDE) quantized per tensor, times int8 weights (SIDE, SIDE) with a scale for each column."""
    node = helper.make_node
    weights = {
        "x_scale": np.float32(0.02),
        "zero": np.int8(0),
        "w": np.random.default_rng(0).integers(-127, 128, (SIDE, SIDE), np.int8),
        "w_scale": np.full(SIDE, 0.01, np.float32),
        "w_zero": np.zeros(SIDE, np.int8),
    }
    nodes = [
        node("QuantizeLinear", ["x", "x_scale", "zero"], ["xq"], name="quantize_x"),
        node("DequantizeLinear", ["xq", "x_scale", "zero"], ["xd"], name="dequantize_x"),
        node("DequantizeLinear", ["w", "w_scale", "w_zero"], ["wd"], name="dequantize_w", axis=1),
        node("MatMul", ["xd", "wd"], ["y"], name="product"),
    ]
    return graph(nodes, {name: np.asarray(value) for name, value in weights.items()}, (1, SIDE), (1, SIDE))


def int4_matmul() -> bytes:
    """x (1, SIDE) times int4 weights (SIDE, SIDE) with a scale for each block of 64 rows."""
    node = helper.make_node
    rng = np.random.default_rng(0)
    weights = {
        "w": rng.integers(-8, 8, (SIDE, SIDE)).astype(ml_dtypes.int4),
        "w_scale": np.full((SIDE // 64, SIDE), 0.01, np.float32),
    }
    nodes = [
        node("DequantizeLinear", ["w", "w_scale"], ["wd"], name="dequantize_w", axis=0, block_size=64),
        node("MatMul", ["x", "wd"], ["y"], name="product"),
    ]
    return graph(nodes, weights, (1, SIDE), (1, SIDE))


def fp8_matmul() -> bytes:
    """x (16, 256) and weights (256, 256) both quantized to fp8 per tensor."""
    node = helper.make_node
    fp8 = np.dtype(ml_dtypes.float8_e4m3fn)
    weights = {
        "scale": np.float32(0.02),
        "zero": np.zeros((), fp8),
        "w": np.random.default_rng(0).normal(size=(256, 256)).astype(fp8),
    }
    nodes = [
        node("QuantizeLinear", ["x", "scale", "zero"], ["xq"], name="quantize_x"),
        node("DequantizeLinear", ["xq", "scale", "zero"], ["xd"], name="dequantize_x"),
        node("DequantizeLinear", ["w", "scale", "zero"], ["wd"], name="dequantize_w"),
        node("MatMul", ["xd", "wd"], ["y"], name="product"),
    ]
    return graph(nodes, {name: np.asarray(value) for name, value in weights.items()}, (16, 256), (16, 256))


def retyped(content: bytes, dtype: int) -> bytes:
    """The same graph with `dtype` (FLOAT16 or BFLOAT16) in place of every fp32, inputs and outputs too."""
    model = onnx.load_from_string(content)
    for tensor in model.graph.initializer:
        _retype_tensor(tensor, dtype)
    for node in model.graph.node:
        for attribute in node.attribute:
            if attribute.name == "to" and attribute.i == TensorProto.FLOAT:
                attribute.i = dtype
            if attribute.name == "value":
                _retype_tensor(attribute.t, dtype)
    for value in (*model.graph.input, *model.graph.output):
        if value.type.tensor_type.elem_type == TensorProto.FLOAT:
            value.type.tensor_type.elem_type = dtype
    del model.graph.value_info[:]
    return model.SerializeToString()


def _retype_tensor(tensor: TensorProto, dtype: int) -> None:
    if tensor.data_type == TensorProto.FLOAT:
        values = numpy_helper.to_array(tensor).astype(_NUMPY[dtype])
        tensor.CopyFrom(numpy_helper.from_array(values, tensor.name))


def node_named(content: bytes, operator: str) -> set[str]:
    """The names of the nodes of one operator."""
    model: ModelProto = onnx.load_from_string(content)
    return {node.name for node in model.graph.node if node.op_type == operator}
