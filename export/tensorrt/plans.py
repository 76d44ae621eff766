"""Plans of a bundle's graphs, each built in a process of its own, and kept for the next time."""

import hashlib
import json
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path

import psutil

import edge
from edge.bundle.weights import Weights
from edge.engines.outside import check_outside
from edge.engines.tensorrt import load_tensorrt
from edge.errors import BundleRefused, EdgeError, HardwareMissing, UsageError
from export.tensorrt.build import NO_PLACE, Job
from export.tensorrt.layers import Layer, widened

CACHE = Path.home() / ".cache/vla-edge/plans"
_OWN_BYTES = 1 << 30  # of TensorRT itself: its libraries' code on both sides, a CUDA context
_COPIES = 3  # of the weights while building: the file, the parsed network, the plan
_LEAST_WORKSPACE_BYTES = 256 << 20
_MOST_WORKSPACE_BYTES = 2 << 30  # more than any kernel of a graph for one image asks for
_PLAN_BYTES = 16 << 20  # that a plan may have besides its weights, such as kernels
_PLAN_FACTOR = 1.5  # more than that of the ONNX file is a wider type than the file's
_SHOWN = 5
_ACCEPT = "`vla-edge build --accept-wider` takes the plans as they are"


@dataclass(frozen=True)
class Place:
    """What a plan is built with, and for."""

    sm: str
    jetpack: str
    edition: str = "tensorrt"
    compute_capability: str = ""  # of TensorRT-RTX: another GPU than this machine's

    @property
    def version(self) -> str:
        """TensorRT's. Raises HardwareMissing where it is not installed."""
        return str(load_tensorrt(self.edition).__version__)


@dataclass(frozen=True)
class Plan:
    """A plan and what is known of it."""

    content: bytes
    onnx_bytes: int  # with its weights outside
    seconds: float  # of building; not this time where it was kept
    peak_bytes: int  # of the building process
    network: tuple[Layer, ...]  # as the ONNX file means it
    engine: tuple[Layer, ...] | None  # as it was built; None for another GPU than this machine's

    def check(self, role: str) -> None:
        """Raises BundleRefused where TensorRT computes in wider types than the ONNX file says, or the plan is
        so large that it must hold wider weights."""
        wide = widened(self.network, self.engine or ())
        if wide:
            names = ", ".join(layer.name for layer in wide[:_SHOWN])
            raise BundleRefused(
                f"{role}: TensorRT computes {len(wide)} of {len(self.engine or ())} layers in wider types "
                f"than the ONNX graph, such as FP32: {names}",
                _ACCEPT,
            )
        limit = int(_PLAN_FACTOR * self.onnx_bytes) + _PLAN_BYTES
        if len(self.content) > limit:
            raise BundleRefused(
                f"{role}: the plan has {len(self.content)} bytes, its ONNX graph {self.onnx_bytes} "
                f"(limit {limit}): its weights are wider than the graph's",
                _ACCEPT,
            )


def build_plan(
    role: str,
    onnx: bytes,
    place: Place,
    folder: Path,
    weights: Weights | None = None,
    weights_bytes: int = 0,
) -> Plan:
    """The plan of an ONNX file, from `folder` where the same was built before, else built and put there.
    `weights_bytes` is what it refers to in `weights`.

    Raises HardwareMissing where TensorRT is not installed or there is too little memory, BundleRefused where
    TensorRT refuses the graph or dies of it, UsageError where `folder` can't be written.
    """
    check_outside(onnx, weights.file if weights else None)
    sources = [hashlib.sha256(onnx).hexdigest(), *([weights.sha256] if weights and weights_bytes else [])]
    key = _digest([*sources, *_place(place), edge.__version__])
    plan_file, report_file = folder / f"{key}.plan", folder / f"{key}.json"
    if not (plan_file.is_file() and report_file.is_file()):
        beside = weights.file.parent if weights and weights_bytes else None
        try:
            folder.mkdir(parents=True, exist_ok=True)
            _build(role, onnx, weights_bytes, beside, place, folder, plan_file, report_file)
        except OSError as error:
            raise _no_place(role, folder, error.strerror or str(error)) from error
    content, report = plan_file.read_bytes(), json.loads(report_file.read_text())
    if hashlib.sha256(content).hexdigest() != report["sha256"]:
        plan_file.unlink()
        raise BundleRefused(f"the kept plan {plan_file} was altered", "it was removed; build again")
    return Plan(
        content,
        len(onnx) + weights_bytes,
        report["seconds"],
        report["peak_bytes"],
        _layers(report["network"]),
        None if report["engine"] is None else _layers(report["engine"]),
    )


