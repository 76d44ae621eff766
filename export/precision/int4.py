"""int4 weights in blocks, symmetric around 0, as DequantizeLinear; activations stay as they are.

ONNX Runtime makes its own 4-bit product of that, and TensorRT's parser takes it.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from export.graphs.edit import Draft
from export.graphs.graph import Graph
from export.measure.feeds import Feed
from export.precision.calibrate import StageCalibration
from export.precision.candidate import Candidate
from export.precision.mixed import Mixed
from export.precision.options import Profile
from export.precision.quantizers.blocks import INT4_CPU, INT4_TENSORRT, Blocks, fits, insert_blocks
from export.precision.quantizers.smoothing import ChannelScaling, awq


@dataclass(frozen=True)
class Int4:
    """An fp32 graph to int4 weights in these layers."""

    layers: Collection[str]
    blocks: Blocks
    importance: Mapping[str, np.ndarray] = field(default_factory=dict)  # (K,) by tensor, see insert_blocks
    fp16: bool = True  # large constants that are left are stored as fp16

    def apply(self, graph: Graph) -> Graph:
        """Return the graph with int4 weights."""
        draft = Draft(graph)
        insert_blocks(draft, self.layers, self.blocks, self.importance)
        if self.fp16:
            draft.store_as_fp16()
        return draft.finish()


def int4_blocks(profile: Profile) -> Blocks:
    """Return the blocks that an engine takes."""
    return INT4_TENSORRT if profile == "tensorrt" else INT4_CPU


def int4_layers(graph: Graph, profile: Profile) -> list[str]:
    """Names of the matrix products that can be int4."""
    return [
        node.name
        for node in graph.products
        if node.op_type == "MatMul" and fits(node, graph.weights[node.input[1]], int4_blocks(profile))
    ]


def fit_int4(stage: StageCalibration) -> Candidate:
    """Return a stage with int4 weights, but for the layers that would harm it most."""
    graph, profile = stage.graph, stage.options.profile
    layers, blocks = int4_layers(graph, profile), int4_blocks(profile)
    alone = lambda name: Int4([name], blocks, fp16=False).apply(graph)  # noqa: E731
    kept = stage.layers_to_keep(graph, layers, alone, "int4")
    wide = {one.node for one in kept}
    if profile == "onnxruntime":
        low, scalings = awq_int4(graph, profile, stage.feeds, wide)
        return Candidate("int4", low, kept=kept, scalings=scalings)
    scaled = awq(graph, [name for name in layers if name not in wide], blocks, stage.feeds)
    mixed = Mixed({name: "int4" for name in layers if name not in wide}, {}, scaled.importance)
    low, twin = mixed.apply(scaled.graph), mixed.twin.apply(scaled.graph)
    return Candidate("int4", low, twin, kept=kept, scalings=scaled.scalings)


def awq_int4(
    graph: Graph, profile: Profile, feeds: Sequence[Feed], keep: Collection[str] = ()
) -> tuple[Graph, list[ChannelScaling]]:
    """Return a graph with int4 weights but in the layers in `keep`, and how their channels were scaled."""
    blocks = int4_blocks(profile)
    layers = [name for name in int4_layers(graph, profile) if name not in keep]
    scaled = awq(graph, layers, blocks, feeds)
    return Int4(layers, blocks, scaled.importance).apply(scaled.graph), scaled.scalings
