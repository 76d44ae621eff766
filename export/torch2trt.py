"""Heads and vision encoders straight from torch with torch2trt, where the user has it.

It is not on PyPI, needs flags that TensorRT 11 has no more, and has no converter for attention: good for
small nets, on machines that have it. Everything else goes through ONNX and `vla-edge build`.
"""

from collections.abc import Mapping
from importlib import import_module
from typing import Any

import torch
from torch import Tensor, nn

from edge.engines.tensorrt import load_tensorrt
from edge.errors import BundleRefused, UsageError

_MAX_ERROR = 0.05  # against torch, relative to the largest value


def convert(module: nn.Module, inputs: Mapping[str, Tensor], outputs: list[str], fp16: bool = False) -> bytes:
    """A plan for this machine's GPU, its shapes those of `inputs`, which lie on the GPU as the module does.

    Raises HardwareMissing without TensorRT, UsageError without torch2trt or with a TensorRT that is too new
    for it, BundleRefused where the plan and torch disagree.
    """
    version = str(load_tensorrt().__version__)
    if int(version.partition(".")[0]) > 10:
        raise UsageError(f"torch2trt knows TensorRT up to 10, this is {version}", "use `vla-edge build`")
    values = [value.clone() for value in inputs.values()]  # the same one twice would become one input
    net: Any = _torch2trt().torch2trt(
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


def _torch2trt() -> Any:
    try:
        return import_module("torch2trt")
    except ImportError as error:
        raise UsageError(
            f"torch2trt does not load: {error}",
            "it is installed from https://github.com/NVIDIA-AI-IOT/torch2trt; `vla-edge build` does without",
        ) from error
