"""The three graphs of a PaliGemma as torch modules with static shapes, ready for torch.onnx.export.

What goes in and out is described in `edge/grounding.py`.
"""

import contextlib
import logging
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import onnx
import torch
from torch import Tensor, nn
from transformers import PaliGemmaForConditionalGeneration

from export.graph_edit import SCOPES
from export.stream import serialize
from export.weights import current_store

_HIDDEN = -1e4  # added to the attention to what must not be seen; also fits into fp16


@dataclass(frozen=True)
class Sizes:
    """Static lengths in tokens."""

    image: int
    prompt: int = 8
    answer: int = 16

    @property
    def slots(self) -> int:
        return self.image + self.prompt + self.answer


class Cache:
    """What a Gemma layer asks of a cache: takes keys and values, hands back all that may be attended to."""

    def __init__(self, past: Tensor | None = None, position: Tensor | None = None) -> None:
        self.past = past  # (2 * layers, 1, heads, slots, head width): keys and values of layer 0, 1, ...
        self.position = position  # (1,) slot that is written
        self.layers: list[Tensor] = []

    def update(self, keys: Tensor, values: Tensor, layer: int) -> tuple[Tensor, Tensor]:
        if self.past is not None:
            written = torch.arange(self.past.shape[3])[:, None] == self.position
            keys = torch.where(written, keys, self.past[2 * layer])
            values = torch.where(written, values, self.past[2 * layer + 1])
        self.layers += [keys, values]
        return keys, values


def decode_layers(model: Any, hidden: Tensor, visible: Tensor, positions: Tensor, cache: Cache) -> Tensor:
    """Gemma's layers over `hidden` (1, T, D); `visible` broadcasts to (T, keys); positions count from 1."""
    mask = torch.where(visible, 0.0, _HIDDEN)[None, None]
    rotary = model.rotary_emb(hidden, position_ids=positions[None])
    for layer in model.layers:
        hidden = layer(hidden, attention_mask=mask, past_key_values=cache, position_embeddings=rotary)
    return hidden


class Vision(nn.Module):
    """pixel_values (1, 3, H, W) -> image features (1, N, D) in the text model's space."""

    def __init__(self, model: PaliGemmaForConditionalGeneration) -> None:
        super().__init__()
        self.tower = model.model.vision_tower
        self.projector = model.model.multi_modal_projector

    def forward(self, pixel_values: Tensor) -> Tensor:
        return self.projector(self.tower(pixel_values).last_hidden_state)


class Prefill(nn.Module):
    """Image and prompt, which see each other both ways -> logits of the first answer token, cache."""

    def __init__(self, model: PaliGemmaForConditionalGeneration, sizes: Sizes) -> None:
        super().__init__()
        self.text: Any = model.model.language_model
        self.head = model.lm_head
        self.sizes = sizes

    def forward(self, image_features: Tensor, ids: Tensor, length: Tensor) -> tuple[Tensor, Tensor]:
        hidden = torch.cat([image_features, self.text.embed_tokens(ids)], dim=1)
        slots = torch.arange(hidden.shape[1])
        end = length + self.sizes.image
        # Padding sees the prompt and nobody sees it; its cache slots are overwritten by the answer.
        visible = (slots < end)[None].expand(hidden.shape[1], hidden.shape[1])
        cache = Cache()
        hidden = decode_layers(self.text, hidden, visible, slots + 1, cache)
        last = hidden.index_select(1, end - 1)
        logits = self.head(self.text.norm(last))[:, 0]
        past = nn.functional.pad(torch.stack(cache.layers), (0, 0, 0, self.sizes.answer))
        return logits, past


class Decode(nn.Module):
    """One answer token at its slot -> logits of the next, cache."""

    def __init__(self, model: PaliGemmaForConditionalGeneration) -> None:
        super().__init__()
        self.text: Any = model.model.language_model
        self.head = model.lm_head

    def forward(self, token: Tensor, position: Tensor, past: Tensor) -> tuple[Tensor, Tensor]:
        hidden = self.text.embed_tokens(token)
        visible = (torch.arange(past.shape[3]) <= position)[None]
        cache = Cache(past, position)
        hidden = decode_layers(self.text, hidden, visible, position + 1, cache)
        return self.head(self.text.norm(hidden))[:, 0], torch.stack(cache.layers)


def export_graphs(
    model: PaliGemmaForConditionalGeneration, image: tuple[int, int], sizes: Sizes
) -> dict[str, bytes]:
    """ONNX files by role, as of `to_onnx`. `image` is (height, width) in pixels.

    The model must be in evaluation mode; its tied LM head is untied in place, since one tensor with two uses
    upsets later quantization. In a store they are two in any case: the head lies there transposed.
    """
    if current_store() is None:
        model.lm_head.weight = nn.Parameter(model.lm_head.weight.detach().clone())
    text: Any = model.config.text_config
    cache_shape = (2 * text.num_hidden_layers, 1, text.num_key_value_heads, sizes.slots, text.head_dim)
    features = torch.randn(1, sizes.image, text.hidden_size)
    ids = torch.arange(5, 5 + sizes.prompt)[None]
    return {
        "vision": to_onnx(Vision(model), {"pixel_values": torch.randn(1, 3, *image)}, ["image_features"]),
        "prefill": to_onnx(
            Prefill(model, sizes),
            {"image_features": features, "ids": ids, "length": torch.tensor([sizes.prompt - 1])},
            ["logits", "cache"],
        ),
        "decode": to_onnx(
            Decode(model),
            {
                "token": torch.tensor([[7]]),
                "position": torch.tensor([sizes.image + 3]),
                "past": torch.randn(cache_shape),
            },
            ["logits", "cache"],
        ),
    }


def to_onnx(module: nn.Module, inputs: dict[str, Tensor], outputs: list[str]) -> bytes:
    """An ONNX file, opset 18, with the inputs' shapes as the static ones. Its weights lie in the store of
    `export.weights.weights_in`, else inside."""
    whole = current_store() is None
    with _quiet():
        program: Any = torch.onnx.export(
            module.eval(),
            kwargs=dict(inputs),
            dynamo=True,
            opset_version=18,
            input_names=list(inputs),
            output_names=outputs,
            optimize=whole,  # else `serialize` does, without a second copy of the weights
            verbose=False,
        )
    if not whole:
        return serialize(program.model, module)
    model = program.model_proto
    _forget(model)
    return model.SerializeToString()


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """The exporter warns of packages that are not there and of its own code."""
    loggers = [logging.getLogger(name) for name in ("torch.onnx", "onnxscript", "onnx_ir")]
    before = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        for logger, level in zip(loggers, before, strict=True):
            logger.setLevel(level)


def _forget(model: onnx.ModelProto) -> None:
    """Leave out the exporter's notes, which name the files of this machine; where in the net a node stands
    stays."""
    del model.metadata_props[:], model.graph.metadata_props[:]
    for item in (*model.graph.node, *model.graph.input, *model.graph.output, *model.graph.initializer):
        kept = [note for note in item.metadata_props if note.key == SCOPES]
        del item.metadata_props[:]
        item.metadata_props.extend(kept)
        item.doc_string = ""
