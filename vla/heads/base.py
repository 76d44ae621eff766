"""The base class of continuous heads, and the output layers that they share."""

from abc import ABC, abstractmethod
from collections import deque
from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import Tensor, nn


@dataclass(frozen=True)
class HeadConfig:
    """Sizes of a head. A discrete head has only `horizon`, `action_dims` and `gripper`."""

    kind: str = "lstm"  # fc, lstm, gpt or discrete
    horizon: int = 10  # T
    action_dims: int = 7  # A, the gripper included
    gripper: bool = True  # is the last dim a gripper's bit?
    hidden: int = 1024
    layers: int | None = None  # None: 4 for lstm, 8 for gpt
    attention_heads: int = 8  # gpt only
    mlp: tuple[int, ...] = (1024, 512, 256)  # hidden widths of the output MLP
    pool: bool = False  # mean over the L action tokens instead of all of them side by side


class OutputMLP(nn.Module):
    """(..., inputs) -> (..., T, A): ReLU between, tanh on the pose, nothing on the gripper."""

    def __init__(self, inputs: int, config: HeadConfig) -> None:
        super().__init__()
        self.shape = (config.horizon, config.action_dims)
        self.gripper = config.gripper
        widths = (inputs, *config.mlp)
        hidden = [part for i, o in pairwise(widths) for part in (nn.Linear(i, o), nn.ReLU())]
        self.net = nn.Sequential(*hidden, nn.Linear(widths[-1], config.horizon * config.action_dims))

    def forward(self, features: Tensor) -> Tensor:
        actions = self.net(features).unflatten(-1, self.shape)
        if not self.gripper:
            return actions.tanh()
        return torch.cat([actions[..., :-1].tanh(), actions[..., -1:]], dim=-1)


class HeadMemory:
    """What a head keeps between the steps of one episode; a new episode begins with a new one."""

    def __init__(self, window: int) -> None:
        self.recent: deque[Tensor] = deque(maxlen=window)  # inputs of the last steps, (B, 1, inputs) each
        self.state: tuple[Tensor, Tensor] | None = None  # state of an LSTM; None: zeros


class Head(nn.Module, ABC):
    """A continuous head. It holds weights alone: what it remembers of an episode is a `HeadMemory`."""

    def __init__(self, width: int, tokens: int, window: int, config: HeadConfig) -> None:
        super().__init__()
        self.window = window
        self.pool = config.pool
        self.tokens = 1 if config.pool else tokens
        self.inputs = width * self.tokens

    def gather(self, features: Tensor) -> Tensor:
        """(B, S, L, D) -> (B, S, inputs)."""
        return features.mean(2) if self.pool else features.flatten(2)

    def forward(self, features: Tensor, valid: Tensor) -> Tensor:
        """Features (B, S, L, D) of steps of which `valid` (B, S) bool happened -> (B, S, T, A).

        Steps that did not happen stand left of those that did and change nothing; their own actions mean
        nothing.
        """
        # Valid steps move to the front and their actions move back: the net sees an episode from its start.
        order = torch.argsort(~valid, dim=1, stable=True)
        inputs = self.gather(features)
        rows = torch.arange(len(inputs), device=inputs.device)[:, None]
        return self.run(inputs[rows, order])[rows, torch.argsort(order, dim=1)]

    @abstractmethod
    def run(self, inputs: Tensor) -> Tensor:
        """(B, S, inputs) from an episode's (or window's) first step on -> (B, S, T, A), causal."""

    def step(self, features: Tensor, memory: HeadMemory) -> Tensor:
        """Run the next step of an episode, (B, L, D) -> (B, T, A), over at most the last `window` steps.

        `memory` is that of the episode so far; it takes the step in.
        """
        memory.recent.append(self.gather(features[:, None]))
        return self.run(torch.cat(list(memory.recent), dim=1))[:, -1]
