"""Torch modules with static shapes for the graphs of any family's backbone, ready for torch.onnx.export.

    vision   pixel_values (1,3,H,W)                  -> image_features (1,N,D)[, deep]
    prefill  image_features[, deep], ids, length     -> logits (1,V), position, cache[, cross, cross_mask]
    decode   token, position, past[, ...]            -> logits (1,V), cache

`edge/model/generation.py` describes inputs and outputs; an input that is not named there comes from the
output of the same name of an earlier graph.
"""

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensorMode
from transformers.models.paligemma.modeling_paligemma import PaliGemmaForConditionalGeneration
from transformers.utils import logging as hf_logging

from export.graphs.onnx import to_onnx
from export.graphs.qwen_vision import QwenVision
from export.graphs.reader import Extra, Reader, Slots, StaticCache
from export.graphs.readers import READERS
from export.graphs.tile_vision import TileVision
from export.graphs.weights import current_store
from vla.backbones.backbone import Backbone, Layout
from vla.backbones.families import PaliGemma, SmolVLM
from vla.backbones.qwen import QwenVL
from vla.sequence import EncodedImages


@dataclass(frozen=True)
class GraphSource:
    """The module that a graph is exported from; the graph's static shapes are those of `inputs`."""

    module: nn.Module
    inputs: dict[str, Tensor]
    outputs: list[str]

    def to_onnx(self) -> bytes:
        """Export the ONNX file, its weights inside or in the store of `export.graphs.weights.weights_in`."""
        return to_onnx(self.module, self.inputs, self.outputs)


class Vision(nn.Module):
    """pixel_values (1, 3, H, W) -> image_features (1, N, D); Flamingo's is the memory that tokens look at."""

    def __init__(self, backbone: Backbone) -> None:
        super().__init__()
        self.backbone = backbone

    def forward(self, pixel_values: Tensor) -> tuple[Tensor, ...]:
        picture = self.backbone.encode(pixel_values)
        return (picture.tokens if picture.memory is None else picture.memory,)


class Prefill(nn.Module):
    """Fixed tokens, image and prompt -> logits of the first answer token, and the inputs of decode."""

    before: Tensor

    def __init__(self, reader: Reader, before: tuple[int, ...]) -> None:
        super().__init__()
        self.reader = reader
        self.register_buffer("before", torch.tensor([before], dtype=torch.long), persistent=False)

    def place(self, image_features: Tensor, ids: Tensor) -> Tensor:
        """Put tokens into their slots, (1, before + image + prompt + appended, D); those appended are 0."""
        slots = self.reader.slots
        image = [image_features] if slots.image else []
        before = [self.reader.embed(self.before)] if slots.before else []
        placed = torch.cat([*before, *image, self.reader.embed(ids)], dim=1)
        return nn.functional.pad(placed, (0, 0, 0, slots.appended))

    def end(self, length: Tensor) -> Tensor:
        """Return the slot after the prompt, (1,)."""
        return length + self.reader.slots.before + self.reader.slots.image

    def answer(self, context: Tensor, end: Tensor, extra: Extra) -> tuple[Tensor, ...]:
        """Compute logits (1, V) after a context, position, cache, and the family's other outputs.

        The context ends before slot `end`.
        """
        cache = StaticCache()
        hidden = self.reader.read(context, end, 0, cache, extra)
        kept = self.reader.cache_of(cache)
        return self.reader.logits(hidden)[:, 0], self.reader.first_step(end), *kept.values()

    def forward(
        self, image_features: Tensor, ids: Tensor, length: Tensor, deep: Tensor | None = None
    ) -> tuple[Tensor, ...]:
        context = self.place(image_features, ids)
        return self.answer(context, self.end(length), extra_of(image_features=image_features, deep=deep))


class Decode(nn.Module):
    """One answer token at its slot -> logits of the next token, cache."""

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
        cross_mask: Tensor | None = None,
    ) -> tuple[Tensor, Tensor]:
        cache = StaticCache(past, position, cross)
        extra = extra_of(image_features=image_features, cross_mask=cross_mask)
        hidden = self.reader.step(self.reader.embed(token), position, cache, extra)
        return self.reader.logits(hidden)[:, 0], torch.stack(cache.layers)


def extra_of(**given: Tensor | None) -> Extra:
    """Return the tensors that are given, by name."""
    return {name: value for name, value in given.items() if value is not None}


