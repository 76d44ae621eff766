"""Checkpoints of every family as the hub has them, tiny and with random weights."""

import copy
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from edge.model.prompt_ids import image_token
from tests.edge.model.family_processors import florence, idefics, kosmos, llava, paligemma, qwen, smolvlm
from vla.backbones.loading import family_of
from vla.backbones.tiny import CONFIGS

_PROCESSORS: dict[str, Callable[[], Any]] = {
    "paligemma": paligemma,
    "paligemma2": paligemma,
    "kosmos-2": kosmos,
    "qwen2_5_vl": lambda: qwen(14),
    "qwen3_vl": lambda: qwen(16),
    "llava": llava,
    "idefics": idefics,
    "smolvlm": lambda: smolvlm(False),
    "idefics3": lambda: smolvlm(True),
    "florence2": florence,
}  # by the tiny config
_HALF = [0.5, 0.5, 0.5]
_NORM = {"image_mean": _HALF, "image_std": _HALF}
_PREPROCESSORS: dict[str, dict[str, Any]] = {
    "kosmos-2": {"use_square_size": True, "size": {"shortest_edge": 16}},
    "llava": {"size": {"shortest_edge": 16}, "crop_size": {"height": 16, "width": 16}},
    "idefics": {"image_size": 16},
    # 24 x 32 pixels: windows of 16 pixels, and what is left of one
    "qwen2_5_vl": {"patch_size": 4, "merge_size": 2, "min_pixels": 64, "max_pixels": 800},
    "qwen3_vl": {"patch_size": 4, "merge_size": 2, "min_pixels": 64, "max_pixels": 800},
    "smolvlm": {
        "size": {"longest_edge": 32}, "max_image_size": {"longest_edge": 16}, "do_image_splitting": False,
    },
    "idefics3": {"size": {"longest_edge": 32}, "max_image_size": {"longest_edge": 16}},
    "florence2": {"size": {"height": 32, "width": 32}},
}  # fmt: skip


def write_folder(name: str, folder: Path) -> Path:
    """A checkpoint of one of CONFIGS that knows its family's tokens; seed torch before for the same one."""
    processor, _ = _PROCESSORS[name]()
    tokenizer = processor.tokenizer.backend_tokenizer
    config: dict[str, Any] = copy.deepcopy(CONFIGS[name])
    size = tokenizer.get_vocab_size()
    if name == "idefics":
        config["vocab_size"] = size - config["additional_vocab_size"]
    else:
        config["text_config"]["vocab_size"] = size
    for place in ("image_token_id", "image_token_index"):
        if place in config:
            config[place] = processor.tokenizer.convert_tokens_to_ids(image_token(config["model_type"]))
    if name == "kosmos-2":  # which gives positions only to what is not padding
        config["text_config"]["pad_token_id"] = tokenizer.token_to_id("<pad>")
    _room(config)
    model_class: Any = family_of(config["model_type"]).classes[config["model_type"]]
    model_class(model_class.config_class.from_dict(config)).save_pretrained(folder)
    tokenizer.save(str(folder / "tokenizer.json"))
    said = _PREPROCESSORS.get(name, {"size": {"height": 16, "width": 16}})
    (folder / "preprocessor_config.json").write_text(json.dumps({**_NORM, "resample": 3, **said}))
    return folder


def _room(config: dict[str, Any]) -> None:
    for part in (config, config.get("text_config", {})):
        if "max_position_embeddings" in part:
            part["max_position_embeddings"] = 512
        if "sliding_window" in part:
            part["sliding_window"] = 512
    torch.manual_seed(0)
