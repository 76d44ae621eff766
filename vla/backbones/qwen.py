"""Qwen2.5-VL and Qwen3-VL: images in patches, and three positions for each token (time, height, width)."""

from typing import Any, ClassVar

import torch
from torch import Tensor
from transformers.cache_utils import Cache
from transformers.models.qwen2_5_vl.modeling_qwen2_5_vl import Qwen2_5_VLForConditionalGeneration
from transformers.models.qwen3_vl.modeling_qwen3_vl import Qwen3VLForConditionalGeneration

from vla.backbones.backbone import Backbone, Markers
from vla.backbones.cache import CACHE
from vla.sequence import IMAGE, EncodedImages, Sequence


class QwenVL(Backbone):
    """Qwen-VL; image sides are multiples of patch size times merge size (28 px for 2.5, 32 px for 3).

    A clip is one video to 2.5; 3 takes it as one image for each temporal patch (here without the time stamps
    in words that its processor puts between them).
    """

    family = "qwen-vl"
    classes: ClassVar = {
        "qwen2_5_vl": Qwen2_5_VLForConditionalGeneration,
        "qwen3_vl": Qwen3VLForConditionalGeneration,
    }
    markers = Markers(end="<|im_end|>", image_start=("<|vision_start|>",), image_end=("<|vision_end|>",))

    def patches(self, clips: Tensor) -> tuple[Tensor, tuple[int, int, int]]:
        """Cut clips (N, frames, 3, H, W) into rows of pixels and a grid, as Qwen2VLImageProcessor does."""
        vision = self.model.config.vision_config
        size, merge, depth = vision.patch_size, vision.spatial_merge_size, vision.temporal_patch_size
        count, frames, channels, height, width = clips.shape
        if height % (size * merge) or width % (size * merge):
            raise ValueError(f"image sides must be multiples of {size * merge} px, got {height} x {width}")
        grid = (frames // depth, height // size, width // size)
        shape = (
            count,
            grid[0],
            depth,
            channels,
            grid[1] // merge,
            merge,
            size,
            grid[2] // merge,
            merge,
            size,
        )
        rows = clips.reshape(shape).permute(0, 1, 4, 7, 5, 8, 3, 2, 6, 9)
        return rows.reshape(-1, channels * depth * size * size), grid

    def _encode_grid(self, clips: Tensor, valid: Tensor) -> EncodedImages:
        # valid is (N, temporal patches); missing patches take no position in time either.
        rows, grid = self.patches(clips)
        model, vision = self.model.model, self.model.config.vision_config
        grids = torch.tensor([grid] * len(clips), device=clips.device)
        features = model.get_image_features(rows, grids)
        merge = vision.spatial_merge_size
        height, width = grid[1] // merge, grid[2] // merge
        # A video's positions in time are those of get_rope_index at one temporal patch a second.
        apart = vision.tokens_per_second if grid[0] > 1 else 1
        times = (valid.long().cumsum(1) - 1).clamp(min=0) * apart
        shape = (len(clips), grid[0], height, width)
        positions = (
            times[:, :, None, None].expand(shape),
            torch.arange(height, device=clips.device)[:, None].expand(shape),
            torch.arange(width, device=clips.device).expand(shape),
        )
        deep = getattr(features, "deepstack_features", None)
        return EncodedImages(
            torch.stack(list(features.pooler_output)),
            offsets=torch.stack([p.flatten(1) for p in positions]),
            advance=max(height, width),
            deep=None if not deep else torch.stack([torch.stack(list(f)) for f in deep], dim=2),
        )

    def encode(self, images: Tensor) -> EncodedImages:
        depth = self.model.config.vision_config.temporal_patch_size
        return self._encode_grid(
            images[:, None].expand(-1, depth, -1, -1, -1), torch.ones_like(images[:, :1, 0, 0])
        )

    def encode_clip(self, clips: Tensor, valid: Tensor) -> list[tuple[EncodedImages, Tensor]]:
        depth = self.model.config.vision_config.temporal_patch_size
        missing = -clips.shape[1] % depth
        clips = torch.cat([clips[:, :1].expand(-1, missing, -1, -1, -1), clips], dim=1)
        valid = torch.cat([torch.zeros_like(valid[:, :1]).expand(-1, missing), valid], dim=1)
        there = valid.unflatten(1, (-1, depth)).any(2)
        if self.model.config.model_type == "qwen3_vl":
            parts = [
                (self._encode_grid(clip, t), t)
                for clip, t in zip(clips.split(depth, 1), there.split(1, 1), strict=True)
            ]
        else:
            parts = [(self._encode_grid(clips, there), there)]
        return [(p, t.repeat_interleave(p.tokens.shape[1] // t.shape[1], dim=1)) for p, t in parts]

    def forward(self, sequence: Sequence, cache: Cache | None = None) -> Tensor:
        extra: dict[str, Any] = {}
        if sequence.deep is not None:
            images = (sequence.roles == IMAGE) & sequence.mask
            extra["visual_pos_masks"] = images
            extra["deepstack_visual_embeds"] = list(sequence.deep[images].unbind(1))
        return self.decoder(
            inputs_embeds=sequence.embeds,
            attention_mask=sequence.mask.long(),
            position_ids=sequence.positions,
            **{CACHE: cache},
            use_cache=cache is not None,
            **extra,
        ).last_hidden_state
