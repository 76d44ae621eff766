"""The discrete head: the language model's own output, in which token ids stand for numbers."""

from dataclasses import dataclass

import torch
from torch import Tensor

from vla.backbones.backbone import Backbone
from vla.sequence import Sequence, extend, read


def decode_bins(ids: Tensor, first_id: int, bins: int) -> Tensor:
    """Decode action ids to numbers in (-1, 1), as OpenVLA's tokenizer does.

    Bins lie between the edges linspace(-1, 1, bins). id = first_id + bins - bin with bin in 1..bins, so the
    lowest action has the highest id; the last two bins share the last centre. Raises ValueError for an id
    that is not an action's.
    """
    if bool(((ids < first_id) | (ids >= first_id + bins)).any()):
        raise ValueError(f"not an action id: they are {first_id}..{first_id + bins - 1}")
    index = (first_id + bins - ids - 1).clamp(0, bins - 2)
    return (2 * index + 1) / (bins - 1) - 1


@dataclass(frozen=True)
class DiscreteHead:
    """Action ids in and out of a backbone; all weights are the backbone's."""

    backbone: Backbone
    first_id: int  # lowest action id
    bins: int
    horizon: int  # T
    action_dims: int  # A

    def logits(self, sequence: Sequence, steps: int) -> Tensor:
        """Logits (B, steps, T * A, V) that predict each answer token of a sequence."""
        hidden = self.backbone(sequence)
        # The state before a token predicts it; a step that is not there may read index 0 - 1.
        before = read(hidden, (sequence.answers - 1).clamp(min=0))
        return self.backbone.logits(before).unflatten(1, (steps, -1))

    @torch.no_grad()
    def generate(self, sequence: Sequence) -> Tensor:
        """Ids (B, T, A) that follow a sequence, decoded greedily, out of the action ids alone."""
        hidden, sequence, cache = self.backbone.prefill(sequence)
        last = read(hidden, sequence.lengths[:, None] - 1)[:, 0]
        ids: list[Tensor] = []
        for _ in range(self.horizon * self.action_dims):
            if ids:
                sequence = extend(sequence, self.backbone.embed(ids[-1][:, None]))
                last = self.backbone(sequence, cache)[:, -1]
            logits = self.backbone.logits(last)[..., self.first_id : self.first_id + self.bins]
            ids.append(logits.argmax(-1) + self.first_id)
        return torch.stack(ids, dim=1).unflatten(1, (self.horizon, self.action_dims))

    def decode(self, ids: Tensor) -> Tensor:
        """Decode action ids to numbers in (-1, 1)."""
        return decode_bins(ids, self.first_id, self.bins)
