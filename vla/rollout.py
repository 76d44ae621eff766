"""Drives a policy step by step: what it remembers of an episode lives here, not in the policy."""

from collections import deque

import torch
from torch import Tensor

from vla.fusion import Inputs, join_steps
from vla.heads import HeadMemory
from vla.model import VLA


class Rollout:
    """One episode of a policy in evaluation mode: its frames, its answers and its head's memory.

    Several rollouts may share a policy. History is what `step` was given since `reset`.
    """

    def __init__(self, policy: VLA) -> None:
        self.policy = policy
        window = policy.config.window
        self._frames: deque[Inputs] = deque(maxlen=window)
        # Ids (B, T * A) that the discrete head gave for the steps before this one.
        self._answers: deque[Tensor] = deque(maxlen=window - 1)
        self._memory = HeadMemory(window)

    def reset(self) -> None:
        """Forget the episode: call it at each start and at each new goal."""
        self._frames.clear()
        self._answers.clear()
        self._memory = HeadMemory(self.policy.config.window)

    @torch.no_grad()
    def step(self, inputs: Inputs) -> Tensor:
        """Predict the chunk (B, T, A) of the next step from `inputs` of that step alone.

        Pose is in [-1, 1], the gripper 0 or 1.
        """
        policy, history = self.policy, self.policy.config.history
        if policy.head is not None and history in ("none", "post"):
            return policy.values(policy.head.step(policy.features(inputs)[:, 0], self._memory))
        self._frames.append(inputs)
        window = join_steps(list(self._frames), policy.config.window)
        if policy.head is not None:
            return policy.values(policy.actions(window)[:, -1])
        ids = policy.generate(window, self._past_answers(inputs) if history == "pre" else [])
        self._answers.append(ids.flatten(1))
        return policy.values(policy.discrete.decode(ids))

    def _past_answers(self, inputs: Inputs) -> list[Tensor]:
        """Ids (B, T * A) of the W - 1 steps before this one."""
        head = self.policy.config.head
        # Steps before the episode have no answer; any ids do, as they are masked.
        none = inputs.ids.new_full((len(inputs.ids), head.horizon * head.action_dims), 1)
        missing = self.policy.config.window - 1 - len(self._answers)
        return [none] * missing + list(self._answers)
