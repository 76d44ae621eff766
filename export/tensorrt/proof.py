"""Plans put into a bundle, and what they compute against ONNX Runtime."""

from collections.abc import Mapping

import numpy as np

from edge.bundle.bundle import Bundle, file_info, make_bundle
from edge.bundle.manifest import Target
from edge.engines.open import graph_engine, open_engine
from edge.errors import BundleRefused
from edge.interfaces import Engine, Tensor, TensorSpec

_NOT_ON_CPU = ("bf16", "fp8", "nvfp4")  # ONNX Runtime's CPU provider does not load these
_MAX_ERROR = 0.1  # of a plan's outputs against ONNX Runtime's, relative in the 2-norm


def add_plans(bundle: Bundle, plans: Mapping[str, bytes], target: Target) -> Bundle:
    """The bundle with a plan for each graph, instead of those that it had. `target` says for which place."""
    manifest = bundle.manifest.model_copy(
        update={
            "plans": {role: file_info(f"{role}.plan", plan) for role, plan in plans.items()},
            "target": target,
        }
    )
    contents = {role: content for role, content in bundle.contents.items() if not role.endswith(".plan")}
    return make_bundle(manifest, contents | {f"{role}.plan": plan for role, plan in plans.items()})


def compare_plans(bundle: Bundle) -> dict[str, float]:
    """Each plan against ONNX Runtime: `plan_error_ROLE`, for graphs that it can run on the processor. Raises
    BundleRefused where one is far off."""
    errors: dict[str, float] = {}
    for role, info in bundle.manifest.graphs.items():
        plan = open_engine(bundle, role)
        if info.precision in _NOT_ON_CPU:
            plan.run(random_inputs(plan.inputs))
        else:
            errors[f"plan_error_{role}"] = compare(role, graph_engine(bundle, role), plan)
        plan.close()
    return errors


def compare(role: str, graph: Engine, plan: Engine) -> float:
    """The largest relative error of the plan's outputs on random inputs. Raises BundleRefused above 0.1."""
    inputs = random_inputs(graph.inputs)
    wanted, found = graph.run(inputs), plan.run(inputs)
    error = max(_relative(np.asarray(found[name], np.float64), wanted[name]) for name in wanted)
    if error > _MAX_ERROR:
        raise BundleRefused(
            f"the plan of {role} is {error:.3f} off what ONNX Runtime computes (limit {_MAX_ERROR})",
            "export the bundle again in another precision",
        )
    return error


def random_inputs(specs: tuple[TensorSpec, ...]) -> dict[str, Tensor]:
    """Normal numbers; integers, such as ids, lengths and positions, are 1."""
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
