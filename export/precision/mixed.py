"""For TensorRT: products in a precision each, and what is not quantized in fp16."""

from collections.abc import Mapping
from typing import Literal

import numpy as np
from onnx import NodeProto, TensorProto

from export.graphs.edit import finish, fixed_products, parse, store_as_fp16
from export.measure.ranges import Ranges
from export.precision.blocks import INT4_TENSORRT, NVFP4, fits, insert_blocks
from export.precision.half import to_half
from export.precision.nvfp4 import insert_dynamic
from export.precision.qdq import insert_qdq

Low = Literal["int8", "fp8", "nvfp4", "int4"]


def to_mixed(
    graph: bytes,
    low: Mapping[str, Low],
    ranges: Ranges,
    weight_only: bool = False,
    rounded: bool = False,
    half: bool = True,
    importance: Mapping[str, np.ndarray] | None = None,
) -> bytes:
    """The file of an fp32 graph with these products quantized, by node name; the others are fp16, and norms,
    softmax and residual sums fp32. Raises KeyError where a range lacks.

    `weight_only` leaves what goes into products of nvfp4 as it is, as int4 always does. With `rounded` it is
    the twin that ONNX Runtime's CPU can compute; without `half` what would be fp16 is fp32.
    `importance` (K,) of input channels, by tensor, is for the search of scales of nvfp4 and int4.
    """
    before = {node.name: node.input[0] for node in fixed_products(parse(graph))}
    model = parse(to_half(graph, "fp16", rounded=rounded) if half else graph)
    # What goes into a product goes by another name as fp16.
    sources = {node.name: (node.input[0], before[node.name]) for node in fixed_products(model)}
    weights = {now: importance[was] for now, was in sources.values() if importance and was in importance}
    moving = {
        n for n, kind in low.items() if kind in ("int8", "fp8") or (kind == "nvfp4" and not weight_only)
    }
    renamed = {now: ranges[was] for name, (now, was) in sources.items() if name in moving}
    names: dict[Low, set[str]] = {
        kind: {n for n, k in low.items() if k == kind} for kind in set(low.values())
    }
    for kind, chosen in names.items():
        if kind == "int4":
            insert_blocks(model, chosen, INT4_TENSORRT, weights, rounded)
        elif kind == "nvfp4":
            if not weight_only:
                insert_dynamic(model, chosen, renamed, rounded)
            insert_blocks(model, chosen, NVFP4, weights, rounded)
        else:
            insert_qdq(model, chosen, kind, renamed, rounded)
    return finish(store_as_fp16(model))


def holds(graph: bytes, kind: Low) -> list[str]:
    """Names of the products that can be quantized so, in their order. Convolutions can only be int8."""
    model = parse(graph)
    weights = {weight.name: weight for weight in model.graph.initializer}
    blocks = {"int4": INT4_TENSORRT, "nvfp4": NVFP4}.get(kind)

    def can(node: NodeProto, weight: TensorProto) -> bool:
        if node.op_type == "Conv":
            return kind == "int8"
        return blocks is None or fits(node, weight, blocks)

    return [node.name for node in fixed_products(model) if can(node, weights[node.input[1]])]
