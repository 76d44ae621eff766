"""A bundle in another precision: fp32 graphs changed, compared with what they were, and only then kept."""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

import onnxruntime

from edge.bundle import Bundle, file_info, make_bundle
from edge.calibration_set import CalibrationSet
from edge.errors import BundleRefused, UsageError
from export.feeds import ROLES, Feed, collect_feeds
from export.gate import Parity, Say, judge
from export.gate_stages import compare_stage
from export.precision_half import to_half
from export.precision_int8 import Profile, to_int4, to_int8
from export.ranges import METHODS, Method, Ranges, kept_ranges
from export.sensitivity import Sensitivity, sensitivities, to_keep

Precision = Literal["fp32", "fp16", "bf16", "int8", "int4"]
PRECISIONS: tuple[Precision, ...] = ("fp32", "fp16", "bf16", "int8", "int4")
BUDGET_DB = 40.0
_TRIAL_FEEDS = 24  # that methods of calibration are compared on


@dataclass(frozen=True)
class Made:
    """A graph in its precision."""

    precision: Precision
    content: bytes  # for the engine that the bundle is for
    computed: bytes  # for the gate: the same, or its twin that this machine can compute
    method: str = ""  # of calibration
    ranges: Ranges = field(default_factory=dict)
    kept: list[Sensitivity] = field(default_factory=list)  # layers that stay fp32


def change_precision(
    base: Bundle,
    precision: Precision,
    profile: Profile,
    calibration: CalibrationSet,
    method: Method | None,
    budget_db: float | None,
    force: bool,
    say: Say,
) -> tuple[Bundle, Parity]:
    """The bundle in another precision, and what the gate says of it; with `force` also where that is a no,
    and then it says so.

    int8 is of vision, prefill and decode; int4 of decode's weights, while vision and prefill, which wait for
    computing and not for memory, are int8. Heads and the floor stay fp32: they are small.
    `method` None takes for each graph the method with the least error on the calibration pictures.
    With `budget_db` the layers that would harm most stay fp32, until the noise of the others is expected to
    be that far below the signal; None makes all int8.
    Raises UsageError for what can't be made, and BundleRefused when the gate finds it too far from fp32.
    """
    check_precision(base, precision, profile)
    made = _make(base, precision, profile, calibration, method, budget_db, say)
    computed = "ONNX Runtime on the CPU"
    if any(one.content != one.computed for one in made.values()):
        computed += f", fp32 sums of tensors rounded to {precision}"
    twins = {role: one.computed for role, one in made.items()}
    kept = {role: one.kept for role, one in made.items() if one.kept}
    candidate = _with_graphs(base, twins)
    parity = judge(base, candidate, calibration.held_out, precision, computed, kept, say)
    if parity.failures and not force:
        raise BundleRefused(
            f"{precision} does not pass the gate: {'; '.join(parity.failures)}",
            "calibrate with more pictures (--frames, --held-out), take another --precision or --method, "
            "or give --force",
        )
    return _bundle(base, made, profile, calibration, parity), parity


def check_precision(base: Bundle, precision: Precision, profile: Profile) -> None:
    """Raises UsageError for a bundle that is not fp32, and for a precision that the engine does not know."""
    done = {role: base.manifest.graphs[role].precision for role in ROLES if role in base.manifest.graphs}
    if any(p != "fp32" for p in done.values()):
        raise UsageError(f"bundle '{base.manifest.name}' is not fp32: {done}", "give the fp32 bundle")
    if precision == "bf16" and profile == "onnxruntime":
        raise UsageError(
            "ONNX Runtime computes no bf16 on a CPU", "give --engine tensorrt, or --precision fp16 or int8"
        )


