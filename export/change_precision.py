"""A bundle in another precision: fp32 graphs changed, compared with the fp32 ones, and only then kept."""

import json
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

import onnxruntime

from calibration.sample_set import CalibrationSet
from edge.bundle.bundle import Bundle, file_info, make_bundle
from edge.errors import UsageError
from export.gate.drive import with_success
from export.gate.judge import judge
from export.gate.noise import check_same_recipe, with_noise
from export.gate.records import GateRefused, Parity
from export.graphs.graph import Graph
from export.measure.feeds import STAGES
from export.measure.progress import OnProgress
from export.precision.candidate import Candidate
from export.precision.choose import Choice
from export.precision.half import Half
from export.precision.options import PrecisionOptions
from export.precision.search import PrecisionSearch


def change_precision(
    reference: Bundle,
    options: PrecisionOptions,
    calibration: CalibrationSet,
    force: bool,
    on_progress: OnProgress,
    against_seed: Bundle | None = None,
    episodes: int = 0,
) -> tuple[Bundle, Parity, list[Choice]]:
    """Return the bundle in another precision, the gate's figures of it, and auto's choices by layer.

    int8 is of vision, prefill and decode; int4 of decode's weights, while vision and prefill, which wait for
    computing and not for memory, are int8. Heads and the floor net stay fp32: they are small.
    The layers that would harm most stay as they are, until the noise of the others is expected to be
    `budget_db` below the signal.
    `against_seed`, an fp32 bundle of the same recipe, and bf16 tell what a difference means; `episodes` of
    both bundles in simulation are part of the gate.
    With `force` the bundle is made even if the gate refuses it; it then says so itself.
    Raises UsageError for what can't be made, and GateRefused if the bundle is too far from fp32.
    """
    options.validate()
    check_fp32(reference)
    if against_seed is not None:
        check_same_recipe(reference, against_seed)
    search = PrecisionSearch(reference, options, calibration, on_progress)
    first_db, *tighter_db = search.budgets_db
    candidates = search.candidates(first_db)
    parity = _judge(search, candidates, options, calibration, on_progress)
    for budget_db in tighter_db:
        if parity.failures:
            candidates = search.candidates(budget_db)
            parity = _judge(search, candidates, options, calibration, on_progress)
    for of, other in {"bf16": _bf16_twin(search, options), "another seed": against_seed}.items():
        if other is not None:
            parity = with_noise(parity, of, reference, other, calibration.held_out, on_progress)
    if episodes and (force or not parity.failures):
        parity = with_success(parity, reference, _computed(search, candidates), episodes, on_progress)
    if parity.failures and not force:
        raise GateRefused(
            parity,
            "calibrate with more pictures (--frames, --held-out), take another --precision or --method, "
            "or give --force",
        )
    choices = [choice for one in candidates.values() for choice in one.choices]
    return _bundle(reference, candidates, options, calibration, parity), parity, choices


def check_fp32(bundle: Bundle) -> None:
    """Raise UsageError for a bundle that is not fp32."""
    infos = bundle.manifest.graphs
    precisions = {stage: infos[stage].precision for stage in STAGES if stage in infos}
    if any(precision != "fp32" for precision in precisions.values()):
        raise UsageError(f"bundle '{bundle.manifest.name}' is not fp32: {precisions}", "give the fp32 bundle")


def _judge(
    search: PrecisionSearch,
    candidates: Mapping[str, Candidate],
    options: PrecisionOptions,
    calibration: CalibrationSet,
    on_progress: OnProgress,
) -> Parity:
    twins = any(one.twin is not None for one in candidates.values())
    return judge(
        search.reference,
        _computed(search, candidates),
        calibration.held_out,
        precision=options.precision,
        computed="ONNX Runtime on the CPU" + ", fp32 sums of rounded tensors" * twins,
        kept={stage: one.kept for stage, one in candidates.items() if one.kept},
        on_progress=on_progress,
    )


def _computed(search: PrecisionSearch, candidates: Mapping[str, Candidate]) -> Bundle:
    """Return the bundle that this machine can compute in place of the candidates'."""
    return with_graphs(search.reference, {stage: one.computed for stage, one in candidates.items()})


def _bf16_twin(search: PrecisionSearch, options: PrecisionOptions) -> Bundle | None:
    """Return the bundle as bf16 alone changes it, for this machine; None if the gate looks at bf16 itself."""
    if options.precision == "bf16":
        return None
    half = Half("bf16").twin
    return with_graphs(search.reference, {stage: half.apply(g) for stage, g in search.graphs.items()})


def with_graphs(bundle: Bundle, graphs: Mapping[str, Graph]) -> Bundle:
    """Return the bundle with other graphs that have the same inputs and outputs."""
    contents = {stage: graph.content for stage, graph in graphs.items()}
    infos = {
        stage: bundle.manifest.graphs[stage].model_copy(
            update=file_info(f"{stage}.onnx", content).model_dump()
        )
        for stage, content in contents.items()
    }
    manifest = bundle.manifest.model_copy(update={"graphs": {**bundle.manifest.graphs, **infos}})
    return make_bundle(manifest, {**bundle.contents, **contents})


def _bundle(
    reference: Bundle,
    candidates: Mapping[str, Candidate],
    options: PrecisionOptions,
    calibration: CalibrationSet,
    parity: Parity,
) -> Bundle:
    changed = with_graphs(reference, {stage: one.graph for stage, one in candidates.items()})
    graphs = {
        stage: info.model_copy(update={"precision": candidates[stage].precision})
        if stage in candidates
        else info
        for stage, info in changed.manifest.graphs.items()
    }
    about = {
        "digest": calibration.digest,
        "source": calibration.source,
        "graphs": {s: _how_found(one) for s, one in candidates.items() if one.ranges or one.scalings},
    }
    files = {"parity": parity.to_json(), "calibration": (json.dumps(about, indent=1) + "\n").encode()}
    infos = {name: file_info(f"{name}.json", content) for name, content in files.items()}
    manifest = changed.manifest.model_copy(
        update={
            "graphs": graphs,
            "files": {**changed.manifest.files, **infos},
            "target": changed.manifest.target.model_copy(update={"engine": options.profile}),
            "provenance": {
                **changed.manifest.provenance,
                "fp32_sha256": reference.sha256,
                "calibration_sha256": calibration.digest,
                "calibration_source": calibration.source,
                "ranges_by": f"onnxruntime {onnxruntime.__version__}",
                **({"for_board": options.board} if options.board else {}),
            },
            "parity": {**changed.manifest.parity, **parity.summary()},
            "unproved": tuple(parity.failures),
        }
    )
    return make_bundle(manifest, {**changed.contents, **files})


def _how_found(candidate: Candidate) -> dict[str, Any]:
    """Return a candidate's entry in calibration.json."""
    return {
        "method": candidate.method,
        "kept_layers": [layer.node for layer in candidate.kept],
        "chosen": [asdict(choice) for choice in candidate.choices],
        "scaled": [asdict(scaling) for scaling in candidate.scalings],
        "ranges": candidate.ranges,
    }
