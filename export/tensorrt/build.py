"""One ONNX graph to one TensorRT plan: `python -m export.tensorrt.build JOB.json`, a process of its own.

The builder can crash, or be killed when memory runs out; `export/tensorrt/plans.py` starts it and reports how
it ended. Networks are strongly typed: every type is the ONNX file's, and there are no precision flags, which
TensorRT 11 no longer has. The code uses only names of `trt` that TensorRT 10.3 to 11 share.
"""

import errno
import json
import sys
import time
from contextlib import suppress
from dataclasses import asdict, dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

from edge.files import write_whole
from export.tensorrt.layers import PRODUCTS, Layer, engine_layers, onnx_nodes, type_name

UNWRITABLE = 3  # exit code of this process if it can't write
_UNWRITABLE_ERRORS = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS, errno.EACCES)


@dataclass(frozen=True)
class BuildJob:
    """A plan to build, and the paths of its files; the last three are written."""

    edition: str  # the Python module: "tensorrt", or one with the same names
    onnx: str
    workspace_bytes: int  # most memory that kernels may use
    compute_capability: str  # TensorRT-RTX's, such as "SM86"; "": this machine's own
    timing_cache: str  # also read, if it is there
    plan: str
    report: str


class GraphRefused(Exception):
    """TensorRT does not take the graph."""


def build(trt: Any, job: BuildJob) -> dict[str, Any]:
    """Write the plan, and return its report. Raises GraphRefused if TensorRT refuses the graph."""
    started_s = time.perf_counter()
    logger = _logger(trt)
    builder = trt.Builder(logger)
    network = builder.create_network(1 << int(trt.NetworkDefinitionCreationFlag.STRONGLY_TYPED))
    parser = trt.OnnxParser(
        network, logger
    )  # it must live until the plan is built, since it holds the weights
    _parse(parser, job.onnx)
    config = builder.create_builder_config()
    config.profiling_verbosity = trt.ProfilingVerbosity.DETAILED
    config.set_memory_pool_limit(trt.MemoryPoolType.WORKSPACE, job.workspace_bytes)
    if job.compute_capability:
        _aim(trt, config, job.compute_capability)
    _read_timing(config, Path(job.timing_cache))
    layers = network_layers(trt, network)  # before building, which may change the network
    plan = builder.build_serialized_network(network, config)
    if plan is None:
        raise GraphRefused(logger.last_error or "the builder gave no reason")
    content = bytes(plan)
    Path(job.plan).write_bytes(content)
    _write_timing(config, Path(job.timing_cache))
    # A plan for another GPU can't be loaded here.
    engine = None if job.compute_capability else _inspect(trt, logger, content)
    return {
        "version": str(trt.__version__),
        "seconds": time.perf_counter() - started_s,
        "network": [asdict(layer) for layer in layers],
        "engine": None if engine is None else [asdict(layer) for layer in engine],
    }


def _logger(trt: Any) -> Any:
    class Logger(trt.ILogger):
        """Prints warnings and errors, and keeps the last error."""

        def __init__(self) -> None:
            trt.ILogger.__init__(self)
            self.last_error = ""

        def log(self, severity: Any, message: str) -> None:
            if int(severity) <= int(trt.ILogger.Severity.WARNING):
                print(f"{severity.name}: {message}", file=sys.stderr, flush=True)
            if int(severity) <= int(trt.ILogger.Severity.ERROR):
                self.last_error = message

    return Logger()


def _parse(parser: Any, onnx: str) -> None:
    # The path is for weights outside of the graph, which lie beside it.
    if parser.parse(Path(onnx).read_bytes(), onnx):
        return
    errors = [parser.get_error(index) for index in range(parser.num_errors)]
    raise GraphRefused(
        "; ".join(_sentence(error) for error in errors) or "it is not an ONNX file that it can read"
    )


def _sentence(error: Any) -> str:
    where = f"node '{error.node_name()}' ({error.node_operator()}): " if error.node_name() else ""
    return where + " ".join(error.desc().split())


def _aim(trt: Any, config: Any, compute_capability: str) -> None:
    config.num_compute_capabilities = 1
    config.set_compute_capability(trt.ComputeCapability.__members__[compute_capability], 0)


def _read_timing(config: Any, file: Path) -> None:
    cache = config.create_timing_cache(file.read_bytes() if file.is_file() else b"")
    if not config.set_timing_cache(cache, False):  # False: do not take timings of another GPU
        file.unlink(missing_ok=True)
        config.set_timing_cache(config.create_timing_cache(b""), False)


def _write_timing(config: Any, file: Path) -> None:
    write_whole(file, bytes(config.get_timing_cache().serialize()))


def network_layers(trt: Any, network: Any) -> list[Layer]:
    """List the layers of a parsed network, with the types that the ONNX file gives them."""
    layers = [network.get_layer(index) for index in range(network.num_layers)]
    makers = {
        tensor.name: layer for layer in layers for tensor in _tensors(layer.get_output, layer.num_outputs)
    }
    found: list[Layer] = []
    for layer in layers:
        inputs = _tensors(layer.get_input, layer.num_inputs)
        if layer.type.name in PRODUCTS:
            inputs = [_quantized(trt, makers, tensor) for tensor in inputs]
        outputs = _tensors(layer.get_output, layer.num_outputs)
        types = (tuple(type_name(tensor.dtype.name) for tensor in side) for side in (inputs, outputs))
        found.append(Layer(layer.name, layer.type.name, onnx_nodes(layer.metadata), *types))
    return found


def _tensors(get: Any, count: int) -> list[Any]:
    # An optional input that is left out is None.
    return [tensor for tensor in map(get, range(count)) if tensor is not None]


def _quantized(trt: Any, makers: dict[str, Any], tensor: Any) -> Any:
    """Return the tensor that this one is dequantized from, maybe reshaped after it; else itself."""
    start = tensor
    while tensor.name in makers:
        layer = makers[tensor.name]
        tensor = layer.get_input(0)
        if layer.type == trt.LayerType.DEQUANTIZE:
            return tensor
        if layer.type != trt.LayerType.SHUFFLE:
            break
    return start


def _inspect(trt: Any, logger: Any, plan: bytes) -> list[Layer]:
    """List the layers of the engine as it was built."""
    engine = trt.Runtime(logger).deserialize_cuda_engine(plan)
    if engine is None:
        raise GraphRefused(f"the plan does not load right after it was built: {logger.last_error}")
    inspector = engine.create_engine_inspector()
    return engine_layers(inspector.get_engine_information(trt.LayerInformationFormat.JSON))


def main(argv: list[str]) -> int:
    """Build one job; its report is {"error": ...} if TensorRT refused it."""
    job = BuildJob(**json.loads(Path(argv[0]).read_text()))
    with suppress(OSError):  # if memory runs out, the kernel must kill this process and not a robot's
        Path("/proc/self/oom_score_adj").write_text("900")
    try:
        try:
            report = build(import_module(job.edition), job)
        except (GraphRefused, ValueError) as error:
            report = {"error": str(error)}
        Path(job.report).write_text(json.dumps(report))
    except OSError as failure:
        if failure.errno not in _UNWRITABLE_ERRORS:
            raise
        print(failure.strerror, file=sys.stderr)
        return UNWRITABLE
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
