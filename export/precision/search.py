"""The stages of an fp32 bundle in another precision, each by the means that calibration shows to be best."""

from collections.abc import Sequence
from functools import cached_property

from calibration.sample_set import CalibrationSet
from edge.bundle.bundle import Bundle
from export.graphs.graph import Graph
from export.measure.feeds import STAGES, Feed, collect_feeds
from export.measure.progress import OnProgress
from export.precision.auto import LayerTrials, try_layers
from export.precision.calibrate import StageCalibration
from export.precision.candidate import Candidate
from export.precision.half import fit_half
from export.precision.int4 import fit_int4
from export.precision.int8 import fit_int8
from export.precision.low_floats import fit_low_floats
from export.precision.options import AUTO_BUDGETS_DB, PrecisionOptions


class PrecisionSearch:
    """Finds candidates for the stages of a bundle; their inputs are collected at the first use only."""

    def __init__(
        self,
        reference: Bundle,
        options: PrecisionOptions,
        calibration: CalibrationSet,
        on_progress: OnProgress,
    ) -> None:
        self.reference, self._options, self._calibration = reference, options, calibration
        self._on_progress = on_progress
        self._trials: dict[str, LayerTrials] = {}
        self.graphs = {
            stage: Graph.parse(reference.read(stage))
            for stage in STAGES
            if stage in reference.manifest.graphs
        }

    @property
    def budgets_db(self) -> Sequence[float | None]:
        """The budgets to try in turn until the gate passes one; only auto has several."""
        if self._options.precision != "auto" or self._options.budget_db is not None:
            return (self._options.budget_db,)
        return AUTO_BUDGETS_DB

    def candidates(self, budget_db: float | None) -> dict[str, Candidate]:
        """Return a candidate for each stage.

        Raises UsageError if the set's prompts do not suit the bundle.
        """
        found: dict[str, Candidate] = {}
        for done, stage in enumerate(self.graphs):
            self._on_progress(f"calibrating {stage}", done, len(self.graphs))
            found[stage] = self._candidate(stage, budget_db)
        return found

    def _candidate(self, stage: str, budget_db: float | None) -> Candidate:
        calibrated, precision = self._stage(stage), self._options.precision
        if precision in ("fp16", "bf16"):
            return fit_half(calibrated, precision)
        if precision in ("fp8", "nvfp4"):
            return fit_low_floats(calibrated, precision)
        if precision == "int4" and stage == "decode":
            return fit_int4(calibrated)
        if precision == "auto":
            if stage not in self._trials:
                self._trials[stage] = try_layers(calibrated)
            assert budget_db is not None  # see budgets_db
            return self._trials[stage].choose(budget_db)
        if precision in ("int8", "int4"):  # int4 is for the weights of decode alone
            return fit_int8(calibrated)
        raise AssertionError(f"no method makes {precision}")

    def _stage(self, name: str) -> StageCalibration:
        """Return the stage with what it is calibrated on."""
        collect = lambda: self._feeds[name]  # noqa: E731
        return StageCalibration(
            name, self.graphs[name], self._calibration, collect, self._options, self._on_progress
        )

    @cached_property
    def _feeds(self) -> dict[str, list[Feed]]:
        return collect_feeds(self.reference, self._calibration.calibrate)
