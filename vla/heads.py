"""Action heads: hidden states at the action tokens to chunks of actions.

B batch, S steps, L action tokens a step, D width of the tokens, T horizon, A action dims. All give raw
actions (B, S, T, A): pose in [-1, 1] (tanh), the gripper, if there is one, last and as a logit. The nets
are those of RoboVLMs (arXiv 2412.14058).
"""

from abc import ABC, abstractmethod
from collections import deque
from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import Tensor, nn
from transformers import GPT2Config, GPT2Model


@dataclass(frozen=True)
class HeadConfig:
    """Sizes of a continuous head."""

    kind: str = "lstm"  # fc, lstm or gpt
    horizon: int = 10  # T
    action_dims: int = 7  # A, the gripper included
    gripper: bool = True  # is the last dim a gripper's bit?
    hidden: int = 1024
    layers: int | None = None  # of lstm (None: 4) and gpt (None: 8)
    attention_heads: int = 8  # of gpt
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


class Head(nn.Module, ABC):
    """What the heads share. Streaming state lives between `step`s; `reset` forgets it."""

    def __init__(self, width: int, tokens: int, window: int, config: HeadConfig) -> None:
        super().__init__()
        self.window = window
        self.pool = config.pool
        self.tokens = 1 if config.pool else tokens
        self.inputs = width * self.tokens
        self.recent: deque[Tensor] = deque(maxlen=window)  # of (B, 1, inputs)

    def gather(self, features: Tensor) -> Tensor:
        """(B, S, L, D) -> (B, S, inputs)."""
        return features.mean(2) if self.pool else features.flatten(2)

    def forward(self, features: Tensor, valid: Tensor) -> Tensor:
        """Features (B, S, L, D) of steps of which `valid` (B, S) bool happened -> (B, S, T, A).

        Steps that did not happen stand left of those that did and change nothing; their own actions mean
        nothing.
        """
        # To the front and, after the net, back: then the net sees an episode that begins at its first step.
        order = torch.argsort(~valid, dim=1, stable=True)
        inputs = self.gather(features)
        rows = torch.arange(len(inputs), device=inputs.device)[:, None]
        return self.run(inputs[rows, order])[rows, torch.argsort(order, dim=1)]

    @abstractmethod
    def run(self, inputs: Tensor) -> Tensor:
        """(B, S, inputs) from an episode's (or window's) first step on -> (B, S, T, A), causal."""

    def step(self, features: Tensor) -> Tensor:
        """The next step of an episode: (B, L, D) -> (B, T, A), from at most the last `window` steps."""
        self.recent.append(self.gather(features[:, None]))
        return self.run(torch.cat(list(self.recent), dim=1))[:, -1]

    def reset(self) -> None:
        """Begin an episode."""
        self.recent.clear()


class FCHead(Head):
    """Each step by itself."""

    def __init__(self, width: int, tokens: int, window: int, config: HeadConfig) -> None:
        super().__init__(width, tokens, window, config)
        outputs = config.hidden * self.tokens
        self.net = nn.Sequential(
            nn.Linear(self.inputs, self.inputs // 2), nn.ReLU(), nn.Linear(self.inputs // 2, outputs)
        )
        self.output = OutputMLP(outputs, config)

    def run(self, inputs: Tensor) -> Tensor:
        return self.output(self.net(inputs))

    def step(self, features: Tensor) -> Tensor:
        return self.run(self.gather(features[:, None]))[:, -1]


class LSTMHead(Head):
    """Carries its state for `window` steps; then each step restarts from zero over the last `window`."""

    def __init__(self, width: int, tokens: int, window: int, config: HeadConfig) -> None:
        super().__init__(width, tokens, window, config)
        self.net = nn.LSTM(self.inputs, config.hidden, config.layers or 4, batch_first=True)
        self.output = OutputMLP(config.hidden, config)
        self.state: tuple[Tensor, Tensor] | None = None

    def run(self, inputs: Tensor) -> Tensor:
        return self.output(self.net(inputs)[0])

    def step(self, features: Tensor) -> Tensor:
        if len(self.recent) == self.window:
            self.state = None  # of no use any more
            return super().step(features)
        inputs = self.gather(features[:, None])
        self.recent.append(inputs)
        hidden, self.state = self.net(inputs, self.state)
        return self.output(hidden[:, -1])

    def reset(self) -> None:
        super().reset()
        self.state = None


class GPTHead(Head):
    """A GPT-2 decoder with learned positions, run over at most `window` steps."""

    def __init__(self, width: int, tokens: int, window: int, config: HeadConfig) -> None:
        super().__init__(width, tokens, window, config)
        self.project = nn.Linear(self.inputs, config.hidden)
        sizes = GPT2Config(
            vocab_size=1,  # steps come as vectors
            n_positions=window,
            n_embd=config.hidden,
            n_layer=config.layers or 8,
            n_head=config.attention_heads,
            use_cache=False,
        )
        self.net = GPT2Model(sizes)
        self.net.wte.requires_grad_(False)
        self.output = OutputMLP(config.hidden, config)

    def run(self, inputs: Tensor) -> Tensor:
        return self.output(self.net(inputs_embeds=self.project(inputs)).last_hidden_state)


HEADS: dict[str, type[Head]] = {"fc": FCHead, "lstm": LSTMHead, "gpt": GPTHead}


def build_head(width: int, tokens: int, window: int, config: HeadConfig) -> Head:
    """The head that `config.kind` names."""
    return HEADS[config.kind](width, tokens, window, config)
