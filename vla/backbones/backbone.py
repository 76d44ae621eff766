"""The interface of vision-language models: images and ids to tokens, a sequence to hidden states.

Families are the classes in `vla.backbones.families`; to add one, write such a class.
"""

import json
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from transformers.cache_utils import Cache, DynamicCache
from transformers.modeling_utils import PreTrainedModel

from edge.errors import UsageError
from vla.backbones.cache import CACHE
from vla.sequence import EncodedImages, Sequence


@dataclass(frozen=True)
class Layout:
    """Ids that a family writes around images: `before [start image end]... after`, then the instruction."""

    before: tuple[int, ...] = ()
    image_start: tuple[int, ...] = ()
    image_end: tuple[int, ...] = ()
    after: tuple[int, ...] = ()
    end: int = 1  # ends an answer
    image: int | None = None  # for families whose images are one token each

    def to_json(self) -> dict[str, Any]:
        """Convert to what JSON can hold."""
        return asdict(self)

    @classmethod
    def from_json(cls, fields: dict[str, Any]) -> "Layout":
        """Read back what `to_json` and JSON made of a layout."""
        ids: dict[str, Any] = {k: tuple(v) if isinstance(v, list) else v for k, v in fields.items()}
        return cls(**ids)


@dataclass(frozen=True)
class Markers:
    """The names of a layout's tokens in the family's tokenizer."""

    end: str
    before: tuple[str, ...] = ()
    image_start: tuple[str, ...] = ()
    image_end: tuple[str, ...] = ()
    after: tuple[str, ...] = ()
    instead: Mapping[str, str] = field(
        default_factory=dict
    )  # another name for a token, in tokenizers without the first
    spelled: tuple[str, ...] = ()  # names that a tokenizer may write out, as several tokens
    image: str | None = None


class Backbone(nn.Module, ABC):
    """A model of transformers behind one interface. Families override `encode` and all that differs."""

    family: ClassVar[str]
    classes: ClassVar[dict[str, type[PreTrainedModel]]]  # "model_type" of config.json -> class
    markers: ClassVar[Markers]
    interleaves: ClassVar[bool] = True  # may answers stand between images (history "pre")?

    def __init__(self, model: PreTrainedModel, layout: Layout, config: dict[str, Any] | None = None) -> None:
        super().__init__()
        self.model: Any = model
        if getattr(self.text_config, "attn_logit_softcapping", None) is not None:
            # Gemma 2 caps its attention scores, which other implementations silently leave out.
            self.model.get_decoder().set_attn_implementation("eager")
        self.layout = layout
        # `vla.backbones.loading.backbone_from_config` builds the same net from this.
        if config is None:
            config = json.loads(model.config.to_json_string(use_diff=False))
        self.config = config

    @property
    def width(self) -> int:
        """D, the width of the language model's tokens."""
        return self.model.get_input_embeddings().weight.shape[1]

    @property
    def vocabulary(self) -> int:
        """V, the number of ids that `logits` tells apart."""
        return self.model.get_output_embeddings().weight.shape[0]

    @property
    def dtype(self) -> torch.dtype:
        """The type of the weights."""
        return self.model.dtype

    @property
    def text_config(self) -> Any:
        """The language model's part of transformers' configuration."""
        return self.model.config.get_text_config()

    @property
    def decoder(self) -> nn.Module:
        """The language model that `forward` runs; its `layers` are what last-N and LoRA train."""
        return self.model.model.language_model

    def embed(self, ids: Tensor) -> Tensor:
        """Embed ids (B, n) as tokens (B, n, D) for `forward`."""
        return self.model.get_input_embeddings()(ids)

    @property
    def image_id(self) -> int:
        """The id of the token that stands for an image. Raises UsageError if the layout names none."""
        if self.layout.image is None:
            raise UsageError(
                f"the layout of this {self.family} names no image token",
                'give its id in the tokenizer, as "image" of "layout" in vla.json',
            )
        return self.layout.image

    @abstractmethod
    def encode(self, images: Tensor) -> EncodedImages:
        """Encode images (N, 3, H, W), preprocessed as the family does, as tokens."""

    def encode_clip(self, clips: Tensor, valid: Tensor) -> list[tuple[EncodedImages, Tensor]]:
        """Encode clips (B, W, 3, H, W), oldest frame first, as tokens with masks (B, P).

        valid: (B, W) bool. By default each frame is an image; a family that knows video overrides this.
        """
        image_tokens = self.encode(clips.flatten(0, 1)).split(clips.shape[1])
        return [
            (image, step[:, None].expand(-1, image.tokens.shape[1]))
            for image, step in zip(image_tokens, valid.unbind(1), strict=True)
        ]

    def forward(self, sequence: Sequence, cache: Cache | None = None) -> Tensor:
        """Last hidden states (B, S, D), after the final norm; with a cache, for the new tokens only."""
        return self.decoder(
            inputs_embeds=sequence.embeds,
            attention_mask=sequence.mask.long(),
            position_ids=sequence.positions[0],
            **{CACHE: cache},
            use_cache=cache is not None,
        ).last_hidden_state

    def prefill(self, sequence: Sequence) -> tuple[Tensor, Sequence, Cache]:
        """Run a sequence that goes on. Returns hidden states, the sequence to `extend`, and its cache."""
        cache = self.new_cache()
        return self(sequence, cache), sequence, cache

    def new_cache(self) -> Cache:
        """Make an empty KV cache for `forward`."""
        return DynamicCache(config=self.text_config)

    def checkpoint_activations(self) -> None:
        """Compute activations again in the backward pass instead of keeping them.

        Raises ValueError if the family can't.
        """
        # transformers 5.24 has the new name and warns about the old one.
        new, old = "activation_checkpointing_enable", "gradient_checkpointing_enable"
        enable = getattr(self.model, new if hasattr(self.model, new) else old)
        # Reentrant checkpoints need gradients at their inputs, which a frozen embedding has not.
        enable({"use_reentrant": False})

    def logits(self, hidden: Tensor) -> Tensor:
        """Logits of the next token, (..., D) -> (..., vocabulary)."""
        logits = self.model.get_output_embeddings()(hidden)
        # Gemma 2's modelling code caps its logits: cap * tanh(logits / cap).
        cap = getattr(self.text_config, "final_logit_softcapping", None)
        return logits if cap is None else torch.tanh(logits / cap) * cap
