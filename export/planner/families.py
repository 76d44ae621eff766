"""The seven families of `vla.backbones.families`: config.json's dimensions to the work of an inference.

Tests compare the parameters with transformers' own classes, matrix by matrix.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from edge.errors import UsageError
from export.planner.fields import Fields
from export.planner.florence import florence2
from export.planner.layers import Layers, Request, StageWork, Work, Workload, language_stages, lookup, matrix

Config = Mapping[str, Any]
QWEN_SIDE = 448  # px; Qwen takes images of any size, a planner needs one


def read_config(config: Config, request: Request) -> Workload:
    """Count the work of a config.json's model. Raises UsageError for other families and wrong fields."""
    model_type = str(config.get("model_type"))
    if model_type not in FAMILIES:
        raise UsageError(
            f"config.json: no family reads model type {model_type!r}", f"known: {', '.join(FAMILIES)}"
        )
    return FAMILIES[model_type](config, request)


def text_layers(text: Fields) -> Layers:
    """Read the layers of a Llama, Gemma or Qwen: gated MLP, maybe fewer heads of keys than of queries."""
    width, heads = text.number("hidden_size"), text.number("num_attention_heads")
    return Layers(
        count=text.number("num_hidden_layers"),
        width=width,
        heads=heads,
        keys=text.number("num_key_value_heads") if text.has("num_key_value_heads") else heads,
        head_width=text.number("head_dim") if text.has("head_dim") else width // heads,
        mlp=text.number("intermediate_size"),
        gated=True,
    )


def language_head(vocabulary: int, width: int, tied: bool, request: Request) -> tuple[Work, int, int]:
    """Count the language model's head over one row, and the parameters that are looked up and unused."""
    size = vocabulary * width
    if request.tokens == 0:
        return Work(), size, 0 if tied else size
    return matrix(width, vocabulary, 1), 0 if tied else size, 0


