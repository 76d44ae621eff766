"""`--precision auto`: each layer in the fastest precision whose noise the gate lets through."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from export.graphs.graph import Graph
from export.measure.layer_times import bounds_ms, measured_ms
from export.measure.ranges import Ranges
from export.measure.sensitivity import Sensitivity
from export.planner.boards import BOARDS
from export.precision.calibrate import StageCalibration
from export.precision.candidate import Candidate
from export.precision.choose import Choice, Rung, choose, climb
from export.precision.int8 import Int8, Int8Calibration, calibrate_int8
from export.precision.mixed import LowPrecision, Mixed, quantizable
from export.precision.options import Precision, Profile

_EXACT: dict[Profile, Precision] = {"onnxruntime": "fp32", "tensorrt": "fp16"}  # a wide layer's precision


@dataclass(frozen=True)
class LayerTrials:
    """What each layer of a stage gains in time and adds in noise by each precision."""

    stage: str
    profile: Profile
    calibrated: Int8Calibration
    ladders: dict[str, list[Rung]]  # by the layer's node
    layer_names: dict[str, str]  # for people, by the layer's node

    def choose(self, budget_db: float) -> Candidate:
        """Return the fastest graph whose noise stays `budget_db` below the signal."""
        chosen = choose(self.ladders, budget_db)
        exact = _EXACT[self.profile]
        low: dict[str, Any] = {n: r.precision for n, (r, _) in chosen.items() if r.precision != exact}
        # A graph of several precisions is called by the one that most layers have.
        label = max(dict.fromkeys(low.values()), key=list(low.values()).count) if low else exact
        graph, ranges = self.calibrated.graph, self.calibrated.ranges
        about = {
            "method": self.calibrated.method,
            "ranges": ranges,
            "scalings": self.calibrated.scalings,
            "choices": [self._choice(name, *found) for name, found in chosen.items()],
        }
        if self.profile == "onnxruntime":
            int8 = Int8(ranges, "onnxruntime", set(chosen).difference(low))
            return Candidate(label, int8.apply(graph), **about)
        mixed = Mixed(low, ranges)
        return Candidate(label, mixed.apply(graph), mixed.twin.apply(graph), **about)

    def _choice(self, node: str, found: Rung, why: str) -> Choice:
        ladder = self.ladders[node]
        fastest, exact = climb(ladder)[0], ladder[-1]
        if fastest.precision == exact.precision:
            fastest = min(ladder[:-1], key=lambda one: one.ms)
        return Choice(
            role=self.stage,
            node=node,
            layer=self.layer_names[node],
            precision=found.precision,
            noise=found.noise,
            fastest=fastest.precision,
            fastest_noise=fastest.noise,
            gained_ms=exact.ms - fastest.ms,
            why=why,
        )


def try_layers(stage: StageCalibration) -> LayerTrials:
    """Try each layer of a stage in each precision that the engine has."""
    profile, calibrated = stage.options.profile, calibrate_int8(stage)
    kinds = _kinds(stage)
    times_ms = _times_ms(stage, calibrated, kinds)
    exact = _EXACT[profile]
    ladders = {name: [Rung(exact, 0.0, times_ms[exact][name])] for name in calibrated.graph.layers}
    layer_names: dict[str, str] = {}
    for kind in kinds:
        for one in _noises(stage, calibrated.graph, calibrated.ranges, kind):
            ladders[one.node].insert(0, Rung(kind, one.noise, times_ms[kind][one.node]))
            layer_names[one.node] = one.layer
    return LayerTrials(stage.name, profile, calibrated, ladders, layer_names)


def _kinds(stage: StageCalibration) -> list[LowPrecision]:
    """Return the precisions to try. fp8 is left out: as fast and as large as int8, but less exact."""
    if stage.options.profile == "onnxruntime":
        return ["int8"]
    kinds: list[LowPrecision] = ["int8"]
    if "nvfp4" in BOARDS[stage.options.board].flops_s:
        kinds.insert(0, "nvfp4")
    return [*kinds, "int4"] if stage.name == "decode" else kinds


def _times_ms(
    stage: StageCalibration, calibrated: Int8Calibration, kinds: Sequence[LowPrecision]
) -> dict[str, dict[str, float]]:
    """Milliseconds by precision and layer: measured here, or the least that the board allows."""
    graph = calibrated.graph
    if stage.options.profile == "tensorrt":
        return bounds_ms(graph, ("fp16", *kinds), BOARDS[stage.options.board])
    int8 = Int8(calibrated.ranges, "onnxruntime").apply(graph)
    return measured_ms(graph, {"fp32": graph, "int8": int8}, stage.trial_feeds)


def _noises(stage: StageCalibration, graph: Graph, ranges: Ranges, kind: LowPrecision) -> list[Sensitivity]:
    """Return the noise that each layer adds when it alone has this precision."""
    if stage.options.profile == "onnxruntime":
        layers = graph.layers
        alone = lambda name: Int8(ranges, "onnxruntime", set(layers) - {name}).apply(graph)  # noqa: E731
        return stage.sensitivities(graph, layers, alone)
    alone = lambda name: Mixed({name: kind}, ranges, half=False, rounded=True).apply(graph)  # noqa: E731
    return stage.sensitivities(graph, quantizable(graph, kind), alone)
