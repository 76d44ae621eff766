"""fp8 and nvfp4, for TensorRT: layers as floats of 8 or 4 bits, the others fp16."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

from export.graphs.graph import Graph
from export.measure.sensitivity import Sensitivity
from export.precision.calibrate import StageCalibration
from export.precision.candidate import Candidate
from export.precision.mixed import Mixed, quantizable
from export.precision.quantizers.blocks import NVFP4
from export.precision.quantizers.smoothing import ChannelScaling, awq

FloatKind = Literal["fp8", "nvfp4"]


@dataclass(frozen=True)
class _Calibrated:
    """An fp32 graph, maybe scaled, and how its layers become low."""

    graph: Graph
    low: Mixed
    method: str = ""
    scalings: list[ChannelScaling] = field(default_factory=list)

    @property
    def twin(self) -> Graph:
        return self.low.twin.apply(self.graph)


def fit_low_floats(stage: StageCalibration, kind: FloatKind) -> Candidate:
    """Return a stage in fp8 or nvfp4, but for the layers that would harm it most.

    Decode waits for memory alone, a token at a time: only its weights are nvfp4.
    """
    layers = quantizable(stage.graph, kind)
    low = Mixed(dict.fromkeys(layers, kind), {}, weight_only=kind == "nvfp4" and stage.name == "decode")
    found = _with_ranges(stage, _Calibrated(stage.graph, low))
    if kind == "nvfp4" and stage.options.smooth == "auto":
        scaled = awq(stage.graph, layers, NVFP4, stage.feeds)
        other = _Calibrated(scaled.graph, replace(low, importance=scaled.importance), "", scaled.scalings)
        found = _better(stage, found, _with_ranges(stage, other))
    kept = _layers_to_keep(stage, found, layers, kind)
    wide = {one.node for one in kept}
    chosen = replace(found.low, kinds={name: kind for name in layers if name not in wide})
    return Candidate(
        kind,
        chosen.apply(found.graph),
        chosen.twin.apply(found.graph),
        method=found.method,
        ranges=chosen.ranges,
        kept=kept,
        scalings=found.scalings,
    )


def _with_ranges(stage: StageCalibration, found: _Calibrated) -> _Calibrated:
    """Return the same with the ranges of its activations, if any are quantized."""
    if found.low.weight_only:
        return found
    apply = lambda ranges: replace(found.low.twin, ranges=ranges).apply(found.graph)  # noqa: E731
    method, ranges = stage.best_ranges(found.graph, apply)
    return replace(found, low=replace(found.low, ranges=ranges), method=method)


def _layers_to_keep(
    stage: StageCalibration, found: _Calibrated, layers: Sequence[str], kind: FloatKind
) -> list[Sensitivity]:
    one = replace(found.low.twin, half=False)
    alone = lambda name: replace(one, kinds={name: kind}).apply(found.graph)  # noqa: E731
    return stage.layers_to_keep(found.graph, layers, alone, kind)


def _better(stage: StageCalibration, plain: _Calibrated, scaled: _Calibrated) -> _Calibrated:
    before_db, after_db = (stage.sqnr_db(one.twin) for one in (plain, scaled))
    return scaled if after_db > before_db else plain
