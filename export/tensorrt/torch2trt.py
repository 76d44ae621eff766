"""Heads and vision encoders straight from torch with torch2trt, if the user has it.

It is not on PyPI, needs flags that TensorRT 11 no longer has, and can't convert attention: it serves small
nets, on machines that have it. Everything else goes through ONNX and `vla-edge build`.
"""

from collections.abc import Mapping
from importlib import import_module
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from edge.bundle.bundle import Bundle
from edge.bundle.manifest import ImageSpec
from edge.engines.cuda import this_machine
from edge.engines.tensorrt import load_tensorrt
from edge.errors import BundleRefused, UsageError, reason_of
from export.graphs.family import GraphSource, vision_source
from export.graphs.policy import head_sources
from export.sources.find import POLICY
from export.tensorrt.plans import CACHE, PlanTarget, build_plan
from export.tensorrt.proof import add_plans, compare_plans
from vla.backbones.loading import load_backbone
from vla.checkpoint import load_vla
from vla.heads import FCHead

_MAX_ERROR = 0.05  # largest error against torch, relative to the largest value


def check_torch2trt(precision: str) -> None:
    """Check before any long work that torch2trt is there and has the precision.

    Raises HardwareMissing without TensorRT, UsageError without torch2trt or for another precision.
    """
    if precision not in ("fp32", "fp16"):
        raise UsageError(f"torch2trt is for fp32 and fp16, not {precision}", "give --engine tensorrt")
    _load()


def with_plans(bundle: Bundle, folder: Path, cache: Path = CACHE) -> Bundle:
    """Return the bundle of the checkpoint in `folder` with plans for this machine.

    torch2trt builds those of the vision encoder and of a head without memory, TensorRT those of the other
    ONNX graphs. Raises HardwareMissing without TensorRT or a GPU, UsageError without torch2trt, BundleRefused
    if a plan computes something else than its graph.
    """
    machine = this_machine()
    plan_target, half = (
        PlanTarget(machine.sm, machine.jetpack, multiprocessors=machine.multiprocessors),
        bundle.manifest.graphs["vision"].precision == "fp16",
    )
    nets = small_nets(folder, bundle.manifest.image)
    plans: dict[str, bytes] = {}
    for stage, info in bundle.manifest.graphs.items():
        if stage in nets:
            net = nets[stage]
            inputs = {name: value.cuda() for name, value in net.inputs.items()}
            plans[stage] = convert(net.module.cuda(), inputs, net.outputs, half and stage == "vision")
        else:
            plan = build_plan(
                stage, bundle.read(stage), plan_target, cache, bundle.weights, info.weights_bytes
            )
            plan.check(stage)
            plans[stage] = plan.content
    version = str(load_tensorrt().__version__)
    target = machine.target(version)
    built = add_plans(bundle, plans, target)
    compare_plans(built)
    return built


def small_nets(folder: Path, image: ImageSpec) -> dict[str, GraphSource]:
    """Read the modules of a checkpoint that torch2trt can convert, by stage."""
    if not (folder / POLICY).is_file():
        return {"vision": vision_source(load_backbone(folder), image.height, image.width).source}
    policy = load_vla(folder).float()
    nets = {"vision": vision_source(policy.backbone, image.height, image.width).source}
    return nets | (head_sources(policy.head, 1) if isinstance(policy.head, FCHead) else {})


def convert(module: nn.Module, inputs: Mapping[str, Tensor], outputs: list[str], fp16: bool = False) -> bytes:
    """Build a plan for this machine's GPU, where the module and its `inputs` lie.

    Raises HardwareMissing without TensorRT, UsageError without torch2trt or with a TensorRT that is too new
    for it, BundleRefused if the plan and torch disagree.
    """
    torch2trt = _load()
    values = [value.clone() for value in inputs.values()]  # one tensor given twice would become one input
    net: Any = torch2trt.torch2trt(
        module.eval(), values, fp16_mode=fp16, input_names=list(inputs), output_names=outputs
    )
    with torch.inference_mode():
        wanted, found = module(*values), net(*values)
    pairs = [(wanted, found)] if isinstance(wanted, Tensor) else list(zip(wanted, found, strict=True))
    error = max(float((a - b).abs().max() / a.abs().max().clamp(min=1e-6)) for a, b in pairs)
    if not error <= _MAX_ERROR:  # also true of NaN
        raise BundleRefused(
            f"torch2trt's plan is {error:.3f} off torch (limit {_MAX_ERROR})", "use `vla-edge build`"
        )
    return bytes(net.engine.serialize())


def _load() -> Any:
    version = str(load_tensorrt().__version__)
    if int(version.partition(".")[0]) > 10:
        raise UsageError(f"torch2trt knows TensorRT up to 10, this is {version}", "use `vla-edge build`")
    try:
        return import_module("torch2trt")
    except ImportError as error:
        raise UsageError(
            f"torch2trt does not load: {reason_of(error)}",
            "install it from https://github.com/NVIDIA-AI-IOT/torch2trt, or use `vla-edge build` without it",
        ) from error
