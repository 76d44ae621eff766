"""All fusions in their order."""

import numpy as np
from onnx import TensorProto, helper
from onnx.reference import ReferenceEvaluator

from export.graphs.edit import Draft
from export.graphs.fusion.cache import share_heads, stack_once, write_slots
from export.graphs.fusion.operators import RotaryTables, fuse_operators, rotary_inputs
from export.graphs.fusion.products import merge_products
from export.graphs.fusion.reshapes import join_reshapes
from export.graphs.fusion.rows import read_fewer_rows
from export.graphs.fusion.wiring import drop_unread
from export.graphs.graph import Graph


def fuse(graph: Graph) -> Graph:
    """Return a graph that computes the same with fewer operators; TensorRT's parser does not take all.

    What a fusion does not know stays as it is. The graph must be fp32, with its weights in it.
    """
    draft = Draft(graph)
    read_fewer_rows(draft)
    share_heads(draft)
    write_slots(draft)
    stack_once(draft)
    fuse_operators(draft, _rotary_tables(draft.graph()))
    merge_products(draft)
    join_reshapes(draft)
    return draft.graph()


def _rotary_tables(graph: Graph) -> RotaryTables:
    """Return the cosines and sines that a decode step computes, for every slot of its cache.

    Empty if they depend on more than the slot.
    """
    draft = Draft(graph)
    inputs = {value.name: value for value in draft.model.graph.input}
    names = rotary_inputs(draft)
    if not names or not {"position", "past"} <= inputs.keys():
        return {}
    part = draft.model.graph
    del part.output[:], part.input[:]
    part.output.extend(helper.make_tensor_value_info(n, TensorProto.FLOAT, [1, 1, 1, None]) for n in names)
    part.input.append(inputs["position"])
    drop_unread(draft)
    made = {name for node in part.node for name in node.output} | {weight.name for weight in part.initializer}
    if {name for node in part.node for name in node.input} - made - {"position"}:
        return {}
    slots = inputs["past"].type.tensor_type.shape.dim[3].dim_value
    evaluate = ReferenceEvaluator(draft.model)
    calls = [evaluate.run(names, {"position": np.array([slot], np.int64)}) for slot in range(slots)]
    rows = [dict(zip(names, map(np.asarray, call), strict=True)) for call in calls]  # each (1, 1, 1, D)
    return {name: np.concatenate([row[name] for row in rows], axis=2)[0, 0] for name in names}
