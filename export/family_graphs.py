"""The graphs of any family's backbone as torch modules with static shapes, ready for torch.onnx.export.

    vision   pixel_values (1,3,H,W)                  -> image_features (1,N,D)[, deep]
    prefill  image_features[, deep], ids, length     -> logits (1,V), cache, position[, cross]
    decode   token, position, past[, ...]            -> logits (1,V), cache

What goes in and out is described in `edge/grounding.py`; an input that is not named there comes from the
output of the same name of an earlier graph.
"""

from collections.abc import Callable
from dataclasses import replace
from typing import Any, cast

import torch
from torch import Tensor, nn

from export.graphs import to_onnx
from export.qwen_vision import QwenVision
from export.readers import READERS, Extra, Reader, Slots, StaticCache
from vla.backbone import Backbone
from vla.qwen import QwenVL
from vla.sequence import Picture

Write = Callable[[str, nn.Module, dict[str, Tensor], list[str]], Any]


class Vision(nn.Module):
    """pixel_values (1, 3, H, W) -> image_features (1, N, D); of Flamingo what its tokens look at."""

    def __init__(self, backbone: Backbone) -> None:
        super().__init__()
        self.backbone = backbone

    def forward(self, pixel_values: Tensor) -> tuple[Tensor, ...]:
        picture = self.backbone.encode(pixel_values)
        return (picture.tokens if picture.memory is None else picture.memory,)


class Prefill(nn.Module):
    """Fixed tokens, image and prompt -> logits of the first answer token, and what decode needs."""

    before: Tensor

    def __init__(self, reader: Reader, before: tuple[int, ...], image_is_token: bool) -> None:
        super().__init__()
        self.reader, self.image_is_token = reader, image_is_token
        with torch.no_grad():
            embedded = reader.embed(torch.tensor([before], dtype=torch.long))
        self.register_buffer("before", embedded.clone(), persistent=False)

    def context(self, image_features: Tensor, ids: Tensor) -> Tensor:
        """The tokens in their slots, (1, before + image + prompt, D)."""
        image = [image_features] if self.image_is_token else []
        return torch.cat([self.before, *image, self.reader.embed(ids)], dim=1)

    def end(self, length: Tensor) -> Tensor:
        """The slot after the prompt, (1,)."""
        return length + self.reader.slots.before + self.reader.slots.image

    def forward(
        self, image_features: Tensor, ids: Tensor, length: Tensor, deep: Tensor | None = None
    ) -> tuple[Tensor, ...]:
        cache = StaticCache()
        extra = extra_of(image_features, deep, length)
        hidden = self.reader.read(self.context(image_features, ids), self.end(length), 0, cache, extra)
        first = self.reader.first_step(self.end(length))
        return (self.reader.logits(hidden)[:, 0], first, *self.reader.cache_of(cache).values())


class Decode(nn.Module):
    """One answer token at its slot -> logits of the next, cache."""

    def __init__(self, reader: Reader) -> None:
        super().__init__()
        self.reader = reader

    def forward(
        self,
        token: Tensor,
        position: Tensor,
        past: Tensor,
        image_features: Tensor | None = None,
        cross: Tensor | None = None,
        length: Tensor | None = None,
    ) -> tuple[Tensor, Tensor]:
        cache = StaticCache(past, position, cross)
        extra = extra_of(image_features, None, length)
        hidden = self.reader.step(self.reader.embed(token), position, cache, extra)
        return self.reader.logits(hidden)[:, 0], torch.stack(cache.layers)


def extra_of(image_features: Tensor | None, deep: Tensor | None, length: Tensor | None) -> Extra:
    given = {"image_features": image_features, "deep": deep, "length": length}
    return {name: value for name, value in given.items() if value is not None}


def vision_of(backbone: Backbone, height: int, width: int) -> tuple[nn.Module, Picture]:
    """The vision graph's module for images of one size, and what the backbone makes of one."""
    backbone.model.set_attn_implementation("eager")  # plain products and sums
    with torch.inference_mode():
        picture = backbone.encode(torch.zeros(1, 3, height, width))
    if isinstance(backbone, QwenVL):
        return QwenVision(backbone, height, width), picture
    return Vision(backbone), picture


def reader_of(backbone: Backbone, slots: Slots, picture: Picture) -> Reader:
    """The family's reader."""
    return READERS[backbone.family](backbone, slots, picture)


def export_family(
    backbone: Backbone, height: int, width: int, before: tuple[int, ...], prompt: int, answer: int
) -> dict[str, bytes]:
    """ONNX files by role. `before` are the ids ahead of the image; of Flamingo the last is `<image>` itself.
    The backbone must be in evaluation mode and fp32; a tied output layer is untied in place."""
    untie(backbone)
    vision, picture = vision_of(backbone, height, width)
    pixels = torch.randn(1, 3, height, width)
    with torch.inference_mode():
        features, *deep = vision(pixels)
    slots = Slots(len(before), image_slots(picture), prompt, answer=answer)
    reader = reader_of(backbone, slots, picture)
    prefill = Prefill(reader, before, slots.image > 0)
    question = {
        "image_features": torch.randn_like(features),
        "ids": torch.arange(prompt)[None] % backbone.vocabulary,
        "length": torch.tensor([prompt - 1]),
    } | {"deep": torch.randn_like(part) for part in deep}
    with torch.inference_mode():
        _, _, *given = prefill(**question)
    kept = dict(zip(("cache", "cross"), given, strict=False))
    step = {"token": torch.tensor([[7]]), "position": torch.tensor([slots.all - 2])}
    if "cross" in kept:
        step["position"] = torch.tensor([answer - 1])
    step["past"] = torch.randn_like(kept["cache"])
    if slots.image == 0:
        step["image_features"] = torch.randn_like(features)
    if "cross" in kept:
        step |= {"cross": torch.randn_like(kept["cross"]), "length": torch.tensor([prompt - 1])}
    seen = ["image_features", "deep"][: 1 + len(deep)]
    return {
        "vision": to_onnx(vision, {"pixel_values": pixels}, seen),
        "prefill": to_onnx(prefill, question, ["logits", "position", *kept]),
        "decode": to_onnx(Decode(reader), step, ["logits", "cache"]),
    }


def image_slots(picture: Picture) -> int:
    """Tokens that the image takes in the sequence; none where tokens look at it from outside."""
    return 0 if picture.memory is not None else picture.tokens.shape[1]


def untie(backbone: Backbone) -> None:
    """One tensor with two uses upsets later quantization."""
    output: Any = backbone.model.get_output_embeddings()
    output.weight = nn.Parameter(output.weight.detach().clone())
