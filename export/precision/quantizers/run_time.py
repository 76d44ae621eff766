"""int8 products of ONNX Runtime's CPU whose activations find their range while the graph runs.

One operator rounds what comes in to uint8 by its own least and greatest number, multiplies with int8 weights
of a scale for each output channel, and adds a bias to the fp32 result. Nothing has to be calibrated.
"""

from collections.abc import Collection

import numpy as np
from onnx import NodeProto, helper

from export.graphs.edit import Draft
from export.graphs.fusion.wiring import Wiring
from export.graphs.graph import fixed_products
from export.precision.quantizers.qdq import round_weight

DOMAIN = "com.microsoft"


def insert_run_time(draft: Draft, names: Collection[str]) -> None:
    """Make those of these products of a draft int8 that have the operator, by node name."""
    wiring = Wiring(draft)
    chosen = [node for node in fixed_products(draft.model) if node.name in names]
    made = [_product(wiring, node) for node in chosen if has_run_time(draft, node)]
    if made:
        draft.model.opset_import.append(helper.make_opsetid(DOMAIN, 1))
    wiring.replace(made)


def has_run_time(draft: Draft, node: NodeProto) -> bool:
    """Return True if the operator can take the place of a product with a constant weight."""
    dims = next(weight.dims for weight in draft.model.graph.initializer if weight.name == node.input[1])
    return node.op_type == "MatMul" and len(dims) == 2


def _product(wiring: Wiring, node: NodeProto) -> NodeProto:
    draft, (source, weight) = wiring.draft, node.input
    codes, scale = round_weight(draft.values(wiring.weights[weight]), 1, "uint8")
    inputs, output = [source, f"{node.name}_codes", f"{node.name}_scale"], node.output[0]
    draft.add_constant(inputs[1], codes)
    draft.add_constant(inputs[2], scale.astype(np.float32))
    bias = wiring.bias(node)
    if bias is not None:
        output = bias.output
        inputs += ["", bias.constant]
    return helper.make_node("DynamicQuantizeMatMul", inputs, [output], node.name, domain=DOMAIN)
