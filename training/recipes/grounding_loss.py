"""The losses of the default model: soft locations, words, and dense labels that only training uses."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from edge.goals.words import COLOURS, KINDS
from training.recipes.batches import QuestionBatch
from vla.backbones.tokenizer import LOC_COUNT


class DenseHead(nn.Module):
    """Kind (0: nothing), colour and box of each image token; only training uses it."""

    centres: Tensor  # (P, 2)

    def __init__(self, width: int, grid: tuple[int, int]) -> None:
        super().__init__()
        self.out = nn.Linear(width, 1 + len(KINDS) + len(COLOURS) + 4)
        ys, xs = torch.meshgrid(
            (torch.arange(grid[0]) + 0.5) / grid[0], (torch.arange(grid[1]) + 0.5) / grid[1], indexing="ij"
        )
        self.register_buffer("centres", torch.stack([ys, xs], -1).reshape(-1, 2))

    def loss(self, features: Tensor, objects: Tensor) -> Tensor:
        """Loss of features (B, P, D) against objects (B, M, 8), nearest first."""
        kind, colour, box, positive = self.targets(objects)
        out = self.out(features).float()
        kinds, colours, boxes = out.split([1 + len(KINDS), len(COLOURS), 4], -1)
        loss = F.cross_entropy(kinds.flatten(0, 1), kind.flatten())
        if positive.any():
            loss = loss + F.cross_entropy(kinds[positive], kind[positive])
            loss = loss + F.cross_entropy(colours[positive], colour[positive])
            anchor = self.centres.repeat(1, 2).expand(len(features), -1, -1)[positive]
            size = (box[positive][:, 2:] - box[positive][:, :2]).clamp_min(0.04).repeat(1, 2)
            loss = loss + ((boxes[positive] * 0.2 + anchor - box[positive]).abs() / size).mean() * 2
        return loss

    def targets(self, objects: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Assign an object to each token: kind, colour, box, and a mask of tokens that have one.

        It is the nearest one whose box holds the token's centre, or whose centre is in the token's cell.
        """
        box = objects[..., 2:6]
        c = self.centres[None, :, None]  # (1, P, 1, 2)
        inside = ((c >= box[:, None, :, :2]) & (c <= box[:, None, :, 2:])).all(-1)
        middle = ((box[..., :2] + box[..., 2:]) / 2)[:, None]
        half = (self.centres[0, 0], self.centres[0, 1])
        cell = ((middle[..., 0] - c[..., 0]).abs() <= half[0]) & (
            (middle[..., 1] - c[..., 1]).abs() <= half[1]
        )
        holds = (inside | cell) & (objects[:, None, :, 0] >= 0)  # (B, P, M)
        positive = holds.any(-1)
        first = holds.float().argmax(-1)  # objects are sorted by distance
        chosen = torch.gather(objects, 1, first[..., None].expand(-1, -1, objects.shape[-1]))
        kind = torch.where(positive, chosen[..., 0].long() + 1, 0)
        return kind, chosen[..., 1].long().clamp_min(0), chosen[..., 2:6], positive


def answer_loss(
    logits: Tensor, batch: QuestionBatch, first_location: int, sigma_bins: float
) -> tuple[Tensor, Tensor]:
    """Cross-entropy, with Gaussian soft targets on locations, and L1 of the expected coordinate.

    logits: (N, A, V). first_location: id of the first location token. sigma_bins: width of the soft targets
    in bins of 1/1024.
    """
    logits = logits.float()
    words = (batch.answer >= 0) & (batch.location < 0)
    word_loss = F.cross_entropy(logits[words], batch.answer[words])
    at = batch.location >= 0
    if not at.any():
        return word_loss, word_loss.new_zeros(())
    where = batch.location[at] * (LOC_COUNT - 1)
    bins = torch.arange(LOC_COUNT, dtype=torch.float32)
    target = torch.softmax(-0.5 * ((bins - where[:, None]) / sigma_bins) ** 2, -1)
    log_p = logits[at].log_softmax(-1)
    locations = log_p[:, first_location : first_location + LOC_COUNT]
    soft = -(target * locations).sum(-1).mean() - _entropy(target)
    expected = (locations.softmax(-1) * bins).sum(-1)
    return word_loss + soft, (expected - where).abs().mean() / LOC_COUNT


def presence_loss(logits: Tensor, batch: QuestionBatch, first_location: int, none: int) -> Tensor:
    """Cross-entropy of "it is there" against `none`, from logits (N, A, V).

    All location tokens count together, as in the runtime. Without this loss, the one token that decides would
    be lost among words that are easy.
    """
    first = logits[:, 0].float()
    there = batch.location[:, 0] >= 0
    decides = there | (batch.answer[:, 0] == none)
    odds = first[:, first_location : first_location + LOC_COUNT].logsumexp(-1) - first[:, none]
    return F.binary_cross_entropy_with_logits(odds[decides], there[decides].float())


def _entropy(p: Tensor) -> Tensor:
    """Entropy of the soft targets; subtracting it lets the loss reach zero at any sigma."""
    return -(p * p.clamp_min(1e-9).log()).sum(-1).mean()