@dataclass(frozen=True)
class VisionSource:
    """The module of the vision graph, and the backbone's tokens for one image."""

    source: GraphSource
    picture: EncodedImages
    outputs: dict[str, Tensor]

    @property
    def slots(self) -> int:
        """Tokens that the image takes in the sequence; none if tokens look at it from outside."""
        return 0 if self.picture.memory is not None else self.picture.tokens.shape[1]


# The exporter traces tensors of inference mode only at its second, slow try.
@torch.no_grad()
def vision_source(backbone: Backbone, height: int, width: int) -> VisionSource:
    """Build the vision graph for images of one size in pixels."""
    before = hf_logging.get_verbosity()
    hf_logging.set_verbosity_error()  # else it warns of parts that have no attention
    backbone.model.set_attn_implementation("eager")  # it exports as plain products and sums
    hf_logging.set_verbosity(before)
    pixels = torch.randn(1, 3, height, width)
    picture = backbone.encode(pixels)
    module = _vision(backbone, height, width)
    names: list[str] = ["image_features", "deep"]
    outputs: dict[str, Tensor] = dict(zip(names, module(pixels), strict=False))
    return VisionSource(GraphSource(module, {"pixel_values": pixels}, list(outputs)), picture, outputs)


def _vision(backbone: Backbone, height: int, width: int) -> nn.Module:
    """Build the vision graph's module for images of one size in pixels."""
    if isinstance(backbone, QwenVL):
        return QwenVision(backbone, height, width)
    if isinstance(backbone, SmolVLM):
        return TileVision(backbone, height, width)
    return Vision(backbone)


def family_sources(
    backbone: Backbone, height: int, width: int, before: tuple[int, ...], prompt: int, answer: int
) -> dict[str, GraphSource]:
    """Build the graphs of a model that answers, by stage, for images of one size in pixels.

    At most `prompt` tokens follow the image, and `answer` tokens make an answer. `before` are the ids ahead
    of the image; Flamingo's last is `<image>`.

    The backbone must be in evaluation mode; a tied output layer is untied in place. Raises UsageError if the
    model has no room for so many tokens.
    """
    seen = vision_source(backbone, height, width)
    reader = reader_of(backbone, Slots(len(before), seen.slots, prompt, answer=answer), seen.picture)
    prefill = GraphSource(
        Prefill(reader, before), prefill_inputs(seen, prompt), ["logits", "position", "cache"]
    )
    return {"vision": seen.source, **with_decode(prefill, reader, seen)}


def paligemma_sources(
    model: PaliGemmaForConditionalGeneration, height: int, width: int, prompt: int = 8, answer: int = 16
) -> dict[str, GraphSource]:
    """Build the graphs of a bare PaliGemma, such as the default model's, by stage."""
    return family_sources(PaliGemma(model, Layout(), {}), height, width, (), prompt, answer)


def prefill_inputs(seen: VisionSource, prompt: int) -> dict[str, Tensor]:
    """Draw inputs of prefill, of the right shapes."""
    images = {name: torch.randn_like(value) for name, value in seen.outputs.items()}
    return images | {"ids": torch.arange(prompt)[None] % 8, "length": torch.tensor([max(1, prompt - 1)])}


def with_decode(prefill: GraphSource, reader: Reader, seen: VisionSource) -> dict[str, GraphSource]:
    """Complete a prefill by its decode, by stage.

    The module of prefill outputs logits, position, cache, and cross if there is an encoder.
    """
    if current_store() is None:  # a store holds tied weights once
        untie(reader)
    with torch.inference_mode(), FakeTensorMode(allow_non_fake_inputs=True):  # it computes shapes alone
        _, _, cache, *more = prefill.module(**prefill.inputs)
    step = {"token": torch.tensor([[7]]), "position": torch.tensor([1]), "past": torch.randn(cache.shape)}
    if not seen.slots:
        step["image_features"] = torch.randn_like(seen.outputs["image_features"])
    crossed = {name: torch.zeros(v.shape) for name, v in zip(("cross", "cross_mask"), more, strict=False)}
    step |= crossed
    return {
        "prefill": GraphSource(prefill.module, prefill.inputs, [*prefill.outputs, *crossed]),
        "decode": GraphSource(Decode(reader), step, ["logits", "cache"]),
    }


def reader_of(backbone: Backbone, slots: Slots, picture: EncodedImages) -> Reader:
    """Build the reader of the backbone's family."""
    return READERS[backbone.family](backbone, slots, picture)


def untie(reader: Reader) -> None:
    """Give the output layer weights of its own: one tensor with two uses upsets later quantization."""
    output: Any = reader.output
    output.weight = nn.Parameter(output.weight.detach().clone())
