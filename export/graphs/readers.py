"""The language model of each family over embedded tokens; masks, positions and cache are given.

transformers makes masks and positions from what it is told; here they are plain tensors, so that what is
exported holds nothing but the net. Layers are transformers' own.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from edge.errors import UsageError
from vla.backbones.backbone import Backbone
from vla.backbones.cache import CACHE
from vla.sequence import ImageTokens

HIDDEN = -1e4  # added to the attention to what must not be seen; also fits into fp16
Extra = Mapping[str, Tensor]  # what the vision graph gives besides image_features, by name


@dataclass(frozen=True)
class Slots:
    """Static lengths in tokens. In the cache stand `[before] [image] [prompt] [said] [answer]`; what is said
    and answered overwrites the prompt's padding, so that the sequence is unbroken."""

    before: int  # fixed tokens ahead of the image
    image: int
    prompt: int  # at most
    said: int = 0  # a state, action tokens
    answer: int = 0  # at most

    @property
    def read(self) -> int:
        """What prefill computes."""
        return self.before + self.image + self.prompt + self.said

    @property
    def all(self) -> int:
        return self.read + self.answer


class StaticCache:
    """What a layer asks of a cache: takes keys and values, hands back all that may be attended to."""

    def __init__(
        self, past: Tensor | None = None, position: Tensor | None = None, cross: Tensor | None = None
    ) -> None:
        self.past = past  # (2 * layers, 1, heads, slots, head width): keys and values of layer 0, 1, ...
        self.position = position  # (1,) slot that is written
        self.given = cross  # (2 * layers, 1, heads, tokens, head width): of an encoder, of all layers
        self.layers: list[Tensor] = []
        self.cross: list[Tensor] = []
        self.cross_mask: Tensor | None = None  # (1, 1, 1, tokens)

    def update(self, keys: Tensor, values: Tensor, layer: int, **_: Any) -> tuple[Tensor, Tensor]:
        # From 5.24 on, transformers' layers hand on more that only its own caches read.
        if len(self.layers) > 2 * layer:  # asked again by the same layer: it looks at the encoder
            if self.given is not None:
                return self.given[2 * layer], self.given[2 * layer + 1]
            self.cross += [keys, values]
            return keys, values
        if self.past is not None:
            written = torch.arange(self.past.shape[3])[:, None] == self.position
            keys = torch.where(written, keys, self.past[2 * layer])
            values = torch.where(written, values, self.past[2 * layer + 1])
        self.layers += [keys, values]
        return keys, values

    def get_seq_length(self) -> int:
        return 0


class Reader(nn.Module):
    """A decoder with rotary positions: Gemma, Llama, Qwen."""

    first_position: ClassVar[int] = 0
    both_ways: ClassVar[bool] = False  # does the context see itself both ways?
    table: Tensor

    def __init__(self, backbone: Backbone, slots: Slots, picture: ImageTokens) -> None:
        """`picture` is what the backbone makes of one image. Raises UsageError where the slots do not fit."""
        super().__init__()
        self.model: Any = backbone.decoder
        self.embedding: Any = backbone.model.get_input_embeddings()
        self.output: Any = backbone.model.get_output_embeddings()
        self.cap = getattr(backbone.text_config, "final_logit_softcapping", None)
        self.slots = slots
        self.register_buffer("table", _positions(slots, picture) + self.first_position, persistent=False)
        _check_room(backbone, slots, int(self.table.max()) + 1)

    def embed(self, ids: Tensor) -> Tensor:
        """Ids (1, n) to tokens (1, n, D)."""
        return self.embedding(ids)

    def logits(self, hidden: Tensor) -> Tensor:
        """Of the next token, (..., D) -> (..., V)."""
        logits = self.output(hidden)
        return logits if self.cap is None else torch.tanh(logits / self.cap) * self.cap

    def read(self, context: Tensor, end: Tensor, said: int, cache: StaticCache, extra: Extra) -> Tensor:
        """A context (1, T, D) whose tokens end before slot `end` (1,), the last `said` of them said: states
        (1, max(said, 1), D) at those, or at its last token."""
        slots = torch.arange(context.shape[1])
        start = end - said
        until = torch.minimum(slots + 1, end)
        if self.both_ways:  # padding sees the context, and nobody sees it
            until = torch.maximum(start, until)
        hidden = self.layers(context, slots[None] < until[:, None], slots, cache, extra)
        return self.norm(hidden.index_select(1, end - max(said, 1) + torch.arange(max(said, 1))))

    def step(self, token: Tensor, position: Tensor, cache: StaticCache, extra: Extra) -> Tensor:
        """One token (1, 1, D) at its slot `position` (1,): its state (1, 1, D)."""
        assert cache.past is not None
        visible = (torch.arange(cache.past.shape[3]) <= position)[None]
        return self.norm(self.layers(token, visible, position, cache, extra))

    def first_step(self, end: Tensor) -> Tensor:
        """The slot of the first token that follows, (1,)."""
        return end

    def cache_of(self, cache: StaticCache) -> dict[str, Tensor]:
        """What decode needs, by name; the cache as long as all slots."""
        missing = self.slots.all - self.slots.read
        return {"cache": nn.functional.pad(torch.stack(cache.layers), (0, 0, 0, missing))}

    def layers(
        self, hidden: Tensor, visible: Tensor, slots: Tensor, cache: StaticCache, extra: Extra
    ) -> Tensor:
        """States before the last norm; `visible` broadcasts to (T, keys), `slots` (T,) are the tokens'."""
        mask = mask_of(visible)
        positions = self.table.index_select(1, slots)
        rotary = self.model.rotary_emb(hidden, position_ids=self.rotary_positions(positions))
        deep = extra.get("deep")
        for index, layer in enumerate(self.model.layers):
            hidden = layer(hidden, attention_mask=mask, **{CACHE: cache}, position_embeddings=rotary)
            if deep is not None and index < deep.shape[2] and hidden.shape[1] > 1:
                after = hidden.shape[1] - self.slots.before - self.slots.image
                hidden = hidden + nn.functional.pad(deep[:, :, index], (0, 0, self.slots.before, after))
        return hidden

    def rotary_positions(self, positions: Tensor) -> Tensor:
        """As the family's rotary embedding takes them."""
        return positions[:1]

    def norm(self, hidden: Tensor) -> Tensor:
        """The last norm."""
        return self.model.norm(hidden)


