"""The seven families of `vla.backbones.families`: config.json's dimensions to the work that a question makes.

Tests compare the parameters with transformers' own classes, matrix by matrix.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from edge.errors import UsageError
from export.planner.fields import Fields
from export.planner.florence import florence2
from export.planner.layers import Ask, Layers, Net, Stage, Work, language_stages, lookup, matrix

Config = Mapping[str, Any]
QWEN_SIDE = 448  # px; Qwen takes images of any size, a planner needs one


def read_config(config: Config, ask: Ask) -> Net:
    """The net of a whole config.json. Raises UsageError for other families and fields of the wrong type."""
    model_type = str(config.get("model_type"))
    if model_type not in FAMILIES:
        raise UsageError(
            f"config.json: no family reads model type {model_type!r}", f"known: {', '.join(FAMILIES)}"
        )
    return FAMILIES[model_type](config, ask)


def text_layers(text: Fields) -> Layers:
    """A Llama, Gemma or Qwen: gated MLP, perhaps fewer heads of keys than of queries."""
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


def words(vocabulary: int, width: int, tied: bool, ask: Ask) -> tuple[Work, int, int]:
    """The language model's head over one row, the parameters that are only looked up, and the unused."""
    size = vocabulary * width
    if ask.tokens == 0:
        return Work(), size, 0 if tied else size
    return matrix(width, vocabulary, 1), 0 if tied else size, 0


def vit(vision: Fields, views: int, cls: bool, width_key: str = "hidden_size") -> tuple[Work, int, int, int]:
    """A plain vision transformer: its work, its tables (positions), patches and width. `cls`: with a class
    token."""
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


def _paligemma(config: Config, ask: Ask) -> Net:
    vision = _part(config, "vision_config", "siglip_vision_model")
    text = _part(config, "text_config", "gemma")
    work, positions, patches, width = vit(vision, ask.views, cls=False)
    layers = text_layers(text)
    head, tables, unused = words(text.number("vocab_size"), layers.width, _tied(config, True), ask)
    if vision.flag("vision_use_head"):  # SigLIP's pooling, which PaliGemma does not use
        unused += width + 4 * width**2 + 2 * width * vision.number("intermediate_size")
    work += matrix(width, layers.width, patches * ask.views)
    rows = patches * ask.views + ask.prompt
    stages = language_stages(layers, head, rows, ask, causal=False)
    cache = (rows + ask.tokens) * layers.cached_per_token
    return Net("paligemma", (Stage("vision", work), *stages), tables + positions, unused, cache)


