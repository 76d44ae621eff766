"""`vla-edge build`: a bundle's ONNX graphs to TensorRT plans, on the device that they are for."""

from pathlib import Path

from edge.bundle.bundle import Bundle, bundle_names, load_bundle, make_bundle, write_bundle
from edge.bundle.choice import AUTO
from edge.commands.arguments import ArgumentParser
from edge.commands.output import print_json
from edge.engines.cuda import this_machine
from edge.engines.tensorrt import load_tensorrt
from edge.errors import BundleRefused, UsageError
from export.commands.report import print_figures
from export.planner.boards import LEAST_SM
from export.tensorrt.layers import count_types
from export.tensorrt.plans import CACHE, Plan, PlanTarget, build_plan
from export.tensorrt.proof import add_plans, compare_plans


def main(argv: list[str]) -> int:
    """Run the command, and return its exit code."""
    p = ArgumentParser("build", "Add TensorRT plans to a bundle, on the device that will run them.")
    p.add_argument("bundle", help="folder of the bundle; the name of an installed one needs --out")
    p.add_argument("--out", type=Path, help="folder of the bundle with plans; default: the same, replaced")
    p.add_argument(
        "--cache", type=Path, default=CACHE, help="folder that keeps plans and timings (default: %(default)s)"
    )
    p.add_argument(
        "--accept-wider", action="store_true", help="take plans that compute in wider types than their graphs"
    )
    p.add_argument("--json", action="store_true", help="print figures as JSON")
    a = p.parse_args(argv)
    installed = a.bundle in bundle_names() and not Path(a.bundle).is_dir()
    if a.out is None and (installed or a.bundle == AUTO):
        raise UsageError(f"'{a.bundle}' is an installed bundle and stays as it is", "give --out FOLDER")
    bundle = load_bundle(a.bundle, whole=True)
    check_profile(bundle)
    version = str(load_tensorrt().__version__)
    machine = this_machine()
    check_machine(bundle, machine.sm)
    plan_target = PlanTarget(machine.sm, machine.jetpack, multiprocessors=machine.multiprocessors)
    plans: dict[str, Plan] = {}
    for stage, info in bundle.manifest.graphs.items():
        if not a.json:
            size = info.bytes + info.weights_bytes
            print(f"{stage}: {size / 1e6:.1f} MB of ONNX, {info.precision} ...", flush=True)
        plans[stage] = build_plan(
            stage, bundle.read(stage), plan_target, a.cache, bundle.weights, info.weights_bytes
        )
        if not a.accept_wider:
            plans[stage].check(stage)
        if not a.json:
            print(f"{stage}: {_sentence(plans[stage])}", flush=True)
    target = machine.target(version)
    built = add_plans(bundle, {stage: plan.content for stage, plan in plans.items()}, target)
    parity = compare_plans(built)
    manifest = built.manifest.model_copy(update={"parity": {**built.manifest.parity, **parity}})
    write_bundle(a.out or Path(a.bundle), make_bundle(manifest, built.contents))
    if a.json:
        figures = {
            stage: {"seconds": plan.seconds, "bytes": len(plan.content)} for stage, plan in plans.items()
        }
        print_json({"out": str(a.out or a.bundle), "plans": figures, "parity": parity})
    else:
        print(f"{a.out or a.bundle}: largest error of each plan's outputs against ONNX Runtime")
        print_figures(parity)
    return 0


def check_profile(bundle: Bundle) -> None:
    """Check that the graphs are not written for ONNX Runtime alone. Raises BundleRefused if they are."""
    low = [stage for stage, info in bundle.manifest.graphs.items() if info.precision in ("int8", "int4")]
    if low and bundle.manifest.target.engine == "onnxruntime":
        raise BundleRefused(
            f"{', '.join(low)} of '{bundle.manifest.name}' are {bundle.manifest.graphs[low[0]].precision} "
            "for ONNX Runtime, by operators that TensorRT lacks",
            "build the fp32 bundle, or export it with --engine tensorrt --precision int8",
        )


def check_machine(bundle: Bundle, sm: str) -> None:
    """Check that a GPU has the graphs' precisions; `sm` is its compute capability, such as "87".

    Raises BundleRefused if it lacks one.
    """
    for stage, info in bundle.manifest.graphs.items():
        least = LEAST_SM.get(info.precision, 0)
        if int(sm) < least:
            raise BundleRefused(
                f"{stage} of '{bundle.manifest.name}' is {info.precision}, which needs SM {least} or more; "
                f"this machine has SM {sm}",
                "export the bundle again with --precision int8, int4 or fp16",
            )


def _sentence(plan: Plan) -> str:
    engine = plan.engine or ()
    types = ", ".join(f"{count} {name}" for name, count in count_types(engine).items())
    return (
        f"{len(plan.content) / 1e6:.1f} MB, built in {plan.seconds:.0f} s; {len(engine)} layers by type of "
        f"output: {types}; {sum(bool(layer.nodes) for layer in engine)} traced to ONNX nodes"
    )
