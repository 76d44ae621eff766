"""What learns in a run: a policy, the loss of all tasks, and the optimiser of its weights."""

from dataclasses import dataclass
from typing import Any

from accelerate import Accelerator
from torch import Tensor, nn

from edge.errors import UsageError
from training.config import BackboneSettings, Config
from training.pipeline.stream import TaskBatches
from training.schedule import make_optimiser
from vla.losses import Losses, multi_task_loss
from vla.model import VLA


class MultiTaskLoss(nn.Module):
    """All tasks of a batch in one forward: distributed training allows one for each backward."""

    def __init__(self, policy: VLA, weights: dict[str, float]) -> None:
        super().__init__()
        self.policy, self.weights = policy, weights

    def forward(self, batches: TaskBatches, shares: dict[str, float]) -> tuple[Tensor, dict[str, Tensor]]:
        """Compute the loss to minimise, and figures by "task/figure", each multiplied by its task's share."""
        losses: dict[str, Tensor] = {}
        figures: dict[str, Tensor] = {}
        for name, (inputs, targets) in batches.items():
            found = self.policy(inputs, targets)
            losses[name] = found.total * shares[name]
            figures |= {f"{name}/{k}": v.detach() * shares[name] for k, v in named_losses(found).items()}
        return multi_task_loss(losses, self.weights), figures


def named_losses(losses: Losses) -> dict[str, Tensor]:
    """Losses and figures of a batch by name, without those that its head has not; the total is "loss"."""
    named = {"loss": losses.total, "pose": losses.pose, "gripper": losses.gripper}
    named |= {"accuracy": losses.accuracy, "l1": losses.l1}
    return {name: value for name, value in named.items() if value is not None}


@dataclass(frozen=True)
class Learner:
    """A policy, its loss as Accelerate wraps it, and the optimiser of the weights that learn."""

    policy: VLA
    loss: nn.Module
    optimiser: Any  # an AdamW, wrapped
    weights: list[nn.Parameter]  # those that learn

    def set_training(self, settings: BackboneSettings) -> None:
        """Switch to training mode, but for the parts of the backbone that must not change."""
        _set_training(self.loss, self.policy.backbone, settings)


def make_learner(policy: VLA, config: Config, accelerator: Accelerator, first: TaskBatches) -> Learner:
    """Make the policy ready to learn. `first` is a batch on the device, which shows what a loss reaches."""
    loss = MultiTaskLoss(policy, {name: source.weight for name, source in config.sources.items()})
    loss.to(accelerator.device)
    _set_training(loss, policy.backbone, config.backbone)
    with accelerator.autocast():
        total, _ = loss(first, dict.fromkeys(first, 1.0))
    total.backward()
    # Weights that no loss reaches, such as an LM head's beside an action head, would block other processes.
    for parameter in policy.parameters():
        parameter.requires_grad_(parameter.grad is not None)
        parameter.grad = None
    weights = [p for p in policy.parameters() if p.requires_grad]
    loss, optimiser = accelerator.prepare(loss, make_optimiser(weights, config.optimiser))
    return Learner(policy, loss, optimiser, weights)


def _set_training(loss: nn.Module, backbone: nn.Module, settings: BackboneSettings) -> None:
    loss.train()
    if settings.trainable == "frozen" and not settings.gradient_checkpointing:  # which eval would end
        backbone.eval()
    for module in backbone.modules():
        # Frames of one episode are too few for batch statistics, and processes would differ in them.
        if isinstance(module, nn.modules.batchnorm._BatchNorm):
            module.eval()


def set_checkpointing(policy: VLA, settings: BackboneSettings) -> None:
    """Turn on gradient checkpointing if the config wants it. Raises UsageError if the family can't."""
    if not settings.gradient_checkpointing:
        return
    try:
        policy.backbone.checkpoint_activations()
    except ValueError as error:
        raise UsageError(
            f"backbone.gradient_checkpointing: {error}", "leave it out for this family"
        ) from error
