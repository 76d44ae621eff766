"""The readers of all families: how their language models differ from one with rotary positions."""

from typing import Any

import torch
from torch import Tensor, nn

from export.graphs.reader import Extra, Reader, Slots, StaticCache, mask_of
from vla.backbones.backbone import Backbone
from vla.backbones.cache import CACHE
from vla.sequence import EncodedImages


class PaliGemmaReader(Reader):
    """A Gemma whose context sees itself both ways; it counts positions from 1."""

    first_position = 1
    both_ways = True


class QwenReader(Reader):
    """A Qwen, whose tokens have three positions each: in time, height and width."""

    def rotary_positions(self, positions: Tensor) -> Tensor:
        return positions[:, None]  # time, height, width


class KosmosReader(Reader):
    """Kosmos-2's decoder, which scales its tokens and adds positions to them."""

    def layers(
        self, hidden: Tensor, visible: Tensor, slots: Tensor, cache: StaticCache, extra: Extra
    ) -> Tensor:
        embedding = self.model.embed_positions
        positions = self.table[0].index_select(0, slots) + embedding.padding_idx + 1
        hidden = hidden * self.model.embed_scale + embedding.weights.index_select(0, positions)[None]
        mask = mask_of(visible)
        for layer in self.model.layers:
            hidden = layer(hidden, mask, **{CACHE: cache})
        return hidden

    def norm(self, hidden: Tensor) -> Tensor:
        return self.model.layer_norm(hidden)


class FlamingoReader(Reader):
    """IDEFICS's decoder.

    Every few layers its tokens look at the image, and those before the image at nothing.
    """

    def embed(self, ids: Tensor) -> Tensor:
        # Ids that were added to the vocabulary have a table of their own. Which those are must not change
        # shapes.
        if not self.embedding.num_additional_embeddings:
            return self.embedding(ids)
        added, first = self.embedding.additional_embedding, self.embedding.num_embeddings
        table = nn.functional.embedding(ids.clamp(max=first - 1), self.embedding.weight)
        return torch.where((ids < first)[..., None], table, added((ids - first).clamp(min=0)))

    def layers(
        self, hidden: Tensor, visible: Tensor, slots: Tensor, cache: StaticCache, extra: Extra
    ) -> Tensor:
        mask, memory = mask_of(visible), extra["image_features"]
        positions = self.table[:1].index_select(1, slots)
        sees = (slots >= self.slots.before - 1).to(hidden.dtype)[None]  # the last before it is <image>
        for index, layer in enumerate(self.model.layers):
            every = self.model.cross_layer_interval
            if index % every == 0:
                hidden = self.model.gated_cross_attn_layers[index // every](
                    hidden, mask, memory, image_attention_mask=None, cross_attention_gate=sees
                )
            hidden = layer(hidden, attention_mask=mask, position_ids=positions, **{CACHE: cache})
        return hidden


class FlorenceReader(Reader):
    """Florence-2's BART: an encoder reads the context, a decoder its start token and what is appended."""

    def __init__(self, backbone: Backbone, slots: Slots, picture: EncodedImages) -> None:
        super().__init__(backbone, slots, picture)
        self.encoder: Any = backbone.model.model.language_model.encoder
        self.start = int(backbone.text_config.decoder_start_token_id)

    def read(self, context: Tensor, end: Tensor, appended: int, cache: StaticCache, extra: Extra) -> Tensor:
        slots = torch.arange(context.shape[1])
        first = self.embed(torch.tensor([[self.start]]))
        if appended:
            first = torch.cat(
                [first, context.index_select(1, end - appended + torch.arange(appended))], dim=1
            )
        seen = slots < end - appended
        hidden = self.encoder.layernorm_embedding(context + self.encoder.embed_positions(slots[None]))
        mask = mask_of(seen[None])
        for layer in self.encoder.layers:
            hidden = layer(hidden, mask)
        positions = torch.arange(first.shape[1])
        cache.cross_mask = mask
        hidden = self._decode(first, positions, positions[None] <= positions[:, None], hidden, mask, cache)
        return hidden[:, -max(appended, 1) :]

    def step(self, token: Tensor, position: Tensor, cache: StaticCache, extra: Extra) -> Tensor:
        assert cache.past is not None and cache.given is not None
        visible = (torch.arange(cache.past.shape[3]) <= position)[None]
        # Keys and values of the encoder are given, so the memory that they were computed from is never read.
        return self._decode(token, position, visible, torch.zeros_like(token), extra["cross_mask"], cache)

    def _decode(
        self,
        tokens: Tensor,
        positions: Tensor,
        visible: Tensor,
        memory: Tensor,
        seen: Tensor,  # added to attention
        cache: StaticCache,
    ) -> Tensor:
        offset = self.model.embed_positions.offset
        placed = self.model.embed_positions.weight.index_select(0, positions + offset)[None]
        hidden = self.model.layernorm_embedding(tokens + placed)
        for layer in self.model.layers:
            hidden = layer(
                hidden,
                mask_of(visible),
                memory,
                encoder_attention_mask=seen,
                **{CACHE: cache},
            )
        return hidden

    def first_step(self, end: Tensor) -> Tensor:
        return end.clamp(
            max=1
        )  # the slot after the start token; computed, since no engine outputs a constant

    def cache_of(self, cache: StaticCache) -> dict[str, Tensor]:
        own = nn.functional.pad(torch.stack(cache.layers), (0, 0, 0, self.slots.answer))
        assert cache.cross_mask is not None
        return {"cache": own, "cross": torch.stack(cache.cross), "cross_mask": cache.cross_mask}


READERS: dict[str, type[Reader]] = {
    "paligemma": PaliGemmaReader,
    "kosmos-2": KosmosReader,
    "qwen-vl": QwenReader,
    "llava": Reader,
    "flamingo": FlamingoReader,
    "smolvlm": Reader,
    "florence-2": FlorenceReader,
}
