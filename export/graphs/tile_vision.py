"""The vision encoder of SmolVLM and Idefics 3 for tiles of one size: positions of patches are constants.

torch looks positions up among their edges; as exported, that reads beyond the last edge if a side has 27
patches, as the large SmolVLM's does. The layers are transformers' own.
"""

from typing import Any

import torch
from torch import Tensor, nn

from vla.backbones.families import SmolVLM


class TileVision(nn.Module):
    """pixel_values (1, 3, H, W) -> image_features (1, N, D)."""

    places: Tensor

    def __init__(self, backbone: SmolVLM, height: int, width: int) -> None:
        super().__init__()
        self.vision: Any = backbone.model.model.vision_model
        self.connector: Any = backbone.model.model.connector
        found: list[Tensor] = []
        hook = self.vision.embeddings.position_embedding.register_forward_hook(
            lambda _, given, __: found.append(given[0])
        )
        with torch.inference_mode():
            backbone.encode(torch.zeros(1, 3, height, width, dtype=backbone.dtype))
        hook.remove()
        self.register_buffer("places", found[0].clone(), persistent=False)

    def forward(self, pixel_values: Tensor) -> tuple[Tensor, ...]:
        embeddings = self.vision.embeddings
        patches = embeddings.patch_embedding(pixel_values).flatten(2).transpose(1, 2)
        placed = patches + embeddings.position_embedding(self.places)
        hidden = self.vision.encoder(inputs_embeds=placed, attention_mask=None).last_hidden_state
        return (self.connector(self.vision.post_layernorm(hidden)),)
