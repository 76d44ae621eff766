"""Plans of a bundle's graphs, each built in its own process, and kept for the next time."""

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
from export.tensorrt.build import UNWRITABLE, BuildJob
from export.tensorrt.layers import Layer, widened

CACHE = Path.home() / ".cache/vla-edge/plans"
_OWN_BYTES = 1 << 30  # TensorRT's own memory: its libraries' code on both sides, a CUDA context
_COPIES = 3  # copies of the weights while building: the file, the parsed network, the plan
_LEAST_WORKSPACE_BYTES = 256 << 20
_MOST_WORKSPACE_BYTES = 2 << 30  # more than any kernel of a graph for one image takes
_PLAN_BYTES = 16 << 20  # room that a plan has besides its weights, such as for kernels
_PLAN_FACTOR = 1.5  # a plan of more than so many times the ONNX file holds wider weights
_SHOWN = 5
_ACCEPT = "`vla-edge build --accept-wider` takes the plans as they are"


@dataclass(frozen=True)
class PlanTarget:
    """The device that a plan is built for, and the TensorRT that builds it."""

    sm: str  # the GPU's compute capability, such as "87"
    jetpack: str
    edition: str = "tensorrt"  # the Python module
    compute_capability: str = ""  # TensorRT-RTX alone: another GPU than this machine's, such as "SM86"
    multiprocessors: int = 0  # the GPU has; 0 for TensorRT-RTX

    @property
    def version(self) -> str:
        """The version of TensorRT. Raises HardwareMissing if it is not installed."""
        return str(load_tensorrt(self.edition).__version__)


@dataclass(frozen=True)
class Plan:
    """A plan and what is known about it."""

    content: bytes
    onnx_bytes: int  # size of the ONNX file, and of its weights outside
    seconds: float  # time that building took, maybe an earlier time
    peak_bytes: int  # most memory of the process that built it
    network: tuple[Layer, ...]  # layers with the types of the ONNX file
    engine: tuple[Layer, ...] | None  # layers as built; None for another GPU than this machine's

    def check(self, stage: str) -> None:
        """Check that TensorRT computes in the types of the ONNX file.

        Raises BundleRefused if a layer has wider types, or if the plan is so large that it must hold wider
        weights.
        """
        wide = widened(self.network, self.engine or ())
        if wide:
            names = ", ".join(layer.name for layer in wide[:_SHOWN])
            raise BundleRefused(
                f"{stage}: TensorRT computes {len(wide)} of {len(self.engine or ())} layers in wider types "
                f"than the ONNX graph, such as FP32: {names}",
                _ACCEPT,
            )
        limit = int(_PLAN_FACTOR * self.onnx_bytes) + _PLAN_BYTES
        if len(self.content) > limit:
            raise BundleRefused(
                f"{stage}: the plan has {len(self.content)} bytes, its ONNX graph {self.onnx_bytes} "
                f"(limit {limit}): its weights are wider than the graph's",
                _ACCEPT,
            )


def build_plan(
    stage: str,
    onnx: bytes,
    target: PlanTarget,
    folder: Path,
    weights: Weights | None = None,
    weights_bytes: int = 0,
) -> Plan:
    """Build the plan of an ONNX file, or take it from `folder` if it was built before.

    `weights_bytes` is the size of the numbers that the file refers to in `weights`. Raises HardwareMissing if
    TensorRT is not installed or there is too little memory, BundleRefused if TensorRT refuses the graph or
    crashes, UsageError if `folder` can't be written.
    """
    check_outside(onnx, weights.file if weights else None)
    sources = [hashlib.sha256(onnx).hexdigest(), *([weights.sha256] if weights and weights_bytes else [])]
    key = _digest([*sources, *_target_key(target), edge.__version__])
    plan_file, report_file = folder / f"{key}.plan", folder / f"{key}.json"
    if not (plan_file.is_file() and report_file.is_file()):
        beside = weights.file.parent if weights and weights_bytes else None
        try:
            folder.mkdir(parents=True, exist_ok=True)
            graph = _Graph(stage, onnx, weights_bytes, beside)
            _build(graph, target, folder, plan_file, report_file)
        except OSError as error:
            raise _unwritable(stage, folder, error.strerror or str(error)) from error
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


