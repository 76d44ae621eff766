"""A bundle in another precision: fp32 graphs changed, compared with what they were, and only then kept."""

import json
from collections.abc import Mapping
from dataclasses import asdict

import onnxruntime

from calibration.sample_set import CalibrationSet
from edge.bundle.bundle import Bundle, file_info, make_bundle
from edge.errors import UsageError
from export.gate.drive import with_success
from export.gate.judge import judge
from export.gate.noise import check_same_recipe, with_noise
from export.gate.records import GateRefused, Parity
from export.measure.feeds import ROLES
from export.measure.progress import OnProgress
from export.precision.auto import Choice
from export.precision.half import to_half
from export.precision.make import Made, Maker
from export.precision.options import PrecisionOptions


def change_precision(
    base: Bundle,
    options: PrecisionOptions,
    calibration: CalibrationSet,
    force: bool,
    on_progress: OnProgress,
    against_seed: Bundle | None = None,
    episodes: int = 0,
) -> tuple[Bundle, Parity, list[Choice]]:
    """The bundle in another precision, what the gate says of it, and what auto chose by layer; with `force`
    also where the gate says no, and then the bundle says so.

    int8 is of vision, prefill and decode; int4 of decode's weights, while vision and prefill, which wait for
    computing and not for memory, are int8. Heads and the floor stay fp32: they are small.
    The layers that would harm most stay as they are, until the noise of the others is expected to be
    `budget_db` below the signal.
    `against_seed`, an fp32 bundle of the same recipe, and bf16 tell what a difference means; `episodes` of
    both bundles in simulation are part of the gate.
    Raises UsageError for what can't be made, and GateRefused when the gate finds it too far from fp32.
    """
    options.validate()
    check_base(base)
    if against_seed is not None:
        check_same_recipe(base, against_seed)
    maker = Maker(base, options, calibration, on_progress)
    made = maker.make()
    parity = _judged(base, made, options, calibration, on_progress)
    while parity.failures and maker.tighten():
        made = maker.make()
        parity = _judged(base, made, options, calibration, on_progress)
    for of, other in {"bf16": _bf16_twin(base, options.precision), "another seed": against_seed}.items():
        if other is not None:
            parity = with_noise(parity, of, base, other, calibration.held_out, on_progress)
    if episodes and (force or not parity.failures):
        candidate = _with_graphs(base, {role: one.computed for role, one in made.items()})
        parity = with_success(parity, base, candidate, episodes, on_progress)
    if parity.failures and not force:
        raise GateRefused(
            parity,
            "calibrate with more pictures (--frames, --held-out), take another --precision or --method, "
            "or give --force",
        )
    choices = [choice for one in made.values() for choice in one.choices]
    return _bundle(base, made, options, calibration, parity), parity, choices


def check_base(base: Bundle) -> None:
    """Raises UsageError for a bundle that is not fp32."""
    done = {role: base.manifest.graphs[role].precision for role in ROLES if role in base.manifest.graphs}
    if any(p != "fp32" for p in done.values()):
        raise UsageError(f"bundle '{base.manifest.name}' is not fp32: {done}", "give the fp32 bundle")


def _judged(
    base: Bundle,
    made: Mapping[str, Made],
    options: PrecisionOptions,
    calibration: CalibrationSet,
    on_progress: OnProgress,
) -> Parity:
    computed = "ONNX Runtime on the CPU"
    if any(one.content != one.computed for one in made.values()):
        computed += ", fp32 sums of rounded tensors"
    candidate = _with_graphs(base, {role: one.computed for role, one in made.items()})
    kept = {role: one.kept for role, one in made.items() if one.kept}
    return judge(base, candidate, calibration.held_out, options.precision, computed, kept, on_progress)


def _bf16_twin(base: Bundle, precision: str) -> Bundle | None:
    """The bundle as bf16 alone changes it, for this machine; None where that is what the gate looks at."""
    if precision == "bf16":
        return None
    roles = [role for role in ROLES if role in base.manifest.graphs]
    return _with_graphs(base, {role: to_half(base.read(role), "bf16", rounded=True) for role in roles})


def _with_graphs(base: Bundle, graphs: Mapping[str, bytes]) -> Bundle:
    """The bundle with other graphs that have the same inputs and outputs."""
    infos = {
        role: base.manifest.graphs[role].model_copy(update=file_info(f"{role}.onnx", content).model_dump())
        for role, content in graphs.items()
    }
    manifest = base.manifest.model_copy(update={"graphs": {**base.manifest.graphs, **infos}})
    return make_bundle(manifest, {**base.contents, **graphs})


def _bundle(
    base: Bundle,
    made: Mapping[str, Made],
    options: PrecisionOptions,
    calibration: CalibrationSet,
    parity: Parity,
) -> Bundle:
    changed = _with_graphs(base, {role: one.content for role, one in made.items()})
    graphs = {
        role: info.model_copy(update={"precision": made[role].precision}) if role in made else info
        for role, info in changed.manifest.graphs.items()
    }
    used = {
        role: {
            "method": one.method,
            "kept_layers": [k.node for k in one.kept],
            "chosen": [asdict(choice) for choice in one.choices],
            "scaled": [asdict(change) for change in one.changes],
            "ranges": one.ranges,
        }
        for role, one in made.items()
        if one.ranges or one.changes
    }
    about = {"digest": calibration.digest, "source": calibration.source, "graphs": used}
    files = {"parity": parity.to_json(), "calibration": (json.dumps(about, indent=1) + "\n").encode()}
    infos = {role: file_info(f"{role}.json", content) for role, content in files.items()}
    manifest = changed.manifest.model_copy(
        update={
            "graphs": graphs,
            "files": {**changed.manifest.files, **infos},
            "target": changed.manifest.target.model_copy(update={"engine": options.profile}),
            "provenance": {
                **changed.manifest.provenance,
                "fp32_sha256": base.sha256,
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