def _build(
    role: str,
    onnx: bytes,
    weights_bytes: int,
    beside: Path | None,
    place: Place,
    folder: Path,
    plan_file: Path,
    report_file: Path,
) -> None:
    """`beside` is the private folder of the weights that the graph refers to."""
    workspace_bytes = _check_memory(role, len(onnx) + weights_bytes, psutil.virtual_memory().available)
    timing = folder / f"timing-{_digest(_place(place))}.bin"
    with tempfile.TemporaryDirectory(dir=folder) as name:
        work = Path(name)
        graph = (beside or work) / f"{role}.onnx"
        graph.write_bytes(onnx)
        job = Job(
            edition=place.edition,
            onnx=str(graph),
            workspace_bytes=workspace_bytes,
            compute_capability=place.compute_capability,
            timing_cache=str(timing),
            plan=str(work / "new.plan"),
            report=str(work / "report.json"),
        )
        (work / "job.json").write_text(json.dumps(asdict(job)))
        peak_bytes = _run_child(role, work)
        report = json.loads((work / "report.json").read_text())
        if "error" in report:
            raise BundleRefused(
                f"TensorRT {place.version} refuses the {role} graph: {report['error']}",
                "export the bundle again in another precision, or keep it on ONNX Runtime",
            )
        report |= {"sha256": hashlib.sha256((work / "new.plan").read_bytes()).hexdigest()}
        (work / "report.json").write_text(json.dumps(report | {"peak_bytes": peak_bytes}))
        (work / "report.json").replace(report_file)
        (work / "new.plan").replace(plan_file)


def _check_memory(role: str, onnx_bytes: int, free_bytes: int) -> int:
    """Bytes of workspace that the builder may use. Raises HardwareMissing where it would not even fit."""
    need = _OWN_BYTES + _COPIES * onnx_bytes
    if free_bytes < need + _LEAST_WORKSPACE_BYTES:
        raise HardwareMissing(
            f"building the {role} plan takes about {(need + _LEAST_WORKSPACE_BYTES) / 1e9:.1f} GB of memory, "
            f"{free_bytes / 1e9:.1f} GB are free",
            "close other programs, or boot without the desktop: sudo systemctl set-default multi-user",
        )
    return min(_MOST_WORKSPACE_BYTES, max(_LEAST_WORKSPACE_BYTES, (free_bytes - need) // 2))


def _run_child(role: str, work: Path) -> int:
    """Runs the builder on `work/job.json`; its peak of resident memory in bytes. Raises where it dies."""
    with (work / "log.txt").open("w+") as log:
        command = [sys.executable, "-m", "export.tensorrt.build", str(work / "job.json")]
        with subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log) as child:
            try:
                _, status, usage = os.wait4(child.pid, 0)  # not child.wait(): it would not tell the memory
            except KeyboardInterrupt:
                child.kill()
                raise
            code = child.returncode = os.waitstatus_to_exitcode(status)
        log.seek(0)
        last = " ".join(log.read().split())[-300:]
    peak_bytes = usage.ru_maxrss * 1024
    if code == -signal.SIGKILL:
        raise HardwareMissing(
            f"building the {role} plan was killed (SIGKILL) at {peak_bytes / 1e9:.2f} GB: "
            "most likely there was too little memory",
            "close other programs or add swap, then build again",
        )
    if code < 0:
        raise BundleRefused(
            f"TensorRT crashed on the {role} graph ({signal.Signals(-code).name}); last words: {last}",
            "the bundle still runs on ONNX Runtime",
        )
    if code == NO_PLACE:
        raise _no_place(role, work.parent, last)
    if code != 0:
        raise EdgeError(f"the builder of the {role} plan failed; last words: {last}")
    return peak_bytes


def _no_place(role: str, folder: Path, why: str) -> UsageError:
    return UsageError(
        f"cannot write the {role} plan to {folder}: {why}",
        "free some space, or give another --cache",
    )


def _place(place: Place) -> list[str]:
    return [place.edition, place.version, place.sm, place.jetpack, place.compute_capability]


def _digest(words: Iterable[str]) -> str:
    return hashlib.sha256("\n".join(words).encode()).hexdigest()[:32]


def _layers(records: list[dict]) -> tuple[Layer, ...]:
    return tuple(
        Layer(
            record["name"],
            record["kind"],
            tuple(record["nodes"]),
            tuple(record["inputs"]),
            tuple(record["outputs"]),
        )
        for record in records
    )
