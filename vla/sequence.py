"""Joins segments to one sequence for a decoder, with exact masks and positions.

Segments may hold tokens that are not there (a padded instruction, a step before the episode began).
`assemble` moves the tokens that are there to the front of each row, so that what is not there changes
nothing: neither positions nor attention. Shapes: B rows, S tokens, D width of the language model.
"""

from dataclasses import dataclass, replace

import torch
from torch import Tensor

CONTEXT, IMAGE, ANSWER, END = range(4)  # roles of tokens


@dataclass(frozen=True)
class EncodedImages:
    """N images (or clips) as a backbone encoded them: P tokens each."""

    tokens: Tensor  # (N, P, D)
    offsets: Tensor | None = None  # (3, N, P) positions in time, height and width, from the first token
    advance: int = 0  # positions that the whole image takes; only with offsets
    memory: Tensor | None = None  # (N, M, width of vision), for cross-attention
    deep: Tensor | None = None  # (N, P, K, D): added to the hidden states after the first K decoder layers

    def split(self, steps: int) -> list["EncodedImages"]:
        """Split N = B * steps images, steps varying fastest, into the B images of each step."""
        return [
            EncodedImages(
                self.tokens[step::steps],
                None if self.offsets is None else self.offsets[:, step::steps],
                self.advance,
                None if self.memory is None else self.memory[step::steps],
                None if self.deep is None else self.deep[step::steps],
            )
            for step in range(steps)
        ]


@dataclass(frozen=True)
class Segment:
    """A run of tokens of one role."""

    embeds: Tensor  # (B, n, D)
    mask: Tensor  # (B, n) bool: the token is there
    role: int = CONTEXT
    block: int = -1  # tokens of one block >= 0 may see each other both ways
    image: EncodedImages | None = None


@dataclass(frozen=True)
class Sequence:
    """A batch of sequences, each row's tokens first and its padding last."""

    embeds: Tensor  # (B, S, D)
    mask: Tensor  # (B, keys) bool; keys is S, or all tokens so far when a cache holds the earlier ones
    positions: Tensor  # (3, B, S) int64; the three differ only in families that arrange images in a grid
    next_position: Tensor  # (B,) int64, for the token that would follow
    roles: Tensor  # (B, S) int64, CONTEXT on padding
    blocks: Tensor  # (B, S) int64, -1 for causal tokens and padding
    answers: Tensor  # (B, n) int64: indices of the ANSWER tokens, in order; any index if they are not there
    memory: Tensor | None = None  # (B, images, M, width of vision), or an encoder's (B, S, D)
    seen: Tensor | None = None  # (B, S, images) bool: images that came at or before the token
    deep: Tensor | None = None  # (B, S, K, D), zeros off the images

    @property
    def lengths(self) -> Tensor:
        """Number of tokens in each row, (B,)."""
        return self.mask.sum(1)


def _positions(segments: list[Segment]) -> tuple[Tensor, Tensor]:
    # An image with a grid takes fewer positions than it has tokens; all else takes one position a token.
    rows, device = segments[0].mask.shape[0], segments[0].mask.device
    start = torch.zeros(rows, dtype=torch.long, device=device)
    parts: list[Tensor] = []
    for segment in segments:
        mask, image = segment.mask, segment.image
        if image is None or image.offsets is None:
            local = (mask.long().cumsum(1) - 1).clamp(min=0).expand(3, -1, -1)
            advance = mask.sum(1)
        else:
            local, advance = image.offsets, mask.any(1) * image.advance
        parts.append(local + start[None, :, None])
        start = start + advance
    return torch.cat(parts, dim=2), start


def _memory(segments: list[Segment]) -> tuple[Tensor | None, Tensor | None]:
    count = torch.zeros((), dtype=torch.long)
    memories: list[Tensor] = []
    valid: list[Tensor] = []
    counts: list[Tensor] = []
    for segment in segments:
        if segment.image is not None and segment.image.memory is not None:
            memories.append(segment.image.memory)
            valid.append(segment.mask.any(1))
            count = count + 1
        counts.append(count.expand(segment.mask.shape[1]))
    if not memories:
        return None, None
    inserted = torch.cat(counts).to(valid[0].device)  # (S,): images that came at or before each token
    order = torch.arange(len(memories), device=inserted.device)
    seen = (order < inserted[:, None])[None] & torch.stack(valid, dim=1)[:, None]
    return torch.stack(memories, dim=1), seen


def _deep(segments: list[Segment]) -> Tensor | None:
    found = [s.image.deep for s in segments if s.image is not None and s.image.deep is not None]
    if not found:
        return None
    depth = found[0].shape[2]
    parts = [
        s.image.deep
        if s.image is not None and s.image.deep is not None
        else s.embeds.new_zeros(*s.embeds.shape[:2], depth, s.embeds.shape[2])
        for s in segments
    ]
    return torch.cat(parts, dim=1)


def _take(values: Tensor, index: Tensor) -> Tensor:
    """Gather values (B, S, ...) at index (B, n) -> (B, n, ...)."""
    shape = index.shape + (1,) * (values.ndim - 2)
    return values.gather(1, index.reshape(shape).expand(*index.shape, *values.shape[2:]))


def assemble(segments: list[Segment]) -> Sequence:
    """Join segments in order and move the padding of each row to its end."""
    mask = torch.cat([s.mask for s in segments], dim=1)
    roles = torch.cat([torch.full_like(s.mask, s.role, dtype=torch.long) for s in segments], dim=1)
    blocks = torch.cat([torch.full_like(s.mask, s.block, dtype=torch.long) for s in segments], dim=1)
    positions, next_position = _positions(segments)
    memory, seen = _memory(segments)
    deep = _deep(segments)
    order = torch.argsort(~mask, dim=1, stable=True)
    moved_to = torch.argsort(order, dim=1)  # the new index of each token
    length = int(mask.sum(1).max())
    order = order[:, :length]
    mask_after = _take(mask, order)
    return Sequence(
        embeds=_take(torch.cat([s.embeds for s in segments], dim=1), order),
        mask=mask_after,
        positions=torch.stack([_take(p, order) for p in positions]),
        next_position=next_position,
        roles=_take(roles, order) * mask_after,
        blocks=_take(blocks, order).masked_fill(~mask_after, -1),
        answers=moved_to[:, (roles[0] == ANSWER).nonzero()[:, 0]].clamp(max=length - 1),
        memory=memory,
        seen=None if seen is None else _take(seen, order),
        deep=None if deep is None else _take(deep, order),
    )


def extend(sequence: Sequence, embeds: Tensor) -> Sequence:
    """Make the sequence of one more token, embeds (B, 1, D); the decoder's cache holds what came before."""
    ones = torch.ones_like(sequence.mask[:, :1])
    return replace(
        sequence,
        embeds=embeds,
        mask=torch.cat([sequence.mask, ones], dim=1),
        positions=sequence.next_position[None, :, None].expand(3, -1, 1),
        next_position=sequence.next_position + 1,
        roles=torch.full_like(ones, ANSWER, dtype=torch.long),
        blocks=torch.full_like(ones, -1, dtype=torch.long),
        answers=torch.zeros_like(ones, dtype=torch.long),
        seen=None if sequence.seen is None else sequence.seen.any(1, keepdim=True),
        deep=None,
    )


def read(hidden: Tensor, index: Tensor) -> Tensor:
    """Gather hidden states (B, S, D) at index (B, n) -> (B, n, D)."""
    return _take(hidden, index)
