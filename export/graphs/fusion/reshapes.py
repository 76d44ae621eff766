"""One Reshape in place of several, and of a Transpose that moves nothing: of one token, or of one head."""

import numpy as np
from onnx import helper

from export.graphs.edit import Draft
from export.graphs.fusion.wiring import Wiring, attribute

_RESHAPES = ("Reshape", "Unsqueeze", "Squeeze", "Transpose")


def join_reshapes(draft: Draft) -> None:
    """Reshape each tensor at once to what it becomes through all reshapes in a row."""
    wiring = Wiring(draft)
    made = []
    for node in wiring.graph.node:
        shape = wiring.shapes.get(node.output[0], [])
        if not _keeps_order(wiring, node.output[0]) or not shape or min(shape) < 1:
            continue
        source, steps = node.input[0], 1
        while _keeps_order(wiring, source):
            source, steps = wiring.makers[source].input[0], steps + 1
        if node.op_type == "Reshape" and steps == 1:
            continue
        name = wiring.constant(f"shape_{'_'.join(map(str, shape))}", np.array(shape, np.int64))
        made.append(helper.make_node("Reshape", [source, name], [node.output[0]], node.name))
    wiring.replace(made)


def _keeps_order(wiring: Wiring, name: str) -> bool:
    """Return True if the tensor holds the numbers of its maker's first input in their order."""
    node = wiring.makers.get(name)
    if node is None or node.op_type not in _RESHAPES:
        return False
    if node.op_type != "Transpose":
        return True
    sizes, order = wiring.shapes.get(node.input[0]), attribute(node, "perm")
    if sizes is None or order is None:
        return False
    long = [axis for axis in order if sizes[axis] != 1]
    return long == sorted(long)
