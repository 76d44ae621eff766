"""The policy as it is trained: all tasks of a batch, and what they have of losses."""

from torch import Tensor, nn

from training.pipeline.stream import TaskBatches
from vla.losses import Losses, multi_task_loss
from vla.model import VLA


class MultiTaskLoss(nn.Module):
    """All tasks of a batch in one forward: distributed training allows one for each backward."""

    def __init__(self, policy: VLA, weights: dict[str, float]) -> None:
        super().__init__()
        self.policy, self.weights = policy, weights

    def forward(self, batches: TaskBatches, shares: dict[str, float]) -> tuple[Tensor, dict[str, Tensor]]:
        """The loss to minimise, and figures by "task/what"; each task's times its share."""
        losses: dict[str, Tensor] = {}
        figures: dict[str, Tensor] = {}
        for name, (inputs, targets) in batches.items():
            found = self.policy(inputs, targets)
            losses[name] = found.total * shares[name]
            figures |= {f"{name}/{k}": v.detach() * shares[name] for k, v in named_losses(found).items()}
        return multi_task_loss(losses, self.weights), figures


def named_losses(losses: Losses) -> dict[str, Tensor]:
    """What a batch has of losses and figures; the total is called loss."""
    named = {"loss": losses.total, "pose": losses.pose, "gripper": losses.gripper}
    named |= {"accuracy": losses.accuracy, "l1": losses.l1}
    return {name: value for name, value in named.items() if value is not None}
