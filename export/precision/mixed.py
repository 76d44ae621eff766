"""For TensorRT: layers in a precision each, and what is not quantized in fp16."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Literal

import numpy as np
from onnx import NodeProto

from export.graphs.edit import Draft
from export.graphs.graph import Graph, fixed_products
from export.measure.ranges import Ranges
from export.precision.half import Half
from export.precision.quantizers.blocks import INT4_TENSORRT, NVFP4, fits, insert_blocks
from export.precision.quantizers.dynamic import insert_dynamic
from export.precision.quantizers.qdq import insert_qdq

LowPrecision = Literal["int8", "fp8", "nvfp4", "int4"]


@dataclass(frozen=True)
class Mixed:
    """An fp32 graph to layers of low precision; the others are fp16, norms, softmax, residual sums fp32."""

    kinds: Mapping[str, LowPrecision]  # by the layer's name
    ranges: Ranges
    importance: Mapping[str, np.ndarray] = field(default_factory=dict)  # (K,) by tensor, see insert_blocks
    weight_only: bool = False  # activations of nvfp4 stay as they are, as those of int4 always do
    half: bool = True  # False: what would be fp16 is fp32
    rounded: bool = False

    @property
    def twin(self) -> "Mixed":
        """The same for ONNX Runtime's CPU: numbers are rounded to their types and summed in fp32."""
        return replace(self, rounded=True)

    def apply(self, graph: Graph) -> Graph:
        """Return the graph with quantized layers. Raises KeyError if a range is missing."""
        draft = Draft(Half("fp16", rounded=self.rounded).apply(graph) if self.half else graph)
        before = {node.name: node.input[0] for node in graph.products}
        # As fp16, what a layer reads goes by another name.
        sources = {node.name: (node.input[0], before[node.name]) for node in fixed_products(draft.model)}
        importance = {now: self.importance[was] for now, was in sources.values() if was in self.importance}
        ranges = {
            now: self.ranges[was] for name, (now, was) in sources.items() if self._reads_quantized(name)
        }
        for kind in dict.fromkeys(self.kinds.values()):
            layers = {name for name, one in self.kinds.items() if one == kind}
            if kind == "int4":
                insert_blocks(draft, layers, INT4_TENSORRT, importance, self.rounded)
            elif kind == "nvfp4":
                if not self.weight_only:
                    insert_dynamic(draft, layers, ranges, self.rounded)
                insert_blocks(draft, layers, NVFP4, importance, self.rounded)
            else:
                insert_qdq(draft, layers, kind, ranges, self.rounded)
        draft.store_as_fp16()
        return draft.finish()

    def _reads_quantized(self, layer: str) -> bool:
        """Return True if the activations of the layer are quantized."""
        kind = self.kinds.get(layer)
        return kind in ("int8", "fp8") or (kind == "nvfp4" and not self.weight_only)


def quantizable(graph: Graph, kind: LowPrecision) -> list[str]:
    """Names of the layers that can be of this kind, in their order. Convolutions can only be int8."""
    blocks = {"int4": INT4_TENSORRT, "nvfp4": NVFP4}.get(kind)

    def can(node: NodeProto) -> bool:
        if node.op_type == "Conv":
            return kind == "int8"
        return blocks is None or fits(node, graph.weights[node.input[1]], blocks)

    return [node.name for node in graph.products if can(node)]