@dataclass(frozen=True)
class _Graph:
    """A graph to build a plan of."""

    stage: str
    onnx: bytes
    weights_bytes: int  # size of its weights outside
    beside: Path | None  # the private folder that these lie in

    @property
    def bytes(self) -> int:
        return len(self.onnx) + self.weights_bytes


def _build(graph: _Graph, target: PlanTarget, folder: Path, plan_file: Path, report_file: Path) -> None:
    """Build a plan in `folder`, with its report."""
    stage = graph.stage
    workspace_bytes = _check_memory(stage, graph.bytes, psutil.virtual_memory().available)
    timing = folder / f"timing-{_digest(_target_key(target))}.bin"
    with tempfile.TemporaryDirectory(dir=folder) as name:
        work = Path(name)
        onnx = (graph.beside or work) / f"{stage}.onnx"
        onnx.write_bytes(graph.onnx)
        job = BuildJob(
            edition=target.edition,
            onnx=str(onnx),
            workspace_bytes=workspace_bytes,
            compute_capability=target.compute_capability,
            timing_cache=str(timing),
            plan=str(work / "new.plan"),
            report=str(work / "report.json"),
        )
        (work / "job.json").write_text(json.dumps(asdict(job)))
        peak_bytes = _run_child(stage, work)
        report = json.loads((work / "report.json").read_text())
        if "error" in report:
            raise BundleRefused(
                f"TensorRT {target.version} refuses the {stage} graph: {report['error']}",
                "export the bundle again in another precision, or keep it on ONNX Runtime",
            )
        report |= {"sha256": hashlib.sha256((work / "new.plan").read_bytes()).hexdigest()}
        (work / "report.json").write_text(json.dumps(report | {"peak_bytes": peak_bytes}))
        (work / "report.json").replace(report_file)
        (work / "new.plan").replace(plan_file)


def _check_memory(stage: str, onnx_bytes: int, free_bytes: int) -> int:
    """Bytes of workspace that the builder may use. Raises HardwareMissing if there is too little memory."""
    need = _OWN_BYTES + _COPIES * onnx_bytes
    if free_bytes < need + _LEAST_WORKSPACE_BYTES:
        raise HardwareMissing(
            f"building the {stage} plan takes about {(need + _LEAST_WORKSPACE_BYTES) / 1e9:.1f} GB of "
            f"memory, {free_bytes / 1e9:.1f} GB are free",
            "close other programs, or boot without the desktop: sudo systemctl set-default multi-user",
        )
    return min(_MOST_WORKSPACE_BYTES, max(_LEAST_WORKSPACE_BYTES, (free_bytes - need) // 2))


def _run_child(stage: str, work: Path) -> int:
    """Run the builder on `work/job.json`, and return its peak of resident memory in bytes.

    Raises HardwareMissing if it was killed, BundleRefused if it crashed, UsageError if it could not write,
    EdgeError if it failed otherwise.
    """
    with (work / "log.txt").open("w+") as log:
        command = [sys.executable, "-m", "export.tensorrt.build", str(work / "job.json")]
        with subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log) as child:
            try:
                _, status, usage = os.wait4(child.pid, 0)  # child.wait() does not return the memory
            except KeyboardInterrupt:
                child.kill()
                raise
            code = child.returncode = os.waitstatus_to_exitcode(status)
        log.seek(0)
        last = " ".join(log.read().split())[-300:]
    peak_bytes = usage.ru_maxrss * 1024
    if code == -signal.SIGKILL:
        raise HardwareMissing(
            f"building the {stage} plan was killed (SIGKILL) at {peak_bytes / 1e9:.2f} GB: "
            "most likely there was too little memory",
            "close other programs or add swap, then build again",
        )
    if code < 0:
        raise BundleRefused(
            f"TensorRT crashed on the {stage} graph ({signal.Signals(-code).name}); last words: {last}",
            "the bundle still runs on ONNX Runtime",
        )
    if code == UNWRITABLE:
        raise _unwritable(stage, work.parent, last)
    if code != 0:
        raise EdgeError(f"the builder of the {stage} plan failed; last words: {last}")
    return peak_bytes


def _unwritable(stage: str, folder: Path, why: str) -> UsageError:
    return UsageError(
        f"cannot write the {stage} plan to {folder}: {why}",
        "free some space, or give another --cache",
    )


def _target_key(target: PlanTarget) -> list[str]:
    gpu = [target.sm, str(target.multiprocessors), target.compute_capability]
    return [target.edition, target.version, target.jetpack, *gpu]


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