class PaliGemmaReader(Reader):
    """Its context sees itself both ways, and it counts from 1."""

    first_position = 1
    both_ways = True


class QwenReader(Reader):
    """Each token has three positions: in time, height and width."""

    def rotary_positions(self, positions: Tensor) -> Tensor:
        return positions[:, None]  # time, height, width


class KosmosReader(Reader):
    """Its positions are added to the tokens, which it scales."""

    def layers(
        self, hidden: Tensor, visible: Tensor, slots: Tensor, cache: StaticCache, extra: Extra
    ) -> Tensor:
        embedding = self.model.embed_positions
        places = self.table[0].index_select(0, slots) + embedding.padding_idx + 1
        hidden = hidden * self.model.embed_scale + embedding.weights.index_select(0, places)[None]
        mask = mask_of(visible)
        for layer in self.model.layers:
            hidden = layer(hidden, mask, **{CACHE: cache})
        return hidden

    def norm(self, hidden: Tensor) -> Tensor:
        return self.model.layer_norm(hidden)


class FlamingoReader(Reader):
    """Every few layers its tokens look at the image, those before the image at nothing."""

    def embed(self, ids: Tensor) -> Tensor:
        # Ids that were added to the vocabulary have a table of their own; which those are, must not change
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
    """An encoder reads the context, a decoder what is said, after its start token."""

    def __init__(self, backbone: Backbone, slots: Slots, picture: ImageTokens) -> None:
        super().__init__(backbone, slots, picture)
        self.encoder: Any = backbone.model.model.language_model.encoder
        self.start = int(backbone.text_config.decoder_start_token_id)

    def read(self, context: Tensor, end: Tensor, said: int, cache: StaticCache, extra: Extra) -> Tensor:
        slots = torch.arange(context.shape[1])
        first = self.embed(torch.tensor([[self.start]]))
        if said:
            first = torch.cat([first, context.index_select(1, end - said + torch.arange(said))], dim=1)
        seen = slots < end - said
        hidden = self.encoder.layernorm_embedding(context + self.encoder.embed_positions(slots[None]))
        mask = mask_of(seen[None])
        for layer in self.encoder.layers:
            hidden = layer(hidden, mask)
        places = torch.arange(first.shape[1])
        cache.cross_mask = mask
        hidden = self._decode(first, places, places[None] <= places[:, None], hidden, mask, cache)
        return hidden[:, -max(said, 1) :]

    def step(self, token: Tensor, position: Tensor, cache: StaticCache, extra: Extra) -> Tensor:
        assert cache.past is not None and cache.given is not None
        visible = (torch.arange(cache.past.shape[3]) <= position)[None]
        # Keys and values of the encoder are given; what they would be computed from is not looked at.
        return self._decode(token, position, visible, torch.zeros_like(token), extra["cross_mask"], cache)

    def _decode(
        self,
        tokens: Tensor,
        places: Tensor,
        visible: Tensor,
        memory: Tensor,
        seen: Tensor,  # as it is added to attention
        cache: StaticCache,
    ) -> Tensor:
        offset = self.model.embed_positions.offset
        positions = self.model.embed_positions.weight.index_select(0, places + offset)[None]
        hidden = self.model.layernorm_embedding(tokens + positions)
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
        return end.clamp(max=1)  # after the start token; computed, since no engine gives out a constant

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


def mask_of(visible: Tensor) -> Tensor:
    """What is added to attention, (1, 1, T, keys)."""
    return torch.where(visible, 0.0, HIDDEN)[None, None]


def _positions(slots: Slots, picture: ImageTokens) -> Tensor:
    """Of every slot, (3, slots): time, height and width, the same but for families that place images in a
    grid, which takes fewer positions than it has tokens."""
    before, after = torch.arange(slots.before), torch.arange(slots.all - slots.before - slots.image)
    if picture.offsets is None:
        image, taken = torch.arange(slots.image).expand(3, -1), slots.image
    else:
        image, taken = picture.offsets[:, 0], picture.advance
    parts = [before.expand(3, -1), image + slots.before, (after + slots.before + taken).expand(3, -1)]
    return torch.cat(parts, dim=1)


def _check_room(backbone: Backbone, slots: Slots, positions: int) -> None:
    config = backbone.text_config
    most = getattr(config, "max_position_embeddings", None)
    if most is not None and positions > most:
        raise UsageError(
            f"image, prompt and answer take {positions} positions, {backbone.family} has {most}",
            "give a smaller image, --prompt-tokens or --answer-tokens",
        )
    window = getattr(config, "sliding_window", None)
    if window is not None and slots.all > window:
        raise UsageError(
            f"image, prompt and answer take {slots.all} tokens, {backbone.family} sees {window} back",
            "give a smaller image, --prompt-tokens or --answer-tokens",
        )
