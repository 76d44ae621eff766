"""The engine of one stage of a bundle: TensorRT if it is for that, else ONNX Runtime, on the CPU or CUDA."""

from edge.bundle.bundle import Bundle
from edge.bundle.manifest import Target
from edge.engines.cuda import this_machine
from edge.engines.onnx import OnnxEngine
from edge.engines.tensorrt import TensorRTEngine, load_tensorrt
from edge.errors import BundleRefused
from edge.interfaces import Engine

# These outputs are read on the host, even if another stage takes them too.
_READ = frozenset({"logits", "position", "features"})


def open_engine(bundle: Bundle, stage: str, threads: int = 1) -> Engine:
    """Open the engine of a stage; `threads` is used by ONNX Runtime on the CPU only.

    Raises BundleRefused if the graph is missing, is not what the manifest says, or its plan was built for
    another device or TensorRT; HardwareMissing if there is no GPU for it.
    """
    engine: Engine
    if bundle.engine == "cuda":
        from edge.engines.onnx_cuda import OnnxCudaEngine

        weights = bundle.weights
        file = weights.file if weights is not None else None
        engine = OnnxCudaEngine(bundle.read(stage), file, _resident(bundle, stage))
    elif not bundle.engine and _planned(bundle, stage):
        check_plans(bundle)
        engine = TensorRTEngine(bundle.read(f"{stage}.plan"), _resident(bundle, stage))
    else:
        engine = graph_engine(bundle, stage, threads)
    info = bundle.manifest.graphs[stage]
    for listed, actual in ((info.inputs, engine.inputs), (info.outputs, engine.outputs)):
        want = sorted((t.name, t.dtype, t.shape) for t in listed)
        if want != sorted((t.name, str(t.dtype), t.shape) for t in actual):
            raise BundleRefused(f"{info.file}: inputs or outputs are not those that the manifest lists")
    return engine


def _planned(bundle: Bundle, stage: str) -> bool:
    return bundle.manifest.target.engine == "tensorrt" and stage in bundle.manifest.graphs


def _resident(bundle: Bundle, stage: str) -> frozenset[str]:
    """Return the outputs that only other stages read; these stay on the GPU."""
    graphs = bundle.manifest.graphs
    taken = {spec.name for graph in graphs.values() for spec in graph.inputs} | {"cache"}  # taken as `past`
    return frozenset({spec.name for spec in graphs[stage].outputs} & taken - _READ)


def graph_engine(bundle: Bundle, stage: str, threads: int = 1) -> OnnxEngine:
    """Open a stage in ONNX Runtime on the CPU, whatever engine the bundle is for."""
    weights = bundle.weights
    return OnnxEngine(bundle.read(stage), threads, weights.file if weights is not None else None)


def check_plans(bundle: Bundle) -> None:
    """Check that the bundle's plans are for this machine.

    Raises BundleRefused if they were built for another device or TensorRT, HardwareMissing if there is no GPU
    or no TensorRT.
    """
    target = bundle.manifest.target
    if not bundle.manifest.plans:
        raise BundleRefused(
            f"bundle '{bundle.manifest.name}' is for TensorRT and has no plans yet",
            "on the Jetson, `vla-edge build FOLDER_OF_THE_BUNDLE` builds them",
        )
    machine, tensorrt = this_machine(), str(load_tensorrt().__version__)
    made, here = _device(target), _device(machine.target(tensorrt))
    if target.multiprocessors:  # an update may rename a board, but its GPU stays the same
        same = (target.sm, target.multiprocessors) == (machine.sm, machine.multiprocessors)
    else:  # a plan from before these were written down
        same, made, here = target.device == machine.device, target.device, machine.device
    checks = (
        ("device", same, made, here),
        ("TensorRT", target.tensorrt == tensorrt, target.tensorrt, tensorrt),
    )
    for what, fits, built, present in checks:
        if not fits:
            raise BundleRefused(
                f"the plans of bundle '{bundle.manifest.name}' were built for {what} '{built}', "
                f"and this is '{present}'",
                "`vla-edge build FOLDER_OF_THE_BUNDLE` builds them again from its ONNX graphs",
            )


def _device(target: Target) -> str:
    return f"{target.device}, {target.multiprocessors} multiprocessors"