def _kosmos2(config: Config, ask: Ask) -> Net:
    vision = _part(config, "vision_config", "kosmos_2_vision_model")
    text = Fields(config.get("text_config") or {}, "kosmos_2_text_model")
    queries = Fields(config, "kosmos-2").number("latent_query_num")
    work, positions, patches, width = vit(vision, ask.views, cls=True)
    wide, heads = text.number("embed_dim"), text.number("attention_heads")
    layers = Layers(text.number("layers"), wide, heads, heads, wide // heads, text.number("ffn_dim"), False)
    head, tables, unused = words(text.number("vocab_size"), wide, _tied(config, True), ask)
    rows = patches + 1
    # Queries look at the image and at each other.
    work += matrix(width, wide, rows * ask.views) + matrix(wide, wide, queries * ask.views) * 2
    work += matrix(wide, wide, (rows + queries) * ask.views) * 2
    work += lookup(rows + queries, wide, queries * ask.views)
    rows = (queries + 2) * ask.views + ask.prompt
    stages = language_stages(layers, head, rows, ask, causal=True)
    cache = (rows + ask.tokens) * layers.cached_per_token
    return Net(
        "kosmos-2", (Stage("vision", work), *stages), tables + positions + queries * wide, unused, cache
    )


def _qwen(config: Config, ask: Ask) -> Net:
    model_type = str(config["model_type"])
    deep = model_type == "qwen3_vl"
    vision = Fields(config.get("vision_config") or {}, f"{model_type}_vision")
    # The first Qwen2.5-VL files have the text's fields at the top.
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
    head, tables, unused = words(text.number("vocab_size"), language.width, _tied(config, False), ask)
    rows = (tokens + 2) * ask.views + ask.prompt
    stages = language_stages(language, head, rows, ask, causal=True)
    cache = (rows + ask.tokens) * language.cached_per_token
    first = Stage("vision", _batch(work, ask.views))
    return Net("qwen-vl", (first, *stages), tables + positions, unused, cache)


def _llava(config: Config, ask: Ask) -> Net:
    vision = _part(config, "vision_config", "clip_vision_model")
    text = _part(config, "text_config", "llama")
    kind = (config.get("vision_config") or {}).get("model_type", "clip_vision_model")
    work, positions, patches, width = vit(vision, ask.views, cls=kind == "clip_vision_model")
    layers = text_layers(text)
    head, tables, unused = words(text.number("vocab_size"), layers.width, _tied(config, False), ask)
    seen = patches * ask.views
    work += matrix(width, layers.width, seen) + matrix(layers.width, layers.width, seen)
    stages = language_stages(layers, head, seen + ask.prompt, ask, causal=True)
    cache = (seen + ask.prompt + ask.tokens) * layers.cached_per_token
    return Net("llava", (Stage("vision", work), *stages), tables + positions, unused, cache)


def _smolvlm(config: Config, ask: Ask) -> Net:
    vision = Fields(config.get("vision_config") or {}, f"{config['model_type']}_vision")
    text = _part(config, "text_config", "llama")
    scale = Fields(config, str(config["model_type"])).number("scale_factor")
    work, positions, patches, width = vit(vision, ask.views, cls=False)
    layers = text_layers(text)
    head, tables, unused = words(text.number("vocab_size"), layers.width, _tied(config, False), ask)
    tokens = patches // scale**2
    work += matrix(width * scale**2, layers.width, tokens * ask.views)
    rows = (tokens + 3) * ask.views + ask.prompt
    stages = language_stages(layers, head, rows, ask, causal=True)
    cache = (rows + ask.tokens) * layers.cached_per_token
    return Net("smolvlm", (Stage("vision", work), *stages), tables + positions, unused, cache)


def _idefics(config: Config, ask: Ask) -> Net:
    text = Fields(config, "idefics")
    vision = Fields(config.get("vision_config") or {}, "idefics_vision")
    work, tables, patches, width = vit(vision, ask.views, cls=True, width_key="embed_dim")
    memory = patches + 1
    if text.flag("use_resampler"):
        resampler, memory, table = _resampler(config, width, memory)
        work += _batch(resampler, ask.views)
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
    head, embeddings, unused = words(vocabulary, layers.width, _tied(config, False), ask)
    rows = 3 * ask.views + ask.prompt
    seen = memory * ask.views
    stages = [Stage("vision", work)]
    fresh, stored = (crossing.cross(n, width, seen, fresh=n > 1) for n in (rows, 1))
    for stage in language_stages(layers, head, rows, ask, causal=True):
        more = stored if stage.name == "decode" else fresh
        stages.append(Stage(stage.name, stage.work + more, stage.passes, stage.shares))
    cache = (rows + ask.tokens) * layers.cached_per_token + seen * crossing.cached_per_token
    return Net("flamingo", tuple(stages), tables + embeddings, unused, cache)


def _resampler(config: Config, width: int, rows: int) -> tuple[Work, int, int]:
    """IDEFICS's perceiver: its work for one image, the rows that leave it, and its table of queries."""
    part = Fields(config.get("perceiver_config") or {}, "idefics_perciever")
    queries, heads = part.number("resampler_n_latents"), part.number("resampler_n_heads")
    inner = heads * part.number("resampler_head_dim")
    block = matrix(width, inner, queries) + matrix(width, inner, rows + queries) * 2
    block += lookup(rows + queries, inner, queries) + matrix(inner, width, queries)
    block += matrix(width, 4 * width, queries) + matrix(4 * width, width, queries)
    return block * part.number("resampler_depth"), queries, queries * width


FAMILIES: dict[str, Callable[[Config, Ask], Net]] = {
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