def _make(
    base: Bundle,
    precision: Precision,
    profile: Profile,
    calibration: CalibrationSet,
    method: Method | None,
    budget_db: float | None,
    say: Say,
) -> dict[str, Made]:
    roles = [role for role in ROLES if role in base.manifest.graphs]
    if precision in ("fp16", "bf16"):
        return {role: _half(base.read(role), precision, profile) for role in roles}
    feeds = _Once(lambda: collect_feeds(base, calibration.calibrate))
    made: dict[str, Made] = {}
    for done, role in enumerate(roles):
        say(f"calibrating {role}", done, len(roles))
        graph = base.read(role)
        if precision == "int4" and role == "decode":
            content = to_int4(graph)
            made[role] = Made("int4", content, content)
            continue
        name, ranges = _best_ranges(graph, profile, calibration, method, lambda r=role: feeds()[r])
        kept: list[Sensitivity] = []
        if budget_db is not None:
            told = lambda n, of, r=role: say(f"trying each layer of {r}", n, of)  # noqa: E731
            kept = to_keep(sensitivities(graph, ranges, profile, feeds()[role], told), budget_db)
        content = to_int8(graph, ranges, profile, [one.node for one in kept])
        made[role] = Made("int8", content, content, name, ranges, kept)
    return made


def _best_ranges(
    graph: bytes,
    profile: Profile,
    calibration: CalibrationSet,
    method: Method | None,
    feeds: Callable[[], Sequence[Feed]],
) -> tuple[Method, Ranges]:
    """By the method that was asked for, or else the one whose lowest cosine is highest."""
    folder, digest = calibration.folder, calibration.digest
    if method is not None:
        return method, kept_ranges(folder, digest, graph, feeds, method)
    found = {name: kept_ranges(folder, digest, graph, feeds, name) for name in METHODS}
    chosen = feeds()[:: max(1, len(feeds()) // _TRIAL_FEEDS)]
    cosines = {
        name: compare_stage(graph, to_int8(graph, ranges, profile), chosen).cosine
        for name, ranges in found.items()
    }
    best = max(METHODS, key=lambda name: cosines[name])
    return best, found[best]


def _half(graph: bytes, precision: Literal["fp16", "bf16"], profile: Profile) -> Made:
    content = to_half(graph, precision)
    real = profile == "onnxruntime"
    return Made(precision, content, content if real else to_half(graph, precision, rounded=True))


def _with_graphs(base: Bundle, graphs: Mapping[str, bytes]) -> Bundle:
    """The bundle with other graphs that have the same inputs and outputs."""
    infos = {
        role: base.manifest.graphs[role].model_copy(update=file_info(f"{role}.onnx", content).model_dump())
        for role, content in graphs.items()
    }
    manifest = base.manifest.model_copy(update={"graphs": {**base.manifest.graphs, **infos}})
    return make_bundle(manifest, {**base.contents, **graphs})


def _bundle(
    base: Bundle, made: Mapping[str, Made], profile: Profile, calibration: CalibrationSet, parity: Parity
) -> Bundle:
    changed = _with_graphs(base, {role: one.content for role, one in made.items()})
    graphs = {
        role: info.model_copy(update={"precision": made[role].precision}) if role in made else info
        for role, info in changed.manifest.graphs.items()
    }
    used = {
        role: {"method": one.method, "fp32_layers": [k.node for k in one.kept], "ranges": one.ranges}
        for role, one in made.items()
        if one.ranges
    }
    about = {"digest": calibration.digest, "source": calibration.source, "graphs": used}
    files = {"parity": parity.to_json(), "calibration": (json.dumps(about, indent=1) + "\n").encode()}
    infos = {role: file_info(f"{role}.json", content) for role, content in files.items()}
    manifest = changed.manifest.model_copy(
        update={
            "graphs": graphs,
            "files": {**changed.manifest.files, **infos},
            "target": changed.manifest.target.model_copy(update={"engine": profile}),
            "provenance": {
                **changed.manifest.provenance,
                "fp32_sha256": base.sha256,
                "calibration_sha256": calibration.digest,
                "calibration_source": calibration.source,
                "quantized_by": f"onnxruntime {onnxruntime.__version__}",
            },
            "parity": {**changed.manifest.parity, **parity.summary()},
            "unproved": tuple(parity.failures),
        }
    )
    return make_bundle(manifest, {**changed.contents, **files})


class _Once:
    """What is computed at its first use only."""

    def __init__(self, compute: Callable[[], dict[str, list[Feed]]]) -> None:
        self._compute, self._found = compute, None

    def __call__(self) -> dict[str, list[Feed]]:
        if self._found is None:
            self._found = self._compute()
        return self._found
