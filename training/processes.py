"""Processes that train together, launched by torchrun or `accelerate launch`."""

import ctypes
from datetime import timedelta
from typing import Any

import torch
from accelerate import Accelerator, DistributedType, InitProcessGroupKwargs

from edge.errors import UsageError

_SLOWEST = timedelta(hours=24)  # the other processes wait that long while the first measures success
_JOINED = (DistributedType.NO, DistributedType.MULTI_CPU, DistributedType.MULTI_GPU)


def make_accelerator(precision: str) -> Accelerator:
    """Join this process with the others that were launched. Raises UsageError for what can't work."""
    on_gpu = torch.cuda.is_available()
    if precision == "fp16" and not on_gpu:
        raise UsageError("optimiser.precision fp16 needs a GPU, and there is none", "set it to bf16 or fp32")
    accelerator = Accelerator(
        cpu=not on_gpu,
        mixed_precision="no" if precision == "fp32" else precision,
        kwargs_handlers=[InitProcessGroupKwargs(timeout=_SLOWEST)],
    )
    if accelerator.distributed_type not in _JOINED:
        raise UsageError(
            f"training can't be spread by {accelerator.distributed_type.value}",
            "launch it with torchrun, or accelerate launch without DeepSpeed and FSDP",
        )
    return accelerator


def any_process(accelerator: Accelerator, flag: bool) -> bool:
    """Whether the flag is set in any process; all must call this, at the same step."""
    if accelerator.num_processes == 1:
        return flag
    flags: Any = accelerator.reduce(torch.tensor(float(flag), device=accelerator.device), "sum")
    return bool(flags > 0)


def leave_together(accelerator: Accelerator) -> None:
    """Wait for the other processes, and take what joins them apart.

    Gloo's thread needs the interpreter to free its last work. Were the process group freed at that moment, by
    a thread that holds the interpreter and waits for Gloo's, both would wait for ever: it is never freed.
    """
    accelerator.wait_for_everyone()
    if accelerator.num_processes > 1:
        ctypes.pythonapi.Py_IncRef(ctypes.py_object(torch.distributed.group.WORLD))
    accelerator.end_training()