def vit(vision: Fields, views: int, cls: bool, width_key: str = "hidden_size") -> tuple[Work, int, int, int]:
    """Count a plain vision transformer: its work, its tables (positions), patches and width.

    `cls` says if it has a class token.
    """
    side, patch, width = vision.number("image_size"), vision.number("patch_size"), vision.number(width_key)
    if patch > side:
        raise UsageError(f"config.json: patch_size {patch} is more than image_size {side}")
    patches = (side // patch) ** 2
    heads = vision.number("num_attention_heads")
    mlp = vision.number("intermediate_size")
    layers = Layers(vision.number("num_hidden_layers"), width, heads, heads, width // heads, mlp, False)
    rows = patches + cls
    # One image sees only itself; the weights are read once for all of them.
    work = matrix(3 * patch**2, width, patches * views) + _batch(layers.run(rows), views)
    return work, rows * width, patches, width


def _batch(work: Work, size: int) -> Work:
    return Work(work.parameters, work.flops * size, work.cached * size)


def _part(config: Config, key: str, default_type: str) -> Fields:
    part = config.get(key) or {}
    model_type = part.get("model_type", default_type) if isinstance(part, Mapping) else default_type
    return Fields(part, str(model_type))


def _tied(config: Config, default: bool) -> bool:
    return bool(config.get("tie_word_embeddings", default))


def _paligemma(config: Config, request: Request) -> Workload:
    vision = _part(config, "vision_config", "siglip_vision_model")
    text = _part(config, "text_config", "gemma")
    work, positions, patches, width = vit(vision, request.views, cls=False)
    layers = text_layers(text)
    head, tables, unused = language_head(
        text.number("vocab_size"), layers.width, _tied(config, True), request
    )
    if vision.flag("vision_use_head"):  # PaliGemma does not use SigLIP's pooling
        unused += width + 4 * width**2 + 2 * width * vision.number("intermediate_size")
    work += matrix(width, layers.width, patches * request.views)
    rows = patches * request.views + request.prompt
    stages = language_stages(layers, head, rows, request, causal=False)
    cache = (rows + request.tokens) * layers.cached_per_token
    return Workload("paligemma", (StageWork("vision", work), *stages), tables + positions, unused, cache)


def _kosmos2(config: Config, request: Request) -> Workload:
    vision = _part(config, "vision_config", "kosmos_2_vision_model")
    text = Fields(config.get("text_config") or {}, "kosmos_2_text_model")
    queries = Fields(config, "kosmos-2").number("latent_query_num")
    work, positions, patches, width = vit(vision, request.views, cls=True)
    wide, heads = text.number("embed_dim"), text.number("attention_heads")
    layers = Layers(text.number("layers"), wide, heads, heads, wide // heads, text.number("ffn_dim"), False)
    head, tables, unused = language_head(text.number("vocab_size"), wide, _tied(config, True), request)
    rows = patches + 1
    # Queries look at the image and at each other.
    work += matrix(width, wide, rows * request.views) + matrix(wide, wide, queries * request.views) * 2
    work += matrix(wide, wide, (rows + queries) * request.views) * 2
    work += lookup(rows + queries, wide, queries * request.views)
    rows = (queries + 2) * request.views + request.prompt
    stages = language_stages(layers, head, rows, request, causal=True)
    cache = (rows + request.tokens) * layers.cached_per_token
    return Workload(
        "kosmos-2", (StageWork("vision", work), *stages), tables + positions + queries * wide, unused, cache
    )


def _qwen(config: Config, request: Request) -> Workload:
    model_type = str(config["model_type"])
    deep = model_type == "qwen3_vl"
    vision = Fields(config.get("vision_config") or {}, f"{model_type}_vision")
    # The first files of Qwen2.5-VL have the text's fields at the top.
    text = Fields(config.get("text_config") or config, f"{model_type}_text")
    width, heads, patch = (vision.number(key) for key in ("hidden_size", "num_heads", "patch_size"))
    merge, depth = vision.number("spatial_merge_size"), vision.number("depth")
    layers = Layers(depth, width, heads, heads, width // heads, vision.number("intermediate_size"), not deep)
    side = max(QWEN_SIDE // (patch * merge), 1) * merge  # patches
    work, positions = layers.run(side**2), 0
    mergers = 1 + (vision.length("deepstack_visual_indexes") if deep else 0)
    if deep:
        positions = vision.number("num_position_embeddings") * width
    else:  # most layers see only windows
        narrow, full = (vision.number("window_size") // patch) ** 2, vision.length("fullatt_block_indexes")
        spared = lookup(side**2 - min(narrow, side**2), width, side**2) * max(depth - full, 0)
        work = Work(work.parameters, work.flops - spared.flops)
    work += matrix(3 * vision.number("temporal_patch_size") * patch**2, width, side**2)
    merged, wide = width * merge**2, vision.number("out_hidden_size")
    tokens = (side // merge) ** 2
    work += (matrix(merged, merged, tokens) + matrix(merged, wide, tokens)) * mergers
    language = text_layers(text)
    head, tables, unused = language_head(
        text.number("vocab_size"), language.width, _tied(config, False), request
    )
    rows = (tokens + 2) * request.views + request.prompt
    stages = language_stages(language, head, rows, request, causal=True)
    cache = (rows + request.tokens) * language.cached_per_token
    first = StageWork("vision", _batch(work, request.views))
    return Workload("qwen-vl", (first, *stages), tables + positions, unused, cache)


def _llava(config: Config, request: Request) -> Workload:
    vision = _part(config, "vision_config", "clip_vision_model")
    text = _part(config, "text_config", "llama")
    kind = (config.get("vision_config") or {}).get("model_type", "clip_vision_model")
    work, positions, patches, width = vit(vision, request.views, cls=kind == "clip_vision_model")
    layers = text_layers(text)
    head, tables, unused = language_head(
        text.number("vocab_size"), layers.width, _tied(config, False), request
    )
    seen = patches * request.views
    work += matrix(width, layers.width, seen) + matrix(layers.width, layers.width, seen)
    stages = language_stages(layers, head, seen + request.prompt, request, causal=True)
    cache = (seen + request.prompt + request.tokens) * layers.cached_per_token
    return Workload("llava", (StageWork("vision", work), *stages), tables + positions, unused, cache)


def _smolvlm(config: Config, request: Request) -> Workload:
    vision = Fields(config.get("vision_config") or {}, f"{config['model_type']}_vision")
    text = _part(config, "text_config", "llama")
    scale = Fields(config, str(config["model_type"])).number("scale_factor")
    work, positions, patches, width = vit(vision, request.views, cls=False)
    layers = text_layers(text)
    head, tables, unused = language_head(
        text.number("vocab_size"), layers.width, _tied(config, False), request
    )
    tokens = patches // scale**2
    work += matrix(width * scale**2, layers.width, tokens * request.views)
    rows = (tokens + 3) * request.views + request.prompt
    stages = language_stages(layers, head, rows, request, causal=True)
    cache = (rows + request.tokens) * layers.cached_per_token
    return Workload("smolvlm", (StageWork("vision", work), *stages), tables + positions, unused, cache)


def _idefics(config: Config, request: Request) -> Workload:
    text = Fields(config, "idefics")
    vision = Fields(config.get("vision_config") or {}, "idefics_vision")
    work, tables, patches, width = vit(vision, request.views, cls=True, width_key="embed_dim")
    memory = patches + 1
    if text.flag("use_resampler"):
        resampler, memory, table = _resampler(config, width, memory)
        work += _batch(resampler, request.views)
        tables += table
    layers, interval = text_layers(text), text.number("cross_layer_interval")
    crossing = Layers(
        layers.count // interval,
        layers.width,
        layers.heads,
        layers.heads,
        layers.head_width,
        layers.mlp,
        True,
    )
    vocabulary = text.number("vocab_size") + text.count("additional_vocab_size")
    head, embeddings, unused = language_head(vocabulary, layers.width, _tied(config, False), request)
    rows = 3 * request.views + request.prompt
    seen = memory * request.views
    stages = [StageWork("vision", work)]
    fresh, stored = (crossing.cross(n, width, seen, fresh=n > 1) for n in (rows, 1))
    for stage in language_stages(layers, head, rows, request, causal=True):
        more = stored if stage.name == "decode" else fresh
        stages.append(StageWork(stage.name, stage.work + more, stage.passes, stage.shares))
    cache = (rows + request.tokens) * layers.cached_per_token + seen * crossing.cached_per_token
    return Workload("flamingo", tuple(stages), tables + embeddings, unused, cache)


def _resampler(config: Config, width: int, rows: int) -> tuple[Work, int, int]:
    """Count IDEFICS's perceiver: its work for one image, the rows that leave it, and its table of queries."""
    part = Fields(config.get("perceiver_config") or {}, "idefics_perciever")
    queries, heads = part.number("resampler_n_latents"), part.number("resampler_n_heads")
    inner = heads * part.number("resampler_head_dim")
    block = matrix(width, inner, queries) + matrix(width, inner, rows + queries) * 2
    block += lookup(rows + queries, inner, queries) + matrix(inner, width, queries)
    block += matrix(width, 4 * width, queries) + matrix(4 * width, width, queries)
    return block * part.number("resampler_depth"), queries, queries * width


FAMILIES: dict[str, Callable[[Config, Request], Workload]] = {
    "paligemma": _paligemma,
    "kosmos-2": _kosmos2,
    "qwen2_5_vl": _qwen,
    "qwen3_vl": _qwen,
    "llava": _llava,
    "idefics": _idefics,
    "smolvlm": _smolvlm,
    "idefics3": _smolvlm,
    "florence2": florence2,
}
