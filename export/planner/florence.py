"""Florence-2: DaViT, whose stages shrink the image, then an encoder and a decoder."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from edge.bundle.published import is_microsofts
from edge.errors import UsageError
from export.planner.fields import Fields
from export.planner.layers import Layers, Request, StageWork, Work, Workload, lookup, matrix

SIDE = 768  # pixels of its processor's images; the net takes any
_MICROSOFTS_WIDTHS = [256, 512, 1024, 2048]  # the default of dim_embed in Microsoft's config.json


def florence2(config: Mapping[str, Any], request: Request) -> Workload:
    """Count the work of a config.json's model, as `export.planner.families.read_config`."""
    vision = Fields(_vision(config), "florence_vision")
    text = Fields(config.get("text_config") or {}, "bart")
    width = text.number("d_model")
    work, tables, tokens = _davit(vision)
    encoder = _layers(text, "encoder", width)
    decoder = _layers(text, "decoder", width)
    tables += 2 * (text.number("max_position_embeddings") + 2) * width  # BART's first position is 2
    rows = tokens * request.views + request.prompt
    attention = Layers(decoder.count, width, decoder.heads, decoder.heads, decoder.head_width, 0, False)
    head = matrix(width, text.number("vocab_size"), 1)  # tied to the embedding
    start = attention.run(1) + decoder.cross(1, width, rows) + head
    step = attention.run(1, past=request.tokens // 2) + decoder.cross(1, width, rows, fresh=False) + head
    stages = [
        StageWork("vision", Work(work.parameters, work.flops * request.views)),
        StageWork("prefill", encoder.run(rows) + start),
    ]
    if request.tokens > 1:
        stages.append(StageWork("decode", step, request.tokens - 1, shares=True))
    cache = (rows + request.tokens) * decoder.cached_per_token
    return Workload("florence-2", tuple(stages), tables, cache=cache)


def _vision(config: Mapping[str, Any]) -> Any:
    """Read the section of the images, with Microsoft's names turned into those of transformers."""
    vision: Any = config.get("vision_config") or {}
    if not isinstance(vision, Mapping) or not is_microsofts(config):
        return vision
    positions: Any = vision.get("image_pos_embed")
    count = positions.get("max_pos_embeddings", 50) if isinstance(positions, Mapping) else 50
    widths = vision.get("dim_embed", _MICROSOFTS_WIDTHS)
    return {**vision, "embed_dim": widths, "max_position_embeddings": count}


def _layers(text: Fields, part: str, width: int) -> Layers:
    heads = text.number(f"{part}_attention_heads")
    mlp = text.number(f"{part}_ffn_dim")
    return Layers(text.number(f"{part}_layers"), width, heads, heads, width // heads, mlp, False)


def _davit(vision: Fields) -> tuple[Work, int, int]:
    """Count the work of one image with its projection, its tables, and its tokens."""
    names = ("depths", "patch_size", "patch_stride", "embed_dim")
    depths, patches, strides, widths = (vision.numbers(name) for name in names)
    if not len(depths) == len(patches) == len(strides) == len(widths) > 0:
        raise UsageError(f"config.json: {', '.join(names)} are not lists of one length")
    work, side, before, window = Work(), SIDE, 3, vision.number("window_size") ** 2
    for depth, patch, stride, width in zip(depths, patches, strides, widths, strict=True):
        side = max(side // stride, 1)
        rows = side**2
        mixing = matrix(width, 3 * width, rows) + matrix(width, width, rows)
        mixing += matrix(width, 4 * width, rows) * 2 + matrix(9, width, rows) * 2  # MLP; two 3 x 3 filters
        # A spatial block attends within windows, a channel block between the channels of a head.
        block = mixing * 2 + lookup(min(window, rows), width, rows)
        work += matrix(before * patch**2, width, rows) + block * depth
        before = width
    tokens = side**2 + 1
    work += matrix(before, vision.number("projection_dim"), tokens)
    return work, vision.number("max_position_embeddings") * before, tokens
