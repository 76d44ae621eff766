"""A bundle's graphs in another precision, each by the means that its calibration pictures show to be best."""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np

from calibration.sample_set import CalibrationSet
from edge.bundle.bundle import Bundle
from export.gate.stages import compare_stage
from export.graphs.edit import finish, fixed_products, parse
from export.measure.feeds import ROLES, Feed, collect_feeds
from export.measure.layer_times import floors_ms, measured_ms
from export.measure.progress import OnProgress
from export.measure.ranges import METHODS, Method, Ranges, kept_ranges
from export.measure.sensitivity import Sensitivity, sensitivities, to_keep
from export.planner.boards import BOARDS
from export.precision.auto import Choice, Rung, choose, climb
from export.precision.blocks import NVFP4, insert_blocks
from export.precision.half import to_half
from export.precision.int8 import int4_blocks, int4_layers, to_int4, to_int8
from export.precision.mixed import Low, holds, to_mixed
from export.precision.options import AUTO_BUDGETS_DB, BUDGETS_DB, Precision, PrecisionOptions, Profile
from export.precision.smoothing import Change, aware, smooth

_EXACT: dict[Profile, Precision] = {"onnxruntime": "fp32", "tensorrt": "fp16"}  # what auto leaves a layer in
_TRIAL_FEEDS = 24  # that ways of calibration are compared on


@dataclass(frozen=True)
class Made:
    """A graph in its precision."""

    precision: Precision
    content: bytes  # for the engine that the bundle is for
    computed: bytes  # for the gate: the same, or its twin that this machine can compute
    method: str = ""  # of calibration
    ranges: Ranges = field(default_factory=dict)
    kept: list[Sensitivity] = field(default_factory=list)  # layers that stay fp32, or fp16 with fp8 and nvfp4
    changes: list[Change] = field(default_factory=list)  # of SmoothQuant or AWQ
    choices: list[Choice] = field(default_factory=list)  # of auto


@dataclass(frozen=True)
class _Trial:
    """What auto found out about a graph."""

    graph: bytes  # fp32, maybe smoothed
    method: Method
    ranges: Ranges
    changes: list[Change]
    ladders: dict[str, list[Rung]]
    layers: dict[str, str]  # names for people


