"""int8 products: weights per output channel, activations by ranges.

Only products with constant weights change. Norms, softmax, attention, residual sums and what a matrix product
gives out stay fp32.

There are two profiles, because no one file is both fast in ONNX Runtime and accepted by TensorRT:

    onnxruntime  on a fused graph (`export.graphs.fusion`): matrix products find their ranges while they run;
                 convolutions by calibrated ranges, as explicit QuantizeLinear and DequantizeLinear:
                 activations uint8 with a zero point, biases int32, outputs uint8 too
    tensorrt     QuantizeLinear and DequantizeLinear by calibrated ranges everywhere, activations int8 around
                 0, no integer biases: its parser refuses all else
"""

from collections.abc import Collection
from dataclasses import dataclass, field

from export.graphs.edit import Draft
from export.graphs.fusion.fuse import fuse
from export.graphs.graph import Graph
from export.measure.methods import Method
from export.measure.ranges import Ranges
from export.precision.calibrate import StageCalibration
from export.precision.candidate import Candidate
from export.precision.mixed import Mixed
from export.precision.options import Profile
from export.precision.quantizers.qdq import insert_qdq
from export.precision.quantizers.run_time import has_run_time, insert_run_time
from export.precision.quantizers.smoothing import ChannelScaling, smoothquant


@dataclass(frozen=True)
class Int8:
    """An fp32 graph to int8 by ranges of its tensors; for ONNX Runtime, a fused one."""

    ranges: Ranges
    profile: Profile
    keep: Collection[str] = ()  # names of layers that stay fp32

    def apply(self, graph: Graph) -> Graph:
        """Return the graph in int8. Raises KeyError if a range is missing: then they are another graph's."""
        draft = Draft(graph)
        layers = [node for node in graph.products if node.name not in self.keep]
        fixed = [node for node in layers if self.profile == "tensorrt" or not has_run_time(draft, node)]
        # A missing range would leave its layer in fp32 without a word.
        for node in fixed:
            _ = self.ranges[node.input[0]], self.ranges[node.output[0]]
        kind = "int8" if self.profile == "tensorrt" else "uint8"
        insert_qdq(draft, [node.name for node in fixed], kind, self.ranges)
        if self.profile == "onnxruntime":
            insert_run_time(draft, [node.name for node in layers])
        draft.store_as_fp16()
        return draft.finish()


@dataclass(frozen=True)
class Int8Calibration:
    """An fp32 graph that is ready to be quantized, maybe smoothed and fused, with its ranges."""

    graph: Graph
    method: Method
    ranges: Ranges
    scalings: list[ChannelScaling] = field(default_factory=list)


def fit_int8(stage: StageCalibration) -> Candidate:
    """Return a stage in int8, but for the layers that would harm it most."""
    profile = stage.options.profile
    found = calibrate_int8(stage)
    graph, ranges, layers = found.graph, found.ranges, found.graph.layers
    alone = lambda name: Int8(ranges, profile, set(layers) - {name}).apply(graph)  # noqa: E731
    kept = stage.layers_to_keep(graph, layers, alone, "int8")
    wide = {one.node for one in kept}
    about = {"method": found.method, "ranges": ranges, "kept": kept, "scalings": found.scalings}
    if profile == "onnxruntime":
        return Candidate("int8", Int8(ranges, profile, wide).apply(graph), **about)
    # Beside int8 a GPU computes in fp16: what stays wide, attention, and what lies between.
    mixed = Mixed({name: "int8" for name in layers if name not in wide}, ranges)
    return Candidate("int8", mixed.apply(graph), mixed.twin.apply(graph), **about)


def calibrate_int8(stage: StageCalibration) -> Int8Calibration:
    """Return the stage's graph with its ranges, smoothed if that is better all in all."""
    profile = stage.options.profile
    plain = _with_ranges(stage, stage.graph, [])
    if stage.options.smooth == "off":
        return plain
    graph, scalings = smoothquant(stage.graph, stage.graph.layers, profile == "onnxruntime", stage.feeds)
    if not scalings:
        return plain
    smooth = _with_ranges(stage, graph, scalings)
    before_db, after_db = (
        stage.sqnr_db(Int8(one.ranges, profile).apply(one.graph)) for one in (plain, smooth)
    )
    return smooth if after_db > before_db else plain


def _with_ranges(stage: StageCalibration, graph: Graph, scalings: list[ChannelScaling]) -> Int8Calibration:
    if stage.options.profile == "onnxruntime":
        graph = fuse(graph)
    apply = lambda ranges: Int8(ranges, stage.options.profile).apply(graph)  # noqa: E731
    return Int8Calibration(graph, *stage.best_ranges(graph, apply), scalings)
