"""The optimiser and its learning rate."""

import math
from collections.abc import Sequence

import torch
from torch import nn

from training.config import OptimiserSettings


def learning_rate(step: int, steps: int, settings: OptimiserSettings) -> float:
    """Compute the learning rate of update `step`, from 0 on, of `steps`."""
    warmup = settings.warmup_steps
    rate = settings.learning_rate * min(1.0, (step + 1) / max(1, warmup))
    if settings.schedule == "cosine":
        done = max(0, step - warmup) / max(1, steps - warmup)
        rate *= 0.5 * (1 + math.cos(math.pi * min(1.0, done)))
    elif settings.schedule == "step":
        rate *= settings.step_factor ** (step // settings.step_every)
    return rate


def make_optimiser(learning: Sequence[nn.Parameter], settings: OptimiserSettings) -> torch.optim.AdamW:
    """Make an AdamW in which only matrices decay."""
    groups = [
        {"params": [p for p in learning if p.ndim > 1], "weight_decay": settings.weight_decay},
        {"params": [p for p in learning if p.ndim <= 1], "weight_decay": 0.0},
    ]
    return torch.optim.AdamW(groups, lr=settings.learning_rate, betas=settings.betas)
