"""Products that read the same tensor as one wider product, split behind it."""

from collections.abc import Sequence

import numpy as np
from onnx import NodeProto, helper

from export.graphs.edit import Draft
from export.graphs.fusion.wiring import Wiring


def merge_products(draft: Draft) -> None:
    """Multiply once by all matrices that a tensor is multiplied by: queries, keys and values; gate and up."""
    wiring = Wiring(draft)
    groups: dict[str, list[NodeProto]] = {}
    for node in wiring.graph.node:
        if node.op_type == "MatMul" and _is_matrix(wiring, node.input[1]):
            groups.setdefault(node.input[0], []).append(node)
    made: list[NodeProto] = []
    for nodes in groups.values():
        if len(nodes) > 1:
            made += _merged(wiring, nodes)
    wiring.replace(made)


def _is_matrix(wiring: Wiring, name: str) -> bool:
    return name in wiring.weights and len(wiring.weights[name].dims) == 2


def _merged(wiring: Wiring, nodes: Sequence[NodeProto]) -> list[NodeProto]:
    draft, first = wiring.draft, nodes[0]
    weights = [draft.values(wiring.weights[node.input[1]]) for node in nodes]
    biases = [bias for node in nodes if (bias := wiring.bias(node)) is not None]
    if len(biases) < len(nodes):  # sums of some parts cannot go into one sum of all
        biases = []
    parts = [bias.output for bias in biases] or [node.output[0] for node in nodes]
    name = f"{first.name}_merged"
    draft.add_constant(f"{name}_weight", np.concatenate(weights, axis=1))
    draft.add_constant(f"{name}_sizes", np.array([one.shape[1] for one in weights], np.int64))
    made = [helper.make_node("MatMul", [first.input[0], f"{name}_weight"], [f"{name}_product"], name)]
    made[0].metadata_props.extend(first.metadata_props)
    if biases:
        values = [draft.values(wiring.weights[bias.constant]) for bias in biases]
        draft.add_constant(f"{name}_bias", np.concatenate(values))
        made.append(
            helper.make_node("Add", [f"{name}_product", f"{name}_bias"], [f"{name}_sum"], f"{name}_add")
        )
    made.append(
        helper.make_node("Split", [made[-1].output[0], f"{name}_sizes"], parts, f"{name}_split", axis=-1)
    )
    return made
