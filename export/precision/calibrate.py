"""One stage of an fp32 bundle with its calibration inputs, and what is measured on them."""

from collections.abc import Callable, Sequence

from calibration.sample_set import CalibrationSet
from export.gate.stages import compare_stage
from export.graphs.graph import Graph
from export.measure.feeds import Feed
from export.measure.methods import METHODS, Method
from export.measure.progress import OnProgress
from export.measure.ranges import Ranges, kept_ranges
from export.measure.sensitivity import Sensitivity, sensitivities, to_keep
from export.precision.options import BUDGETS_DB, PrecisionOptions

_TRIAL_FEEDS = 24  # inputs that ways of calibration are compared on


class StageCalibration:
    """The fp32 graph of a stage, and trials of changed graphs on its calibration inputs."""

    def __init__(
        self,
        name: str,
        graph: Graph,
        calibration: CalibrationSet,
        collect: Callable[[], Sequence[Feed]],
        options: PrecisionOptions,
        on_progress: OnProgress,
    ) -> None:
        """`collect` gives the stage's inputs; it is called only by what needs them."""
        self.name, self.graph, self.options = name, graph, options
        self._calibration, self._collect, self._on_progress = calibration, collect, on_progress

    @property
    def feeds(self) -> Sequence[Feed]:
        """The stage's inputs for all calibration samples."""
        return self._collect()

    @property
    def trial_feeds(self) -> Sequence[Feed]:
        """A few of the inputs, evenly spread."""
        return self.feeds[:: max(1, len(self.feeds) // _TRIAL_FEEDS)]

    def sqnr_db(self, changed: Graph) -> float:
        """Return the ratio of signal to noise of a changed graph against the fp32 one."""
        return compare_stage(self.graph, changed, self.trial_feeds).sqnr_db

    def best_ranges(self, graph: Graph, apply: Callable[[Ranges], Graph]) -> tuple[Method, Ranges]:
        """Return the ranges of an fp32 graph and their method: the one of the options, or else the best.

        `apply` quantizes the graph by ranges; the best method is the one whose lowest cosine is highest.
        """
        folder, digest = self._calibration.folder, self._calibration.digest
        if self.options.method is not None:
            method = self.options.method
            return method, kept_ranges(folder, digest, graph, self._collect, method)
        found = {name: kept_ranges(folder, digest, graph, self._collect, name) for name in METHODS}
        cosines = {
            name: compare_stage(graph, apply(ranges), self.trial_feeds).cosine
            for name, ranges in found.items()
        }
        best = max(METHODS, key=lambda name: cosines[name])
        return best, found[best]

    def sensitivities(
        self, graph: Graph, layers: Sequence[str], alone: Callable[[str], Graph]
    ) -> list[Sensitivity]:
        """Return the noise of each layer, most sensitive first; `alone` quantizes one layer of the graph."""
        on_layer = lambda done, total: self._on_progress(  # noqa: E731
            f"trying each layer of {self.name}", done, total
        )
        return sensitivities(graph, layers, alone, self.feeds, on_layer)

    def layers_to_keep(
        self, graph: Graph, layers: Sequence[str], alone: Callable[[str], Graph], kind: str
    ) -> list[Sensitivity]:
        """Return the layers that must not be quantized, so that the noise of the others fits the budget."""
        budget_db = BUDGETS_DB[kind] if self.options.budget_db is None else self.options.budget_db
        return to_keep(self.sensitivities(graph, layers, alone), budget_db) if budget_db else []