class Maker:
    """Makes the graphs of a bundle; what goes into them is collected at its first use only."""

    def __init__(
        self, base: Bundle, options: PrecisionOptions, calibration: CalibrationSet, on_progress: OnProgress
    ) -> None:
        self._base, self._options, self._calibration, self._on_progress = (
            base,
            options,
            calibration,
            on_progress,
        )
        self._feeds: dict[str, list[Feed]] | None = None
        self._trials: dict[str, _Trial] = {}
        self.budget_db = AUTO_BUDGETS_DB[0] if options.budget_db is None else options.budget_db
        self.roles = [role for role in ROLES if role in base.manifest.graphs]

    def make(self) -> dict[str, Made]:
        """By role. Raises UsageError where pictures' prompts do not suit the bundle."""
        made: dict[str, Made] = {}
        for done, role in enumerate(self.roles):
            self._on_progress(f"calibrating {role}", done, len(self.roles))
            made[role] = self._make(role)
        return made

    def feeds(self, role: str) -> list[Feed]:
        if self._feeds is None:
            self._feeds = collect_feeds(self._base, self._calibration.calibrate)
        return self._feeds[role]

    def _make(self, role: str) -> Made:
        graph, precision = self._base.read(role), self._options.precision
        if precision in ("fp16", "bf16"):
            return self._half(graph, precision)
        if precision == "int4" and role == "decode":
            return self._int4(graph, role)
        if precision in ("fp8", "nvfp4"):
            return self._float(graph, role, precision)
        if precision == "auto":
            return self._auto(graph, role)
        return self._int8(graph, role)

    def tighten(self) -> bool:
        """The next budget for auto, after the gate refused this one; whether there is one."""
        tighter = [db for db in AUTO_BUDGETS_DB if db > self.budget_db]
        if self._options.precision != "auto" or self._options.budget_db is not None or not tighter:
            return False
        self.budget_db = tighter[0]
        return True

    def _auto(self, graph: bytes, role: str) -> Made:
        if role not in self._trials:
            self._trials[role] = self._try(graph, role)
        trial = self._trials[role]
        chosen = choose(trial.ladders, self.budget_db)
        choices = [
            _choice(role, name, trial.layers[name], trial.ladders[name], *found)
            for name, found in chosen.items()
        ]
        exact = _EXACT[self._options.profile]
        low: dict[str, Any] = {n: r.precision for n, (r, _) in chosen.items() if r.precision != exact}
        # A graph of several precisions is called by the one that most layers have.
        label = max(set(low.values()), key=list(low.values()).count) if low else exact
        about = trial.method, trial.ranges, [], trial.changes, choices
        if self._options.profile == "onnxruntime":
            content = to_int8(trial.graph, trial.ranges, "onnxruntime", set(chosen).difference(low))
            return Made(label, content, content, *about)
        content = to_mixed(trial.graph, low, trial.ranges)
        computed = to_mixed(trial.graph, low, trial.ranges, rounded=True)
        return Made(label, content, computed, *about)

    def _try(self, graph: bytes, role: str) -> _Trial:
        graph, method, ranges, changes = self.calibrated(graph, role)
        names = [node.name for node in fixed_products(parse(graph))]
        if self._options.profile == "onnxruntime":
            all_int8 = to_int8(graph, ranges, "onnxruntime")
            ms = measured_ms(graph, {"fp32": graph, "int8": all_int8}, self._few(role))
            noises = {"int8": self._noises(graph, role, ranges, "int8")}
        else:
            board = BOARDS[self._options.board]
            # fp8 is as fast as int8 and as large, and has less mantissa.
            kinds: list[Low] = ["nvfp4", "int8"] if "nvfp4" in board.flops_s else ["int8"]
            if role == "decode":
                kinds.append("int4")
            ms = floors_ms(graph, ("fp16", *kinds), board)
            noises = {kind: self._noises(graph, role, ranges, kind) for kind in kinds}
        exact = _EXACT[self._options.profile]
        ladders = {name: [Rung(exact, 0.0, ms[exact][name])] for name in names}
        layers: dict[str, str] = {}
        for kind, found in noises.items():
            for one in found:
                ladders[one.node].insert(0, Rung(kind, one.noise, ms[kind][one.node]))
                layers[one.node] = one.layer
        return _Trial(graph, method, ranges, changes, ladders, layers)

    def _noises(self, graph: bytes, role: str, ranges: Ranges, kind: Low) -> list[Sensitivity]:
        names = [node.name for node in fixed_products(parse(graph))]
        if self._options.profile == "onnxruntime":
            return self.sensitivities(
                graph, role, names, lambda n: to_int8(graph, ranges, "onnxruntime", set(names) - {n})
            )
        alone = lambda n: to_mixed(graph, {n: kind}, ranges, rounded=True, half=False)  # noqa: E731
        return self.sensitivities(graph, role, holds(graph, kind), alone)

    def _half(self, graph: bytes, precision: Literal["fp16", "bf16"]) -> Made:
        content = to_half(graph, precision)
        real = self._options.profile == "onnxruntime"
        return Made(precision, content, content if real else to_half(graph, precision, rounded=True))

    def _int4(self, graph: bytes, role: str) -> Made:
        profile = self._options.profile
        layers, blocks = int4_layers(graph, profile), int4_blocks(profile)
        alone = lambda name: finish(insert_blocks(parse(graph), [name], blocks))  # noqa: E731
        kept = self._kept(graph, role, layers, alone, "int4")
        wide = [one.node for one in kept]
        if profile == "onnxruntime":
            content, changes = to_int4(graph, profile, self.feeds(role), wide)
            return Made("int4", content, content, kept=kept, changes=changes)
        low: dict[str, Low] = {name: "int4" for name in layers if name not in wide}
        scaled, importance, changes = aware(graph, list(low), blocks, self.feeds(role))
        content, computed = (
            to_mixed(scaled, low, {}, rounded=r, importance=importance) for r in (False, True)
        )
        return Made("int4", content, computed, kept=kept, changes=changes)

    def _int8(self, graph: bytes, role: str) -> Made:
        graph, method, ranges, changes = self.calibrated(graph, role)
        profile = self._options.profile
        layers = [node.name for node in fixed_products(parse(graph))]

        def only(names: Collection[str]) -> bytes:
            return to_int8(graph, ranges, profile, set(layers).difference(names))

        kept = self._kept(graph, role, layers, lambda name: only([name]), "int8")
        wide = [one.node for one in kept]
        if profile == "onnxruntime":
            content = to_int8(graph, ranges, profile, wide)
            return Made("int8", content, content, method, ranges, kept, changes)
        # Beside int8 a GPU computes in fp16: what stays wide, attention, and what lies between.
        low: dict[str, Low] = {name: "int8" for name in layers if name not in wide}
        content, computed = (to_mixed(graph, low, ranges, rounded=twin) for twin in (False, True))
        return Made("int8", content, computed, method, ranges, kept, changes)

    def _float(self, graph: bytes, role: str, kind: Literal["fp8", "nvfp4"]) -> Made:
        """For a token at a time, which waits for memory alone, only weights are nvfp4."""
        layers, weight_only = holds(graph, kind), role == "decode"
        every: dict[str, Low] = dict.fromkeys(layers, kind)
        changes: list[Change] = []
        importance: dict[str, np.ndarray] = {}

        def twin(low: Mapping[str, Low], ranges: Ranges, half: bool = True) -> bytes:
            return to_mixed(graph, low, ranges, weight_only, True, half, importance)

        def calibrated() -> tuple[Method | Literal[""], Ranges]:
            if weight_only and kind == "nvfp4":
                return "", {}
            return self._best_ranges(graph, role, lambda found: twin(every, found))

        base = graph
        method, ranges = calibrated()
        if kind == "nvfp4" and self._options.smooth == "auto":
            before_db = self._noise_db(base, role, twin(every, ranges))
            plain = graph, importance, changes, method, ranges
            graph, importance, changes = aware(graph, layers, NVFP4, self.feeds(role))
            method, ranges = calibrated()
            if self._noise_db(base, role, twin(every, ranges)) <= before_db:
                graph, importance, changes, method, ranges = plain
        kept = self._kept(graph, role, layers, lambda name: twin({name: kind}, ranges, half=False), kind)
        wide = {one.node for one in kept}
        low: dict[str, Low] = {name: kind for name in layers if name not in wide}
        content = to_mixed(graph, low, ranges, weight_only, importance=importance)
        return Made(kind, content, twin(low, ranges), method, ranges, kept, changes)

    def _kept(
        self, graph: bytes, role: str, layers: Sequence[str], alone: Callable[[str], bytes], kind: str
    ) -> list[Sensitivity]:
        budget_db = BUDGETS_DB[kind] if self._options.budget_db is None else self._options.budget_db
        if not budget_db:
            return []
        return to_keep(self.sensitivities(graph, role, layers, alone), budget_db)

    def sensitivities(
        self, graph: bytes, role: str, layers: Sequence[str], alone: Callable[[str], bytes]
    ) -> list[Sensitivity]:
        told = lambda done, of: self._on_progress(f"trying each layer of {role}", done, of)  # noqa: E731
        return sensitivities(graph, layers, alone, self.feeds(role), told)

    def calibrated(self, graph: bytes, role: str) -> tuple[bytes, Method, Ranges, list[Change]]:
        """The graph, smoothed where that is better all in all, with its ranges."""
        profile = self._options.profile
        names = [node.name for node in fixed_products(parse(graph))]
        method, ranges = self._best_ranges(graph, role, lambda found: to_int8(graph, found, profile))
        if self._options.smooth == "off":
            return graph, method, ranges, []
        other, changes = smooth(graph, names, profile == "onnxruntime", self.feeds(role))
        if not changes:
            return graph, method, ranges, []
        found = self._best_ranges(other, role, lambda found: to_int8(other, found, profile))
        plain, smoothed = to_int8(graph, ranges, profile), to_int8(other, found[1], profile)
        if self._noise_db(graph, role, smoothed) <= self._noise_db(graph, role, plain):
            return graph, method, ranges, []
        return other, *found, changes

    def _noise_db(self, graph: bytes, role: str, other: bytes) -> float:
        return compare_stage(graph, other, self._few(role)).sqnr_db

    def _few(self, role: str) -> list[Feed]:
        feeds = self.feeds(role)
        return feeds[:: max(1, len(feeds) // _TRIAL_FEEDS)]

    def _best_ranges(
        self, graph: bytes, role: str, quantized: Callable[[Ranges], bytes]
    ) -> tuple[Method, Ranges]:
        """By the method that was asked for, or else the one whose lowest cosine is highest."""
        folder, digest = self._calibration.folder, self._calibration.digest
        feeds = lambda: self.feeds(role)  # noqa: E731
        if self._options.method is not None:
            return self._options.method, kept_ranges(folder, digest, graph, feeds, self._options.method)
        found = {name: kept_ranges(folder, digest, graph, feeds, name) for name in METHODS}
        cosines = {
            name: compare_stage(graph, quantized(ranges), self._few(role)).cosine
            for name, ranges in found.items()
        }
        best = max(METHODS, key=lambda name: cosines[name])
        return best, found[best]


def _choice(role: str, node: str, layer: str, ladder: Sequence[Rung], found: Rung, why: str) -> Choice:
    fastest, exact = climb(ladder)[0], ladder[-1]
    if fastest.precision == exact.precision:
        fastest = min(ladder[:-1], key=lambda one: one.ms)
    gained_ms = exact.ms - fastest.ms
    return Choice(
        role, node, layer, found.precision, found.noise, fastest.precision, fastest.noise, gained_ms, why
    )
