"""`vla-edge build`: a bundle's ONNX graphs to TensorRT plans, on the device that they are for."""

import json
from pathlib import Path

from edge.bundle.bundle import Bundle, bundle_names, load_bundle, make_bundle, write_bundle
from edge.bundle.manifest import Target
from edge.commands.arguments import ArgumentParser
from edge.engines.cuda import this_machine
from edge.engines.tensorrt import load_tensorrt
from edge.errors import BundleRefused, UsageError
from export.commands.report import print_figures
from export.planner.boards import LEAST_SM
from export.tensorrt.layers import count_types
from export.tensorrt.plans import CACHE, Place, Plan, build_plan
from export.tensorrt.proof import add_plans, compare_plans


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
        print(f"{a.out or a.bundle}: largest error of each plan's outputs against ONNX Runtime")
        print_figures(parity)
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
    types = ", ".join(f"{count} {name}" for name, count in count_types(engine).items())
    return (
        f"{len(plan.content) / 1e6:.1f} MB, built in {plan.seconds:.0f} s; {len(engine)} layers by type of "
        f"output: {types}; {sum(bool(layer.nodes) for layer in engine)} traced to ONNX nodes"
    )
