"""The engine of one of a bundle's graphs: TensorRT where the bundle has plans, else ONNX Runtime."""

from edge.bundle.bundle import Bundle
from edge.engines.cuda import this_machine
from edge.engines.onnx import OnnxEngine
from edge.engines.tensorrt import TensorRTEngine, load_tensorrt
from edge.errors import BundleRefused
from edge.interfaces import Engine

# Outputs that are read on the host, whatever graph takes them too.
_READ = frozenset({"logits", "position", "features"})


def open_engine(bundle: Bundle, role: str, threads: int = 1) -> Engine:
    """`threads` counts for ONNX Runtime. Raises BundleRefused where the graph is missing, is not what the
    manifest says, or its plan was made for another device or TensorRT."""
    if bundle.manifest.target.engine == "tensorrt" and role in bundle.manifest.graphs:
        check_plans(bundle)
        engine: Engine = TensorRTEngine(bundle.read(f"{role}.plan"), _resident(bundle, role))
    else:
        engine = graph_engine(bundle, role, threads)
    info = bundle.manifest.graphs[role]
    for listed, actual in ((info.inputs, engine.inputs), (info.outputs, engine.outputs)):
        want = sorted((t.name, t.dtype, t.shape) for t in listed)
        if want != sorted((t.name, str(t.dtype), t.shape) for t in actual):
            raise BundleRefused(f"{info.file}: inputs or outputs are not those that the manifest lists")
    return engine


def _resident(bundle: Bundle, role: str) -> frozenset[str]:
    """Return the outputs of a graph that only ever go into graphs: they stay on the GPU."""
    graphs = bundle.manifest.graphs
    taken = {spec.name for graph in graphs.values() for spec in graph.inputs} | {"cache"}  # taken as `past`
    return frozenset({spec.name for spec in graphs[role].outputs} & taken - _READ)


def graph_engine(bundle: Bundle, role: str, threads: int = 1) -> OnnxEngine:
    """Return a graph in ONNX Runtime, whatever it is for."""
    weights = bundle.weights
    return OnnxEngine(bundle.read(role), threads, weights.file if weights is not None else None)


def check_plans(bundle: Bundle) -> None:
    """Raises BundleRefused where the bundle's plans were made for another device or TensorRT, HardwareMissing
    where there is no GPU or no TensorRT."""
    target = bundle.manifest.target
    if not bundle.manifest.plans:
        raise BundleRefused(
            f"bundle '{bundle.manifest.name}' is for TensorRT and has no plans yet",
            "on the Jetson, `vla-edge build FOLDER_OF_THE_BUNDLE` builds them",
        )
    device, tensorrt = this_machine().device, str(load_tensorrt().__version__)
    for what, made, here in (("device", target.device, device), ("TensorRT", target.tensorrt, tensorrt)):
        if made != here:
            raise BundleRefused(
                f"the plans of bundle '{bundle.manifest.name}' were built for {what} '{made}', "
                f"and this is '{here}'",
                "`vla-edge build FOLDER_OF_THE_BUNDLE` builds them again from its ONNX graphs",
            )
