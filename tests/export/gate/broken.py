"""int8 where it does harm: the quantizer that we do not use puts it anywhere."""

from typing import Any

import numpy as np
from onnxruntime.quantization import CalibrationMethod, QDQQuantizer, QuantType
from onnxruntime.quantization.calibrate import TensorsData

from export.graphs.edit import Draft
from export.graphs.graph import Graph
from export.measure.ranges import Ranges


def quantize_any(graph: Graph, nodes: list[str], ranges: Ranges) -> Graph:
    """The same graph with these nodes' inputs and outputs in uint8."""
    model = Draft(graph).model
    spans: dict[str, Any] = {
        name: (np.float32(low), np.float32(high)) for name, (low, high) in ranges.items()
    }
    quantizer: Any = QDQQuantizer(
        model,
        True,
        False,
        QuantType.QInt8,
        QuantType.QUInt8,
        TensorsData(CalibrationMethod.MinMax, spans),
        nodes,
        [],
        sorted({node.op_type for node in model.graph.node if node.name in set(nodes)}),
        {"WeightSymmetric": True},
    )
    quantizer.quantize_model()
    quantizer.model.topological_sort()
    return Graph(quantizer.model.model)
