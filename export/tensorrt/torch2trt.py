"""Heads and vision encoders straight from torch with torch2trt, where the user has it.

It is not on PyPI, needs flags that TensorRT 11 has no more, and has no converter for attention: good for
small nets, on machines that have it. Everything else goes through ONNX and `vla-edge build`.
"""

from collections.abc import Mapping
from importlib import import_module
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from edge.bundle.bundle import Bundle
from edge.bundle.manifest import ImageSpec, Target
from edge.engines.cuda import this_machine
from edge.engines.tensorrt import load_tensorrt
from edge.errors import BundleRefused, UsageError
from export.graphs.family import GraphSource, vision_source
from export.graphs.policy import head_sources
from export.sources.find import POLICY
from export.tensorrt.plans import CACHE, Place, build_plan
from export.tensorrt.proof import add_plans, compare_plans
from vla.backbones.loading import load_backbone
from vla.checkpoint import load_vla
from vla.heads import FCHead

_MAX_ERROR = 0.05  # against torch, relative to the largest value


def check_torch2trt(precision: str) -> None:
    """Raises HardwareMissing without TensorRT, UsageError without torch2trt or for a precision that it can't
    do: before anything that takes long."""
    if precision not in ("fp32", "fp16"):
        raise UsageError(f"torch2trt is for fp32 and fp16, not {precision}", "give --engine tensorrt")
    _load()


def with_plans(bundle: Bundle, folder: Path, cache: Path = CACHE) -> Bundle:
    """A bundle of the checkpoint in `folder` with plans for this machine: the vision encoder's and a head's
    that remembers nothing by torch2trt, the others' from their ONNX graphs.

    Raises HardwareMissing without TensorRT or a GPU, UsageError without torch2trt, BundleRefused where a plan
    is not what its graph says.
    """
    machine = this_machine()
    place, half = Place(machine.sm, machine.jetpack), bundle.manifest.graphs["vision"].precision == "fp16"
    nets = small_nets(folder, bundle.manifest.image)
    plans: dict[str, bytes] = {}
    for role, info in bundle.manifest.graphs.items():
        if role in nets:
            net = nets[role]
            inputs = {name: value.cuda() for name, value in net.inputs.items()}
            plans[role] = convert(net.module.cuda(), inputs, net.outputs, half and role == "vision")
        else:
            plan = build_plan(role, bundle.read(role), place, cache, bundle.weights, info.weights_bytes)
            plan.check(role)
            plans[role] = plan.content
    version = str(load_tensorrt().__version__)
    target = Target(engine="tensorrt", device=machine.device, tensorrt=version, jetpack=machine.jetpack)
    built = add_plans(bundle, plans, target)
    compare_plans(built)
    return built


def small_nets(folder: Path, image: ImageSpec) -> dict[str, GraphSource]:
    """What torch2trt is good for, by role, out of a checkpoint."""
    if not (folder / POLICY).is_file():
        return {"vision": vision_source(load_backbone(folder), image.height, image.width).source}
    policy = load_vla(folder).float()
    nets = {"vision": vision_source(policy.backbone, image.height, image.width).source}
    return nets | (head_sources(policy.head, 1) if isinstance(policy.head, FCHead) else {})


def convert(module: nn.Module, inputs: Mapping[str, Tensor], outputs: list[str], fp16: bool = False) -> bytes:
    """A plan for this machine's GPU, its shapes those of `inputs`, which lie on the GPU as the module does.

    Raises HardwareMissing without TensorRT, UsageError without torch2trt or with a TensorRT that is too new
    for it, BundleRefused where the plan and torch disagree.
    """
    torch2trt = _load()
    values = [value.clone() for value in inputs.values()]  # the same one twice would become one input
    net: Any = torch2trt.torch2trt(
        module.eval(), values, fp16_mode=fp16, input_names=list(inputs), output_names=outputs
    )
    with torch.inference_mode():
        wanted, found = module(*values), net(*values)
    pairs = [(wanted, found)] if isinstance(wanted, Tensor) else list(zip(wanted, found, strict=True))
    error = max(float((a - b).abs().max() / a.abs().max().clamp(min=1e-6)) for a, b in pairs)
    if not error <= _MAX_ERROR:  # NaN is not
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
            f"torch2trt does not load: {error}",
            "it is installed from https://github.com/NVIDIA-AI-IOT/torch2trt; `vla-edge build` does without",
        ) from error
