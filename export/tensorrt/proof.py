"""Plans put into a bundle, and compared with ONNX Runtime."""

from collections.abc import Mapping

import numpy as np

from edge.bundle.bundle import Bundle, file_info, make_bundle
from edge.bundle.manifest import Target
from edge.engines.open import graph_engine, open_engine
from edge.errors import BundleRefused
from edge.interfaces import Engine, Tensor, TensorSpec

_NOT_ON_CPU = ("bf16", "fp8", "nvfp4")  # ONNX Runtime's CPU provider does not load these
_MAX_ERROR = 0.1  # largest error of a plan's outputs against ONNX Runtime's, relative in the 2-norm


def add_plans(bundle: Bundle, plans: Mapping[str, bytes], target: Target) -> Bundle:
    """Return the bundle with a plan for each graph, instead of those that it had, built for `target`."""
    manifest = bundle.manifest.model_copy(
        update={
            "plans": {stage: file_info(f"{stage}.plan", plan) for stage, plan in plans.items()},
            "target": target,
        }
    )
    contents = {stage: content for stage, content in bundle.contents.items() if not stage.endswith(".plan")}
    return make_bundle(manifest, contents | {f"{stage}.plan": plan for stage, plan in plans.items()})


def compare_plans(bundle: Bundle) -> dict[str, float]:
    """Compare each plan with ONNX Runtime, if that can run the graph on the CPU: figures `plan_error_STAGE`.

    Raises BundleRefused if one is more than 0.1 off.
    """
    errors: dict[str, float] = {}
    for stage, info in bundle.manifest.graphs.items():
        plan = open_engine(bundle, stage)
        if info.precision in _NOT_ON_CPU:
            plan.run(random_inputs(plan.inputs))
        else:
            errors[f"plan_error_{stage}"] = compare(stage, graph_engine(bundle, stage), plan)
        plan.close()
    return errors


def compare(stage: str, graph: Engine, plan: Engine) -> float:
    """Return the largest relative error of a plan's outputs on random inputs.

    Raises BundleRefused above 0.1.
    """
    inputs = random_inputs(graph.inputs)
    wanted, found = graph.run(inputs), plan.run(inputs)
    error = max(_relative(np.asarray(found[name], np.float64), wanted[name]) for name in wanted)
    if error > _MAX_ERROR:
        raise BundleRefused(
            f"the plan of {stage} is {error:.3f} off ONNX Runtime's outputs (limit {_MAX_ERROR})",
            "export the bundle again in another precision",
        )
    return error


def random_inputs(specs: tuple[TensorSpec, ...]) -> dict[str, Tensor]:
    """Draw normal numbers; integers, such as ids, lengths and positions, are 1."""
    rng = np.random.default_rng(0)
    return {
        spec.name: rng.normal(size=spec.shape).astype(spec.dtype)
        if spec.dtype.kind == "f"
        else np.ones(spec.shape, spec.dtype)
        for spec in specs
    }


def _relative(found: Tensor, wanted: Tensor) -> float:
    wanted = wanted.astype(np.float64)
    return float(np.linalg.norm(found - wanted) / max(float(np.linalg.norm(wanted)), 1e-9))
