"""Losses for actions, continuous and as tokens, and their weighted sum over tasks.

B batch, S steps, T horizon, A action dims.
"""

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from vla.heads.discrete import decode_bins


@dataclass(frozen=True)
class LossConfig:
    """Which losses a policy is trained with, and their weights."""

    pose: str = "huber"  # or mse
    gripper_weight: float = 0.01  # lambda in RoboVLMs
    step_weights: tuple[float, ...] = ()  # one for each step of a window, oldest first; empty: all equal


@dataclass(frozen=True)
class Losses:
    """`total` is minimised. The other figures are only reported, and None if the head lacks them."""

    total: Tensor
    pose: Tensor | None = None
    gripper: Tensor | None = None  # before its weight
    accuracy: Tensor | None = None  # share of tokens that were predicted right
    l1: Tensor | None = None  # mean |error| of the decoded actions, in [0, 2]


def _mean(values: Tensor, weights: Tensor) -> Tensor:
    weights = weights.expand_as(values)
    return (values * weights).sum() / weights.sum().clamp(min=torch.finfo(values.dtype).tiny)


def _weights(mask: Tensor, config: LossConfig) -> Tensor:
    """Turn the bool mask (B, S, T) into weights: each step's weight where True, 0 elsewhere."""
    if not config.step_weights:
        return mask.float()
    steps = torch.tensor(config.step_weights, device=mask.device)[-mask.shape[1] :]
    return mask * steps[:, None]


def continuous_loss(
    actions: Tensor, target: Tensor, mask: Tensor, gripper: bool, config: LossConfig
) -> Losses:
    """Huber (delta 1) or squared error on the pose + gripper_weight * cross-entropy of the gripper's logit.

    actions: (B, S, T, A) as heads give them. target: the same shape, pose in [-1, 1], gripper 0 or 1.
    mask: (B, S, T) bool, False for actions that do not count.
    """
    weights = _weights(mask, config)[..., None]
    poses = slice(-1) if gripper else slice(None)
    error = functional.huber_loss if config.pose == "huber" else functional.mse_loss
    pose = _mean(error(actions[..., poses], target[..., poses], reduction="none"), weights)
    if not gripper:
        return Losses(pose, pose=pose)
    bits = functional.binary_cross_entropy_with_logits(actions[..., -1:], target[..., -1:], reduction="none")
    bit = _mean(bits, weights)
    return Losses(pose + config.gripper_weight * bit, pose=pose, gripper=bit)


def discrete_loss(
    logits: Tensor, ids: Tensor, mask: Tensor, first_id: int, bins: int, config: LossConfig
) -> Losses:
    """Cross-entropy over the whole vocabulary at the action tokens.

    logits: (B, S, T * A, V), those that predict each token. ids: (B, S, T, A). mask: (B, S, T) bool.
    Accuracy and L1 are measured on the most probable action token, as generation takes it.
    """
    weights = _weights(mask, config)[..., None].expand(ids.shape)
    logits = logits.unflatten(2, ids.shape[2:]).float()
    # Steps that are masked may hold any id.
    safe = torch.where(mask[..., None], ids, first_id)
    entropy = functional.cross_entropy(logits.flatten(0, -2), safe.flatten(), reduction="none")
    best = logits[..., first_id : first_id + bins].argmax(-1) + first_id
    apart = (decode_bins(best, first_id, bins) - decode_bins(safe, first_id, bins)).abs()
    return Losses(
        _mean(entropy.unflatten(0, ids.shape), weights),
        accuracy=_mean((best == safe).float(), weights).detach(),
        l1=_mean(apart, weights),
    )


def multi_task_loss(losses: dict[str, Tensor], weights: dict[str, float]) -> Tensor:
    """Sum the losses of sources of data, weighted. Raises ValueError for a source without a weight."""
    missing = losses.keys() - weights.keys()
    if missing:
        raise ValueError(f"no loss weight for {sorted(missing)}; there are weights for {sorted(weights)}")
    return torch.stack([weights[source] * loss for source, loss in losses.items()]).sum()
