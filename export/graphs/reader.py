"""A language model over embedded tokens, whose masks, positions and cache are given as plain tensors.

transformers computes masks and positions from its arguments; here they are inputs or constants, so that the
exported graph holds nothing but the net. The layers are transformers' own.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from edge.errors import UsageError
from vla.backbones.backbone import Backbone
from vla.backbones.cache import CACHE
from vla.sequence import EncodedImages

HIDDEN = -1e4  # added to the attention to what must not be seen; also fits into fp16
Extra = Mapping[str, Tensor]  # outputs of the vision graph besides image_features, by name


@dataclass(frozen=True)
class Slots:
    """Static lengths in tokens.

    The cache holds `[before] [image] [prompt] [appended] [answer]`; what is appended and answered overwrites
    the prompt's padding, so that the sequence is unbroken.
    """

    before: int  # fixed tokens ahead of the image
    image: int
    prompt: int  # at most
    appended: int = 0  # the tokens of a state and of actions
    answer: int = 0  # at most

    @property
    def read(self) -> int:
        """The tokens that prefill computes."""
        return self.before + self.image + self.prompt + self.appended

    @property
    def all(self) -> int:
        """The tokens that the cache has room for."""
        return self.read + self.answer


class StaticCache:
    """A cache of static length, as a layer calls it: it takes keys and values, and returns all of them."""

    def __init__(
        self, past: Tensor | None = None, position: Tensor | None = None, cross: Tensor | None = None
    ) -> None:
        self.past = past  # (2 * layers, 1, heads, slots, head width): keys and values of layer 0, 1, ...
        self.position = position  # (1,) slot that is written
        self.given = cross  # (2 * layers, 1, heads, tokens, head width): keys and values of the encoder
        self.layers: list[Tensor] = []
        self.cross: list[Tensor] = []
        self.cross_mask: Tensor | None = None  # (1, 1, 1, tokens)

    def update(self, keys: Tensor, values: Tensor, layer: int, **_: Any) -> tuple[Tensor, Tensor]:
        """Take a layer's new keys and values, (1, heads, T, head width), and return those to attend to."""
        # From 5.24 on, transformers' layers hand on more that only its own caches read.
        if len(self.layers) > 2 * layer:  # the same layer calls again: it attends to the encoder
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
        """Return 0: positions are given, and not counted from here."""
        return 0


class Reader(nn.Module):
    """A decoder with rotary positions, such as Gemma's, Llama's and Qwen's."""

    first_position: ClassVar[int] = 0
    both_ways: ClassVar[bool] = False  # does the context see itself both ways?
    table: Tensor

    def __init__(self, backbone: Backbone, slots: Slots, picture: EncodedImages) -> None:
        """Take `picture`, the backbone's tokens for one image. Raises UsageError if the slots do not fit."""
        super().__init__()
        self.model: Any = backbone.decoder
        self.embedding: Any = backbone.model.get_input_embeddings()
        self.output: Any = backbone.model.get_output_embeddings()
        self.cap = getattr(backbone.text_config, "final_logit_softcapping", None)
        self.slots = slots
        self.register_buffer("table", _positions(slots, picture) + self.first_position, persistent=False)
        _check_room(backbone, slots, int(self.table.max()) + 1)

    def embed(self, ids: Tensor) -> Tensor:
        """Embed ids (1, n) as tokens (1, n, D)."""
        return self.embedding(ids)

    def logits(self, hidden: Tensor) -> Tensor:
        """Compute logits of the next token, (..., D) -> (..., V)."""
        logits = self.output(hidden)
        return logits if self.cap is None else torch.tanh(logits / self.cap) * self.cap

    def read(self, context: Tensor, end: Tensor, appended: int, cache: StaticCache, extra: Extra) -> Tensor:
        """Compute states at the `appended` last tokens of a context, or at its last token.

        Their shape is (1, max(appended, 1), D). The context is (1, T, D) and ends before slot `end` (1,).
        """
        slots = torch.arange(context.shape[1])
        start = end - appended
        until = torch.minimum(slots + 1, end)
        if self.both_ways:  # padding sees the context, and nobody sees it
            until = torch.maximum(start, until)
        hidden = self.layers(context, slots[None] < until[:, None], slots, cache, extra)
        return self.norm(hidden.index_select(1, end - max(appended, 1) + torch.arange(max(appended, 1))))

    def step(self, token: Tensor, position: Tensor, cache: StaticCache, extra: Extra) -> Tensor:
        """Compute the state (1, 1, D) of one token (1, 1, D) at its slot `position` (1,)."""
        assert cache.past is not None
        visible = (torch.arange(cache.past.shape[3]) <= position)[None]
        return self.norm(self.layers(token, visible, position, cache, extra))

    def first_step(self, end: Tensor) -> Tensor:
        """Return the slot of the first token that follows, (1,)."""
        return end

    def cache_of(self, cache: StaticCache) -> dict[str, Tensor]:
        """Return the tensors that decode needs, by name; the cache is as long as all slots."""
        missing = self.slots.all - self.slots.read
        return {"cache": nn.functional.pad(torch.stack(cache.layers), (0, 0, 0, missing))}

    def layers(
        self, hidden: Tensor, visible: Tensor, slots: Tensor, cache: StaticCache, extra: Extra
    ) -> Tensor:
        """Compute states before the last norm.

        `visible` broadcasts to (T, keys), `slots` (T,) are those of the tokens.
        """
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
        """Choose positions (3, T) as the family's rotary embedding takes them."""
        return positions[:1]

    def norm(self, hidden: Tensor) -> Tensor:
        """Apply the last norm."""
        return self.model.norm(hidden)


def mask_of(visible: Tensor) -> Tensor:
    """Return the numbers that are added to attention, (1, 1, T, keys)."""
    return torch.where(visible, 0.0, HIDDEN)[None, None]


def _positions(slots: Slots, picture: EncodedImages) -> Tensor:
    """Return the positions of all slots, (3, slots), in time, height and width.

    They are the same but for families that place images in a grid, which takes fewer positions than it has
    tokens.
    """
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
