"""`vla-edge build`: a bundle's ONNX graphs to TensorRT plans, on the device that they are for."""

import json
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from edge.bundle.bundle import Bundle, bundle_names, file_info, load_bundle, make_bundle, write_bundle
from edge.bundle.manifest import Target
from edge.commands.arguments import ArgumentParser
from edge.engines.cuda import this_machine
from edge.engines.open import graph_engine, open_engine
from edge.engines.tensorrt import load_tensorrt
from edge.errors import BundleRefused, UsageError
from edge.interfaces import Engine, Tensor, TensorSpec
from export.planner.boards import LEAST_SM
from export.tensorrt.layers import count_types
from export.tensorrt.plans import Place, Plan, build_plan

CACHE = Path.home() / ".cache/vla-edge/plans"
_NOT_ON_CPU = ("bf16", "fp8", "nvfp4")  # ONNX Runtime's CPU provider does not load these
_MAX_ERROR = 0.1  # of a plan's outputs against ONNX Runtime's, relative in the 2-norm


def main(argv: list[str]) -> int:
    """Run it; returns the exit code."""
    p = ArgumentParser("build", "adds TensorRT plans to a bundle, on the device that will run them")
    p.add_argument("bundle", help="its folder; a known name needs --out")
    p.add_argument("--out", type=Path, help="folder of the bundle with plans; default: the same, replaced")
    p.add_argument("--cache", type=Path, default=CACHE, help="keeps plans and timings; default %(default)s")
    p.add_argument("--accept-wider", action="store_true", help="also where layers became FP32, say")
    p.add_argument("--json", action="store_true")
    a = p.parse_args(argv)
    if a.out is None and a.bundle in bundle_names() and not Path(a.bundle).is_dir():
        raise UsageError(
            f"'{a.bundle}' is an installed bundle and stays as it is", "say where to with --out FOLDER"
        )
    bundle = load_bundle(a.bundle, whole=True)
    version = str(load_tensorrt().__version__)
    machine = this_machine()
    check_machine(bundle, machine.sm)
    place = Place(machine.sm, machine.jetpack)
    plans: dict[str, Plan] = {}
    for role, info in bundle.manifest.graphs.items():
        if not a.json:
            size = info.bytes + info.weights_bytes
            print(f"{role}: {size / 1e6:.1f} MB of ONNX, {info.precision} ...", flush=True)
        plans[role] = build_plan(role, bundle.read(role), place, a.cache, bundle.weights, info.weights_bytes)
        if not a.accept_wider:
            plans[role].check(role)
        if not a.json:
            print(f"{role}: {_sentence(plans[role])}", flush=True)
    target = Target(engine="tensorrt", device=machine.device, tensorrt=version, jetpack=machine.jetpack)
    built = add_plans(bundle, {role: plan.content for role, plan in plans.items()}, target)
    parity = compare_plans(built)
    manifest = built.manifest.model_copy(update={"parity": {**built.manifest.parity, **parity}})
    write_bundle(a.out or Path(a.bundle), make_bundle(manifest, built.contents))
    if a.json:
        figures = {
            role: {"seconds": plan.seconds, "bytes": len(plan.content)} for role, plan in plans.items()
        }
        print(json.dumps({"out": str(a.out or a.bundle), "plans": figures, "parity": parity}))
    else:
        print(f"{a.out or a.bundle}: errors against ONNX Runtime {parity}")
    return 0


def check_machine(bundle: Bundle, sm: str) -> None:
    """Raises BundleRefused where a GPU of compute capability `sm` ("87") lacks a graph's precision."""
    for role, info in bundle.manifest.graphs.items():
        least = LEAST_SM.get(info.precision, 0)
        if int(sm) < least:
            raise BundleRefused(
                f"{role} of '{bundle.manifest.name}' is {info.precision}, this machine's SM {sm} has none "
                f"(it begins with SM {least})",
                "export the bundle again with --precision int8, int4 or fp16",
            )


def _sentence(plan: Plan) -> str:
    engine = plan.engine or ()
    return (
        f"{len(plan.content) / 1e6:.1f} MB, built in {plan.seconds:.0f} s; outputs of its {len(engine)} "
        f"layers {count_types(engine)}; {sum(bool(layer.nodes) for layer in engine)} traced to ONNX nodes"
    )


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
