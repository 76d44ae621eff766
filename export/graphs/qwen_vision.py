"""Qwen's vision encoder for images of one size: its positions, windows and frames are constants.

The layers are transformers' own; what these compute from an image's size at run time is computed here once.
"""

from itertools import groupby, pairwise
from typing import Any

import torch
from torch import Tensor, nn
from transformers.models.qwen2_5_vl.modeling_qwen2_5_vl import apply_rotary_pos_emb_vision
from transformers.vision_utils import (
    get_vision_interpolation_indices_and_weights,
    get_vision_position_ids,
    get_vision_window_index,
)

from vla.backbones.qwen import QwenVL


class QwenVision(nn.Module):
    """pixel_values (1, 3, H, W) -> image_features (1, N, D); Qwen3 has deep (1, N, K, D), too."""

    cos: Tensor
    sin: Tensor
    order: Tensor
    places: Tensor
    shares: Tensor

    def __init__(self, backbone: QwenVL, height: int, width: int) -> None:
        super().__init__()
        visual: Any = backbone.model.model.visual
        self.visual = visual
        config = backbone.model.config.vision_config
        self.depth: int = config.temporal_patch_size
        self.merge, self.patch = merge, patch = config.spatial_merge_size, config.patch_size
        grid = torch.tensor([[1, height // patch, width // patch]])
        count = int(grid.prod())
        self.whole = [count]
        self.windows = self.whole
        self.full = set(getattr(config, "fullatt_block_indexes", range(config.depth)))
        self.deep_after: list[int] = list(getattr(config, "deepstack_visual_indexes", ()))
        order = torch.arange(count // merge**2)  # the order of groups of merge x merge patches
        if hasattr(config, "window_size"):
            order, ends = get_vision_window_index(grid, merge, config.window_size, patch)
            self.windows = [b - a for a, b in pairwise(ends.tolist())]
        patches = (order[:, None] * merge**2 + torch.arange(merge**2)).flatten()
        cos, sin = visual.rotary_pos_emb(torch.zeros(1), get_vision_position_ids(grid, merge))
        constants = {"cos": cos[patches], "sin": sin[patches]}
        self.learned = hasattr(visual, "pos_embed")  # Qwen3 has learned positions besides the rotary ones
        if self.learned:
            indices, weights = get_vision_interpolation_indices_and_weights(
                grid,
                num_grid_per_side=visual.num_grid_per_side,
                mode=visual.interpolation_mode,
                align_corners=visual.interpolation_align_corners,
                spatial_merge_size=merge,
            )
            constants |= {"places": indices[patches], "shares": weights[patches]}
        for name, value in constants.items():
            self.register_buffer(name, value, persistent=False)
        self.register_buffer("order", patches, persistent=False)
        self.register_buffer("back", torch.argsort(order), persistent=False)

    def forward(self, pixel_values: Tensor) -> tuple[Tensor, ...]:
        projection = self.visual.patch_embed.proj  # a convolution in which every window is a row
        hidden = nn.functional.linear(
            self._rows(pixel_values), projection.weight.flatten(1), getattr(projection, "bias", None)
        )
        if self.learned:
            hidden = hidden + (self.visual.pos_embed(self.places) * self.shares[:, :, None]).sum(1)
        deep: list[Tensor] = []
        for index, block in enumerate(self.visual.blocks):
            lengths = self.whole if index in self.full else self.windows
            hidden = hidden + self._attend(block.attn, block.norm1(hidden), lengths)
            hidden = hidden + block.mlp(block.norm2(hidden))
            if index in self.deep_after:
                mergers = self.visual.deepstack_merger_list
                deep.append(mergers[self.deep_after.index(index)](hidden))
        features = self.visual.merger(hidden)[self.back][None]
        return (features, torch.stack(deep, dim=1)[None]) if deep else (features,)

    def _rows(self, pixel_values: Tensor) -> Tensor:
        """Cut an image that is all frames into patches, as `vla.backbones.qwen` does.

        They come in the order of the windows. No tensor has more than TensorRT's 8 dimensions.
        """
        merge, patch = self.merge, self.patch
        _, channels, height, width = pixel_values.shape
        cut = (channels, height // patch // merge, merge, patch, width // patch // merge, merge, patch)
        rows = pixel_values.reshape(cut).permute(1, 4, 2, 5, 0, 3, 6).reshape(-1, channels, 1, patch * patch)
        return rows[self.order].expand(-1, -1, self.depth, -1).flatten(1)

    def _attend(self, attention: Any, hidden: Tensor, lengths: list[int]) -> Tensor:
        count = hidden.shape[0]
        q, k, v = attention.qkv(hidden).reshape(count, 3, attention.num_heads, -1).unbind(1)
        q, k = apply_rotary_pos_emb_vision(q, k, self.cos, self.sin)
        parts: list[Tensor] = []
        start = 0
        for length, alike in groupby(lengths):  # windows of one length make a batch
            end = start + length * len(list(alike))
            queries, keys, values = (
                x[start:end].reshape(-1, length, *x.shape[1:]).transpose(1, 2) for x in (q, k, v)
            )
            scores = queries @ keys.transpose(2, 3) * attention.scaling
            seen = torch.softmax(scores, dim=-1) @ values
            parts.append(seen.transpose(1, 2).reshape(end - start, -1))
            start = end
        return attention.proj(torch.cat(parts))
