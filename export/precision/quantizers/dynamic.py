"""NVFP4 activations: each block of 16 numbers finds its own scale while the graph runs.

ONNX has no operator for that; TensorRT's parser has its own, TRT_FP4DynamicQuantize, which nvidia-modelopt
writes too. It gives out E2M1 numbers and E4M3 scales; two DequantizeLinear bring them back.
"""

from collections.abc import Collection
from typing import Any

import numpy as np
from onnx import NodeProto, TensorProto, helper

from export.graphs.edit import Draft
from export.graphs.graph import fixed_products
from export.measure.ranges import Ranges
from export.precision.quantizers.blocks import E2M1_MAX, LEAST_E4M3, NVFP4
from export.precision.quantizers.qdq import E4M3_MAX, safe_scale

_DOMAIN = "trt"


def insert_dynamic(draft: Draft, names: Collection[str], ranges: Ranges, rounded: bool = False) -> None:
    """Put the inputs of these products of a draft, by node name, into NVFP4.

    With `rounded` it writes the twin that ONNX Runtime's CPU can compute, of fp32 numbers. Raises KeyError
    if a range is missing.
    """
    draft.raise_opset(NVFP4.opset)
    model = draft.model
    if not rounded:
        model.opset_import.append(helper.make_opsetid(_DOMAIN, 1))
    dtypes = {
        weight.name: helper.tensor_dtype_to_np_dtype(weight.data_type) for weight in model.graph.initializer
    }
    chosen = {node.name: dtypes[node.input[1]] for node in fixed_products(model) if node.name in names}
    add = _NodeList()
    copies: dict[str, str] = {}
    for node in model.graph.node:
        if node.name in chosen:
            name = node.input[0]
            if name not in copies:
                scale = safe_scale(max(map(abs, ranges[name])), E2M1_MAX * E4M3_MAX)
                copies[name] = (_round if rounded else _quantize)(add, name, scale, chosen[node.name])
            node.input[0] = copies[name]
        add.nodes.append(node)
    draft.replace_nodes(add.nodes)
    for name, array in add.constants.items():
        draft.add_constant(name, array)


class _NodeList:
    """New nodes and constants, before they go into the draft."""

    def __init__(self) -> None:
        self.nodes: list[NodeProto] = []
        self.constants: dict[str, np.ndarray] = {}

    def constant(self, name: str, value: Any, dtype: Any = np.float32) -> str:
        self.constants[name] = np.asarray(value, dtype)
        return name

    def __call__(self, kind: str, inputs: list[str], output: str, **attributes: Any) -> str:
        self.nodes.append(helper.make_node(kind, inputs, [output], f"{output}_{kind}", **attributes))
        return output


def _quantize(add: _NodeList, name: str, scale: np.ndarray, dtype: np.dtype) -> str:
    # The scale of all blocks is fp32 whatever the activations are: fp16 may not hold it.
    at = f"{name}_nvfp4"
    s = add.constant(f"{at}_scale", scale)
    codes, scales = f"{at}_e2m1", f"{at}_scales"
    add.nodes.append(
        helper.make_node(
            "TRT_FP4DynamicQuantize",
            [name, s],
            [codes, scales],
            f"{at}_quantize",
            domain=_DOMAIN,
            axis=-1,
            block_size=NVFP4.size,
            scale_type=TensorProto.FLOAT8E4M3FN,
        )
    )
    wide = add("DequantizeLinear", [scales, s], f"{at}_wide_scales")
    kind = helper.np_dtype_to_tensor_dtype(dtype)
    if kind != TensorProto.FLOAT:
        wide = add("Cast", [wide], f"{at}_half_scales", to=kind)
    return add("DequantizeLinear", [codes, wide], f"{at}_restored", axis=-1, block_size=NVFP4.size)


def _round(add: _NodeList, name: str, scale: np.ndarray, _: np.dtype) -> str:
    """Do the same with operators that ONNX itself has."""
    at = f"{name}_nvfp4"
    number = {
        value: add.constant(f"{at}_{word}", value)
        for word, value in {"half": 0.5, "one": 1, "two": 2, "four": 4, "six": 6, "minus_six": -6}.items()
    }
    s = add.constant(f"{at}_scale", scale)
    least = add.constant(f"{at}_least", LEAST_E4M3)
    to_six = add.constant(f"{at}_to_six", 1 / (6 * scale))
    last = add.constant(f"{at}_last", [-1], np.int64)
    shape = add("Shape", [name], f"{at}_shape")
    blocks = add("Reshape", [name, add.constant(f"{at}_rows", [-1, NVFP4.size], np.int64)], f"{at}_blocks")
    largest = add("ReduceMax", [add("Abs", [blocks], f"{at}_sizes"), last], f"{at}_largest")
    narrow = add("Mul", [largest, to_six], f"{at}_scales")
    narrow = add("Cast", [narrow], f"{at}_e4m3", to=TensorProto.FLOAT8E4M3FN)
    wide = add("Cast", [narrow], f"{at}_wide", to=TensorProto.FLOAT)
    step = add("Mul", [add("Max", [wide, least], f"{at}_above_0"), s], f"{at}_step")
    scaled = add("Div", [blocks, step], f"{at}_scaled")
    size = add("Abs", [scaled], f"{at}_size")
    above = add("Where", [add("Less", [size, number[4]], f"{at}_is_4"), number[1], number[2]], f"{at}_above")
    grid = add("Where", [add("Less", [size, number[2]], f"{at}_is_2"), number[0.5], above], f"{at}_grid")
    whole = add("Round", [add("Div", [scaled, grid], f"{at}_steps")], f"{at}_whole")
    e2m1 = add("Clip", [add("Mul", [whole, grid], f"{at}_near"), number[-6], number[6]], f"{at}_e2m1")
    return add("Reshape", [add("Mul", [e2m1, step], f"{at}_flat"), shape], f"{at}_restored")
